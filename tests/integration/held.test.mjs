// A stream that is held for long: behind a transaction that committed on paper and waits for a
// standby which does not exist.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AT_GATE, GATE_SQL, PATIENT, closeGate } from './lib/gate.mjs'
import { Client } from './lib/phoenix.mjs'
import { hangCommits } from './lib/standby.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const SENDER_TIMEOUT_MS = 1000
const TABLES = { sql: 'create table t (id int primary key, v text); create table other (v text)', publish: ['t'] }
const BINDING = [{ event: '*', schema: 'public', table: 't' }]

/** A commit that hangs, of a row that may be judged only once it is visible. */
async function hold(world) {
  const stuck = await world.cluster.connect()
  const { local, release } = await hangCommits(world)
  // the table is described anew, and who may read it is judged only when this commit is visible
  const commit = stuck.query('begin; alter table t add w int; insert into t values (2); commit')
  // what follows must lie behind it in the log, or it would be confirmed before
  await until(async () => (await local.query("select from pg_stat_activity where wait_event = 'SyncRep'")).rowCount === 2, 'the commit hangs')
  return { local, release: () => release().then(() => commit) }
}

test('a held stream outlives wal_sender_timeout, and /health tells its lag', async (t) => {
  const world = await startWorld(t, { ...TABLES, conf: { wal_sender_timeout: `${SENDER_TIMEOUT_MS}ms` } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('h', BINDING)
  await world.sql('insert into t values (1)')
  await client.untilChanges(1)

  const { local, release } = await hold(world)
  await local.query(`insert into other select repeat('x', 1000) from generate_series(1, 5000)`)
  const since = Date.now()
  await until(async () => (await world.server.health()).tenant.lag_bytes > 5_000_000, 'a lag of 5 MB')
  await until(() => Date.now() - since > 3 * SENDER_TIMEOUT_MS, 'the server would have lost patience')
  assert.equal(client.changes().length, 1, 'the row waits')

  await release()
  await client.untilChanges(2)
  await until(async () => (await world.server.health()).tenant.lag_bytes < 100_000, 'the lag is gone')
  assert.equal(client.messages.filter((m) => m.event === 'system').length, 1, 'the stream was never lost')
  assert.doesNotMatch(world.server.log, / (warn|error) repl (?!messages_publication_missing)/)
})

test('status updates are on time while the stream is not read', async (t) => {
  const HELD_MS = 10_000, IN_TIME_S = 2 // as wal_sender_timeout = 2s would have it
  const world = await startWorld(t, { ...TABLES, env: { STATUS_INTERVAL_MS: '300' } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('h', BINDING)
  const { local, release } = await hold(world)
  await local.query(`insert into other select repeat('x', 1000) from generate_series(1, 5000)`)
  let worst = 0
  const end = Date.now() + HELD_MS
  await until(async () => {
    const { rows: [{ ago }] } = await local.query(`select extract(epoch from clock_timestamp() - reply_time)::float as ago from pg_stat_replication where application_name = 'walcast_stream'`)
    worst = Math.max(worst, ago)
    return Date.now() > end
  }, 'ten seconds', 2 * HELD_MS)
  const { tenant } = await world.server.health()
  assert.ok(tenant.lag_bytes > 1_000_000, 'it was held all the time')
  assert.equal(tenant.reason, null, 'the silence is ours')
  assert.ok(worst < IN_TIME_S, `${worst} s without a status update`)
  await release()
  await client.untilChanges(1)
})

test('a temporary slot that is too far behind begins anew before its WAL is gone', async (t) => {
  const world = await startWorld(t, {
    sql: `${GATE_SQL} create table t (id int primary key); alter table t enable row level security;
      create policy p on t for select using (${AT_GATE}); create table other (v text)`,
    publish: ['t'], conf: { max_slot_wal_keep_size: '64MB' }, env: { ...PATIENT, STATUS_INTERVAL_MS: '200' },
  })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('s', [{ event: '*', schema: 'public', table: 't' }])
  const told = () => client.messages.filter((m) => m.event === 'system' && m.payload.status === 'ok').length
  const gate = await closeGate(t, world)
  await world.sql('insert into t values (1)')
  await gate.waiting()
  await world.sql(`insert into other select repeat(md5(i::text), 30) from generate_series(1, 40000) i`)
  await world.server.untilLog(/slot_lag_too_high.*ReplicationSlotLagTooHigh/)
  await gate.open()
  await until(() => told() === 2, 'the client is told again')
  await world.sql('insert into t values (2)')
  await until(() => client.changes().some((c) => c.data.record.id === 2), 'the stream goes on')
})
