// The main job on the Postgres whose programs PG_BIN names: a short run for majors that are not tested at length.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from '../integration/lib/env.mjs'
import { MAJOR, since } from '../integration/lib/major.mjs'
import { Client } from '../integration/lib/phoenix.mjs'
import { tokenFor } from '../integration/lib/token.mjs'
import { until } from '../integration/lib/wait.mjs'
import { startWorld } from '../integration/lib/world.mjs'

const TABLE = 'create table t (id int primary key, v text)'
const BINDING = [{ event: '*', schema: 'public', table: 't' }]

test(`Postgres ${MAJOR}: changes arrive, the slot resumes after a restart of the server`, async (t) => {
  const world = await startWorld(t, { sql: TABLE, publish: ['t'], env: { SLOT_NAME: 'walcast_smoke', RESUME_GRACE_MS: '100' } })
  assert.match((await world.sql('show server_version'))[0].server_version, new RegExp(`^${MAJOR}\\.`))
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('smoke', BINDING)
  await world.sql(`insert into t values (1, 'a')`)
  await world.sql(`update t set v = 'b'`)
  await world.sql('delete from t')
  const kinds = (await client.untilChanges(3)).map((c) => c.data.type)
  assert.deepEqual(kinds, ['INSERT', 'UPDATE', 'DELETE'])
  await world.cluster.restart()
  await until(async () => (await world.server.health()).status === 200, 'the stream is back', 60_000 * SLOWNESS)
  await world.sql(`insert into t select i, 'row' from generate_series(1, 1000) i`)
  const rest = (await client.untilChanges(1003, 60_000 * SLOWNESS)).slice(3)
  assert.deepEqual(rest.map((c) => c.data.record.id), Array.from({ length: 1000 }, (_, i) => i + 1))
})

test(`Postgres ${MAJOR}: filters and row security decide who gets a row`, async (t) => {
  const world = await startWorld(t, {
    sql: `${TABLE}; alter table t enable row level security; create policy own on t for select to authenticated using (v = auth.jwt() ->> 'sub')`,
    publish: ['t'],
  })
  const open = async (sub, filter) => {
    const client = await Client.open(world.server, { token: tokenFor('authenticated', { sub }) })
    t.after(() => client.close())
    await client.subscribe('judged', [{ ...BINDING[0], ...(filter ? { filter } : {}) }])
    return client
  }
  const ann = await open('ann'), bob = await open('bob'), few = await open('ann', 'id=in.(2,6),v=like.a%')
  await world.sql(`insert into t select i, case i % 2 when 0 then 'ann' else 'bob' end from generate_series(1, 6) i`)
  const ids = async (client, n) => (await client.untilChanges(n)).map((c) => c.data.record.id)
  assert.deepEqual(await ids(ann, 3), [2, 4, 6])
  assert.deepEqual(await ids(bob, 3), [1, 3, 5])
  assert.deepEqual(await ids(few, 2), [2, 6])
})

test(`Postgres ${MAJOR}: the database broadcasts by rows, and by signed messages where it can`, since(13, 'gen_random_uuid()'), async (t) => {
  const world = await startWorld(t, { migrate: true })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.join('db', { broadcast: { replication_ready: true } })
  await client.nth('system')
  const ways = MAJOR >= 14 ? ['row', 'message', 'message_immediate'] : ['row']
  for (const way of ways) {
    await world.sql(`set realtime.send_via = '${way}'`)
    await world.sql(`select realtime.send('{"id": 1}', $1, 'db', false), realtime.send_binary('\\x00ff', $1, 'db', false)`, [way])
  }
  await client.nth('binary', 2 * ways.length)
  assert.deepEqual(client.all('binary').map((m) => [m.event, m.payload.toString('hex')]), ways.flatMap((way) => [[way, Buffer.from('{"id": 1}').toString('hex')], [way, '00ff']]))
})

test(`Postgres ${MAJOR}: policies of realtime.messages decide who joins a private channel and sends to it`, since(13, 'gen_random_uuid()'), async (t) => {
  const world = await startWorld(t, {
    migrate: true,
    sql: `create policy reads on realtime.messages for select to authenticated using (realtime.topic() like auth.jwt() ->> 'reads');
      create policy writes on realtime.messages for insert to authenticated with check (realtime.topic() = auth.jwt() ->> 'writes')`,
  })
  const open = async (claims) => {
    const client = await Client.open(world.server, { token: tokenFor('authenticated', claims) })
    t.after(() => client.close())
    return client
  }
  const ann = await open({ reads: 'room%', writes: 'room-1' }), bob = await open({ reads: 'room-2' })
  const join = async (client, room, config = {}) => (await client.join(room, { private: true, ...config })).status
  assert.deepEqual([await join(ann, 'room-1', { broadcast: { ack: true } }), await join(ann, 'room-2'), await join(bob, 'room-1'), await join(bob, 'room-2')], ['ok', 'ok', 'error', 'ok'])
  const say = (client, room, event) => client.send(`realtime:${room}`, 'broadcast', { type: 'broadcast', event, payload: {} })
  say(ann, 'room-2', 'not permitted')
  assert.equal((await ann.reply(say(ann, 'room-1', 'permitted'))).status, 'ok')
  await world.sql(`select realtime.send('{"id": 1}', 'stored', 'room-2')`)
  assert.equal((await bob.nth('binary')).event, 'stored')
  const late = await open({ reads: 'room-2' })
  assert.equal(await join(late, 'room-2', { broadcast: { replay: { since: 0 } } }), 'ok')
  const { event, meta } = await late.nth('broadcast')
  assert.deepEqual([event, meta.replayed], ['stored', true])
})
