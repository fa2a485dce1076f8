// Which rows of the log may a role see? Row checks against a real Postgres, without a stream: the
// tests say what the log holds, so that log and table can differ as they do under load.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Judge } from './lib/judge.mjs'
import { hangCommits } from './lib/standby.mjs'
import { until } from './lib/wait.mjs'

const ALICE = '11111111-1111-1111-1111-111111111111', BOB = '22222222-2222-2222-2222-222222222222'
const alice = { sub: ALICE, role: 'authenticated' }, bob = { sub: BOB, role: 'authenticated' }

const range = (n) => Array.from({ length: n }, (_, i) => i)

let cluster, sql
before(async () => {
  cluster = await Cluster.start({ conf: { max_connections: 60 } })
  sql = cluster.sql.bind(cluster)
})
after(() => cluster.remove())

/** A table under row security, readable by all. */
async function table(name, columns, policy, { owner, roles = 'anon, authenticated' } = {}) {
  await sql(`create table ${name} (${columns}); alter table ${name} enable row level security; grant select on ${name} to ${roles}`)
  if (policy) await sql(`create policy p on ${name} for select using (${policy})`)
  if (owner) await sql(`alter table ${name} owner to ${owner}`)
}

const OWNED = ['id int primary key, user_id uuid, body text', 'user_id = auth.uid()']

test('a row is visible to whom the policy shows it, and to nobody else', async (t) => {
  await table('notes', ...OWNED)
  await sql(`insert into notes values (1, '${ALICE}', 'a'), (2, '${BOB}', 'b')`)
  const judge = Judge.start(t, cluster)
  const a = judge.context('authenticated', alice), b = judge.context('authenticated', bob), nobody = judge.context('anon', {})
  for (const [id, user_id, body] of [[1, ALICE, 'a'], [2, BOB, 'b'], [3, ALICE, 'deleted']]) await judge.row('notes', { id, user_id, body })
  judge.want('*', '*')
  const { verdict } = await judge.send()
  const seen = (context) => [0, 1, 2].map((row) => verdict.get(`${row}/${context}`))
  assert.deepEqual(seen(a), ['VISIBLE', 'HIDDEN', 'GONE'])
  assert.deepEqual(seen(b), ['HIDDEN', 'VISIBLE', 'GONE'])
  assert.deepEqual(seen(nobody), ['HIDDEN', 'HIDDEN', 'GONE'])
})

test('what was written secret and then made public does not go out as it was', async (t) => {
  await table('posts', 'id int primary key, public boolean, body text', 'public')
  await sql(`insert into posts values (1, true, 'censored'), (2, true, 'newer')`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  assert.equal(await judge.see('posts', { id: 1, public: 'f', body: 'the secret' }, anon), 'SUPERSEDED')
  assert.equal(await judge.see('posts', { id: 2, public: 't', body: 'older' }, anon), 'VISIBLE', 'the policy looks at nothing that changed')
})

test('a primary key used again by another owner shows neither of them the other\'s row', async (t) => {
  await table('reused', ...OWNED)
  await sql(`insert into reused values (1, '${BOB}', 'of bob')`)
  const judge = Judge.start(t, cluster)
  const a = judge.context('authenticated', alice), b = judge.context('authenticated', bob)
  await judge.row('reused', { id: 1, user_id: ALICE, body: 'of alice' })
  judge.want(0, '*')
  const { verdict } = await judge.send()
  assert.deepEqual([verdict.get(`0/${a}`), verdict.get(`0/${b}`)], ['HIDDEN', 'SUPERSEDED'])
})

test('values that look different and compare equal are not the same', async (t) => {
  await sql(`create collation if not exists blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`)
  await table('alike', 'id int primary key, name text collate blind, n numeric, b boolean, c char(4)', `name is not null and n > 0 and b and c <> ''`)
  await sql(`insert into alike values (1, 'Anna', 1.0, true, 'x'), (2, '', 1, true, 'x')`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon'), row = { id: 1, name: 'Anna', n: '1.0', b: 't', c: 'x   ' }
  assert.equal(await judge.see('alike', row, anon), 'VISIBLE')
  assert.equal(await judge.see('alike', { ...row, name: 'ANNA' }, anon), 'SUPERSEDED')
  assert.equal(await judge.see('alike', { ...row, n: '1.00' }, anon), 'SUPERSEDED')
  assert.equal(await judge.see('alike', { ...row, name: null }, anon), 'SUPERSEDED')
  assert.equal(await judge.see('alike', { id: 2, name: null, n: '1', b: 't', c: 'x   ' }, anon), 'SUPERSEDED', 'empty is not NULL')
})

test('unchanged TOAST values silence nothing and let nothing through', async (t) => {
  await table('docs', 'id int primary key, acl text, body text', `acl = 'public'`)
  await sql(`create function looks_at(docs_whole) returns boolean stable language sql as 'select true'`).catch(() => {})
  await sql(`create table docs_whole (id int primary key, n int, body text)`)
  await sql(`create function looks_at(docs_whole) returns boolean stable language sql as 'select true';
    alter table docs_whole enable row level security; grant select on docs_whole to anon;
    create policy p on docs_whole using (looks_at(docs_whole))`)
  await sql(`insert into docs values (1, 'public', 'now'); insert into docs_whole values (1, 5, 'long')`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  const update = (row, old) => ({ op: 'U', ...(old ? { old } : {}) })
  assert.equal(await judge.see('docs', { id: 1, acl: 'public', body: undefined }, anon, update()), 'VISIBLE', 'not in a policy')
  assert.equal(await judge.see('docs', { id: 1, acl: undefined, body: 'now' }, anon, update()), 'VISIBLE', 'all that is delivered can be selected')
  assert.equal(await judge.see('docs', { id: 1, acl: undefined, body: 'secret then' }, anon, update()), 'SUPERSEDED')
  assert.equal(await judge.see('docs', { id: 1, acl: undefined, body: 'x' }, anon, { op: 'U', old: { id: 1, acl: 'public', body: 'x' } }), 'VISIBLE', 'the full old row knows the value')
  assert.equal(await judge.see('docs_whole', { id: 1, n: 5, body: undefined }, anon, update()), 'VISIBLE', 'a policy that looks at everything')
  assert.equal(await judge.see('docs_whole', { id: 1, n: 4, body: undefined }, anon, update()), 'SUPERSEDED')
})

test('other columns may have changed, unless a policy could look at them unseen', async (t) => {
  await sql(`create type level as enum ('open', 'closed'); create table elsewhere (id int primary key, ok boolean); grant select on elsewhere to anon;
    create function takes(int) returns boolean stable language sql as 'select true'; create function takes_nothing() returns boolean stable language sql as 'select true'`)
  const policies = {
    'level = \'open\'': 'VISIBLE', 'id > 0': 'VISIBLE', 'takes_nothing()': 'VISIBLE', 'now() > \'2000-01-01\'': 'VISIBLE',
    'exists (select from elsewhere e where e.id = doubt.id and e.ok)': 'VISIBLE', 'auth.role() is null': 'VISIBLE',
    'takes(id)': 'SUPERSEDED', 'body = \'now\'': 'SUPERSEDED', 'doubt is not null': 'SUPERSEDED', 'xmin is not null': 'SUPERSEDED',
    'table_to_xml(\'elsewhere\', true, false, \'\') is not null': 'SUPERSEDED',
    'exists (select from elsewhere_view e where e.id = doubt.id)': 'SUPERSEDED', 'exists (select from guarded e where e.id = doubt.id)': 'SUPERSEDED',
  }
  await sql(`create table doubt (id int primary key, level level, body text); alter table doubt enable row level security; grant select on doubt to anon;
    create view elsewhere_view as select * from elsewhere; grant select on elsewhere_view to anon;
    insert into doubt values (1, 'open', 'now'); insert into elsewhere values (1, true)`)
  await table('guarded', 'id int primary key', 'true')
  await sql('insert into guarded values (1)')
  for (const [policy, expected] of Object.entries(policies)) {
    await sql(`drop policy if exists p on doubt; create policy p on doubt for select using (${policy})`)
    const judge = Judge.start(t, cluster)
    assert.equal(await judge.see('doubt', { id: 1, level: 'open', body: 'then' }, judge.context('anon')), expected, policy)
    await judge.end()
  }
})

test('a policy on a column the role cannot read is judged by the ones it can', async (t) => {
  await table('half', 'id int primary key, body text, owner text', `owner = 'me'`, { roles: 'service_role' })
  await sql(`grant select (id, body) on half to anon; insert into half values (1, 'now', 'me'), (2, 'now', 'you')`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  assert.equal(await judge.see('half', { id: 1, body: 'now', owner: 'me' }, anon), 'VISIBLE')
  assert.equal(await judge.see('half', { id: 1, body: 'then', owner: 'me' }, anon), 'SUPERSEDED')
  assert.equal(await judge.see('half', { id: 2, body: 'now', owner: 'you' }, anon), 'HIDDEN')
})

test('keys of every kind are found', async (t) => {
  await sql(`create domain short as varchar(5); create domain shorter as short check (value <> 'never');
    create type "Mood" as enum ('Happy', 'sad'); create type pair as (a int, b text)`)
  const keys = {
    'char(8)': 'ab      ', 'bit(4)': '1010', 'varbit': '101', bytea: '\\xdeadbeef', numeric: '1.50', 'int[]': '{{1,2},{3,4}}',
    'text[]': '{"a,b",NULL,"c\\"d"}', pair: '(1,"x y")', shorter: 'abc', '"Mood"': 'Happy', uuid: ALICE, timestamptz: '2024-02-29 13:14:15.123456+00',
    interval: '1 mon -2 days', inet: '10.0.0.0/8', jsonb: '{"a": [1, 2]}', float8: '0.1', '"char"': 'x', name: 'n', int8: '9007199254740993', text: 'it\'s "quoted" \\ {}',
  }
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  for (const [type, key] of Object.entries(keys)) {
    const name = `key_${type.replace(/\W/g, '_')}`
    await table(name, `k ${type} primary key, v int`, 'v > 0')
    await sql(`insert into ${name} values ($1::text::${type}, 1)`, [key])
    assert.equal(await judge.see(name, { k: key, v: 1 }, anon), 'VISIBLE', type)
  }
})

test('a key of several columns, in another order, with names that need quotes', async (t) => {
  await table('"Odd ""Name"""', '"b c" text, "A" int, extra int, v int, primary key ("A", "b c") include (extra)', 'v > 0')
  await sql(`insert into "Odd ""Name""" values ('x', 1, 7, 1), ('y', 1, 8, -1)`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  assert.equal(await judge.see('"Odd ""Name"""', { 'b c': 'x', A: 1, extra: 7, v: 1 }, anon), 'VISIBLE')
  assert.equal(await judge.see('"Odd ""Name"""', { 'b c': 'y', A: 1, extra: 8, v: 1 }, anon), 'HIDDEN')
})

test('an unprotected leaf and an inheritance child are judged by the policies above them', async (t) => {
  await table('events', 'id int, at date, public boolean, primary key (id, at)) partition by range (at', 'public')
  await sql(`create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01'); grant select on events_2024 to anon;
    insert into events values (1, '2024-05-05', true), (2, '2024-05-05', false)`)
  await table('animals', 'id int primary key, public boolean', 'public')
  await sql(`create table dogs (primary key (id), barks boolean) inherits (animals); grant select on dogs to anon;
    create table cats (tag int primary key) inherits (animals); grant select on cats to anon;
    insert into cats values (1, true, 1), (1, false, 2); insert into dogs values (1, true, true), (2, false, true); insert into animals values (2, true), (3, true)`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  const event = (id, pub) => ({ id, at: '2024-05-05', public: pub })
  assert.equal(await judge.see('events_2024', event(1, 't'), anon), 'VISIBLE')
  assert.equal(await judge.see('events_2024', event(2, 'f'), anon), 'HIDDEN')
  assert.equal(await judge.see('events', event(1, 't'), anon), 'VISIBLE', 'published by its root')
  assert.equal(await judge.see('events', event(2, 'f'), anon), 'HIDDEN')
  assert.equal(await judge.see('dogs', { id: 1, public: 't', barks: 't' }, anon), 'VISIBLE')
  assert.equal(await judge.see('dogs', { id: 2, public: 'f', barks: 't' }, anon), 'HIDDEN', 'the same key elsewhere in the hierarchy does not count')
  assert.equal(await judge.see('cats', { id: 1, public: 't', tag: 1 }, anon), 'VISIBLE', 'its key is not a column of the parent')
  assert.equal(await judge.see('cats', { id: 1, public: 'f', tag: 2 }, anon), 'HIDDEN')
  assert.equal(await judge.see('animals', { id: 3, public: 't' }, anon), 'VISIBLE')
})

test('a table put in the place of one that was renamed does not show the old one\'s rows', async (t) => {
  await table('"it\'s \\"', 'id int primary key, v int', 'v > 0')
  await sql(`insert into "it's \\" values (1, -1)`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  judge.want(await judge.row('"it\'s \\"', { id: 1, v: 1 }), anon)
  await judge.heard()
  await sql(`alter table "it's \\" rename to renamed`)
  await table('"it\'s \\"', 'id int primary key, v int', 'true')
  await sql(`insert into "it's \\" values (1, 1)`)
  assert.equal((await judge.send()).verdict.get(`0/${anon}`), 'HIDDEN')
})

test('without a policy for the role nothing is visible, and a role that is nobody is not asked for', async (t) => {
  await table('silent', 'id int primary key', null)
  await sql('insert into silent values (1)')
  const judge = Judge.start(t, cluster)
  assert.equal(await judge.see('silent', { id: 1 }, judge.context('anon')), 'HIDDEN')
  for (const role of ['', 'none', 'nosuchrole']) assert.equal(await judge.see('silent', { id: 1 }, judge.context(role)), 'FAILED', role)
})

test('the index of the key is used under row security', async (t) => {
  await table('large', ...OWNED)
  await sql(`insert into large select i, '${ALICE}', '' from generate_series(1, 100000) i; analyze large`)
  const stat = async () => (await sql(`select seq_scan::int as seq, idx_scan::int as idx from pg_stat_user_tables where relname = 'large'`))[0]
  const before = await until(async () => { const now = await stat(); return now.seq > 0 && now }, 'the scan that built the index')
  const judge = Judge.start(t, cluster)
  const a = judge.context('authenticated', alice)
  const now = await until(async () => { // before 15 a session tells its statistics late, and only while it works
    for (let id = 1; id <= 100; id++) await judge.row('large', { id: id * 7, user_id: ALICE, body: '' })
    judge.want('*', a)
    assert.equal((await judge.send({ quiet: true })).counts.VISIBLE, 100)
    const told = await stat()
    return told.idx >= 100 && told
  }, 'the statistics')
  assert.equal(now.seq, before.seq, 'the table was not scanned')
})

test('a login that may do nothing but assume the roles is enough, and cannot tell hidden from gone', async (t) => {
  await table('modest', ...OWNED)
  await sql(`create role checker login password 'x'; grant anon, authenticated to checker; insert into modest values (1, '${ALICE}', '')`)
  const judge = Judge.start(t, cluster, { RLS_USER: 'checker', RLS_PASSWORD: 'x' })
  const a = judge.context('authenticated', alice)
  assert.equal(await judge.see('modest', { id: 1, user_id: ALICE, body: '' }, a), 'VISIBLE')
  assert.equal(await judge.see('modest', { id: 2, user_id: ALICE, body: '' }, a), 'HIDDEN')
  assert.equal(await judge.see('modest', { id: 1, user_id: ALICE, body: '' }, judge.context('service_role')), 'FAILED', 'a role it may not assume')
})

// ---- somebody else's code ----

const HOSTILE = {
  'takes the login\'s role back': `perform set_config('role', 'none', false)`,
  'sets the role to the login': 'set role postgres',
  'sets claims for the session': `perform set_config('request.jwt.claims', '{"sub":"${ALICE}"}', false)`,
  'deallocates all statements': `execute 'deallocate all'`,
  'prepares over our statements': `declare s record; begin for s in select name from pg_prepared_statements loop
      execute format('deallocate %I', s.name); execute format('prepare %I as select 1::bigint, true', s.name); end loop; end`,
  'sets search_path for the session': `perform set_config('search_path', 'evil', false)`,
  'switches off timeouts and row security': `perform set_config('statement_timeout', '0', false), set_config('row_security', 'off', false)`,
}

for (const [what, body] of Object.entries(HOSTILE)) {
  test(`a policy function that ${what} harms no other owner's table`, async (t) => {
    const n = Object.keys(HOSTILE).indexOf(what)
    await sql(`create role mallory${n}; create role victim${n}; create schema s${n} authorization mallory${n}; grant usage on schema s${n} to public;
      create function s${n}.f(int) returns boolean volatile language plpgsql as $f$ begin ${body.startsWith('declare') ? body + ';' : body + ';'} return true; end $f$`)
    await table(`hostile${n}`, 'id int primary key', `s${n}.f(id)`, { owner: `mallory${n}` })
    await table(`victims${n}`, ...OWNED, { owner: `victim${n}` })
    await sql(`insert into hostile${n} values (1); insert into victims${n} values (1, '${BOB}', 'secret'), (2, '${ALICE}', 'hers')`)
    const judge = Judge.start(t, cluster)
    const a = judge.context('authenticated', alice), b = judge.context('authenticated', bob)
    for (let round = 0; round < 3; round++) {
      await judge.row(`hostile${n}`, { id: 1 })
      await judge.row(`victims${n}`, { id: 1, user_id: BOB, body: 'secret' })
      await judge.row(`victims${n}`, { id: 2, user_id: ALICE, body: 'hers' })
      judge.want('*', '*')
      const { verdict, ok } = await judge.send()
      assert.ok(ok)
      assert.deepEqual([1, 2].map((row) => verdict.get(`${row}/${a}`)), ['HIDDEN', 'VISIBLE'], 'alice')
      assert.deepEqual([1, 2].map((row) => verdict.get(`${row}/${b}`)), ['VISIBLE', 'HIDDEN'], 'bob')
      if (what.startsWith('deallocates')) assert.deepEqual([a, b].map((c) => verdict.get(`0/${c}`)), ['VISIBLE', 'VISIBLE'], 'statements are prepared again')
    }
  })
}

test('a policy function cannot write, whoever it becomes', async (t) => {
  await sql(`create table loot (id int); create function steal() returns boolean volatile language plpgsql as $$ begin
      perform set_config('role', 'none', true); perform set_config('transaction_read_only', 'off', true); insert into loot values (1); return true; end $$`)
  await table('bait', 'id int primary key', 'steal()')
  await sql('insert into bait values (1)')
  const judge = Judge.start(t, cluster)
  assert.equal(await judge.see('bait', { id: 1 }, judge.context('anon')), 'FAILED')
  assert.deepEqual(await sql('select * from loot'), [])
})

test('a table owner does not see another owner\'s table through a session of its own making', async (t) => {
  await sql(`create role spy; create role prey; create schema spy authorization spy; grant usage on schema spy to public;
    create function spy.f() returns boolean volatile language plpgsql as $$ begin perform set_config('app.tenant', 'all', false); return true; end $$`)
  await table('spied', 'id int primary key', 'spy.f()', { owner: 'spy' })
  await table('prey', 'id int primary key', `coalesce(current_setting('app.tenant', true), '') = 'all'`, { owner: 'prey' })
  await sql('insert into spied values (1); insert into prey values (1)')
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  for (let round = 0; round < 2; round++) {
    await judge.row('spied', { id: 1 })
    await judge.row('prey', { id: 1 })
    judge.want('*', anon)
    const { verdict } = await judge.send()
    assert.deepEqual([verdict.get(`0/${anon}`), verdict.get(`1/${anon}`)], ['VISIBLE', 'HIDDEN'])
  }
})

const PLANTED = { // code of the owner's that is no policy's
  'the type of its key': `create domain DIR.d as int check (DIR.f(value)); create type DIR.k as (d DIR.d); create table DIR.t (id DIR.k primary key)`,
  'the predicate of an index': `create table DIR.t (id int primary key); create index on DIR.t (id) where DIR.f(1)`,
  'the expression of an index': `create table DIR.t (id int primary key); create index on DIR.t ((DIR.f(1)))`,
  'a CHECK of a partition': `create table DIR.r (id int primary key) partition by range (id); create table DIR.t partition of DIR.r for values from (0) to (9);
      alter table DIR.t add check (id > 0 and DIR.f(1))`,
}

for (const [what, ddl] of Object.entries(PLANTED)) {
  test(`nor through ${what}`, async (t) => {
    const dir = `planted${Object.keys(PLANTED).indexOf(what)}`, prey = `${dir}_prey`
    await sql(`create role ${dir}; create role ${prey}; create schema ${dir} authorization ${dir}; grant usage on schema ${dir} to public;
      create function ${dir}.f(int) returns boolean immutable language plpgsql as $$ begin perform set_config('app.${dir}', 'all', false); return true; end $$;
      ${ddl.replaceAll('DIR', dir)}; alter table ${dir}.t owner to ${dir}; grant select on ${dir}.t to anon;
      alter table ${dir}.t enable row level security; create policy p on ${dir}.t using (true)`)
    await table(prey, 'id int primary key', `coalesce(current_setting('app.${dir}', true), '') = 'all'`, { owner: prey })
    const id = what.includes('key') ? '(1)' : '1'
    await sql(`insert into ${dir}.t values ('${id}'); insert into ${prey} values (1)`)
    const judge = Judge.start(t, cluster)
    const anon = judge.context('anon')
    for (let round = 0; round < 2; round++) {
      await judge.row(`${dir}.t`, { id })
      await judge.row(prey, { id: 1 })
      judge.want('*', anon)
      const { verdict } = await judge.send()
      assert.deepEqual([verdict.get(`0/${anon}`), verdict.get(`1/${anon}`)], ['VISIBLE', 'HIDDEN'])
    }
  })
}

test('large rows asked about for many contexts are not all held at once', async (t) => {
  const CONTEXTS = 60, ROWS = 4, ROW_MB = 1
  await sql(`create function bulky(text) returns boolean stable language sql as 'select true'`) // whole rows are compared
  await table('bulky', 'id int primary key, body text', 'bulky(body)')
  const body = 'x'.repeat(ROW_MB << 20)
  await sql(`insert into bulky select i, repeat('x', ${body.length}) from generate_series(1, ${ROWS}) i`)
  const judge = Judge.start(t, cluster)
  const peakMb = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${judge.child.pid}/status`, 'utf8'))[1]) / 1024
  const contexts = Array.from({ length: CONTEXTS }, (_, n) => judge.context('authenticated', { n }))
  const rows = async () => { for (let id = 1; id <= ROWS; id++) await judge.row('bulky', { id, body }) }
  await rows()
  judge.want('*', contexts[0])
  await judge.send()
  const before = peakMb()
  await rows()
  judge.want('*', '*')
  const { verdict } = await judge.send()
  assert.ok(contexts.every((c) => range(ROWS).every((row) => verdict.get(`${row}/${c}`) === 'VISIBLE')))
  const grown = peakMb() - before
  assert.ok(grown < CONTEXTS * ROWS * ROW_MB / 4, `${grown} MB`)
})

test('what a policy reads does not depend on what was asked before', async (t) => {
  await table('settings', 'id int primary key', `current_setting('request.headers', true) is not distinct from ''
    and current_setting('realtime.topic', true) is not distinct from '' and current_setting('request.jwt.claim.sub', true) is not distinct from ''
    and current_setting('TimeZone') = 'UTC' and current_setting('search_path') = 'public, extensions'`)
  await sql('insert into settings values (1)')
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  for (let round = 0; round < 2; round++) assert.equal(await judge.see('settings', { id: 1 }, anon), 'VISIBLE')
})

test('one owner: one connection, however many tables, roles and policies', async (t) => {
  await table('single1', ...OWNED)
  await table('single2', 'id int primary key, v int', 'v > 0')
  await sql(`insert into single1 values (1, '${ALICE}', ''); insert into single2 values (1, 1)`)
  const judge = Judge.start(t, cluster)
  const a = judge.context('authenticated', alice), anon = judge.context('anon')
  const pids = () => sql(`select pid from pg_stat_activity where application_name = 'walcast_checks' order by pid`)
  let first
  for (let round = 0; round < 3; round++) {
    await judge.row('single1', { id: 1, user_id: ALICE, body: '' })
    await judge.row('single2', { id: 1, v: 1 })
    judge.want('*', '*')
    const { verdict } = await judge.send()
    assert.deepEqual([verdict.get(`0/${a}`), verdict.get(`1/${anon}`)], ['VISIBLE', 'VISIBLE'])
    first ??= await pids()
  }
  assert.equal(first.length, 1)
  assert.deepEqual(await pids(), first)
})

// ---- errors ----

test('a policy that raises fails its own group, which is told once and again when it is over', async (t) => {
  await sql(`create function raises() returns boolean stable language plpgsql as $$ begin raise exception 'row data'; end $$`)
  await table('raising', 'id int primary key', 'raises()')
  await table('calm', 'id int primary key', 'true')
  await sql('insert into raising values (1); insert into calm values (1)')
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  const both = async () => {
    await judge.row('raising', { id: 1 })
    await judge.row('calm', { id: 1 })
    judge.want('*', anon)
    return judge.send()
  }
  const first = await both()
  assert.deepEqual([...first.verdict.values()], ['FAILED', 'VISIBLE'])
  assert.equal(first.troubles.length, 1)
  assert.match(first.troubles[0].text, /P0001/)
  assert.doesNotMatch(first.troubles[0].text, /row data/)
  assert.deepEqual((await both()).troubles, [], 'not again for a while')
  const mend = () => sql(`create or replace function raises() returns boolean stable language sql as 'select true'`)
  await mend()
  const last = await both()
  assert.deepEqual([...last.verdict.values()], ['VISIBLE', 'VISIBLE'])
  assert.deepEqual(last.troubles.map((x) => x.over), [true])
  await sql(`create or replace function raises() returns boolean stable language plpgsql as $$ begin raise exception 'row data'; end $$`)
  const again = await both()
  assert.deepEqual([...again.verdict.values()], ['FAILED', 'VISIBLE'])
  await mend()
  assert.deepEqual([...again.troubles, ...(await both()).troubles], [], 'what comes and goes is not told each time')
})

test('claims that a policy cannot cast fail their own context only', async (t) => {
  await table('casts', ...OWNED)
  await sql(`insert into casts values (1, '${ALICE}', '')`)
  const judge = Judge.start(t, cluster)
  const bad = judge.context('authenticated', { sub: 'not a uuid' }), a = judge.context('authenticated', alice), worse = judge.context('authenticated', 'not even JSON')
  await judge.row('casts', { id: 1, user_id: ALICE, body: '' })
  judge.want(0, '*')
  const { verdict } = await judge.send()
  assert.deepEqual([bad, a, worse].map((c) => verdict.get(`0/${c}`)), ['FAILED', 'VISIBLE', 'FAILED'])
})

test('a missing privilege fails, and works when granted', async (t) => {
  await sql(`create schema closed; create table closed.t (id int primary key); alter table closed.t enable row level security;
    create policy p on closed.t using (true); grant select on closed.t to anon; insert into closed.t values (1)`)
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon'), other = judge.context('anon', { sub: 'x' })
  await judge.row('closed.t', { id: 1 })
  judge.want(0, '*')
  const { verdict, troubles } = await judge.send()
  assert.deepEqual([...verdict.values()], ['FAILED', 'FAILED'])
  assert.match(troubles[0].text, /42501/)
  await sql('grant usage on schema closed to anon')
  assert.equal(await judge.see('closed.t', { id: 1 }, anon), 'VISIBLE')
  assert.equal(await judge.see('closed.t', { id: 1 }, other), 'VISIBLE')
})

test('a lock is waited for and tried again', async (t) => {
  await table('locked', 'id int primary key', 'true')
  await sql('insert into locked values (1)')
  const judge = Judge.start(t, cluster, { LOCK_TIMEOUT_MS: '1000' })
  const anon = judge.context('anon')
  await judge.row('locked', { id: 1 })
  judge.want(0, anon)
  const locker = await cluster.connect()
  await locker.query('begin; lock table locked')
  const answer = judge.send()
  const waits = new Set()
  await until(async () => {
    const rows = await sql(`select xact_start::text as begun from pg_stat_activity where application_name = 'walcast_checks' and wait_event_type = 'Lock'`)
    rows.forEach(({ begun }) => waits.add(begun))
    return waits.size > 1
  }, 'the check waits a second time')
  await locker.query('rollback')
  const { verdict } = await answer
  assert.equal(verdict.get(`0/${anon}`), 'VISIBLE')
})

test('a policy that sleeps is suspended after three timeouts, alone, and tried again later', async (t) => {
  await table('switch', 'id int primary key, slow boolean', 'true')
  await sql(`create function maybe_sleep() returns boolean volatile language plpgsql as $$ begin
    if (select slow from switch) then perform pg_sleep(60); end if; return true; end $$`)
  await table('sleepy', 'id int primary key', 'maybe_sleep()')
  await table('awake', 'id int primary key', 'true')
  await sql('insert into switch values (1, true); insert into sleepy values (1); insert into awake values (1)')
  const judge = Judge.start(t, cluster, { STATEMENT_TIMEOUT_MS: '1000' })
  const sleepers = [0, 1, 2, 3, 4, 5].map((n) => judge.context('anon', { sub: `${n}` }))
  const ask = async () => {
    await judge.row('sleepy', { id: 1 })
    await judge.row('awake', { id: 1 })
    judge.want('*', '*')
    const answer = await judge.send()
    return { ...answer, sleepy: sleepers.map((c) => answer.verdict.get(`0/${c}`)), awake: sleepers.map((c) => answer.verdict.get(`1/${c}`)) }
  }
  const first = await ask()
  assert.deepEqual(first.awake, sleepers.map(() => 'VISIBLE'))
  assert.deepEqual(first.sleepy, ['FAILED', 'FAILED', 'FAILED', 'SUSPENDED', 'SUSPENDED', 'SUSPENDED'])
  assert.deepEqual(first.troubles.map((x) => x.over), [false])
  await sql('update switch set slow = false')
  const answers = []
  await until(async () => { answers.push(await ask()); return answers.at(-1).sleepy.every((v) => v === 'VISIBLE') }, 'checks again')
  assert.deepEqual(answers.flatMap((x) => x.troubles.map((y) => y.over)), [true])
})

test('a connection that is cut is opened again, and what was under way is asked again', async (t) => {
  await table('cut', 'id int primary key', 'true')
  await sql('insert into cut values (1)')
  const judge = Judge.start(t, cluster)
  const anon = judge.context('anon')
  assert.equal(await judge.see('cut', { id: 1 }, anon), 'VISIBLE')
  await sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walcast_checks'`)
  assert.equal(await judge.see('cut', { id: 1 }, anon), 'VISIBLE')
})

test('a batch that is forgotten leaves nothing behind', async (t) => {
  await table('forgotten', ...OWNED)
  await sql(`insert into forgotten values (1, '${ALICE}', '')`)
  const judge = Judge.start(t, cluster)
  const a = judge.context('authenticated', alice)
  for (let round = 0; round < 3; round++) {
    judge.want(await judge.row('forgotten', { id: 1, user_id: ALICE, body: '' }), a)
    await judge.forget()
  }
  assert.equal(await judge.see('forgotten', { id: 1, user_id: ALICE, body: '' }, a), 'VISIBLE')
})

test('a commit that hangs behind a synchronous standby is waited for', async (t) => {
  await table('hung', 'id int primary key', 'true')
  const judge = Judge.start(t, cluster, { BATCH_TIMEOUT_MS: '1000' })
  const anon = judge.context('anon')
  const hanging = await cluster.connect()
  const { release } = await hangCommits({ cluster, sql })
  await hanging.query('begin')
  const { rows: [{ xid }] } = await hanging.query('select txid_current()::text as xid')
  const committed = hanging.query('insert into hung values (1); commit')
  judge.want(await judge.row('hung', { id: 1 }, { xid }), anon)
  const early = await judge.send()
  assert.deepEqual([early.ok, early.verdict.size], [false, 0], 'nothing is withheld for it')
  await release()
  await committed
  const late = await judge.send()
  assert.deepEqual([late.ok, late.verdict.get(`0/${anon}`)], [true, 'VISIBLE'])
})

// ---- comparisons ----

test('comparisons say what Postgres says, NULL included', async (t) => {
  await sql(`create type mood as enum ('sad', 'ok', 'happy'); 
    create type loud as (t text); create function loud_eq(loud, loud) returns boolean immutable language sql as 'select lower($1.t) = lower($2.t)';
    create operator public.= (leftarg = loud, rightarg = loud, function = loud_eq)`)
  const judge = Judge.start(t, cluster)
  await table('anything', 'id int primary key', 'true')
  const cases = [
    [{ op: 'like', value: 'a%', subject: 'abc' }, 'true'],
    [{ op: 'like', value: 'A%', subject: 'abc' }, 'false'],
    [{ op: 'ilike', value: 'A%', subject: 'abc' }, 'true'],
    [{ op: 'match', value: '^a.c$', subject: 'abc' }, 'true'],
    [{ op: 'imatch', value: '^A', subject: 'abc' }, 'true'],
    [{ op: 'lt', value: 'b', subject: 'a', collation: 'pg_catalog."C"' }, 'true'],
    [{ op: 'lt', value: 'a', subject: 'B', collation: 'pg_catalog."C"' }, 'true'],
    [{ op: 'eq', type: 'numeric', value: '1.00', subject: '1' }, 'true'],
    [{ op: 'gte', type: 'interval', value: '30 days', subject: '1 mon' }, 'true'],
    [{ op: 'in', type: 'inet', value: '{10.0.0.1,10.0.0.2}', subject: '10.0.0.2' }, 'true'],
    [{ op: 'in', type: 'inet', value: '{10.0.0.1,NULL}', subject: '10.0.0.2' }, 'null'],
    [{ op: 'isdistinct', type: 'jsonb', value: '{"b":1,"a":2}', subject: '{"a": 2, "b": 1}' }, 'false'],
    [{ op: 'isdistinct', type: 'jsonb', value: null, subject: '1' }, 'true'],
    [{ op: 'eq', value: null, subject: 'x' }, 'null'],
    [{ op: 'gt', type: 'public.mood', value: 'sad', subject: 'happy' }, 'true'],
    [{ op: 'eq', type: 'public.loud', schema: 'public', value: '(ABC)', subject: '(abc)' }, 'true'],
    [{ op: 'isdistinct', type: 'public.loud', schema: 'public', value: '(ABC)', subject: '(abc)' }, 'false'],
    [{ op: 'like', type: 'character varying', valueType: 'text', value: 'a%', subject: 'abc' }, 'true'],
    [{ op: 'eq', type: 'point', value: '(1,1)', subject: '(1,1)' }, 'null'],
    [{ op: 'match', value: '(', subject: 'abc' }, 'null'],
    [{ op: 'eq', type: 'int4', value: '1', subject: 'not a number' }, 'null'],
    [{ op: 'eq', role: 'nosuchrole', value: 'a', subject: 'a' }, 'null'],
    [{ op: 'eq', role: '', value: 'a', subject: 'a' }, 'null'],
  ]
  const change = await judge.row('anything', { id: 1 })
  for (const [comparison] of cases) judge.compare(change, comparison)
  const { truth } = await judge.send()
  assert.deepEqual(truth, cases.map(([, expected]) => expected))
})

test('one bad pattern among hundreds harms nobody else', async (t) => {
  const judge = Judge.start(t, cluster)
  await table('patterns', 'id int primary key', 'true')
  const change = await judge.row('patterns', { id: 1 })
  for (let i = 0; i < 600; i++) judge.compare(change, { op: 'match', value: i % 100 === 50 ? '(' : i % 2 ? '^row' : '^no', subject: `row ${i}` })
  const { truth } = await judge.send()
  assert.deepEqual(truth, Array.from({ length: 600 }, (_, i) => (i % 100 === 50 ? 'null' : i % 2 ? 'true' : 'false')))
})
