// A standby as the source: from Postgres 16 on it decodes by itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { MAJOR, since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

const BINDING = [{ event: '*', schema: 'public', table: 't' }]
const SLOT = 'walcast_it'
const BACK_MS = 40_000 * SLOWNESS
const DECODING = since(16, 'decoding on a standby')

const told = (client) => client.messages.filter((m) => m.event === 'system' && m.payload.message === 'Subscribed to PostgreSQL').length

async function pair(t, { conf, standbyConf, prepare = async () => {} } = {}) {
  const primary = await Cluster.start({ conf })
  t.after(() => primary.remove())
  await primary.sql('create table t (id int primary key, v text); grant select on t to anon; alter publication supabase_realtime add table t')
  await prepare(primary)
  const standby = await Cluster.standbyOf(primary, { conf: standbyConf })
  t.after(() => standby.remove())
  return { primary, standby }
}

async function serve(t, cluster, env = {}) {
  const server = await Server.start({ ...cluster.serverEnv, ...env }, { wait: 'up' })
  t.after(() => server.stop())
  return server
}

async function untilReason(server, reason) {
  const { tenant, status } = await until(async () => {
    const health = await server.health()
    return health.tenant.reason === reason && health
  }, async () => `the reason ${reason}; /health: ${JSON.stringify(await server.health())}`, BACK_MS)
  assert.equal(status, 503)
  assert.match((await server.untilLog(new RegExp(`^.* (warn|error) repl ${reason} .*$`, 'm')))[0], /hint="[^"]{10,}"/)
  return tenant
}

/** Slots on a standby are made when the primary has logged which transactions run. */
async function untilStreaming(server, primary) {
  await until(async () => {
    await primary?.sql('select pg_log_standby_snapshot()')
    const { status, tenant } = await server.health()
    return status === 200 && tenant.state === 'streaming'
  }, async () => `streaming; /health: ${JSON.stringify(await server.health())}`, BACK_MS)
}

test('a standby too old to decode is named', { skip: MAJOR >= 16 && 'it decodes' }, async (t) => {
  const { standby } = await pair(t)
  const tenant = await untilReason(await serve(t, standby), 'standby_too_old')
  assert.match(tenant.error, new RegExp(`standby of version ${MAJOR}`))
})

test('a slot on a standby waits for its primary, and says so', DECODING, async (t) => {
  const { primary, standby } = await pair(t)
  await primary.stop()
  const server = await serve(t, standby)
  const tenant = await untilReason(server, 'slot_waits_for_primary')
  assert.equal(tenant.state, 'preparing')
  assert.match(tenant.hint, /pg_log_standby_snapshot/)
  await primary.boot()
  await untilStreaming(server, primary)
  assert.equal((await server.health()).tenant.reason, null)
})

const applyTo = (rows, { data }) => (data.type === 'DELETE' ? rows.delete(data.old_record.id) : rows.set(data.record.id, data.record.v))

/** Transactions of several rows, some of them long. */
async function write(primary, index) {
  const session = await primary.connect()
  for (let n = 0; n < 150; n++) {
    const id = 1000 * (index + 1) + 3 * n
    await session.query('begin')
    await session.query('insert into t values ($1, $2), ($3, $2)', [id, 'new', id + 1])
    if (n % 5 === index % 5) await session.query('select pg_sleep(0.05)')
    await session.query('update t set v = $2 where id = $1', [id, 'changed'])
    if (n > 3) await session.query('delete from t where id = $1', [id + 1 - 9])
    await session.query('commit')
  }
}

test('on a standby, SELECT after "Subscribed" plus the stream is the table', DECODING, async (t) => {
  const { primary, standby } = await pair(t)
  const old = await primary.connect() // in progress all the time: its id is below all the others
  await old.query(`begin`)
  const server = await serve(t, standby)
  await untilStreaming(server, primary)
  await old.query(`insert into t values (1, 'old')`)
  const writers = Array.from({ length: 4 }, (_, i) => write(primary, i))
  const joiners = []
  for (let i = 0; i < 12; i++) {
    const client = await Client.open(server)
    t.after(() => client.close())
    const reader = await standby.connect()
    const before = new Set((await reader.query('select id from t')).rows.map((r) => r.id))
    await client.subscribe(`s${i}`, BINDING)
    joiners.push({ client, before, rows: new Map((await reader.query('select id, v from t')).rows.map((r) => [r.id, r.v])) })
  }
  await Promise.all(writers)
  await old.query('commit')
  await primary.sql(`insert into t values (0, 'end')`)
  const table = new Map((await primary.sql('select id, v from t')).map((r) => [r.id, r.v]))
  for (const [i, { client, before, rows }] of joiners.entries()) {
    await until(() => client.changes().some((c) => c.data.record?.id === 0), `joiner ${i} has the last row`, BACK_MS)
    for (const change of client.changes()) {
      if (change.data.type === 'INSERT') assert.ok(!before.has(change.data.record.id), `joiner ${i} got row ${change.data.record.id}, visible before it asked`)
      applyTo(rows, change)
    }
    assert.deepEqual([...rows].sort(([a], [b]) => a - b), [...table].sort(([a], [b]) => a - b), `joiner ${i}`)
  }
  await until(async () => (await server.health()).tenant.lag_bytes < 100_000, 'the lag is told')
})

test('a promoted standby goes on, and its slot begins a new epoch', DECODING, async (t) => {
  const { primary, standby } = await pair(t)
  const server = await serve(t, standby, { SLOT_NAME: SLOT, RESUME_GRACE_MS: '100' })
  await untilStreaming(server, primary)
  const client = await Client.open(server)
  t.after(() => client.close())
  await client.subscribe('p', BINDING)
  await primary.sql(`insert into t values (1, 'before')`)
  await client.untilChanges(1)
  await primary.stop()
  await standby.sql('select pg_promote()')
  await standby.sql(`insert into t values (2, 'after')`)
  await client.untilChanges(2, BACK_MS)
  await standby.sql('select pg_terminate_backend(active_pid) from pg_replication_slots where active').catch(() => {})
  await until(() => told(client) === 2, 'told that changes may have been missed', BACK_MS)
  await standby.sql(`insert into t values (3, 'again')`)
  const seen = () => client.changes().map((c) => c.data.record.id)
  await until(() => seen().at(-1) === 3, () => `the last row; got ${seen()}`)
  assert.deepEqual([...new Set(seen())], [1, 2, 3], 'what was not confirmed may come again in the new epoch')
})

test('a failover slot is not read on the standby before its promotion', since(17, 'failover slots'), async (t) => {
  const { primary, standby } = await pair(t, { prepare: (p) => p.sql(`select pg_create_logical_replication_slot('${SLOT}', 'pgoutput', failover => true)`) })
  await until(async () => { // once the primary's slot has moved on beyond where the standby begins
    await primary.sql('select pg_log_standby_snapshot()')
    await primary.sql(`select pg_replication_slot_advance('${SLOT}', pg_current_wal_lsn())`)
    await standby.sql('select pg_sync_replication_slots()')
    return (await standby.sql('select from pg_replication_slots where synced and not temporary')).length === 1
  }, 'the slot is synchronized', BACK_MS)
  await primary.sql(`insert into t values (1, 'kept')`)
  const server = await serve(t, standby, { SLOT_NAME: SLOT, RESUME_GRACE_MS: '100' })
  await untilReason(server, 'slot_not_promoted')
  await until(async () => (await standby.sql('select from t')).length === 1, 'replayed')
  await primary.stop()
  await standby.sql('select pg_promote()')
  await until(async () => (await server.health()).tenant.state === 'waiting', 'the slot waits for its clients', BACK_MS)
  const client = await Client.open(server)
  t.after(() => client.close())
  await client.subscribe('f', BINDING)
  await client.untilChanges(1, BACK_MS)
  assert.deepEqual(client.changes().map((c) => c.data.record.v), ['kept'])
})
