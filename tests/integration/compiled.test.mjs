// Row security decided in process: rows reach who may see them without a question to Postgres for
// each, and whatever is not known yet, or not there, is Postgres's to say.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld, startWorld } from './lib/world.mjs'

const user = (n) => `0000000${n}-0000-4000-8000-000000000000`
const token = (n, claims = {}) => tokenFor('authenticated', { sub: user(n), ...claims })
const binding = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })
const short = (changes) => changes.map(({ data }) => `${data.type} ${data.record?.id ?? data.old_record?.id}`)
const OWN = 'user_id = auth.uid()'

const UID = `create or replace function auth.uid() returns uuid language sql stable as
  $$ select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;`
const world = sharedWorld({ sql: `${UID} create table marks (id serial primary key)` }, () => publishTable(world, 'marks'))
const sql = (...args) => world.sql(...args)

/** `policies`: expressions for SELECT. */
async function table(name, policies, { columns = 'id int primary key, user_id uuid, t text', more = '' } = {}) {
  await sql(`create table ${name} (${columns}); alter table ${name} enable row level security; ${more};
    ${policies.map((p, i) => `create policy p${i} on ${name} for select using (${p})`).join(';')}`)
  await publishTable(world, name)
}

async function watch(t, name, { token: tok = token(1), bindings = [binding(name)] } = {}) {
  const client = await Client.open(world.server, { token: tok })
  t.after(() => client.close())
  const { system } = await client.subscribe(name, [...bindings, binding('marks')])
  assert.equal(system.message, 'Subscribed to PostgreSQL')
  client.of = (table = name) => client.changes(name).filter(({ data }) => data.table === table)
  client.room = name
  return client
}

/** What was committed before has reached everybody whom it concerns. */
async function settle(...clients) {
  const [{ id }] = await sql('insert into marks default values returning id')
  for (const c of clients) await c.wait(() => c.of('marks').some(({ data }) => data.record.id === id), `mark ${id}`)
}

const checks = (mode) => world.server.metric(`walcast_rls_checks_total{mode="${mode}"}`)

/** Until rows of the table are judged without a question; `insert` makes a row that the clients see. */
async function untilCompiled(insert, ...clients) {
  await until(async () => {
    const delegated = await checks('delegated'), compiled = await checks('compiled')
    await insert()
    await settle(...clients)
    return (await checks('delegated')) === delegated && (await checks('compiled')) > compiled
  }, 'rows are judged in process')
}

let probe = 1_000_000
const probeOf = (name, n = 1) => () => sql(`insert into ${name} (id, user_id) values (${probe++}, '${user(n)}')`)
const isReal = ({ data }) => (data.record?.id ?? data.old_record.id) < 1_000_000

test('a row reaches its owner, and Postgres is asked about none', async (t) => {
  await table('notes', [OWN])
  const clients = await Promise.all([1, 2, 3].map((n) => watch(t, 'notes', { token: token(n) })))
  await untilCompiled(probeOf('notes'), ...clients)
  const delegated = await checks('delegated')
  await sql(`insert into notes select i, ('0000000' || 1 + i % 4 || '-0000-4000-8000-000000000000')::uuid, 't' from generate_series(1, 400) i`)
  await sql(`update notes set t = 'u' where id <= 8; delete from notes where id = 5`)
  await settle(...clients)
  for (const [i, client] of clients.entries()) {
    const got = client.of().filter(isReal)
    const mine = Array.from({ length: 400 }, (_, k) => k + 1).filter((id) => id % 4 === i)
    assert.deepEqual(short(got.filter(({ data }) => data.type === 'INSERT')), mine.map((id) => `INSERT ${id}`))
    assert.deepEqual(short(got.filter(({ data }) => data.type === 'UPDATE')), mine.filter((id) => id <= 8).map((id) => `UPDATE ${id}`))
    assert.deepEqual(short(got.filter(({ data }) => data.type === 'DELETE')), ['DELETE 5'])
  }
  assert.equal(await checks('delegated'), delegated)
})

test('a row that is gone when it is looked at is judged as it was', async (t) => {
  await table('brief', [OWN])
  const mine = await watch(t, 'brief'), other = await watch(t, 'brief', { token: token(2) })
  await untilCompiled(probeOf('brief'), mine, other)
  await sql(`begin; insert into brief values (1, '${user(1)}', 'a'); update brief set t = 'b', user_id = '${user(2)}'; delete from brief where id = 1; commit`)
  await settle(mine, other)
  assert.deepEqual(short(mine.of().filter(isReal)), ['INSERT 1', 'DELETE 1'])
  assert.deepEqual(short(other.of().filter(isReal)), ['UPDATE 1', 'DELETE 1'])
})

test('filters and policies narrow each other', async (t) => {
  await table('narrow', [OWN])
  const mine = await watch(t, 'narrow', { bindings: [binding('narrow', { filter: 't=eq.yes' }), binding('narrow', { event: 'UPDATE', filter: 't=like.n%' })] })
  await untilCompiled(() => sql(`insert into narrow values (${probe++}, '${user(1)}', 'yes')`), mine)
  await sql(`insert into narrow values (1, '${user(1)}', 'yes'), (2, '${user(2)}', 'yes'), (3, '${user(1)}', 'no'), (4, null, 'yes')`)
  await sql(`update narrow set t = 'new' where id in (1, 2); delete from narrow where id = 2`)
  await settle(mine)
  assert.deepEqual(short(mine.of().filter(isReal)), ['INSERT 1', 'UPDATE 1'])
})

test('bindings of every table are judged too', async (t) => {
  await table('any_table', [OWN])
  const mine = await watch(t, 'any_table', { bindings: [{ event: '*', schema: 'public' }] })
  await untilCompiled(probeOf('any_table'), mine)
  await sql(`insert into any_table values (1, '${user(1)}', ''), (2, '${user(2)}', '')`)
  await settle(mine)
  assert.deepEqual(short(mine.of().filter(isReal)), ['INSERT 1'])
})

test('claims decide for nobody and for everybody', async (t) => {
  await table('clubs', [`auth.jwt() ->> 'club' = 'open' or ${OWN}`])
  await table('shut', [`auth.jwt() ->> 'club' = 'open'`])
  const bindings = [binding('clubs'), binding('shut')]
  const guest = await watch(t, 'clubs', { token: token(1), bindings }), member = await watch(t, 'clubs', { token: token(2, { club: 'open' }), bindings })
  await untilCompiled(() => sql(`insert into shut values (${probe}, null, ''); insert into clubs values (${probe++}, null, '')`), guest, member)
  await sql(`insert into clubs values (1, '${user(1)}', ''), (2, null, ''); insert into shut values (3, '${user(1)}', ''); delete from shut where id = 3`)
  await settle(guest, member)
  assert.deepEqual(short([...guest.of('clubs'), ...guest.of('shut')].filter(isReal)), ['INSERT 1', 'DELETE 3'])
  assert.deepEqual(short([...member.of('clubs'), ...member.of('shut')].filter(isReal)), ['INSERT 1', 'INSERT 2', 'INSERT 3', 'DELETE 3'])
})

test('a claim that cannot be read leaves the question to Postgres, which shows no row', async (t) => {
  await table('odd', [OWN])
  const odd = await watch(t, 'odd', { token: token(1, { sub: 'no uuid' }) }), mine = await watch(t, 'odd')
  const errors = () => world.server.metric('walcast_row_check_errors_total{reason="error"}'), before = await errors()
  await sql(`insert into odd values (1, '${user(1)}', ''), (2, null, '')`)
  await settle(mine, odd)
  assert.deepEqual(short(odd.of()), [])
  assert.deepEqual(short(mine.of()), ['INSERT 1'])
  assert.ok(await errors() > before, 'Postgres was asked, and could not read it either')
})

test('who may not use the schema is shown no row of its tables, as by SELECT', async (t) => {
  await sql(`create schema closed; create table closed.things (id int primary key, is_public bool); alter table closed.things enable row level security;
    create policy p on closed.things for select using (is_public); grant select on closed.things to authenticated; alter publication supabase_realtime add table closed.things`)
  const mine = await watch(t, 'things', { bindings: [{ event: '*', schema: 'closed', table: 'things' }] })
  const add = (id) => sql(`insert into closed.things values (${id}, true)`)
  await add(1)
  await settle(mine)
  assert.deepEqual(short(mine.of()), [])
  await sql('grant usage on schema closed to authenticated')
  await until(async () => { await add(probe++); await settle(mine); return mine.of().length }, 'a row after the grant')
  await sql('revoke usage on schema closed from authenticated')
  await until(async () => {
    const before = mine.of().length
    await add(probe++)
    await settle(mine)
    return mine.of().length === before
  }, 'no row after the revoke')
})

test('a large value that the log leaves out is looked at where it is', async (t) => {
  await table('large', [`body = auth.jwt() ->> 'body' or ${OWN}`], { columns: 'id int primary key, user_id uuid, t text, body text', more: 'alter table large alter body set storage external' })
  const body = 'x'.repeat(5000)
  const mine = await watch(t, 'large', { token: token(1, { body }) })
  await untilCompiled(probeOf('large'), mine)
  await sql(`insert into large values (1, null, 'a', $1), (2, null, 'a', 'y' || $1)`, [body])
  await sql(`update large set t = 'b' where id in (1, 2)`)
  await settle(mine)
  assert.deepEqual(short(mine.of().filter(isReal)), ['INSERT 1', 'UPDATE 1'])
})

test('after a new token changes are judged with its claims', async (t) => {
  await table('tokens', [OWN])
  const client = await watch(t, 'tokens')
  await untilCompiled(probeOf('tokens'), client)
  const verdicts = client.all('system', 'tokens').length
  client.send('realtime:tokens', 'access_token', { access_token: token(2) })
  await until(() => client.all('system', 'tokens').length > verdicts, 'the second verdict')
  await sql(`insert into tokens values (3, '${user(1)}', ''), (4, '${user(2)}', '')`)
  await settle(client)
  assert.deepEqual(short(client.of().filter(isReal)), ['INSERT 4'])
})

test('rules that change are followed within a second', async (t) => {
  await table('rules', [OWN])
  const one = await watch(t, 'rules'), two = await watch(t, 'rules', { token: token(2) })
  await untilCompiled(probeOf('rules'), one, two)
  const seen = async () => {
    const id = probe++
    await sql(`insert into rules values (${id}, '${user(1)}', 'open')`)
    await settle(one, two)
    return [one, two].map((c) => c.of().some(({ data }) => data.record?.id === id))
  }
  assert.deepEqual(await seen(), [true, false])
  const steps = [
    [`create policy more on rules for select using (t = 'open')`, [true, true]],
    [`create policy less on rules as restrictive for select using (user_id <> auth.uid())`, [false, true]],
    [`drop policy less on rules; drop policy more on rules; drop policy p0 on rules`, [false, false]],
    [`alter table rules disable row level security`, [true, true]],
    [`alter table rules enable row level security; create policy p0 on rules for select using (exists (select from marks) and ${OWN})`, [true, false]],
    [`alter policy p0 on rules using (auth.uid() <> user_id)`, [false, true]],
  ]
  await sql('grant select on marks to public')
  for (const [statement, expected] of steps) {
    await sql(statement)
    await until(async () => JSON.stringify(await seen()) === JSON.stringify(expected), `${statement}: ${expected}`)
  }
})

test('a row of the time when columns and labels had other names is not judged by these', async (t) => {
  const world = await startWorld(t, {
    env: { SLOT_NAME: 'walcast_names', RESUME_GRACE_MS: '200' },
    sql: `create type mood as enum ('sad', 'ok');
      create table notes (id int primary key, owner uuid, author uuid); create table moods (id int primary key, m mood); create table marks (id int primary key);
      alter table notes enable row level security; create policy p on notes for select using (owner = auth.uid());
      alter table moods enable row level security; create policy p on moods for select using (m <> 'sad')`,
    publish: ['notes', 'moods', 'marks'],
  })
  await world.server.stop()
  await world.sql(`insert into notes values (1, '${user(1)}', '${user(2)}'); insert into moods values (1, 'sad'), (2, 'ok')`)
  await world.sql('alter table notes rename owner to x; alter table notes rename author to owner; alter table notes rename x to author')
  await world.sql(`alter type mood rename value 'sad' to 'blue'`)
  await world.sql(`insert into notes (id, author, owner) values (2, '${user(1)}', '${user(2)}'); insert into moods values (3, 'blue'), (4, 'ok'); insert into marks values (1)`)
  await world.server.again({ wait: 'up' })
  const clients = await Promise.all([1, 2].map((n) => Client.open(world.server, { token: token(n) })))
  t.after(() => clients.forEach((c) => c.close()))
  for (const c of clients) await c.subscribe('all', [binding('notes'), binding('moods'), binding('marks')])
  for (const c of clients) await c.wait(() => c.changes('all').some(({ data }) => data.table === 'marks'), 'the last row')
  // 16 and later tell the first row in the names of today: then it is as SELECT finds it, and its author's
  const isOfToday = (i, { table, record }) => i === 0 && table === 'notes' && record.id === 1 && record.author === user(1)
  const seen = clients.map((c, i) => c.changes('all').map((m) => m.data).filter((d) => d.table !== 'marks' && !isOfToday(i, d)).map((d) => `${d.table} ${d.record.id}`))
  assert.deepEqual(seen, [['moods 2', 'notes 2', 'moods 4'], ['moods 2', 'moods 4']])
})

test('a privilege on a column shows nothing of the one that had its name before', async (t) => {
  const make = (name) => `create table ${name} (id int primary key, open text, secret text, note text); grant select (id, open) on ${name} to authenticated`
  const world = await startWorld(t, {
    env: { SLOT_NAME: 'walcast_privileges', RESUME_GRACE_MS: '200' },
    sql: `${make('exchanged')}; ${make('handed_on')}; ${make('grown')}; create table marks (id int primary key)`,
    publish: ['marks'],
  })
  for (const name of ['exchanged', 'handed_on', 'grown']) await publishTable(world, name, '')
  await world.server.stop()
  for (const name of ['exchanged', 'handed_on', 'grown']) await world.sql(`insert into ${name} values (1, 'open', 'secret', '')`)
  await world.sql('alter table exchanged rename open to x; alter table exchanged rename secret to open; alter table exchanged rename x to secret')
  await world.sql('alter table handed_on rename secret to x; alter table handed_on rename open to secret')
  await world.sql(`alter table grown add more text; insert into marks values (1)`)
  await world.server.again({ wait: 'up' })
  const client = await Client.open(world.server, { token: token(1) })
  t.after(() => client.close())
  await client.subscribe('all', [{ event: '*', schema: 'public' }])
  await client.wait(() => client.changes('all').some(({ data }) => data.table === 'marks'), 'the last row')
  const records = Object.fromEntries(client.changes('all').map(({ data }) => [data.table, data.record]))
  assert.deepEqual(records, { exchanged: {}, handed_on: {}, grown: { id: 1, open: 'open' }, marks: { id: 1 } })
})

test('what a slot has kept is judged here by rules that are older than the slot', async (t) => {
  const world = await startWorld(t, {
    env: { SLOT_NAME: 'walcast_kept', RESUME_GRACE_MS: '1000' },
    sql: `create table notes (id int primary key, owner uuid); alter table notes enable row level security; create policy p on notes for select using (owner = auth.uid())`,
    publish: ['notes'],
  })
  await world.server.stop()
  await world.sql(`insert into notes select i, ('0000000' || i % 4 || '-0000-4000-8000-000000000000')::uuid from generate_series(1, 400) i`)
  await world.server.again({ wait: 'up' })
  const client = await Client.open(world.server, { token: token(1) })
  t.after(() => client.close())
  await client.subscribe('notes', [binding('notes')])
  await client.untilChanges(100)
  assert.deepEqual(client.changes('notes').map(({ data }) => data.record.id), Array.from({ length: 100 }, (_, i) => 4 * i + 1))
  assert.ok(await world.server.metric('walcast_rls_checks_total{mode="compiled"}') > 0)
})
