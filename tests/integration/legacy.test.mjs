// Clients of the v1 server: topics without config, changes as event = type and payload = data.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RealtimeClient } from 'realtime-js-1'
import WebSocket from 'ws'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const world = sharedWorld({
  sql: 'create table todos (id int primary key, body text); create table other (id int primary key)',
  publish: ['todos', 'other'],
})

const joinLegacy = async (client, topic, payload = {}) => {
  const ref = client.send(`realtime:${topic}`, 'phx_join', payload)
  const reply = await client.reply(ref)
  const { payload: system } = await client.wait((m) => m.event === 'system' && m.topic === `realtime:${topic}`, `the verdict for ${topic}`)
  return { reply, system }
}

for (const vsn of ['1.0.0', '2.0.0']) {
  test(`a join without config gets changes under their type, serializer ${vsn}`, async () => {
    const client = await Client.open(world.server, { vsn })
    const { reply, system } = await joinLegacy(client, 'public:todos:id=eq.5', { user_token: tokenFor('anon') })
    const [binding] = reply.response.postgres_changes
    assert.deepEqual({ ...binding, id: 0 }, { schema: 'public', table: 'todos', filter: 'id=eq.5', id: 0 })
    assert.equal(system.message, 'Subscribed to PostgreSQL')
    await world.sql("insert into todos values (4, 'no'), (5, 'five')")
    await world.sql("update todos set body = 'six' where id = 5")
    await world.sql('delete from todos')
    await client.wait((m) => m.event === 'DELETE', 'the delete')
    const got = client.messages.filter((m) => ['INSERT', 'UPDATE', 'DELETE', 'postgres_changes'].includes(m.event))
    assert.deepEqual(got.map((m) => m.event), ['INSERT', 'UPDATE', 'DELETE'])
    const [insert, update, remove] = got.map((m) => m.payload)
    assert.equal(insert.type, 'INSERT')
    assert.deepEqual([insert.schema, insert.table, insert.record, insert.old_record], ['public', 'todos', { id: 5, body: 'five' }, undefined])
    assert.deepEqual([update.record, update.old_record], [{ id: 5, body: 'six' }, { id: 5 }])
    assert.deepEqual([remove.record, remove.old_record], [undefined, { id: 5 }])
    assert.ok(got.every((m) => m.ref === null))
    client.close()
  })
}

test('a channel of today and one of then on equal topics each get their own shape', async () => {
  const then = await Client.open(world.server), now = await Client.open(world.server)
  await joinLegacy(then, 'public:todos')
  await now.subscribe('public:todos', [{ schema: 'public', table: 'todos' }])
  await world.sql("insert into todos values (7, 'seven')")
  await then.wait((m) => m.event === 'INSERT', 'the legacy change')
  const [change] = await now.untilChanges(1)
  assert.deepEqual(change.data.record, { id: 7, body: 'seven' })
  assert.equal(then.changes().length, 0)
  await world.sql('delete from todos')
  then.close()
  now.close()
})

test('a schema that does not exist is refused after a good join', async () => {
  const client = await Client.open(world.server)
  const { reply, system } = await joinLegacy(client, 'room1')
  assert.equal(reply.status, 'ok')
  assert.equal(system.status, 'error')
  assert.match(system.message, /schema: room1/)
  client.close()
})

for (const [topic, tables] of [['realtime:*', ['todos', 'other']], ['realtime:public', ['todos', 'other']], ['realtime:public:other', ['other']]]) {
  test(`realtime-js 1.7 gets changes of ${topic}`, async () => {
    const client = new RealtimeClient(world.server.socketUrl, { transport: WebSocket, params: { apikey: tokenFor('anon') } })
    const seen = [], verdicts = []
    client.connect()
    const channel = client.channel(topic)
    channel.on('*', (payload) => { if (payload.type) seen.push(payload) })
    channel.on('system', (payload) => verdicts.push(payload))
    let joined = false
    channel.subscribe().receive('ok', () => { joined = true })
    try {
      await until(() => joined && verdicts.length, () => `the join; got ${JSON.stringify(verdicts)}`)
      assert.equal(verdicts[0].message, 'Subscribed to PostgreSQL')
      await world.sql("insert into todos values (1, 'x')")
      await world.sql('insert into other values (1)')
      await until(() => seen.some((p) => p.table === 'other'), () => `changes; got ${JSON.stringify(seen)}`)
      assert.deepEqual(seen.map((p) => [p.type, p.table]), tables.map((table) => ['INSERT', table]))
    } finally {
      await client.disconnect()
      await world.sql('delete from todos; delete from other')
    }
  })
}
