// Policies that are compiled (bridge/policy) say what Postgres says; what is not proven is not compiled.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Compiler, describe } from './lib/compiled.mjs'
import { ROOT } from './lib/env.mjs'
import { PolicyRounds } from './lib/policyrounds.mjs'
import { Random, seedFrom } from './lib/random.mjs'

const SEED = seedFrom('DIFFERENTIAL_SEED')
const COMPARISONS = Number(process.env.DIFFERENTIAL_COMPARISONS ?? 5_000)

const SETUP = `
  create type mood as enum ('sad', 'ok', 'happy');
  create table t (id int primary key, owner uuid, org text, level int, big int8, small int2, b bool, vc varchar(20), c char(6),
                  n numeric, at timestamptz, ts timestamp, d date, m mood, f float8, bin bytea, gone int, tags text[], ci text collate "C");
  alter table t drop column gone;
  alter table t enable row level security;
  grant select on t to public;
  create table members (team int8, owner uuid);
  create function is_member(which int8) returns bool stable language sql as $$ select exists (select from public.members m where m.team = which) $$;
  create schema evil;
  create function evil.uuid_eq(uuid, uuid) returns bool immutable language sql as 'select true';
  create operator evil.= (leftarg = uuid, rightarg = uuid, procedure = evil.uuid_eq);
  create function evil.to_uuid(text) returns uuid immutable language sql as $$ select '00000000-0000-4000-8000-000000000000'::uuid $$;`

let cluster, client, compiler, proven

before(async () => {
  compiler = new Compiler()
  cluster = await Cluster.start()
  client = await cluster.connect()
  await client.query(SETUP)
  proven = (await client.query(`select oid::text from pg_proc where pronamespace = 'auth'::regnamespace`)).rows.map((r) => r.oid)
})
after(async () => {
  await cluster?.remove()
  assert.equal(await compiler.close(), 0)
})

async function policy(...conditions) {
  await client.query(`do $$ declare p text; begin for p in select polname from pg_policy where polrelid = 't'::regclass loop execute format('drop policy %I on t', p); end loop; end $$`)
  for (const [i, c] of conditions.entries()) {
    const restrictive = c.startsWith('restrictive ')
    await client.query(`create policy p${i} on t ${restrictive ? 'as restrictive' : ''} for select using (${c.replace(/^restrictive /, '')})`)
  }
  return describe(client, 'public.t', proven)
}

test('the comparisons are those of the server', async () => {
  const rows = fs.readFileSync(path.join(ROOT, 'bridge/policy/operator.def'), 'utf8').matchAll(/^WC_POLICY_OPERATOR\((\d+), (\w+), (\d+), (\d+)\)/gm)
  const name = { EQ: '=', NEQ: '<>', LT: '<', LTE: '<=', GT: '>', GTE: '>=' }
  const mine = [...rows].map(([, oid, op, left, right]) => [oid, name[op], left, right].join(' ')).sort()
  const theirs = (await client.query(`select oid || ' ' || oprname || ' ' || oprleft::oid || ' ' || oprright::oid as line from pg_operator where oid = any($1::oid[]) and oprnamespace = 'pg_catalog'::regnamespace`, [mine.map((l) => l.split(' ')[0])])).rows.map((r) => r.line).sort()
  assert.ok(mine.length > 100)
  assert.deepEqual(mine, theirs)
})

const COMPILED = [
  'true', 'owner = auth.uid()', 'auth.uid() = owner', '(select auth.uid()) = owner', `org = (auth.jwt() ->> 'org')`,
  `org = (auth.jwt() -> 'app_metadata' ->> 'org')`, `(auth.jwt() -> 'app_metadata' ->> 'role') = 'admin'`, `auth.role() = 'authenticated'`,
  `owner::text = current_setting('request.jwt.claim.sub', true)`, `owner = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid`,
  'level in (1, 2, 3) and b', 'not b', 'b is true and level is distinct from 4 and org is not null', 'level between 1 and 3', `d = '2024-01-01'`,
  `m = 'happy'`, `m in ('sad', 'ok')`, `vc = 'x'`, 'n = 5 and level > 3.5', 'big = 3', `level = (auth.jwt() ->> 'level')::int`,
  `big = any (array(select jsonb_array_elements_text(auth.jwt() -> 'teams')::int8))`, `level <> all ('{1,2}')`, `not (owner = auth.uid() or b)`,
  `owner is not distinct from auth.uid()`, `auth.uid() is not null and owner = auth.uid()`, `ci < 'm'`, `coalesce(auth.jwt() ->> 'org', 'none') = org`,
  `org = nullif(auth.jwt() ->> 'org', '')`, `level::text = '3'`, 'small::int4 = 3', 'level::int8 <> 3', 'small::int8 = 3', 'big::numeric = 3', `bin = '\\x01'`, `small > 1 and big < 5 and f >= 0.5`, `ts < '2024-06-01'`, `at >= '2024-01-01 00:00:00+00'`,
  'owner in (select auth.uid())', `org not in (select auth.jwt() ->> 'org')`, `big in (select jsonb_array_elements_text(auth.jwt() -> 'teams')::int8)`,
  `level = any (select (auth.jwt() ->> 'level')::int)`, `auth.uid() in (select (auth.jwt() ->> 'sub')::uuid)`, `vc in (select auth.jwt() ->> 'org')`, `m in (select 'sad'::mood)`,
  `org = (auth.jwt() ->> 'org')::varchar(1)`, `n = (auth.jwt() ->> 'level')::numeric(3, 1)`, `vc = (select (auth.jwt() ->> 'org')::varchar(20))`,
]
for (const condition of COMPILED)
  test(`compiled: ${condition}`, async () => {
    const answer = await compiler.ask(await policy(condition))
    assert.equal(answer.why, undefined)
  })

const NOT_COMPILED = [
  [`exists (select from members m where m.team = big)`, /sub-select|disagree|form/], [`is_member(big)`, /function that is not proven: is_member/], [`is_member(1)`, /is_member/],
  [`at > now() - interval '1 hour'`, /now|not proven/], ['level = big', /between columns/], [`org like 'a%'`, /not proven/],
  [`owner operator(evil.=) auth.uid()`, /not proven/], [`owner = evil.to_uuid(auth.jwt() ->> 'sub')`, /to_uuid/], [`level + 1 = 2`, /column|not proven/],
  [`org = current_setting('app.org', true)`, /setting/], [`lower(org) = 'x'`, /column|lower/], [`case when b then owner = auth.uid() else false end`, /not proven/],
  [`t.* is not null`, /test|column/], [`org collate "en-x-icu" = 'x'`, /./], [`owner = (select m.owner from members m limit 1)`, /sub-select/], [`at = (auth.jwt() ->> 'at')::timestamptz`, /conversion/],
  [`org = current_user`, /not proven|form/], [`random() < 0.5`, /random|not proven/], [`tags @> array[auth.jwt() ->> 'org']`, /not proven/], ['coalesce(b, false)', /column/],
  [`owner in (select m.owner from members m)`, /sub-select/], [`big in (select team from members where owner = auth.uid())`, /sub-select/], [`level < any (select 3)`, /sub-select/],
  [`owner operator(evil.=) any (select auth.uid())`, /sub-select|list/], ['level in (select level)', /column|sub-select/], [`auth.uid() in (select owner)`, /column/], [`(level, small) in (select 1, 2)`, /sub-select/],
  [`level in (select 1 union select 2)`, /sub-select/], [`level in (select 1 limit 0)`, /sub-select/], [`level in (values (1), (2))`, /sub-select/], [`level in (select random()::int)`, /random|not proven/],
  ['vc::varchar(1) = \'x\'', /length/], ['n::numeric(3, 1) = 1', /length/], [`ci in (select 'a' collate "en-x-icu")`, /./],
  ['big::int4 = 1', /column converted/], ['level::int2 <> 1', /column converted/], ['not (big::int2 in (1, 2))', /column converted/],
]
for (const [condition, why] of NOT_COMPILED)
  test(`not compiled: ${condition}`, async (t) => {
    const facts = await policy(condition).catch((e) => (/collation .* does not exist/.test(e.message) ? t.skip(e.message) : Promise.reject(e)))
    if (facts) assert.match((await compiler.ask(facts)).why ?? '', why)
  })

test('bodies of functions are proven by what they are built from', async () => {
  const claims = (await client.query(`select prosrc from pg_proc where pronamespace = 'auth'::regnamespace`)).rows.map((r) => r.prosrc)
  for (const body of claims.filter((b) => !/auth\./.test(b))) assert.equal((await compiler.ask({ body })).why, undefined, body)
  const supabase = `select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid`
  assert.equal((await compiler.ask({ body: supabase })).why, undefined)
  for (const body of [`select now()::text`, `select x from t`, `select current_setting('app.x')`, `select evil.f()`, `select 1; select 2`, `update t set id = 1`, `select 'a'::evil.t`, `select array[1]`, `select current_setting(current_user)`, `select coalesce('\\', current_setting('request.x'), ', x, ')`])
    assert.match((await compiler.ask({ body })).why ?? 'proven', /body/, body)
  const calls = { 'auth.jwt': 'claims' }
  for (const body of [`select auth.jwt() ->> 'org'`, `select (auth.jwt() -> 'app_metadata' ->> 'org')::uuid`, `select coalesce((select auth.jwt()) ->> 'role', 'anon')`])
    assert.equal((await compiler.ask({ body, calls })).why, undefined, body)
  for (const body of [`select jwt() ->> 'org'`, `select other.jwt()`, `select db.auth.jwt()`, `select auth.jwt(1)`, `select auth."JWT"()`, `select auth.jwt() over ()`, `select auth.jwt(variadic array[1])`])
    assert.match((await compiler.ask({ body, calls })).why ?? 'proven', /body/, body)
})

test(`what is compiled is what SELECT says (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  const rounds = new PolicyRounds(cluster, new Random(SEED), SEED)
  t.after(() => rounds.close())
  await client.query('drop table t, members; drop type mood; drop function is_member')
  await rounds.prepare()
  while (rounds.compared < COMPARISONS) await rounds.round()
  const { compared, policies, refused, failed } = rounds
  t.diagnostic(`seed ${SEED}: ${compared} comparisons, ${policies} policies, ${refused} lists of them not compiled, ${failed} values not evaluated`)
})
