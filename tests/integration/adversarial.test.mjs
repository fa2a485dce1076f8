// Row security where it was seen to go wrong: lag, concurrency, keys used again, tables that inherit,
// roles that come and go.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { AT_GATE, GATE_SQL, PATIENT, closeGate } from './lib/gate.mjs'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { KEYS, POLICY_SQL, USERS, keyNames } from './lib/policies.mjs'
import { hangCommits } from './lib/standby.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld, startWorld } from './lib/world.mjs'

const [ANN, BOB] = USERS
const WRITERS = 8, ROWS_EACH = 125
const NOTES = `create table notes (id int primary key, owner uuid, body text); alter table notes enable row level security;
  create policy own on notes for select to authenticated using (owner = auth.uid())`

const world = sharedWorld({ sql: `${GATE_SQL} ${POLICY_SQL}`, env: PATIENT })
const sql = (...args) => world.sql(...args)

/** A protected table; `policy` is the condition of its one policy, for everybody. */
async function table(name, columns, policy, more = '') {
  await sql(`create table ${name} (${columns}); alter table ${name} enable row level security; create policy p on ${name} for select using (${policy}); ${more}`)
  await publishTable(world, name)
}

async function watch(t, table, { sub, token = tokenFor('authenticated', { sub }), from = world } = {}) {
  const client = await Client.open(from.server, { token })
  t.after(() => client.close())
  const { system } = await client.subscribe(`${table}-room`, [{ event: '*', schema: 'public', table }])
  assert.equal(system.status, 'ok', system.message)
  return client
}

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const ids = (client) => client.changes().map((c) => c.data.record?.id)
const untilIds = async (client, n, deadlineMs) => (await client.untilChanges(n, deadlineMs)).map((c) => c.data.record?.id)
const sorted = (numbers) => [...numbers].sort((a, b) => a - b)
const mayShow = (client, secret) => client.messages.some((m) => m.text?.includes(secret))

test(`${WRITERS} writers at once: everybody gets every row that is theirs`, async (t) => {
  const w = await startWorld(t, { sql: NOTES, publish: ['notes'] })
  const readers = await Promise.all(USERS.map((sub) => watch(t, 'notes', { sub, from: w })))
  const owner = (id) => USERS[id % USERS.length]
  await Promise.all(range(0, WRITERS - 1).map(async (index) => {
    const own = await w.cluster.connect()
    for (const id of range(index * ROWS_EACH, (index + 1) * ROWS_EACH - 1)) await own.query('insert into notes values ($1, $2)', [id, owner(id)])
  }))
  const all = range(0, WRITERS * ROWS_EACH - 1)
  for (const [i, reader] of readers.entries()) {
    const mine = all.filter((id) => owner(id) === USERS[i])
    assert.deepEqual(sorted(await untilIds(reader, mine.length, 30_000 * SLOWNESS)), mine)
  }
})

test(`${WRITERS} writers behind a stalled synchronous standby: every row arrives, none before SELECT finds it`, async (t) => {
  const w = await startWorld(t, { sql: NOTES, publish: ['notes'] })
  const reader = await watch(t, 'notes', { sub: ANN, from: w })
  const { local, release } = await hangCommits(w)
  const hanging = []
  for (const id of range(1, WRITERS)) hanging.push((await w.cluster.connect()).query('insert into notes values ($1, $2)', [id, ANN]))
  const isHanging = async () => (await local.query(`select from pg_stat_activity where wait_event = 'SyncRep'`)).rows.length > WRITERS // and the probe
  await until(isHanging, 'all commits hang')
  const [{ lsn }] = (await local.query('select pg_current_wal_flush_lsn() as lsn')).rows
  await until(async () => (await local.query('select from pg_stat_replication where sent_lsn >= $1', [lsn])).rows.length, 'the stream is past them')
  assert.deepEqual((await local.query('select from notes')).rows, [])
  assert.deepEqual(reader.changes(), [])
  await release()
  await Promise.all(hanging)
  assert.deepEqual(sorted(await untilIds(reader, WRITERS)), range(1, WRITERS))
})

test('a row written secret and then made public: the secret is never shown', async (t) => {
  await table('posts', 'id int primary key, is_hidden bool, body text', `not is_hidden and ${AT_GATE}`, 'alter table posts replica identity full')
  const reader = await watch(t, 'posts', { sub: ANN })
  const gate = await closeGate(t, world)
  await sql(`insert into posts values (1, true, 'my-secret')`)
  await gate.waiting()
  await sql(`update posts set body = 'another-secret' where id = 1`)
  await sql(`update posts set is_hidden = false, body = 'public' where id = 1`)
  await gate.open()
  await sql(`insert into posts values (2, false, 'last')`)
  await until(() => ids(reader).includes(2), 'the last row')
  assert.ok(!mayShow(reader, 'secret'), JSON.stringify(reader.changes()))
  assert.deepEqual(reader.changes().map(({ data }) => [data.type, data.record.body, data.old_record]), [['UPDATE', 'public', { id: 1 }], ['INSERT', 'last', undefined]])
})

test('a primary key that another owner uses again: nobody sees the row of the other', async (t) => {
  await table('seats', 'id int primary key, owner uuid, body text', `owner = auth.uid() and ${AT_GATE}`, 'alter table seats replica identity full')
  const ann = await watch(t, 'seats', { sub: ANN }), bob = await watch(t, 'seats', { sub: BOB })
  const gate = await closeGate(t, world)
  await sql(`insert into seats values (1, $1, 'of-ann')`, [ANN])
  await gate.waiting()
  await sql('delete from seats')
  await sql(`insert into seats values (1, $1, 'of-bob')`, [BOB])
  await gate.open()
  for (const owner of [ANN, BOB]) await sql(`insert into seats values ($1, $2, 'last')`, [owner === ANN ? 2 : 3, owner])
  await until(() => ids(ann).includes(2) && ids(bob).includes(3), 'the last rows')
  assert.ok(!mayShow(ann, 'of-bob') && !mayShow(bob, 'of-ann'))
  const inserted = (client) => client.changes().filter((c) => c.data.type === 'INSERT').map((c) => c.data.record.body)
  assert.deepEqual(inserted(bob), ['of-bob', 'last'])
  assert.deepEqual(inserted(ann), ['last'])
})

test('a key that is updated away and used again: the new row stands, the old one is not shown for it', async (t) => {
  await table('moves', 'id int primary key, owner uuid, body text', `owner = auth.uid() and ${AT_GATE}`)
  const bob = await watch(t, 'moves', { sub: BOB })
  const gate = await closeGate(t, world)
  await sql(`insert into moves values (1, $1, 'of-ann')`, [ANN])
  await gate.waiting()
  await sql('update moves set id = 9 where id = 1')
  await sql(`insert into moves values (1, $1, 'of-bob')`, [BOB])
  await gate.open()
  await sql(`insert into moves values (2, $1, 'last')`, [BOB])
  await until(() => ids(bob).includes(2), 'the last row')
  assert.ok(!mayShow(bob, 'of-ann'))
  assert.deepEqual(ids(bob), [1, 2])
})

for (const [i, key] of KEYS.entries()) {
  test(`under row security, primary key ${key.columns}: rows are found again by their key`, async (t) => {
    if (key.needs === 'icu' && !(await sql(`select from pg_collation where collname = 'en-x-icu'`)).length) return t.skip('no ICU in this Postgres')
    const name = `key_${i}`
    await table(name, `${key.columns}, n int4, owner uuid, primary key (${keyNames(key)})`, 'owner = auth.uid()')
    const ann = await watch(t, name, { sub: ANN }), bob = await watch(t, name, { sub: BOB })
    for (const n of range(1, 6)) await sql(`insert into ${name} values (${key.value(n)}, ${n}, $1)`, [n % 2 ? ANN : BOB])
    const keyColumns = keyNames(key).split(',').length
    const seen = async (client, n) => (await client.untilChanges(n)).slice(-3).map(({ data }) => [data.type, data.record?.n, Object.keys(data.old_record ?? {}).length])
    assert.deepEqual(await seen(ann, 3), [1, 3, 5].map((n) => ['INSERT', n, 0]))
    assert.deepEqual(await seen(bob, 3), [2, 4, 6].map((n) => ['INSERT', n, 0]))
    await sql(`update ${name} set n = n + 10`)
    assert.deepEqual(await seen(ann, 6), [11, 13, 15].map((n) => ['UPDATE', n, keyColumns]))
    assert.deepEqual(await seen(bob, 6), [12, 14, 16].map((n) => ['UPDATE', n, keyColumns]))
    await sql(`delete from ${name}`)
    for (const client of [ann, bob]) assert.deepEqual(await seen(client, 12), range(1, 3).map(() => ['DELETE', undefined, keyColumns]))
  })
}

test('an inheritance child does not vouch for a row of its parent', async (t) => {
  await table('parent', 'id int primary key, owner uuid', 'owner = auth.uid()', 'create table child () inherits (parent)')
  const ann = await watch(t, 'parent', { sub: ANN })
  await sql('insert into child values (1, $1)', [ANN])
  await sql('insert into parent values (1, $1)', [BOB])
  await sql('insert into parent values (2, $1)', [ANN])
  await until(() => ids(ann).includes(2), 'the last row')
  assert.deepEqual(ids(ann), [2])
})

test('an unprotected leaf of a protected table is judged by the policies of its root', since(13, 'partitioned tables in publications'), async (t) => {
  await sql(`create table tree (id int primary key, owner uuid) partition by range (id); create table leaf partition of tree for values from (0) to (100);
    alter table tree enable row level security; create policy p on tree for select using (owner = auth.uid()); grant select on tree, leaf to authenticated;
    alter publication supabase_realtime add table tree`)
  const ann = await watch(t, 'leaf', { sub: ANN }), bob = await watch(t, 'leaf', { sub: BOB })
  await sql('insert into tree values (1, $1), (2, $2), (3, $1), (4, $2)', [ANN, BOB])
  assert.deepEqual(await untilIds(ann, 2), [1, 3])
  assert.deepEqual(await untilIds(bob, 2), [2, 4])
})

test('a protected leaf of an unprotected table keeps its policies', since(13, 'partitioned tables in publications'), async (t) => {
  await sql(`create table bush (id int primary key, owner uuid) partition by range (id); create table twig partition of bush for values from (0) to (100);
    alter table twig enable row level security; create policy p on twig for select using (owner = auth.uid()); grant select on bush, twig to authenticated;
    alter publication supabase_realtime add table bush`)
  const ann = await watch(t, 'twig', { sub: ANN })
  await sql('insert into bush values (1, $2), (2, $1), (3, $2), (4, $1)', [ANN, BOB])
  assert.deepEqual(await untilIds(ann, 2), [2, 4])
})

test('a policy that raises silences those whom it concerns, and nobody else', async (t) => {
  await table('fragile', 'id int primary key, owner uuid', `owner = auth.uid() and 1 / (auth.jwt() ->> 'divisor')::int4 = 1`)
  const open = (sub, divisor) => watch(t, 'fragile', { token: tokenFor('authenticated', { sub, divisor }) })
  const broken = await open(ANN, 0), well = await open(ANN, 1), other = await open(BOB, 1)
  await sql('insert into fragile select i, case i % 2 when 0 then $1::uuid else $2::uuid end from generate_series(1, 20) i', [ANN, BOB])
  assert.deepEqual(await untilIds(well, 10), range(1, 10).map((i) => 2 * i))
  assert.deepEqual(await untilIds(other, 10), range(1, 10).map((i) => 2 * i - 1))
  assert.deepEqual(ids(broken), [])
})

test('a role that does not exist gets nothing', async (t) => {
  await table('ghosts', 'id int primary key', 'true')
  const ghost = await Client.open(world.server, { token: tokenFor('ghost') }), ann = await watch(t, 'ghosts', { sub: ANN })
  t.after(() => ghost.close())
  const { system } = await ghost.subscribe('ghost', [{ event: '*', schema: 'public', table: 'ghosts' }])
  assert.equal(system.status, 'error')
  assert.match(system.message, /role.*ghost.*does not exist/)
  await sql('insert into ghosts values (1)')
  await ann.untilChanges(1)
  await sql('delete from ghosts')
  await ann.untilChanges(2)
  await ghost.heartbeat()
  assert.deepEqual(ghost.changes(), [])
})

test('a role dropped while subscribed gets nothing more, others go on', async (t) => {
  await sql('create role passing nologin')
  await table('left_behind', 'id int primary key', 'true', 'grant select on left_behind to passing')
  const passing = await watch(t, 'left_behind', { token: tokenFor('passing') }), ann = await watch(t, 'left_behind', { sub: ANN })
  await sql('insert into left_behind values (1)')
  await passing.untilChanges(1)
  await sql('drop owned by passing; drop role passing')
  await sql('insert into left_behind select i from generate_series(2, 50) i')
  await ann.untilChanges(50)
  await sql('create role passing nologin')
  await sql('insert into left_behind values (51)')
  await ann.untilChanges(51)
  await passing.heartbeat()
  assert.deepEqual(ids(passing), [1])
})
