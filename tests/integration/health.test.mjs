// /healthcheck, /health, and what the log says when the database is not as it should be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const TABLE = { sql: 'create table t (id int primary key)', publish: ['t'] }
const LSN = /^[0-9A-F]+\/[0-9A-F]+$/

test('/healthcheck answers ok', async (t) => {
  const world = await startWorld(t, TABLE)
  const response = await world.server.get('/healthcheck')
  assert.equal(response.status, 200)
  assert.equal(await response.text(), 'ok')
})

test('an orchestrator sends clients here, and does not restart us, whatever the database does', async (t) => {
  const server = await Server.start({ DB_HOST: '127.0.0.1', DB_PORT: '1' }, { wait: 'up' })
  t.after(() => server.stop())
  for (const path of ['/health/live', '/health/ready']) {
    await until(async () => (await server.get(path)).status === 200, `200 from ${path}`)
    assert.deepEqual(await (await server.get(path)).json(), { status: 'ok' })
  }
  assert.equal((await server.health()).status, 503)
})

test('/health names version, uptime, connections and the state of the stream', async (t) => {
  const world = await startWorld(t, TABLE)
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('h', [{ event: '*', schema: 'public', table: 't' }])
  await world.sql('insert into t values (1)')
  await client.untilChanges(1)
  const { status, body, tenant } = await world.server.health()
  assert.equal(status, 200)
  assert.match(body.version, /^\d+\.\d+\.\d+/)
  assert.equal(typeof body.uptime_s, 'number')
  assert.equal(body.connections, 1)
  assert.equal(tenant.state, 'streaming')
  assert.equal(typeof tenant.slot, 'string')
  assert.match(tenant.received_lsn, LSN)
  assert.match(tenant.confirmed_lsn, LSN)
  assert.equal(typeof tenant.lag_bytes, 'number')
  const slots = await world.sql('select slot_name, temporary from pg_replication_slots')
  assert.deepEqual(slots, [{ slot_name: tenant.slot, temporary: true }])
})

test('/health says 503 while the stream is down and 200 when it is back; /healthcheck stays 200', async (t) => {
  const world = await startWorld(t, TABLE)
  await world.cluster.stop()
  await until(async () => (await world.server.health()).status === 503, '503')
  assert.notEqual((await world.server.health()).tenant.state, 'streaming')
  assert.equal((await world.server.get('/healthcheck')).status, 200)
  await world.cluster.boot()
  await until(async () => (await world.server.health()).status === 200, '200 again', 60_000)
})

test('an idle stream confirms what the rest of the server writes', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME: 'walcast_idle', RESUME_GRACE_MS: '100' }, conf: { wal_sender_timeout: '2s' } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('idle', [{ event: '*', schema: 'public', table: 't' }])
  await world.sql('create table unpublished (x text)')
  await world.sql(`insert into unpublished select repeat('x', 1000) from generate_series(1, 1000)`)
  const [{ lsn }] = await world.sql('select pg_current_wal_lsn()::text as lsn')
  await until(async () => {
    const [{ done }] = await world.sql(`select confirmed_flush_lsn >= $1::pg_lsn as done from pg_replication_slots where slot_name = 'walcast_idle'`, [lsn])
    return done
  }, `the slot confirms ${lsn}`, 30_000)
})

test('an unknown path is 404', async (t) => {
  const world = await startWorld(t, TABLE)
  assert.equal((await world.server.get('/no/such/path')).status, 404)
})

/** Runs walcast against something broken until the log says what it is; it may retry or give up. */
async function expectComplaint(env, pattern) {
  const server = await Server.start(env, { wait: 'no' })
  try {
    const line = (await server.untilLog(new RegExp(`^.*(?:${pattern.source}).*$`, `m${pattern.flags}`)))[0]
    assert.match(line, / (warn|error) /)
    assert.match(line, /hint="[^"]{10,}"/, `no remedy in: ${line}`)
    assert.doesNotMatch(server.log, new RegExp(env.DB_PASSWORD), 'the password is in the log')
    if (server.exited === null) {
      const health = await server.health().catch(() => null)
      if (health) assert.equal(health.status, 503)
    }
  } finally {
    if (server.exited === null) await server.stop()
    else {
      server.assertClean()
      assert.equal(server.exited.signal, null)
    }
  }
}

async function complaint(t, pattern, { conf, prepare, env, bare }) {
  const cluster = await Cluster.start({ conf, bare })
  t.after(() => cluster.remove())
  await prepare?.(cluster)
  await expectComplaint({ ...cluster.serverEnv, ...env }, pattern)
}

test('a wrong password is named, with a remedy', (t) => complaint(t, /password/i, { env: { DB_PASSWORD: 'surely-not-this-one' } }))
test('a database that does not exist is named', (t) => complaint(t, /no_such_database/, { env: { DB_NAME: 'no_such_database' } }))
test('wal_level=replica is named, with a remedy', (t) => complaint(t, /wal_level/, { conf: { wal_level: 'replica' } }))
test('a missing publication is named, with a remedy', (t) => complaint(t, /publication/, { bare: true, prepare: (c) => c.sql('create role anon nologin') }))
test('a role without REPLICATION is named, with a remedy', (t) => complaint(t, /replication/i, {
  prepare: (c) => c.sql(`create role plain login password 'plain-password'`), env: { DB_USER: 'plain', DB_PASSWORD: 'plain-password' },
}))
test('a host nobody listens on is named, with a remedy', (t) => complaint(t, /connection_failed/, { env: { DB_PORT: '1' } }))

test('a slot in use by another walcast is named, and taken over when it is free', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME: 'walcast_busy', RESUME_GRACE_MS: '0' } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('busy', [{ event: '*', schema: 'public', table: 't' }])
  const second = await Server.start({ ...world.cluster.serverEnv, SLOT_NAME: 'walcast_busy', RESUME_GRACE_MS: '0' }, { wait: 'up' })
  t.after(() => second.stop())
  const late = await Client.open(second)
  t.after(() => late.close())
  late.send('realtime:late', 'phx_join', { config: { postgres_changes: [{ event: '*', schema: 'public', table: 't' }] } })
  assert.match((await second.untilLog(/^.*slot_active.*$/m))[0], /hint="/)
  await world.server.stop()
  await late.wait((m) => m.event === 'system' && m.payload.status === 'ok', 'Subscribed', 60_000)
  await world.sql('insert into t values (1)')
  assert.deepEqual((await late.untilChanges(1, 60_000)).map((c) => c.data.record.id), [1])
})

test('a busy port is an error at once', async (t) => {
  const world = await startWorld(t, TABLE)
  const second = await Server.start({ ...world.cluster.serverEnv, PORT: String(world.server.port) }, { wait: 'no' })
  const { code } = await second.ended()
  assert.ok(code > 0, `exit status ${code}`)
  assert.match(second.log, /in use|EADDRINUSE/i)
  second.assertClean()
})
