// Behaviours of the reference's checklists that no other file is about.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const ANN = '0000000a-0000-4000-8000-00000000000a', BOB = '0000000b-0000-4000-8000-00000000000b'

// a login whose sessions begin as somebody: no row check may believe that
const PRESET = `alter role postgres set "request.jwt.claims" = '{"sub": "${ANN}", "role": "service_role"}'`
const world = sharedWorld({ sql: PRESET })
const sql = (...args) => world.sql(...args)
const binding = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })

async function subscribe(t, bindings, token) {
  const client = await Client.open(world.server, { token })
  t.after(() => client.close())
  const { system } = await client.subscribe('list', bindings)
  assert.equal(system.status, 'ok', system.message)
  return client
}

const asUser = (sub, more = {}) => tokenFor('authenticated', { sub, ...more })
const ids = async (client, n) => (await client.untilChanges(n)).map((c) => c.data.record?.id)

test('a table of another schema arrives for a role that may use the schema', async (t) => {
  await sql('create schema shop; create table shop.items (id int primary key); grant usage on schema shop to anon; grant select on shop.items to anon; alter publication supabase_realtime add table shop.items')
  const client = await subscribe(t, [{ event: '*', schema: 'shop', table: 'items' }])
  await sql('insert into shop.items values (1)')
  const [{ data }] = await client.untilChanges(1)
  assert.deepEqual([data.schema, data.table, data.record], ['shop', 'items', { id: 1 }])
})

test('a role without SELECT on the primary key gets error 401 and no values, and deletes without columns', async (t) => {
  await sql('create table keyless (id int primary key, shown text)')
  await publishTable(world, 'keyless', '')
  await sql('grant select (shown) on keyless to anon')
  const client = await subscribe(t, [binding('keyless')])
  await sql(`insert into keyless values (1, 'a')`)
  await sql(`update keyless set shown = 'b'`)
  await sql('delete from keyless')
  const changes = (await client.untilChanges(3)).map(({ data: { schema, table, ...rest } }) => rest)
  const none = { columns: [], commit_timestamp: null, errors: ['Error 401: Unauthorized'] }
  assert.deepEqual(changes.slice(0, 2), [{ type: 'INSERT', ...none, record: {} }, { type: 'UPDATE', ...none, record: {}, old_record: {} }])
  assert.deepEqual(changes[2].old_record, {})
  assert.equal(changes[2].errors, null)
  assert.ok(!JSON.stringify(changes).includes('"a"'))
})

test('claims that the login\'s sessions begin with are nobody\'s', async (t) => {
  await sql('create table preset (id int primary key, owner uuid); alter table preset enable row level security; create policy own on preset for select using (owner = auth.uid())')
  await publishTable(world, 'preset')
  const nobody = await subscribe(t, [binding('preset')]), bob = await subscribe(t, [binding('preset')], asUser(BOB))
  await sql('insert into preset values (1, $1), (2, $2)', [ANN, BOB])
  assert.deepEqual(await ids(bob, 1), [2])
  await nobody.heartbeat()
  assert.deepEqual(nobody.changes(), [])
})

test('an enum whose name needs quotes works in a filter, a policy and a key', async (t) => {
  await sql(`create type "Upper Mood" as enum ('Sad', 'very happy'); create table moods (id "Upper Mood" primary key, mood "Upper Mood");
    alter table moods enable row level security; create policy p on moods for select using (mood = 'very happy'::"Upper Mood")`)
  await publishTable(world, 'moods')
  const all = await subscribe(t, [binding('moods')]), some = await subscribe(t, [binding('moods', { filter: 'id=gt.Sad,mood=eq."very happy"' })])
  await sql(`insert into moods values ('Sad', 'very happy'), ('very happy', 'very happy')`)
  assert.deepEqual(await ids(all, 2), ['Sad', 'very happy'])
  assert.deepEqual(await ids(some, 1), ['very happy'])
})

test('a selection under row security: whoever sees the row gets the selected columns, nobody else anything', async (t) => {
  await sql('create table chosen (id int primary key, owner uuid, t text); alter table chosen enable row level security; create policy own on chosen for select using (owner = auth.uid())')
  await publishTable(world, 'chosen')
  const open = (sub) => subscribe(t, [binding('chosen', { select: ['t'] })], asUser(sub))
  const ann = await open(ANN), bob = await open(BOB)
  await sql(`insert into chosen values (1, $1, 'of-ann'), (2, $2, 'of-bob')`, [ANN, BOB])
  assert.deepEqual((await ann.untilChanges(1)).map((c) => c.data.record), [{ id: 1, t: 'of-ann' }])
  assert.deepEqual((await bob.untilChanges(1)).map((c) => c.data.record), [{ id: 2, t: 'of-bob' }])
})

test('more than ten subscriptions of a custom role that may execute nothing', async (t) => {
  await sql(`create role "my-custom" nologin; revoke execute on all functions in schema auth from public;
    create table customs (id int primary key, n int); alter table customs enable row level security; create policy p on customs for select to "my-custom" using (n < 12)`)
  t.after(() => sql('grant execute on all functions in schema auth to public'))
  await publishTable(world, 'customs', '"my-custom"')
  const bindings = Array.from({ length: 15 }, (_, n) => binding('customs', { filter: `n=eq.${n}` }))
  const client = await subscribe(t, bindings, tokenFor('my-custom'))
  await sql('insert into customs select n, n from generate_series(0, 14) n')
  assert.deepEqual(await ids(client, 12), Array.from({ length: 12 }, (_, n) => n))
})

test('the commit time is cut to milliseconds, and the same for all rows of a transaction', async (t) => {
  await sql('create table timed (id int primary key)')
  await publishTable(world, 'timed')
  const client = await subscribe(t, [binding('timed')])
  const before = Date.now()
  await sql('insert into timed select generate_series(1, 3)')
  const times = (await client.untilChanges(3)).map((c) => c.data.commit_timestamp)
  assert.deepEqual(times, [times[0], times[0], times[0]])
  assert.match(times[0], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.ok(Date.parse(times[0]) >= before - 1 && Date.parse(times[0]) <= Date.now(), times[0])
})
