// SIGTERM: joins are refused, what was read is delivered and confirmed, clients are told and closed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const TABLE = { sql: 'create table t (id int primary key, v text)', publish: ['t'] }
const BINDING = { event: '*', schema: 'public', table: 't' }
const RESTARTING = 'RealtimeRestarting: Realtime is restarting, please standby'
const ids = (client) => client.changes().map((c) => c.data.record.id)
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal}: one notice per joined channel, then 1012 and nothing else`, async (t) => {
    const world = await startWorld(t, TABLE)
    const v2 = await Client.open(world.server), v1 = await Client.open(world.server, { vsn: '1.0.0' })
    const idle = await Client.open(world.server)
    await v2.subscribe('a', [BINDING])
    await v2.join('b')
    await v1.join('c')
    const before = [v2.messages.length, v1.messages.length]
    world.server.child.kill(signal)
    for (const client of [v2, v1, idle]) assert.deepEqual(await client.untilClosed(), { code: 1012, reason: '' })
    assert.deepEqual(idle.messages, [])
    const notice = { extension: 'system', status: 'ok', message: 'Server requested disconnect' }
    assert.deepEqual(v2.messages.slice(before[0]).map((m) => [m.joinRef, m.ref, m.topic, m.event, m.payload]),
      [[null, null, 'realtime:a', 'system', notice], [null, null, 'realtime:b', 'system', notice]])
    assert.deepEqual(v1.messages.slice(before[1]).map((m) => [m.ref, m.topic, m.event, m.payload]), [[null, 'realtime:c', 'system', notice]])
    assert.deepEqual(await world.server.ended(), { code: 0, signal: null })
  })
}

test('joins are refused from the signal on', async (t) => {
  const world = await startWorld(t, TABLE)
  const client = await Client.open(world.server)
  await client.join('before')
  world.server.child.kill('SIGTERM')
  for (let i = 0; !client.closed; i++) {
    client.send(`realtime:after${i}`, 'phx_join', { config: {} })
    await new Promise((done) => setImmediate(done))
  }
  const replies = client.messages.filter((m) => m.event === 'phx_reply' && m.topic.startsWith('realtime:after')).map((m) => m.payload.response.reason ?? 'ok')
  const first = replies.indexOf(RESTARTING)
  if (first >= 0) assert.ok(replies.slice(first).every((reason) => reason === RESTARTING))
  await world.server.ended()
})

test('with SLOT_NAME what was delivered is confirmed: it does not come again, and nothing is missing', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME: 'walcast_it', RESUME_GRACE_MS: '1000' } })
  const client = await Client.open(world.server)
  await client.subscribe('s', [BINDING])
  for (let i = 1; i <= 300; i++) await world.sql('insert into t values ($1)', [i])
  await client.untilChanges(300)
  world.server.child.kill('SIGTERM') // status updates go out once a second: most is not confirmed yet
  assert.deepEqual(await world.server.ended(), { code: 0, signal: null })
  for (let i = 301; i <= 310; i++) await world.sql('insert into t values ($1)', [i])
  await world.server.again({ wait: 'up' })
  const next = await Client.open(world.server)
  t.after(() => next.close())
  await next.subscribe('s', [BINDING])
  await next.untilChanges(10)
  await world.sql('insert into t values (311)')
  await until(() => ids(next).includes(311), 'the last row')
  assert.deepEqual(ids(next), range(301, 311))
})

test('rows that were under way when the signal came are delivered before the close', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME: 'walcast_it', RESUME_GRACE_MS: '1000' } })
  const client = await Client.open(world.server)
  await client.subscribe('s', [BINDING])
  for (let i = 0; i < 20; i++) await world.sql(`insert into t select ${i} * 100 + n, repeat('x', 2000) from generate_series(1, 100) n`)
  world.server.child.kill('SIGTERM')
  await world.server.ended()
  await client.untilClosed()
  const seen = ids(client)
  assert.deepEqual(seen, range(1, seen.length))
  await world.server.again({ wait: 'up' })
  const next = await Client.open(world.server)
  t.after(() => next.close())
  await next.subscribe('s', [BINDING])
  await world.sql('insert into t values (2001)')
  await until(() => ids(next).includes(2001), 'the last row', 20_000 * SLOWNESS)
  const whole = Math.floor(seen.length / 100) * 100 // a transaction that was cut comes again as a whole
  assert.deepEqual(ids(next), range(whole + 1, 2001))
})

test('a client that does not take the close does not keep the server longer than SHUTDOWN_TIMEOUT_MS', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SHUTDOWN_TIMEOUT_MS: '600' } })
  const deaf = await Client.open(world.server)
  t.after(() => deaf.close())
  await deaf.subscribe('s', [BINDING])
  deaf.pause()
  await world.sql("insert into t select n, repeat('x', 2000) from generate_series(1, 5000) n")
  const started = Date.now()
  world.server.child.kill('SIGTERM')
  await world.server.ended()
  assert.ok(Date.now() - started < 600 + 2000 * SLOWNESS, `it took ${Date.now() - started} ms`)
})

test('a second signal ends the process at once', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SHUTDOWN_TIMEOUT_MS: '600000' } })
  const deaf = await Client.open(world.server)
  t.after(() => deaf.close())
  await deaf.subscribe('s', [BINDING])
  deaf.pause()
  world.server.child.kill('SIGTERM')
  await world.server.untilLog(/stopping signal=15/)
  await until(() => { world.server.child.kill('SIGTERM'); return world.server.exited }, 'the end')
  assert.equal(world.server.exited.signal, 'SIGTERM')
  await world.server.again() // for the end of the test, which wants it to stop well
})

test('SIGHUP does not hurry a server that stops', async (t) => {
  const server = await Server.start({ DB_PORT: '1', SHUTDOWN_TIMEOUT_MS: '600', SEND_BUFFER_BYTES: '65536' }, { wait: 'up' })
  t.after(() => server.stop())
  const [sender, deaf] = await Promise.all([Client.open(server), Client.open(server)])
  t.after(() => [sender, deaf].forEach((c) => c.close()))
  for (const client of [sender, deaf]) await client.join('room', { broadcast: { ack: true } })
  deaf.pause()
  for (let i = 0; i < 6; i++) await sender.reply(sender.send('realtime:room', 'broadcast', { event: 'e', payload: 'x'.repeat(1_000_000) }))
  server.child.kill('SIGTERM')
  await server.untilLog(/stopping signal=15/)
  server.child.kill('SIGHUP')
  assert.deepEqual(await server.ended(), { code: 0, signal: null })
})
