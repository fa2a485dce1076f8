// postgres_changes_options.wait: the join is answered when its changes stand.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const SQL = { sql: 'create table w (id int primary key)', publish: ['w'] }
const GOOD = [{ event: '*', schema: 'public', table: 'w' }], BAD = [{ event: '*', schema: 'public', table: 'nope' }]
const config = (bindings, timeout, wait = true) => ({ postgres_changes: bindings, postgres_changes_options: { wait, ...(timeout ? { timeout } : {}) } })
const about = (client, room) => client.messages.filter((m) => m.topic === `realtime:${room}`)

/** A world whose database does not answer: Postgres is stopped before the join. */
async function withoutDatabase(t) {
  const world = await startWorld(t, SQL)
  await world.cluster.stop('immediate')
  await until(async () => (await world.server.health()).status !== 200, 'the loss of the database')
  return world
}

test('a good subscription: reply, then the verdict, and what was sent meanwhile is answered after them', async (t) => {
  const world = await startWorld(t, SQL)
  for (const wait of [true, 'true', 'True']) {
    const client = await Client.open(world.server)
    client.send('realtime:good', 'phx_join', { config: config(GOOD, 0, wait) }, { ref: 'j', joinRef: 'j' })
    client.send('realtime:good', 'phx_leave', {}, { ref: 'l', joinRef: 'j' })
    await client.wait((m) => m.event === 'phx_close', 'the end')
    assert.deepEqual(about(client, 'good').map((m) => [m.event, m.ref, m.payload.status ?? null]),
      [['phx_reply', 'j', 'ok'], ['system', null, 'ok'], ['phx_reply', 'l', 'ok'], ['phx_close', 'j', null]])
    client.close()
  }
  const client = await Client.open(world.server)
  const { response } = await client.join('stays', config(GOOD))
  assert.equal(response.postgres_changes.length, 1)
  await client.wait((m) => m.event === 'system', 'the verdict')
  await world.sql('insert into w values (1)')
  assert.deepEqual((await client.untilChanges(1))[0].data.record, { id: 1 })
  client.close()
})

test('a bad one refuses the join with the text of the verdict', async (t) => {
  const world = await startWorld(t, SQL)
  const client = await Client.open(world.server)
  const { status, response } = await client.join('bad', config(BAD))
  assert.equal(status, 'error')
  assert.equal(response.reason, 'RealtimeDisabledForConfiguration: Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: [event: *, schema: public, table: nope, filters: [], select: nil]')
  assert.equal((await client.reply(client.send('realtime:bad', 'broadcast', {}))).response.reason, 'unmatched topic')
  assert.equal(about(client, 'bad').filter((m) => m.event !== 'phx_reply').length, 0)
  assert.equal(await world.server.metric('walcast_channels'), 0)
  client.close()
})

test('nothing to wait for: answered at once', async (t) => {
  const world = await withoutDatabase(t)
  const client = await Client.open(world.server)
  assert.equal((await client.join('none', config([]))).status, 'ok')
  assert.equal((await client.join('no', config(GOOD, 0, false))).status, 'ok')
  assert.equal((await client.join('yes', config(GOOD, 0, 'yes'))).status, 'ok')
  client.close()
})

test('without an answer in time the join is refused; other topics and heartbeats go on meanwhile', async (t) => {
  const world = await withoutDatabase(t)
  const client = await Client.open(world.server)
  const ref = client.send('realtime:late', 'phx_join', { config: config(GOOD, 3000) }, { ref: 'late', joinRef: 'late' })
  assert.equal((await client.heartbeat()).status, 'ok')
  assert.equal((await client.join('other')).status, 'ok')
  assert.equal(about(client, 'late').length, 0)
  for (let i = 0; i < 20; i++) client.send('realtime:late', 'broadcast', { n: i }, { ref: `b${i}`, joinRef: 'late' })
  const { status, response } = await client.reply(ref)
  assert.equal(status, 'error')
  assert.equal(response.reason, 'PostgresChangesSubscribeTimeout: Timed out after 3000ms waiting for the postgres_changes subscription')
  await client.heartbeat()
  const answers = about(client, 'late').slice(1)
  assert.deepEqual(answers.map((m) => m.ref), Array.from({ length: 16 }, (_, i) => `b${i}`)) // the rest was dropped
  assert.ok(answers.every((m) => m.payload.response.reason === 'unmatched topic'))
  assert.equal(await world.server.metric('walcast_malformed_messages_total'), 4)
  client.close()
})

test('a connection that ends, or a token that does, while a join waits', async (t) => {
  const world = await withoutDatabase(t)
  const gone = await Client.open(world.server)
  gone.send('realtime:gone', 'phx_join', { config: config(GOOD) })
  await gone.heartbeat()
  gone.close()
  const client = await Client.open(world.server)
  const { response } = await client.join('expires', config(GOOD), { access_token: tokenFor('anon', { exp: Math.floor(Date.now() / 1000) + 2 }) })
  assert.match(response.reason, /^RealtimeDisabledForConfiguration: Token has expired \d+ seconds ago$/)
  client.close()
  await until(async () => await world.server.metric('walcast_channels') === 0, 'no channel')
})
