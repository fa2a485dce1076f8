// Policies that look like ones that can be decided in process, and rows and values that look like
// others: each is compiled and right, or left to Postgres. Rows reach who finds them with SELECT.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { SLOWNESS } from './lib/env.mjs'
import { MAJOR, since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { rulesOf } from './lib/rules.mjs'
import { mint, secondsFromNow } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const ANN = 'a0000000-0000-4000-8000-00000000000a', BOB = 'b0000000-0000-4000-8000-00000000000b'
const LONG = 'tale '.repeat(700) // beyond what stays in the row
const COMPOSED = 'Zo\u00eb', DECOMPOSED = 'Zoe\u0308'

/** Whose eyes. Role and claims; kid and heir are members of boss, heir has its privileges. */
const PEOPLE = {
  ann: { role: 'authenticated', sub: ANN, name: COMPOSED, code: 'k', num: '1.0', long: LONG, more: 1 },
  bob: { role: 'authenticated', sub: BOB, name: DECOMPOSED, code: 'k ', num: '1', long: 'short' },
  loud: { role: 'authenticated', sub: `{${ANN.toUpperCase()}}`, name: 'ZOE', code: ' k', num: '01e0' },
  odd: { role: 'authenticated', sub: BOB, name: `O'Neil \\ "x" {a,b}`, code: '', num: 'NaN' },
  bare: { role: 'authenticated' },
  kid: { role: 'kid', sub: ANN },
  heir: { role: 'heir', sub: BOB },
}
const ROLES = 'authenticated, kid, heir'
const SEARCH_PATH = 'public, pg_catalog' // what is in public is found first

// Sessions of this database print and read many things otherwise; no verdict may depend on it.
const SETUP = `
  create role boss nologin; create role kid nologin noinherit; create role heir nologin;
  grant boss to kid, heir ${MAJOR >= 16 ? ';  grant boss to kid with inherit false' : ''};
  alter database postgres set datestyle = 'SQL, DMY'; alter database postgres set timezone = 'America/New_York';
  alter database postgres set bytea_output = 'escape'; alter database postgres set extra_float_digits = -3;
  alter database postgres set quote_all_identifiers = on; alter database postgres set transform_null_equals = on;
  alter database postgres set array_nulls = off; alter database postgres set standard_conforming_strings = off; alter database postgres set escape_string_warning = off;
  create table lines (id int4 primary key); grant select on lines to ${ROLES}; alter publication supabase_realtime add table lines;
  create schema evil; grant usage on schema evil to public;
  create table own (sub uuid); insert into own values ('${ANN}'); grant select on own to public;
  create function auth.uid(claim text) returns uuid language sql stable as $$ select sub from public.own limit 1 $$;
  create function evil.reads() returns uuid language sql stable as $$ select sub from public.own limit 1 $$;
  create function evil.shaky() returns uuid language sql volatile as $$ select (auth.jwt() ->> 'sub')::uuid $$;
  create function evil.wordy() returns uuid language plpgsql stable as $$ begin return (auth.jwt() ->> 'sub')::uuid; end $$;
  create function evil.lied() returns uuid language sql immutable as $$ select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $$;
  create function evil.nested() returns uuid language sql stable as $$ select evil.lied() $$;
  create function evil.lent() returns uuid language sql stable security definer as $$ select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $$;
  create function evil.fixed() returns uuid language sql stable set search_path = evil as $$ select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $$;
  create function evil.fine() returns uuid language sql stable as $$ select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $$;
  create function evil.strict_one(uuid) returns uuid language sql immutable strict as $$ select $1 $$;
  create function evil.knows(which int4) returns bool language sql stable as $$ select exists (select from public.own where sub = auth.uid()) and which < 3 $$;
  create view owners as select * from own; grant select on owners to public;
  create domain mail as text check (value like '%@%');
  create type state as enum ('open', 'shut');`

const owned = `('1', '${ANN}'), ('2', '${BOB}'), ('3', null)`
const names = `(1, '${COMPOSED}'), (2, '${DECOMPOSED}'), (3, 'zoe'), (4, 'ZOE'), (5, 'O''Neil \\ "x" {a,b}'), (6, ''), (7, null), (8, 'Zoë ')`
const table = (columns) => (t) => `create table ${t} (id int4 primary key, ${columns})`
const OWNED = { make: table('owner uuid'), rows: owned }
const COMPILED = null
let hasIcu // known when the cluster is there

/**
 * `using`: the expression, or clauses of policies; `why`: null when compiled, else what the reason
 * says, left out where either is right; `then`: a second write, compared like the first; `withheld`:
 * rows that SELECT shows may stay away (the log lacks what the policy looks at, or another row of
 * the batch is an error); `leaf`: the log names the table below the one that SELECT reads.
 */
const CASES = {
  'the real one': { ...OWNED, using: 'owner = auth.uid()', why: COMPILED, then: (t) => `update ${t} set owner = '${BOB}'` },
  'an overloaded auth.uid': { ...OWNED, using: `owner = auth.uid('sub')`, why: /function that is not proven: uid/ },
  'a function that reads a table': { ...OWNED, using: 'owner = evil.reads()', why: /reads/ },
  'a volatile function': { ...OWNED, using: 'owner = evil.shaky()', why: /shaky/ },
  'a function in another language': { ...OWNED, using: 'owner = evil.wordy()', why: /wordy/ },
  'a function that says it is immutable': { ...OWNED, using: 'owner = evil.lied()' },
  'a function that is built on it': { ...OWNED, using: 'owner = evil.nested()' },
  'a function with the rights of its owner': { ...OWNED, using: 'owner = evil.lent()' },
  'a function with settings': { ...OWNED, using: 'owner = evil.fixed()' },
  'a function of another name with a proven body': { ...OWNED, using: 'owner = evil.fine()', why: COMPILED },
  'a function of a column': { ...OWNED, using: 'evil.strict_one(owner) = auth.uid()', why: /strict_one/ },
  'a stable function that reads a table': { ...OWNED, using: 'evil.knows(id)', why: /knows/ },
  'a policy that reads a view': { ...OWNED, using: 'owner in (select sub from owners)', why: /view .*owners/ },
  'a policy that changes the claims': { ...OWNED, using: `set_config('request.jwt.claims', '{"sub": "${BOB}"}', true) is not null and owner = auth.uid()`, why: /set_config/ },
  'the time': { make: table('at timestamptz'), rows: `(1, 'infinity'), (2, '-infinity'), (3, null)`, using: 'at > now()', why: /now/ },
  'membership without inheritance': { ...OWNED, using: ['for select to boss using (true)', 'for select to authenticated using (owner = auth.uid())'], why: COMPILED },
  'a restrictive policy for members': { ...OWNED, using: ['for select using (true)', 'as restrictive for select to boss using (owner = auth.uid())'], why: COMPILED },
  'a column list without the column of the policy': { ...OWNED, make: table('owner uuid, note text'), rows: `(1, '${ANN}', 'a'), (2, '${BOB}', 'b')`, publish: '(id, note)', needs: 15, using: 'owner = auth.uid()', why: COMPILED, withheld: true },
  'a column of a domain': { make: table('mail mail'), rows: `(1, 'k@x'), (2, null)`, using: `mail = (auth.jwt() ->> 'code') || '@x'`, why: /./ },
  'a generated column': { make: table(`a text, b text generated always as (a || '') stored`), insert: '(id, a)', rows: `(1, '${COMPOSED}'), (2, 'x')`, using: `b = auth.jwt() ->> 'name'`, why: COMPILED },
  'columns of one privilege': { ...OWNED, make: table('owner uuid, note text'), rows: `(1, '${ANN}', 'a'), (2, '${BOB}', 'b')`, grant: '(id, note)', using: 'owner = auth.uid()', why: COMPILED },
  'a partition': { ...OWNED, make: (t) => `create table ${t} (id int4 primary key, owner uuid) partition by range (id); create table ${t}_leaf partition of ${t} for values from (0) to (9)`,
    leaf: true, using: 'owner = auth.uid()', why: /above|parent|partition|inherit/ },
  'a child': { ...OWNED, make: (t) => `create table ${t} (id int4 primary key, owner uuid); create table ${t}_leaf (primary key (id)) inherits (${t})`,
    leaf: true, using: 'owner = auth.uid()', why: /above|parent|partition|inherit/ },
  'text that differs in normalization, case and blanks': { make: table('name text'), rows: names, using: `name = auth.jwt() ->> 'name'`, why: COMPILED },
  'text in upper case': { make: table('name text'), rows: names, using: `lower(name) = lower(auth.jwt() ->> 'name')`, why: /column|lower/ },
  'text under a collation without case': { icu: true, make: table('name text collate evil.nocase'), rows: names, using: `name = auth.jwt() ->> 'name'`, why: /collation/ },
  'a comparison under a collation without case': { icu: true, make: table('name text'), rows: names, using: `name = (auth.jwt() ->> 'name') collate evil.nocase`, why: /./ },
  'a list under a collation without case': { icu: true, make: table('name text collate evil.nocase'), rows: names, using: `name in ('zoe', 'x')`, why: /collation/ },
  'distinct under a collation without case': { icu: true, make: table('name text collate evil.nocase'), rows: names, using: `name is distinct from 'zoe'`, why: /collation/ },
  'an order that is not of bytes': { icu: true, make: table('name text collate "en-x-icu"'), rows: names, using: `name < 'zp'`, why: /collation/ },
  'given text compared without case': { icu: true, make: table('name text'), rows: names, using: `(auth.jwt() ->> 'name') collate evil.nocase = 'zoE'`, why: /./ },
  'padded text and padded text': { make: table('code char(6)'), rows: `(1, 'k'), (2, 'k '), (3, ' k'), (4, ''), (5, null)`, using: `code = (auth.jwt() ->> 'code')::char(6)`, why: /./ },
  'padded text and a constant': { make: table('code char(6)'), rows: `(1, 'k'), (2, 'k '), (3, ' k'), (4, ''), (5, null)`, using: `code = 'k   ' or code <> 'k'`, why: COMPILED },
  'padded text and text': { make: table('code char(6)'), rows: `(1, 'k'), (2, 'k '), (3, ' k'), (4, ''), (5, null)`, using: `code = (auth.jwt() ->> 'code')`, why: /./ },
  'padded text that becomes text': { make: table('code char(6)'), rows: `(1, 'k'), (2, 'k '), (3, ' k'), (4, ''), (5, null)`, using: `code::text = (auth.jwt() ->> 'code')`, why: /./ },
  'text cut to length': { make: table('name varchar(10)'), rows: `(1, 'Zoë'), (2, 'Zo'), (3, 'ZO')`, using: `name = (auth.jwt() ->> 'name')::varchar(2)`, why: COMPILED },
  'a column cut to length': { make: table('name varchar(10)'), rows: `(1, 'Zoë'), (2, 'Zo'), (3, 'ZO')`, using: `name::varchar(2) = 'Zo'`, why: /./ },
  'equal numbers': { make: table('n numeric'), rows: `(1, 1), (2, 1.0), (3, 1.000), (4, 10e-1), (5, 'NaN'), (6, -0.0), (7, 1.0000000000000000000001), (8, null)`, using: `n = (auth.jwt() ->> 'num')::numeric`, why: COMPILED },
  'numbers of one scale': { make: table('n numeric(6,2)'), rows: `(1, 1), (2, 1.001), (3, 2)`, using: `n = (auth.jwt() ->> 'num')::numeric(6,1)`, why: COMPILED },
  'numbers in an order': { make: table('n numeric'), rows: `(1, 1), (2, 'NaN'), (3, -5), (4, 1e-30), (5, null)`, using: `n > 0`, why: COMPILED },
  'a number that does not fit': { make: table('level int4'), rows: '(1, 100000), (2, 2), (3, 1), (4, null)', using: `level::int2 <> 1`, why: /converted/, withheld: true },
  'a number that does not fit, in a list': { make: table('level int8'), rows: '(1, 10000000000), (2, 2), (3, 1)', using: `level::int4 not in (1, 5)`, why: /converted/, withheld: true },
  'a number that does not fit, and NULL': { make: table('level int8'), rows: '(1, 10000000000), (2, 2), (3, null)', using: `level::int4 is not null`, why: /a test that is not proven|converted/, withheld: true },
  'a number as text': { make: table('level int4'), rows: '(1, 1), (2, 10), (3, -1)', using: `level::text = ltrim(split_part(auth.jwt() ->> 'num', '.', 1), '0')`, why: COMPILED },
  'NaN and zeros': { make: table('f float8'), rows: `(1, 'NaN'), (2, '-0'), (3, 0), (4, 'Infinity'), (5, 0.1), (6, 0.10000000000000001), (7, 0.30000000000000004), (8, null)`, using: `f = 'NaN' or f = 0 or f = 0.1`, why: COMPILED },
  'sums that look like another': { make: table('f float8'), rows: `(1, 0.1::float8 + 0.2), (2, 0.3), (3, 0.30000000000000004)`, using: `f = 0.3`, why: COMPILED },
  'small floats': { make: table('f float4'), rows: `(1, 0.1), (2, 'NaN'), (3, '-0'), (4, 16777217)`, using: `f = '0.1'::float4 or f = '-0'::float4 or f = '16777216'::float4`, why: COMPILED },
  'a small float and a large one': { make: table('f float4'), rows: `(1, 0.1), (2, 0.5)`, using: `f = 0.1::float8 or f = 0.5::float8`, why: /./ },
  'moments in other zones': { make: table('at timestamptz'), rows: `(1, '2024-02-01 00:00:00+00'), (2, '2024-02-01 02:00:00+02'), (3, '2024-01-02 00:00:00+00'), (4, 'infinity'), (5, '0044-03-15 12:00:00+00 BC'), (6, null)`, using: `at = '2024-02-01 01:00:00+01' or at < '0001-01-01 00:00:00+00'`, why: COMPILED },
  'days and months that can be mixed up': { make: table('d date'), rows: `(1, '2024-02-01'), (2, '2024-01-02'), (3, '2024-12-31')`, using: `d = to_date('2024-02-01', 'YYYY-MM-DD') or d = make_date(2024, 2, 1)`, why: /./ },
  'a constant day': { make: table('d date'), rows: `(1, '2024-02-01'), (2, '2024-01-02'), (3, '2024-12-31')`, using: `d = date '2024-02-01'`, why: COMPILED },
  'a day that is compared with a moment': { make: table('d date'), rows: `(1, '2024-02-01'), (2, '2024-01-02')`, using: `d = timestamptz '2024-02-01 00:00:00+00'`, why: /./ },
  'moments without zone': { make: table('ts timestamp'), rows: `(1, '2024-02-01 00:00:00'), (2, '2024-01-02 00:00:00'), (3, '-infinity')`, using: `ts <= '2024-01-02 00:00:00'`, why: COMPILED },
  'bytes': { make: table('b bytea'), rows: `(1, '\\x41'), (2, '\\x00ff'), (3, ''), (4, null)`, using: `b in ('\\x41'::bytea, '\\x00ff'::bytea)`, why: COMPILED },
  'booleans in words': { make: table('b bool'), rows: `(1, true), (2, false), (3, null)`, using: `b = (case (auth.jwt() ->> 'code') when 'k' then 'yes' else 'off' end)::bool`, why: /./ },
  'strings with backslashes': { make: table('name text'), rows: `(1, E'a\\\\b'), (2, E'a\\\\\\\\b'), (3, 'ab'), (4, null)`, using: `name = E'a\\\\b' or name in (E'\\\\', 'x')`, why: COMPILED },
  'a NULL in a list, and its name': { make: (t) => `set array_nulls = on; create table ${t} (id int4 primary key, name text)`, rows: `(1, 'NULL'), (2, 'a'), (3, null)`, using: `name = any ('{a,NULL}'::text[])`, why: COMPILED },
  'a negation that is tested': { ...OWNED, using: `(not ((auth.jwt() ->> 'more') = '1')) is null or owner = auth.uid()`, why: /come back/ },
  'alternatives that are tested': { ...OWNED, using: `((auth.jwt() ->> 'more') = '2' and (auth.jwt() ->> 'code') = 'k') is not true`, why: /come back/ },
  'a negation that is true': { ...OWNED, using: `(not ((auth.jwt() ->> 'more') = '1')) is true`, why: /come back/ },
  'NULL that is compared': { ...OWNED, using: `owner = null or (auth.jwt() ->> 'sub') = null`, why: COMPILED },
  'whole rows': { ...OWNED, using: (t) => `${t} is not null`, why: /./ },
  'a value kept outside of the row': { make: (t) => `create table ${t} (id int4 primary key, tale text, n int4); alter table ${t} alter tale set storage external`,
    rows: `(1, '${LONG}', 0), (2, 'short', 0), (3, '${LONG}x', 0)`, using: `tale = auth.jwt() ->> 'long'`, why: COMPILED, then: (t) => `update ${t} set n = 1` },
}

const list = Object.entries(CASES).map(([name, c], i) => ({ ...c, name, table: `case_${i}`, skip: c.needs ? since(c.needs, name).skip : undefined }))
const skipped = (c) => c.skip ?? (c.icu && !hasIcu ? 'no ICU' : undefined)
const watched = (c) => (c.leaf ? `${c.table}_leaf` : c.table)

function ddlOf(c) {
  const using = typeof c.using === 'function' ? c.using(c.table) : c.using
  const clauses = [using].flat().map((u) => (/^(as|for) /.test(u) ? u : `for select using (${u})`))
  return `${c.make(c.table)}; alter table ${c.table} enable row level security;
    ${clauses.map((u, i) => `create policy p${i} on ${c.table} ${u}`).join('; ')};
    grant select ${c.grant ?? ''} on ${c.table} to ${ROLES}; ${c.leaf ? `grant select on ${c.table}_leaf to ${ROLES};` : ''}
    alter publication supabase_realtime add table only ${watched(c)} ${c.publish ?? ''};`
}

/** Connections by person, with one channel for each list of tables. */
const clients = {}
let session, rules

const world = sharedWorld({ sql: SETUP, env: { POLICY_FRESHNESS_MS: '10', DB_RLS_SEARCH_PATH: SEARCH_PATH } }, async (world) => {
  hasIcu = (await world.sql(`select from pg_collation where collname = 'en-x-icu'`)).length > 0
  if (hasIcu) await world.sql(`create collation evil.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
  session = await world.cluster.connect()
  await session.query(`set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set search_path = ${SEARCH_PATH}`) // as checks have it
  const here = list.filter((c) => !skipped(c))
  for (const c of here) await world.sql(ddlOf(c)).catch((e) => assert.fail(`${c.name}: ${e.message}`))
  rules = await rulesOf(world.cluster)
  for (const [person, claims] of Object.entries(PEOPLE)) clients[person] = await Client.open(world.server, { token: mint({ exp: secondsFromNow(3600), ...claims }) })
  await listen('cases', here.map(watched))
  for (const c of here) await world.sql(`insert into ${watched(c)} ${c.insert ?? ''} values ${c.rows}`).catch((e) => assert.fail(`${c.name}: ${e.message}`))
  await settle()
})

async function listen(room, tables) {
  for (const client of Object.values(clients)) {
    const { system } = await client.subscribe(room, [...tables, 'lines'].map((table) => ({ event: '*', schema: 'public', table })))
    assert.equal(system.status, 'ok', system.message)
  }
}

let lines = 0
/** After this everybody has what was committed before. */
async function settle() {
  await world.sql('insert into lines values ($1)', [++lines])
  for (const [person, client] of Object.entries(clients))
    await until(() => client.changes().some(({ data }) => data.table === 'lines' && data.record.id === lines), `line ${lines} for ${person}`, 30_000 * SLOWNESS)
}

/** Ids of the rows that SELECT shows, asked one by one: an error hides one, not all. */
async function visible(claims, table) {
  const all = (await world.sql(`select id from ${table} order by id`)).map((r) => r.id), seen = []
  for (const id of all) {
    await session.query('begin')
    try {
      await session.query(`select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)`, [claims.role, JSON.stringify(claims)])
      if ((await session.query(`select id from ${table} where id = $1`, [id])).rowCount) seen.push(id)
    } catch (e) {
      assert.ok(e instanceof pg.DatabaseError, e)
    }
    await session.query('rollback')
  }
  return seen
}

const delivered = (client, table, type) => client.changes().filter(({ data }) => data.table === table && data.type === type).map(({ data }) => data.record.id).sort((a, b) => a - b)

/** Everybody has got by changes of this type what they can SELECT now. */
async function assertSeen(c, type) {
  for (const [person, claims] of Object.entries(PEOPLE)) {
    const got = delivered(clients[person], watched(c), type), seen = await visible(claims, c.table)
    if (c.withheld) assert.deepEqual(got.filter((id) => !seen.includes(id)), [], `${type} for ${person}`)
    else assert.deepEqual(got, seen, `${type} for ${person}`)
  }
}

const assertJudged = (says, why) => (why === COMPILED ? assert.equal(says, null) : assert.match(says ?? '', why))

for (const c of list) {
  test(`${c.name}: ${c.why === COMPILED ? 'compiled' : c.why ? 'left to Postgres' : 'right'}`, async (t) => {
    if (skipped(c)) return t.skip(skipped(c))
    if ('why' in c) assertJudged(rules.get(`${watched(c)} for authenticated`), c.why)
    await assertSeen(c, 'INSERT')
    if (!c.then) return
    await world.sql(c.then(watched(c)))
    await settle()
    await assertSeen(c, 'UPDATE')
  })
}

// ---- what becomes of a policy while it is used ----

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** A table of its own; `begin` before it is made, `change` while it is listened to, `end` behind all. `why`: it is left to Postgres then. */
async function rowsAround(t, name, { begin, make = OWNED.make, using = 'owner = auth.uid()', values, change, why, end = '' }) {
  const c = { table: name, make, using }
  t.after(() => world.sql(`drop table ${name}; ${end}`))
  if (begin) await world.sql(begin)
  await world.sql(ddlOf(c))
  await listen(name, [name])
  for (const round of [0, 1, 2]) {
    const ids = range(round * 10 + 1, round * 10 + values.length)
    if (round === 1 && change) await world.sql(change)
    await settle() // and what was known of the rules is old by now
    await world.sql(`insert into ${name} values ${ids.map((id, i) => `(${id}, ${values[i]})`).join(', ')}`)
    await settle()
    for (const [person, claims] of Object.entries(PEOPLE)) {
      const got = delivered(clients[person], name, 'INSERT').filter((id) => ids.includes(id))
      assert.deepEqual(got, (await visible(claims, name)).filter((id) => ids.includes(id)), `round ${round} for ${person}`)
    }
  }
  if (why) assertJudged((await rulesOf(world.cluster)).get(`${name} for authenticated`), why)
}

const OWNERS = [`'${ANN}'`, `'${BOB}'`, 'null']
const UID = 'create or replace function auth.uid() returns uuid'
const BACK = `${UID} stable language sql as $$ select (auth.jwt() ->> 'sub')::uuid $$`

test('an operator that prints like the built-in', (t) => rowsAround(t, 'operators', {
  values: OWNERS, why: /operator/,
  begin: `create function evil.always(uuid, uuid) returns bool language sql immutable as 'select true';
    create operator public.= (leftarg = uuid, rightarg = uuid, procedure = evil.always)`, // found first, and used by the policy
  end: 'drop function evil.always cascade',
}))

test('an operator that somebody makes later, found before the one that the policy uses', (t) => rowsAround(t, 'later_operators', {
  values: OWNERS,
  change: `create function evil.always(uuid, uuid) returns bool language sql immutable as 'select true';
    create operator public.= (leftarg = uuid, rightarg = uuid, procedure = evil.always)`,
  end: 'drop function evil.always cascade',
}))

test('a cast that prints like the built-in conversion', (t) => rowsAround(t, 'casts', {
  values: OWNERS, why: /to_uuid|cast/, using: `owner = (auth.jwt() ->> 'sub')::varchar::uuid`,
  begin: `create function evil.to_uuid(varchar) returns uuid language sql immutable as $$ select '${ANN}'::uuid $$;
    create cast (varchar as uuid) with function evil.to_uuid(varchar)`,
  end: 'drop function evil.to_uuid cascade',
}))

test('a cast that is made while the policy is used', (t) => rowsAround(t, 'later_casts', {
  values: OWNERS, using: `owner = (auth.jwt() ->> 'sub')::varchar::uuid`,
  change: `create function evil.to_uuid(varchar) returns uuid language sql immutable as $$ select '${ANN}'::uuid $$;
    create cast (varchar as uuid) with function evil.to_uuid(varchar)`,
  end: 'drop function evil.to_uuid cascade',
}))

for (const [what, body] of Object.entries({
  'reads a table': 'stable language sql as $$ select sub from public.own limit 1 $$',
  'is volatile': `volatile language sql as $$ select (auth.jwt() ->> 'sub')::uuid $$`,
  'is in another language': `stable language plpgsql as $$ begin return (auth.jwt() ->> 'more')::int::text::uuid; exception when others then return '${BOB}'; end $$`,
  'means another claim': `stable language sql as $$ select case when auth.jwt() ->> 'more' is null then '${BOB}'::uuid end $$`,
})) test(`auth.uid() becomes one that ${what}`, (t) => rowsAround(t, `uid_${what.replaceAll(' ', '_')}`, { values: OWNERS, change: `${UID} ${body}`, end: BACK }))

test('a setting function in the way of the one that auth.uid() means', (t) => rowsAround(t, 'shadowed_settings', {
  values: OWNERS, why: /current_setting/,
  change: `create function public.current_setting(text, bool) returns text language sql stable as $$ select '{"sub": "${BOB}"}' $$; ${BACK}`,
  end: 'drop function public.current_setting(text, bool)',
}))

test('an operator in the way of the one that auth.uid() means', (t) => rowsAround(t, 'shadowed_operator', {
  values: OWNERS, why: /operator.*->>/,
  change: `create function evil.member(jsonb, text) returns text language sql immutable as $$ select '${BOB}' $$;
    create operator public.->> (leftarg = jsonb, rightarg = text, procedure = evil.member); ${BACK}`,
  end: 'drop function evil.member cascade',
}))

test('a column that is dropped, and another of its name', (t) => rowsAround(t, 'dropped', {
  values: OWNERS, change: `alter table dropped drop column owner cascade; alter table dropped add owner uuid; create policy again on dropped for select using (owner is distinct from auth.uid())`,
}))

test('columns that change names', (t) => rowsAround(t, 'renamed', {
  make: table('owner uuid, author uuid'), values: [`'${ANN}', '${BOB}'`, `'${BOB}', '${ANN}'`, `null, '${ANN}'`],
  change: 'alter table renamed rename owner to x; alter table renamed rename author to owner; alter table renamed rename x to author',
}))

test('a column that becomes of another type', (t) => rowsAround(t, 'retyped', {
  make: table('owner varchar(40), n int4'), using: 'n > 5', values: [`'${ANN}', 10`, `'${BOB}', 2`, 'null, null'],
  change: 'drop policy p0 on retyped; alter table retyped alter n type text; create policy p1 on retyped for select using (n > $$5$$)',
}))

test('labels of an enum that change places', (t) => rowsAround(t, 'states', {
  make: table('state state'), using: `state = 'open'`, values: [`'open'`, `'shut'`, 'null'],
  change: `alter type state rename value 'open' to 'x'; alter type state rename value 'shut' to 'open'; alter type state rename value 'x' to 'shut'`,
}))
