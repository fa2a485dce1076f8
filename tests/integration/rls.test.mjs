// Row security on the way of changes: who gets which row, in which order, and what is said when
// Postgres cannot be asked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { books, isBalanced } from './lib/books.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { AT_GATE, GATE_SQL, PATIENT, closeGate } from './lib/gate.mjs'
import { Client } from './lib/phoenix.mjs'
import { connect, subscribe } from './lib/realtime.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld, startWorld } from './lib/world.mjs'

const LONG_MS = 60_000 * SLOWNESS
const UID = `create schema who; grant usage on schema who to public;
  create function who.is() returns text language sql stable as $$ select current_setting('request.jwt.claims', true)::json ->> 'sub' $$;`
const world = sharedWorld({ sql: `${UID} ${GATE_SQL}`, env: PATIENT })
const sql = (...args) => world.sql(...args)

const ALICE = tokenFor('authenticated', { sub: 'alice' }), BOB = tokenFor('authenticated', { sub: 'bob' })
const binding = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })
const short = (changes) => changes.map(({ data }) => `${data.type} ${data.record?.id ?? data.old_record?.id}`)
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** A table of owned rows which only their owners may see. */
async function ownedTable(name, { more = '', using = 'owner = who.is()', columns = 'id int primary key, owner text, t text', where = world } = {}) {
  await where.sql(`create table ${name} (${columns}); alter table ${name} enable row level security;
    create policy p on ${name} for select to authenticated using (${using}); ${more}`)
  await publishTable(where, name)
}

async function watch(t, name, { token, room = name, where = world, ...more } = {}) {
  const client = await Client.open(where.server, { token })
  t.after(() => client.close())
  const { system } = await client.subscribe(room, [binding(name, more)])
  assert.equal(system.message, 'Subscribed to PostgreSQL')
  return client
}

/** What is written after everything else: who has got it has got all before it. */
let markers = 0
async function marker(clients, where = world) {
  const name = `marker_${++markers}`
  await where.sql(`create table ${name} (id int primary key)`)
  await publishTable(where, name)
  for (const client of clients) assert.equal((await client.subscribe(name, [binding(name)])).system.status, 'ok')
  await where.sql(`insert into ${name} values (1)`)
  for (const client of clients) await client.wait((m) => m.event === 'postgres_changes' && m.topic === `realtime:${name}`, 'the marker')
}

test('a row reaches its owner and who bypasses row security, and nobody else', async (t) => {
  await ownedTable('notes')
  const alice = await watch(t, 'notes', { token: ALICE }), bob = await watch(t, 'notes', { token: BOB })
  const anon = await watch(t, 'notes', { token: tokenFor('anon') }), service = await watch(t, 'notes', { token: tokenFor('service_role') })
  await sql(`insert into notes values (1, 'alice', 'a'), (2, 'bob', 'b'), (3, 'carol', 'c')`)
  await sql(`update notes set t = 'aa' where id = 1; update notes set t = 'cc' where id = 3`)
  await marker([alice, bob, anon, service])
  assert.deepEqual(short(alice.changes('notes')), ['INSERT 1', 'UPDATE 1'])
  assert.deepEqual(short(bob.changes('notes')), ['INSERT 2'])
  assert.deepEqual(anon.changes('notes'), [])
  assert.deepEqual(short(service.changes('notes')), ['INSERT 1', 'INSERT 2', 'INSERT 3', 'UPDATE 1', 'UPDATE 3'])
  assert.deepEqual(alice.changes('notes')[1].data.record, { id: 1, owner: 'alice', t: 'aa' })
})

test('realtime-js under row security gets its rows and no more', async (t) => {
  await ownedTable('apps')
  const client = connect(world.server, { token: ALICE })
  t.after(() => client.disconnect())
  const { payloads, ...subscription } = await subscribe(client, 'apps', [binding('apps')])
  await sql(`insert into apps values (1, 'bob', 'x'), (2, 'alice', 'y'), (3, 'alice', 'z')`)
  await until(() => payloads.length >= 2, () => `two payloads; got ${JSON.stringify(payloads)} ${Object.keys(subscription)}`)
  assert.deepEqual(payloads.map((p) => [p.eventType, p.new.id, p.errors]), [['INSERT', 2, null], ['INSERT', 3, null]])
})

test('a filter narrows what row security leaves', async (t) => {
  await ownedTable('narrow')
  const alice = await watch(t, 'narrow', { token: ALICE, filter: 't=eq.yes' })
  await sql(`insert into narrow values (1, 'alice', 'no'), (2, 'bob', 'yes'), (3, 'alice', 'yes')`)
  await marker([alice])
  assert.deepEqual(short(alice.changes('narrow')), ['INSERT 3'])
})

const RULES = {
  'a policy that is dropped': 'drop policy p on NAME',
  'a policy that is altered': 'alter policy p on NAME using (false)',
  'a grant that is revoked': 'revoke select on NAME from authenticated',
}
for (const [what, statement] of Object.entries(RULES)) {
  test(`${what} takes effect within a second`, async (t) => {
    const name = `rule_${Object.keys(RULES).indexOf(what)}`
    await ownedTable(name)
    const alice = await watch(t, name, { token: ALICE })
    await sql(`insert into ${name} values (1, 'alice', 'seen')`)
    await alice.untilChanges(1)
    await sql(statement.replace('NAME', name))
    await until(async () => { // POLICY_FRESHNESS_MS is 1,000
      const changed = Date.now()
      while (Date.now() - changed < 1_200) await sql('select pg_sleep(0.1)')
      return true
    }, 'a second')
    await sql(`insert into ${name} values (2, 'alice', 'secret')`)
    await marker([alice])
    const later = alice.changes(name).slice(1)
    assert.ok(later.every(({ data }) => data.errors?.[0] === 'Error 401: Unauthorized'), JSON.stringify(later))
    assert.ok(!alice.messages.some((m) => m.text.includes('secret')))
  })
}

test('after a new token changes are judged with its claims', async (t) => {
  await ownedTable('tokens')
  const client = await watch(t, 'tokens', { token: ALICE })
  await sql(`insert into tokens values (1, 'alice', ''), (2, 'bob', '')`)
  await client.untilChanges(1)
  client.send('realtime:tokens', 'access_token', { access_token: BOB })
  await until(() => client.all('system', 'tokens').length >= 2, 'the second verdict')
  await sql(`insert into tokens values (3, 'alice', ''), (4, 'bob', '')`)
  await marker([client])
  assert.deepEqual(short(client.changes('tokens')), ['INSERT 1', 'INSERT 4'])
})

test('while tokens are refreshed under load, no change is lost, reordered or doubled', async (t) => {
  await ownedTable('renewed', { columns: 'id int primary key, owner text' })
  await sql('create table open_renewed (id int primary key)')
  await publishTable(world, 'open_renewed')
  const clients = []
  for (const sub of ['alice', 'bob']) {
    const client = await Client.open(world.server, { token: tokenFor('authenticated', { sub }) })
    t.after(() => client.close())
    await client.subscribe('both', [binding('renewed'), binding('open_renewed')])
    clients.push({ client, sub })
  }
  let last = 0, isOver = false
  const writing = (async () => {
    while (!isOver) await sql(`insert into renewed values (${++last}, 'alice'); insert into open_renewed values (${++last})`)
  })()
  for (let n = 1; n <= 20; n++) {
    for (const { client, sub } of clients) client.send('realtime:both', 'access_token', { access_token: tokenFor('authenticated', { sub, n }) })
    if (n % 2) continue // two at once
    await until(() => clients.every(({ client }) => client.all('system', 'both').length > n / 2), 'a verdict for the newest')
  }
  isOver = true
  await writing
  for (const { client, sub } of clients) {
    await client.wait((m) => m.payload?.data?.record?.id === last, 'the last row', LONG_MS)
    assert.deepEqual(client.changes().map(({ data }) => data.record.id), range(1, last).filter((id) => sub === 'alice' || id % 2 === 0))
    assert.ok(client.all('system', 'both').every((m) => m.status === 'ok'))
  }
})

test('a change that waits while the token is replaced is judged with the new claims', async (t) => {
  await ownedTable('gated', { using: `${AT_GATE} and owner = who.is()` })
  const client = await watch(t, 'gated', { token: ALICE })
  const gate = await closeGate(t, world)
  await sql(`insert into gated values (1, 'alice', 'hers'), (2, 'bob', 'his')`)
  await until(async () => await world.server.metric('walcast_changes_waiting') >= 2, 'two changes that wait')
  client.send('realtime:gated', 'access_token', { access_token: BOB })
  await until(() => client.all('system', 'gated').length >= 2, 'the second verdict')
  await gate.open()
  await marker([client])
  assert.deepEqual(short(client.changes('gated')), ['INSERT 2'])
})

test('who is refused with new claims gets nothing on the old ones', async (t) => {
  await ownedTable('refused')
  const client = await watch(t, 'refused', { token: ALICE })
  client.send('realtime:refused', 'access_token', { access_token: tokenFor('no_such_role', { sub: 'alice' }) })
  await until(() => client.all('system', 'refused').at(-1).status === 'error', 'the refusal')
  await sql(`insert into refused values (1, 'alice', 'x')`)
  client.send('realtime:refused', 'access_token', { access_token: ALICE })
  await until(() => client.all('system', 'refused').at(-1).status === 'ok', 'the third verdict')
  await sql(`insert into refused values (2, 'alice', 'y')`)
  await marker([client])
  assert.deepEqual(short(client.changes('refused')), ['INSERT 2'])
})

test('changes of tables with and without row security keep their order', async (t) => {
  await ownedTable('shut', { columns: 'id int primary key, owner text' })
  await sql('create table wide (id int primary key)')
  await publishTable(world, 'wide')
  const alice = await watch(t, 'shut', { token: ALICE })
  assert.equal((await alice.subscribe('wide', [binding('wide')])).system.status, 'ok')
  for (let n = 1; n <= 300; n += 3) await sql(`insert into wide values (${n}); insert into shut values (${n + 1}, 'alice'); insert into wide values (${n + 2})`)
  await alice.untilChanges(300, LONG_MS)
  assert.deepEqual(alice.changes().map(({ data }) => data.record.id), range(1, 300))
})

test('a transaction of more rows than may wait arrives whole and in order', async (t) => {
  await ownedTable('many', { columns: 'id int primary key, owner text' })
  const alice = await watch(t, 'many', { token: ALICE }), bob = await watch(t, 'many', { token: BOB })
  await sql(`insert into many select i, case when i % 10 = 0 then 'bob' else 'alice' end from generate_series(1, 5000) i`)
  await alice.untilChanges(4500, LONG_MS)
  await bob.untilChanges(500, LONG_MS)
  const ids = (client) => client.changes().map(({ data }) => data.record.id)
  assert.deepEqual(ids(alice), range(1, 5000).filter((i) => i % 10))
  assert.deepEqual(ids(bob), range(1, 500).map((i) => i * 10))
})

test('of a row inserted and deleted in one transaction only the DELETE is told where Postgres has to be asked', async (t) => {
  await ownedTable('brief', { using: `${AT_GATE} and owner = who.is()` })
  const alice = await watch(t, 'brief', { token: ALICE })
  await sql(`begin; insert into brief values (1, 'alice', ''); delete from brief; commit`)
  await marker([alice])
  assert.deepEqual(short(alice.changes('brief')), ['DELETE 1'])
})

test('a DELETE under row security tells the primary key to everybody whose filter passes', async (t) => {
  await ownedTable('gone', { more: 'alter table gone replica identity full;' })
  await sql(`insert into gone values (1, 'alice', 'x')`)
  const bob = await watch(t, 'gone', { token: BOB }), other = await watch(t, 'gone', { token: BOB, filter: 'id=eq.2' })
  const service = await watch(t, 'gone', { token: tokenFor('service_role') })
  await sql('delete from gone')
  await marker([bob, other, service])
  assert.deepEqual(bob.changes('gone').map(({ data }) => [data.type, data.old_record, data.errors]), [['DELETE', { id: 1 }, null]])
  assert.deepEqual(other.changes('gone'), [])
  assert.deepEqual(service.changes('gone').map(({ data }) => data.old_record), [{ id: 1, owner: 'alice', t: 'x' }])
})

test('with DELETE_UNDER_RLS=none a DELETE under row security tells nobody anything', async (t) => {
  const where = await startWorld(t, { sql: UID, env: { DELETE_UNDER_RLS: 'none' } })
  await ownedTable('gone', { where })
  await where.sql(`insert into gone values (1, 'alice', 'x')`)
  const alice = await watch(t, 'gone', { token: ALICE, where }), service = await watch(t, 'gone', { token: tokenFor('service_role'), where })
  await where.sql('delete from gone')
  await marker([alice, service], where)
  assert.deepEqual(alice.changes('gone'), [])
  assert.deepEqual(short(service.changes('gone')), ['DELETE 1'])
  assert.equal(await where.server.metric('walcast_changes_withheld_total{reason="delete_under_rls"}'), 1)
})

test('a row that gets another owner: the new one sees of the old row only the key', async (t) => {
  await ownedTable('moved', { more: 'alter table moved replica identity full;' })
  await sql(`insert into moved values (1, 'alice', 'private')`)
  const alice = await watch(t, 'moved', { token: ALICE }), bob = await watch(t, 'moved', { token: BOB })
  await sql(`update moved set owner = 'bob', t = 'public'`)
  await sql(`update moved set t = 'news'`)
  await marker([alice, bob])
  assert.deepEqual(alice.changes('moved'), [])
  const seen = bob.changes('moved').map(({ data }) => [data.record.t, data.old_record])
  assert.deepEqual(seen.at(-1), ['news', { id: 1, owner: 'bob', t: 'public' }]) // the same owner before: the whole row
  assert.deepEqual(seen[0], ['public', { id: 1 }])
  assert.ok(!bob.messages.some((m) => m.text.includes('private')))
})

test('errors 400 and 401 under row security go to every binding of the role, filters or not', async (t) => {
  await ownedTable('keyless', { columns: 'id int, owner text, t text', more: 'alter table keyless replica identity full;' })
  await ownedTable('hidden_key')
  await sql('revoke select on hidden_key from authenticated; grant select (owner, t) on hidden_key to authenticated')
  for (const [name, error] of [['keyless', 'Error 400: Bad Request, no primary key'], ['hidden_key', 'Error 401: Unauthorized']]) {
    const bob = await watch(t, name, { token: BOB }), filtered = await watch(t, name, { token: BOB, room: 'f', filter: 't=eq.other' })
    const service = await watch(t, name, { token: tokenFor('service_role'), filter: 't=eq.other' })
    await sql(`insert into ${name} values (1, 'alice', 'x')`)
    await marker([bob, filtered, service])
    for (const client of [bob, filtered]) {
      const [{ data }] = client.changes()
      assert.deepEqual({ ...data, commit_timestamp: null }, { schema: 'public', table: name, type: 'INSERT', commit_timestamp: null, columns: [], record: {}, errors: [error] })
    }
    assert.equal(service.changes(name).length, error.includes('400') ? 1 : 0)
  }
})

test('error 413 under row security goes to who sees the row', async (t) => {
  await ownedTable('large')
  const alice = await watch(t, 'large', { token: ALICE }), bob = await watch(t, 'large', { token: BOB })
  await sql(`insert into large select 1, 'alice', string_agg(md5(i::text), '') from generate_series(1, 40000) i`)
  await marker([alice, bob])
  assert.deepEqual(alice.changes('large').map(({ data }) => [data.record, data.errors]), [[{ id: 1, owner: 'alice' }, ['Error 413: Payload Too Large']]])
  assert.deepEqual(bob.changes('large'), [])
})

test('a policy that raises harms only its own role and table, whose channels are told, also when it is over', async (t) => {
  await sql('create table switch (is_on bool); insert into switch values (true); grant select on switch to public')
  await ownedTable('raising', { using: `case when (select is_on from switch) then 1 / length(left(owner, 0)) > 0 else owner = who.is() end` })
  await ownedTable('calm')
  const alice = await watch(t, 'raising', { token: ALICE }), calm = await watch(t, 'calm', { token: ALICE })
  const service = await watch(t, 'raising', { token: tokenFor('service_role') })
  const told = (client) => client.messages.filter((m) => m.event === 'system' && m.topic === 'realtime:raising').slice(1).map((m) => m.payload)
  await sql(`begin; insert into raising values (1, 'alice', ''); insert into calm values (1, 'alice', ''); commit`)
  await until(() => told(alice).length >= 1, () => `trouble; got ${JSON.stringify(alice.messages.map((m) => m.text))}`)
  assert.equal(told(alice)[0].status, 'error')
  assert.equal(told(alice)[0].extension, 'postgres_changes')
  await marker([alice, calm, service])
  assert.deepEqual(alice.changes('raising'), [])
  assert.deepEqual(short(calm.changes('calm')), ['INSERT 1'])
  assert.deepEqual(short(service.changes('raising')), ['INSERT 1'])
  await sql('update switch set is_on = false')
  for (let id = 2; told(alice).length < 2; id++) {
    await sql(`insert into raising values (${id}, 'alice', '')`)
    await until(() => alice.changes('raising').length >= id - 1, 'the row after the trouble')
  }
  assert.equal(told(alice)[1].status, 'ok')
  assert.equal(calm.messages.filter((m) => m.event === 'system' && m.topic === 'realtime:calm').length, 1)
  assert.equal(told(service).length, 0)
})

test('while a check waits, heartbeats are answered and broadcasts pass', async (t) => {
  await ownedTable('slow', { using: `${AT_GATE} and owner = who.is()` })
  const alice = await watch(t, 'slow', { token: ALICE })
  await alice.join('chat', { broadcast: { self: true } })
  const gate = await closeGate(t, world)
  await sql(`insert into slow values (1, 'alice', '')`)
  await gate.waiting()
  assert.equal((await alice.heartbeat()).status, 'ok')
  alice.send('realtime:chat', 'broadcast', { type: 'broadcast', event: 'x', payload: {} })
  await alice.nth('broadcast', 1)
  assert.deepEqual(alice.changes('slow'), [])
  await gate.open()
  await alice.untilChanges(1)
})

test('who subscribes while a change waits gets it or has seen it, and is judged too', async (t) => {
  await ownedTable('joiners', { using: `pg_sleep(0.3) is not null and owner = who.is()` })
  const bob = await watch(t, 'joiners', { token: BOB })
  await sql(`insert into joiners values (1, 'alice', '')`)
  const alice = await watch(t, 'joiners', { token: ALICE })
  const seen = (await sql('select id from joiners')).map((r) => r.id)
  await sql(`insert into joiners values (2, 'alice', '')`)
  await marker([alice, bob])
  assert.deepEqual([...seen, ...alice.changes('joiners').map(({ data }) => data.record.id)], [1, 2])
  assert.deepEqual(bob.changes('joiners'), [])
})

test('a verdict that had to wait for the catalog is not good for longer than rules may be old', async (t) => {
  await ownedTable('waited', { using: `pg_sleep(1.6) is not null and owner = who.is()` }) // longer than POLICY_FRESHNESS_MS
  const alice = await watch(t, 'waited', { token: ALICE })
  const sleeps = async () => (await sql(`select 1 from pg_stat_activity where wait_event = 'PgSleep' and pid <> pg_backend_pid()`)).length > 0
  const [{ pid }] = await sql(`select pid from pg_stat_activity where application_name = 'walcast_catalog'`)
  await sql(`insert into waited values (1, 'alice', 'secret')`)
  await until(sleeps, 'the policy under way')
  process.kill(pid, 'SIGSTOP')
  try {
    await until(async () => !await sleeps(), 'the verdict')
    await sql('alter policy p on waited using (false); select pg_sleep(1.2)')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await marker([alice])
  assert.deepEqual(alice.changes('waited'), [])
})

test('every pair of change and channel under row security is published or withheld for one reason', async () => {
  let last
  await until(async () => isBalanced(last = await books(world.server)), () => `the books balance; they say ${JSON.stringify(last)}`)
  for (const reason of ['row_security', 'row_gone', 'check_failed', 'before_subscription']) assert.ok(last.withheld[reason] > 0, `${reason} in ${JSON.stringify(last)}`)
  assert.equal(await world.server.metric('walcast_changes_waiting'), 0)
})

const SLOT = { SLOT_NAME: 'walcast_rls', RESUME_GRACE_MS: '500', ...PATIENT }
const position = async (where) => (await where.sql('select pg_current_wal_lsn()::text as lsn'))[0].lsn
const isConfirmed = async (where, lsn) => (await where.sql('select confirmed_flush_lsn > $1 as yes from pg_replication_slots', [lsn]))[0].yes

test('with a permanent slot, changes that wait when the stream is lost come again', async (t) => {
  const where = await startWorld(t, { sql: UID, env: SLOT })
  await where.sql('create table gate (id int); grant select on gate to public')
  await ownedTable('t', { where, using: `(select count(*) from gate) >= 0 and owner = who.is()`, columns: 'id int primary key, owner text' })
  const alice = await watch(t, 't', { token: ALICE, where })
  await where.sql(`insert into t values (1, 'alice')`)
  await alice.untilChanges(1)
  const holder = await where.cluster.connect()
  t.after(() => holder.end())
  await holder.query('begin; lock gate in access exclusive mode')
  const before = await position(where)
  for (let id = 2; id <= 4; id++) await where.sql(`insert into t values (${id}, 'alice')`)
  await until(async () => await where.server.metric('walcast_changes_waiting') >= 3, 'three changes that wait')
  await where.sql('select pg_terminate_backend(pid) from pg_stat_replication')
  await until(async () => (await where.server.health()).status === 200 && await where.server.metric('walcast_changes_waiting') >= 3, 'the stream again, and what it brings', LONG_MS)
  assert.equal(await isConfirmed(where, before), false, 'what waits is not confirmed')
  await holder.query('rollback')
  await alice.untilChanges(4, LONG_MS)
  assert.deepEqual(alice.changes('t').map(({ data }) => data.record.id), [1, 2, 3, 4])
  await until(() => isConfirmed(where, before), 'what was delivered is confirmed')
})

test('with a permanent slot, changes that wait at a stop are delivered after the next start', async (t) => {
  const where = await startWorld(t, { sql: UID, env: SLOT })
  await where.sql('create table gate (id int); grant select on gate to public')
  await ownedTable('t', { where, using: `(select count(*) from gate) >= 0 and owner = who.is()`, columns: 'id int primary key, owner text' })
  const alice = await watch(t, 't', { token: ALICE, where })
  await where.sql(`insert into t values (1, 'alice')`)
  await alice.untilChanges(1)
  const holder = await where.cluster.connect()
  t.after(() => holder.end())
  await holder.query('begin; lock gate in access exclusive mode')
  await where.sql(`insert into t values (2, 'alice')`)
  await until(async () => await where.server.metric('walcast_changes_waiting') === 1, 'a change that waits')
  await where.server.stop()
  await holder.query('rollback')
  await where.server.again({ wait: 'up' })
  const back = await watch(t, 't', { token: ALICE, where })
  await back.untilChanges(1, LONG_MS)
  const ids = back.changes('t').map(({ data }) => data.record.id)
  assert.deepEqual(ids.slice(ids.indexOf(2)), [2]) // row 1 may come again
})
