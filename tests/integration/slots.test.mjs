// Slots that cannot be read, or not yet: each has its name and remedy in /health and in the log, and
// the stream comes back when it is mended.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FULL, SLOWNESS } from './lib/env.mjs'
import { MAJOR, since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const SLOT = 'walcast_it'
const TABLE = { sql: 'create table t (id int primary key, v text)', publish: ['t'] }
const PERMANENT = { ...TABLE, env: { SLOT_NAME: SLOT, RESUME_GRACE_MS: '100' } }
const BINDING = [{ event: '*', schema: 'public', table: 't' }]
const BACK_MS = 40_000 * SLOWNESS // the back-off goes up to 10 s

const ids = (client) => client.changes().map((c) => c.data.record.id)
const told = (client) => client.messages.filter((m) => m.event === 'system' && m.payload.message === 'Subscribed to PostgreSQL').length

/** Until /health gives this reason, with a remedy, and 503; the log must say the same. */
async function untilReason(server, reason) {
  const { tenant, status } = await until(async () => {
    const health = await server.health()
    return health.tenant.reason === reason && health
  }, async () => `the reason ${reason}; /health: ${JSON.stringify(await server.health())}`, BACK_MS)
  assert.equal(status, 503)
  assert.ok(tenant.error.length > 5 && tenant.hint.length > 10, JSON.stringify(tenant))
  assert.match((await server.untilLog(new RegExp(`^.* (warn|error) repl ${reason} .*$`, 'm')))[0], /hint="[^"]{10,}"/)
  return tenant
}

async function untilStreaming(server) {
  const { tenant } = await until(async () => {
    const health = await server.health()
    return health.status === 200 && health.tenant.state === 'streaming' && health
  }, 'the stream is back', BACK_MS)
  assert.equal(tenant.reason, null)
  assert.equal(tenant.error, null)
  assert.equal(tenant.blocked_by, null)
}

async function subscribed(t, world, server = world.server) {
  const client = await Client.open(server)
  t.after(() => client.close())
  await client.subscribe('s', BINDING)
  return client
}

/** Ends the stream's walsender, and `change`s something before it is back. */
async function whileDown(world, change) {
  const second = await world.cluster.connect()
  await second.query('begin')
  await second.query('lock table pg_publication in access exclusive mode') // the preflight waits
  await world.sql('select pg_terminate_backend(active_pid) from pg_replication_slots where active')
  await until(async () => (await world.sql('select from pg_replication_slots where active')).length === 0, 'the slot is free')
  await change()
  await second.query('commit')
  await second.end()
}

test('a new slot waits for an old transaction, and /health names it', async (t) => {
  const world = await startWorld(t, { ...TABLE, conf: { max_prepared_transactions: '2' } })
  await world.server.stop()
  const old = await world.cluster.connect()
  await old.query('begin')
  const [{ pid, xid }] = (await old.query('select pg_backend_pid() as pid, txid_current()::int as xid')).rows
  await world.server.again({ wait: 'up' })
  const tenant = await untilReason(world.server, 'slot_waits_for_transaction')
  assert.equal(tenant.state, 'preparing')
  assert.equal(tenant.blocked_by.pid, pid)
  assert.equal(tenant.blocked_by.xid, xid)
  assert.ok(tenant.blocked_by.age_s >= 1)
  assert.match(tenant.error, new RegExp(`transaction ${xid} of process ${pid}, \\d+ s old`))
  await old.query(`insert into t values (1); prepare transaction 'p'`)
  await until(async () => (await world.server.health()).tenant.blocked_by?.pid === 0, 'a prepared transaction has no process', BACK_MS)
  await world.sql(`rollback prepared 'p'`)
  await untilStreaming(world.server)
})

const FOREIGN = {
  'of another plugin': (world) => world.sql(`select pg_create_logical_replication_slot('${SLOT}', 'test_decoding')`),
  'that is physical': (world) => world.sql(`select pg_create_physical_replication_slot('${SLOT}')`),
  'of another database': async (world) => {
    await world.sql('create database other')
    const other = await world.cluster.connect({ database: 'other' })
    await other.query(`select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`)
    await other.end()
  },
}
for (const [what, make] of Object.entries(FOREIGN)) {
  test(`a slot ${what} is left alone`, async (t) => {
    const world = await startWorld(t, TABLE)
    await make(world)
    const server = await Server.start({ ...world.cluster.serverEnv, ...PERMANENT.env }, { wait: 'up' })
    t.after(() => server.stop())
    await untilReason(server, 'slot_foreign')
    await world.sql(`select pg_drop_replication_slot('${SLOT}')`)
    await untilStreaming(server)
  })
}

test('a slot whose WAL was removed stays lost until it is dropped; then who was subscribed is told again', since(13, 'max_slot_wal_keep_size'), async (t) => {
  const world = await startWorld(t, { ...PERMANENT, conf: { max_slot_wal_keep_size: '1MB', min_wal_size: '32MB', max_wal_size: '48MB' } })
  const client = await subscribed(t, world)
  await whileDown(world, async () => {
    for (let i = 0; i < 4; i++) await world.sql('select pg_switch_wal(), pg_logical_emit_message(false, $$x$$, $$y$$)')
    await world.sql('checkpoint')
  })
  await untilReason(world.server, 'slot_invalidated')
  assert.equal(told(client), 1)
  await world.sql(`select pg_drop_replication_slot('${SLOT}')`)
  await untilStreaming(world.server)
  await until(() => told(client) === 2, 'told again')
  await world.server.untilLog(/slot_made_anew/)
  await world.sql('insert into t values (1)')
  await client.untilChanges(1)
})

test('a slot that was idle for too long is named as such', since(18, 'idle_replication_slot_timeout'), async (t) => {
  const world = await startWorld(t, PERMANENT)
  await whileDown(world, async () => {
    await world.sql(`alter system set idle_replication_slot_timeout = '1s'`)
    await world.sql('select pg_reload_conf()')
    await until(async () => {
      await world.sql('checkpoint')
      return (await world.sql('select from pg_replication_slots where invalidation_reason is not null')).length === 1
    }, 'the slot is invalidated')
  })
  assert.match((await untilReason(world.server, 'slot_invalidated')).hint, /idle_replication_slot_timeout/)
})

test('a permanent slot made anew, or moved on by somebody else, is a new epoch; one that was left alone is not', async (t) => {
  const world = await startWorld(t, PERMANENT)
  const client = await subscribed(t, world)
  await whileDown(world, () => world.sql('insert into t values (1)'))
  await client.untilChanges(1)
  assert.equal(told(client), 1, 'the same slot, nothing was missed')

  await whileDown(world, async () => {
    await world.sql('insert into t values (2)')
    await world.sql(`select pg_replication_slot_advance('${SLOT}', pg_current_wal_lsn())`)
  })
  await until(() => told(client) === 2, 'told after it was moved on')

  await whileDown(world, async () => {
    await world.sql(`select pg_drop_replication_slot('${SLOT}')`)
    await world.sql('insert into t values (3)')
  })
  await until(() => told(client) === 3, 'told after it was made anew')
  await world.sql('insert into t values (4)')
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === 4, 'the last row')
  assert.deepEqual(ids(client), [1, 4])
})

test('without a free slot, and without a free sender, the stream waits for one', async (t) => {
  const world = await startWorld(t, { ...TABLE, conf: { max_replication_slots: '2', max_wal_senders: '1' } })
  await world.sql(`select pg_create_physical_replication_slot('one')`)
  const second = await Server.start(world.cluster.serverEnv, { wait: 'up' })
  t.after(() => second.stop())
  await untilReason(second, 'no_free_sender')
  await world.sql(`select pg_create_physical_replication_slot('two')`).catch(() => {}) // both are in use
  await world.server.stop()
  await untilStreaming(second)
  await world.sql(`select pg_create_physical_replication_slot('two')`).catch(() => {})
  const third = await world.cluster.connect()
  await third.query(`select pg_terminate_backend(active_pid) from pg_replication_slots where active`)
  await until(() => third.query(`select pg_create_physical_replication_slot('two')`).then(() => true, () => false), 'a slot taken by another')
  await untilReason(second, 'no_free_slot')
  await third.query(`select pg_drop_replication_slot('two')`)
  await untilStreaming(second)
})

const publication = (world, verb) => world.sql(verb === 'drop' ? 'drop publication supabase_realtime' : 'create publication supabase_realtime for table t')

test('a publication dropped under the stream is missed, and streamed again when it is back', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { STATUS_INTERVAL_MS: '300' } })
  const client = await subscribed(t, world)
  await publication(world, 'drop')
  await world.sql('insert into t values (1)')
  await untilReason(world.server, 'publication_missing')
  await publication(world, 'create')
  await untilStreaming(world.server)
  await until(() => told(client) === 2, 'told again')
  await world.sql('insert into t values (2)')
  await client.untilChanges(1)
  assert.deepEqual(ids(client), [2])
})

test('a permanent slot that has to read on where the publication was missing', async (t) => {
  const world = await startWorld(t, { ...PERMANENT, env: { ...PERMANENT.env, STATUS_INTERVAL_MS: '300' } })
  const client = await subscribed(t, world)
  await world.sql('insert into t values (1)')
  await publication(world, 'drop')
  await world.sql('insert into t values (2)')
  await untilReason(world.server, 'publication_missing')
  await publication(world, 'create')
  await world.sql('insert into t values (3)')
  if (MAJOR < 18) { // an error there, however often it is read
    await world.server.untilLog(/publication_missing .*drop the slot/)
    await until(async () => (await world.sql(`select pg_drop_replication_slot('${SLOT}')`).catch(() => [])).length, 'the slot is dropped', BACK_MS)
    await until(() => told(client) === 2, 'told that the slot begins anew', BACK_MS)
  }
  await untilStreaming(world.server)
  await world.sql('insert into t values (4)')
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === 4, 'the last row')
  assert.deepEqual(ids(client), MAJOR < 18 ? [1, 4] : [1, 3, 4])
  assert.equal(told(client), MAJOR < 18 ? 2 : 1)
})

test('operators and functions of a hostile search_path are not ours', async (t) => {
  const world = await startWorld(t, PERMANENT)
  await world.server.stop()
  await world.sql(`create schema evil;
    create function evil.boom(name, name) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
    create function evil.boom(text, text) returns bool language plpgsql as $$ begin raise 'evil'; end $$;
    create function evil.boom(jsonb, text) returns text language plpgsql as $$ begin raise 'evil'; end $$;
    create function evil.pg_is_in_recovery() returns bool language plpgsql as $$ begin raise 'evil'; end $$;
    create operator evil.= (leftarg = name, rightarg = name, function = evil.boom);
    create operator evil.= (leftarg = text, rightarg = text, function = evil.boom);
    create operator evil.->> (leftarg = jsonb, rightarg = text, function = evil.boom);
    alter database postgres set search_path = evil, pg_catalog, public`)
  await world.server.again({ wait: 'up' })
  await until(async () => (await world.server.health()).tenant.state === 'waiting', 'the state waiting')
  await subscribed(t, world)
  await untilStreaming(world.server)
})

/** Stops the process that sends to us while `check` runs; a cluster with a stopped process does not stop. */
async function whileSilent(world, check) {
  const [{ active_pid: pid }] = await world.sql('select active_pid from pg_replication_slots where active')
  process.kill(pid, 'SIGSTOP')
  try {
    await check()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

test('a server that is connected and does not answer is unhealthy until it does', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { STATUS_INTERVAL_MS: '200' } })
  const client = await subscribed(t, world)
  await whileSilent(world, async () => {
    await untilReason(world.server, 'server_silent')
    assert.equal((await world.server.health()).tenant.state, 'streaming')
  })
  await untilStreaming(world.server)
  await world.sql('insert into t values (1)')
  await client.untilChanges(1)
  assert.equal(told(client), 1, 'the stream was never lost')
})

test('a server that does not answer for a minute is given up', { skip: !FULL && 'takes a minute; TESTS_FULL=1 runs it' }, async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { STATUS_INTERVAL_MS: '500', IDLE_TIMEOUT_MS: '600000' } })
  const client = await subscribed(t, world)
  await whileSilent(world, async () => {
    const stopped = Date.now()
    await world.server.untilLog(/the server does not answer status updates: given up/, 90_000 * SLOWNESS)
    assert.ok(Date.now() - stopped >= 60_000, 'as patient as the server is with us')
    await untilStreaming(world.server)
    await until(() => told(client) === 2, 'told again')
    await world.sql('insert into t values (1)')
    await client.untilChanges(1)
  })
})
