// What the policies of a table come to for a role: compiled, or left to Postgres, and why. All that
// decides it is read from the catalog; a part that only looks like what is proven is not compiled.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Judge } from './lib/judge.mjs'

const OWNED = 'user_id = auth.uid()', ME = 'authenticated'

let cluster, sql, major
before(async () => {
  cluster = await Cluster.start()
  sql = cluster.sql.bind(cluster)
  major = Math.floor(Number((await sql('show server_version_num'))[0].server_version_num) / 10000)
  await sql(`create schema evil; grant usage on schema evil to public; create type mood as enum ('sad', 'ok')`)
})
after(() => cluster.remove())

beforeEach(() => sql(`
  drop table if exists t cascade;
  create table t (id int primary key, user_id uuid, org text, level int, at timestamptz, m mood, b bool);
  alter table t enable row level security; grant select on t to anon, authenticated`))

const policy = (condition, name = 'p') => sql(`drop policy if exists ${name} on t; create policy ${name} on t for select using (${condition})`)

/** The rules while the statements hold. */
async function meanwhile(judge, make, unmake, role = ME) {
  await sql(make)
  try {
    return await judge.rules('t', role)
  } finally {
    await sql(unmake)
  }
}

function isDelegated(rules, why) {
  assert.equal(rules.kind, 'delegated', rules.says)
  assert.match(rules.says, why)
}

function isCompiled(rules, slots) {
  assert.equal(rules.kind, 'compiled', rules.says)
  if (slots !== undefined) assert.equal(rules.says, slots)
}

test('what is proven is compiled, for those to whom row security applies', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy(OWNED)
  isCompiled(await judge.rules('t', ME), 'auth.uid()')
  assert.equal((await judge.rules('t', 'service_role')).kind, 'open')
  isDelegated(await judge.rules('t', 'no_such_role'), /^there is no such role/)
  await policy(`org = (select auth.jwt() ->> 'org') and level >= 3 or m = 'ok' or b`)
  isCompiled(await judge.rules('t', ME))
  await sql('drop policy p on t')
  isCompiled(await judge.rules('t', ME), '') // nobody sees anything
  await sql('create policy p on t as restrictive for select using (b); create policy w on t for update using (random() > 0)')
  isCompiled(await judge.rules('t', ME), '')
})

test('functions are trusted by what they are made of', async (t) => {
  const judge = Judge.start(t, cluster)
  const body = `$$ select current_setting('request.jwt.claims', true)::json ->> 'sub' $$`
  const made = async (how, as = body) => {
    await sql(`drop function if exists evil.f cascade; create function evil.f() ${how} ${as.startsWith('select') ? '' : 'as'} ${as}`)
    await policy('org = evil.f()')
    return judge.rules('t', ME)
  }
  isCompiled(await made('returns text stable language sql'), 'evil.f()')
  isCompiled(await made('returns text stable strict security definer set search_path = evil language sql'))
  isDelegated(await made('returns text immutable language sql'), /evil\.f: it says that it is immutable/)
  isDelegated(await made('returns text language sql'), /^policy "p": a function that is not proven: f \(evil\.f: it is volatile\)$/)
  isDelegated(await made('returns text stable language plpgsql', `$$ begin return ''; end $$`), /evil\.f: it is written in plpgsql/)
  isDelegated(await made('returns text stable set role = anon language sql'), /evil\.f: it has settings of its own/)
  isDelegated(await made('returns text stable language sql', `'select org from public.t limit 1'`), /evil\.f: its body/)
  isDelegated(await made('returns text stable language sql', `'select current_user::text'`), /evil\.f: its body/)
  isDelegated(await made('returns text stable language sql', `$$ select current_setting('search_path') $$`), /evil\.f: its body reads a setting that is not the request's/)
  if (major >= 14) isDelegated(await made('returns text stable language sql begin atomic', `select current_setting('request.x', true); end`), /evil\.f: its body is kept parsed/)
  await sql(`create function evil.g(text) returns text stable language sql as 'select $1'; drop policy p on t; create policy p on t using (org = evil.g('x'))`)
  isDelegated(await judge.rules('t', ME), /evil\.g: it takes arguments/)
  await sql('drop function evil.g cascade; drop function evil.f cascade')
})

test('who may not execute a function is no user of its values', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy(OWNED)
  isDelegated(await meanwhile(judge, 'revoke execute on function auth.uid() from public', 'grant execute on function auth.uid() to public'), /the role may not execute auth\.uid/)
  await policy(`user_id = '${'0'.repeat(32)}'::uuid`)
  isDelegated(await meanwhile(judge, 'revoke execute on function uuid_eq(uuid, uuid) from public', 'grant execute on function uuid_eq(uuid, uuid) to public'), /may not execute pg_catalog\.uuid_eq/)
  isCompiled(await judge.rules('t', ME))
})

test('in a schema that the role may not use nothing is compiled', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy('b')
  isDelegated(await meanwhile(judge, 'revoke usage on schema public from public', 'grant usage on schema public to public'), /^the role may not use its schema$/)
  isCompiled(await judge.rules('t', ME))
})

test('look-alikes of what is proven are left to Postgres', async (t) => {
  const judge = Judge.start(t, cluster)
  const look = async (condition, why, make = 'select', unmake = 'select') => {
    await sql(make)
    await policy(condition)
    isDelegated(await judge.rules('t', ME), why)
    await sql(`drop policy p on t; ${unmake}`)
  }
  await look('org::uuid = auth.uid()', /^policy "p": a column converted to another type: uuid$/)
  await look(`user_id = (auth.role())::uuid`, /policy "p": depends on function to_uuid|to_uuid|a conversion by function/,
    `create function evil.to_uuid(text) returns uuid immutable language sql as $$ select '00000000-0000-4000-8000-000000000000'::uuid $$; create cast (text as uuid) with function evil.to_uuid(text)`,
    'drop cast (text as uuid); drop function evil.to_uuid')
  await look(`user_id operator(evil.=) auth.uid()`, /^policy "p": it depends on operator evil\.=\(/,
    'create operator evil.= (leftarg = uuid, rightarg = uuid, procedure = uuid_eq)', 'drop operator evil.= (uuid, uuid)')
  await look(`user_id = auth.uid('x')`, /auth\.uid: it takes arguments/,
    `create function auth.uid(text) returns uuid stable language sql as 'select null::uuid'`, 'drop function auth.uid(text)')
  await look(`at < now()`, /^policy "p": a function that is not proven: now \(pg_catalog\.now: it does not depend on its arguments alone\)$/)
  await look(`at < '2020-01-01'::date`, /timestamptz_lt_date|operator/)
  await look(`level > 0 and auth.member()`, /^policy "p": .*auth\.member: its body/,
    `create function auth.member() returns bool stable language sql as 'select exists (select 1 from public.t)'`, 'drop function auth.member')
  await look(`exists (select 1 from evil.members where who = auth.uid())`, /^policy "p": it depends on .*table evil\.members/,
    'create table evil.members (who uuid)', 'drop table evil.members')
  await look('t is not null', /^policy "p": /)
  const [{ icu }] = await sql(`select exists (select from pg_collation where collprovider = 'i') as icu`)
  if (!icu) return t.diagnostic('this server has no ICU')
  const another = /^policy "p": a type or collation that is not compared here/
  await look(`org > 'a'`, another, 'alter table t alter org type text collate "und-x-icu"')
  await look(`org = 'a'`, another,
    `create collation evil.blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false); alter table t alter org type text collate evil.blind`,
    `alter table t alter org type text; drop collation evil.blind`)
})

test('a name that could mean something else proves nothing', async (t) => {
  const judge = Judge.start(t, cluster)
  const shadow = async (make, unmake, why) => isDelegated(await meanwhile(judge, make, unmake), why)
  await policy(OWNED)
  await shadow(`create function evil.current_setting(text, bool) returns text language sql as $$ select '' $$`, 'drop function evil.current_setting', /^policy "p": .*auth\.uid: somebody made or restricted the function evil\.current_setting/)
  await shadow('create operator evil.->> (leftarg = jsonb, rightarg = text, procedure = jsonb_object_field_text)', 'drop operator evil.->> (jsonb, text)', /auth\.uid: somebody made or restricted the operator evil\.->>/)
  await shadow('create operator evil.= (leftarg = text, rightarg = text, procedure = texteq)', 'drop operator evil.= (text, text)', /auth\.uid: somebody made or restricted the operator evil\.=/)
  await shadow('create type evil.uuid as (a text)', 'drop type evil.uuid', /auth\.uid: somebody made the type evil\.uuid/)
  await shadow('create cast (text as uuid) with inout', 'drop cast (text as uuid)', /somebody made a cast from text to uuid/)
  await policy(`user_id = (current_setting('request.jwt.claim.sub', true))::uuid`)
  await shadow('create cast (text as uuid) with inout', 'drop cast (text as uuid)', /^somebody made a cast from text to uuid$/)
  await policy(`org = lower('X')`)
  isCompiled(await judge.rules('t', ME))
  await shadow(`create function pg_catalog.lower(varchar) returns text language sql as $$ select '' $$`, 'drop function pg_catalog.lower(varchar)', /somebody made the function lower\(character varying\)/)
  await policy(OWNED)
  await shadow('revoke execute on function current_setting(text, bool) from public', 'grant execute on function current_setting(text, bool) to public', /auth\.uid: somebody made or restricted the function current_setting/)
  isCompiled(await judge.rules('t', ME))
})

test('membership counts as Postgres counts it', async (t) => {
  const judge = Judge.start(t, cluster)
  await sql(`create role team nologin; create role heir nologin; create role stranger nologin ${major >= 16 ? '' : 'noinherit'}; grant select on t to heir, stranger`)
  await sql(major >= 16 ? 'grant team to heir with inherit true; grant team to stranger with inherit false' : 'grant team to heir; grant team to stranger')
  await sql(`create policy p on t to team using (org = 'x')`)
  isCompiled(await judge.rules('t', 'heir'), `'x'::text`)
  isCompiled(await judge.rules('t', 'stranger'), '')
  await sql('alter table t owner to team')
  assert.equal((await judge.rules('t', 'heir')).kind, 'open')
  isCompiled(await judge.rules('t', 'stranger'), '')
  await sql('alter table t force row level security')
  isCompiled(await judge.rules('t', 'heir'), `'x'::text`)
  await sql('drop table t; drop role heir; drop role stranger; drop role team')
})

test('below a relation whose row security applies, Postgres is asked', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy(OWNED)
  await sql('create table child () inherits (t); grant select on child to authenticated; alter table child enable row level security; create policy p on child using (b)')
  isDelegated(await judge.rules('child', ME), /^row security of a relation above it applies$/)
})

test('the same facts are the same rules, others are others', async (t) => {
  const judge = Judge.start(t, cluster)
  const numbers = new Set()
  const isOther = async (statement, kind = 'compiled') => {
    await sql(statement)
    const rules = await judge.rules('t', ME)
    assert.equal(rules.kind, kind, `${statement}: ${rules.says}`)
    assert.ok(!numbers.has(rules.number), `${statement}: the rules are the old ones`)
    numbers.add(rules.number)
    assert.equal((await judge.rules('t', ME)).number, rules.number, statement)
  }
  const own = `create or replace function auth.mine() returns uuid stable language sql as $$ select (current_setting('request.jwt.claims', true)::json ->> 'SUB')::uuid $$`
  await sql(own.replace('SUB', 'sub'))
  await isOther(`create policy p on t using (user_id = auth.mine() and m <> 'sad')`)
  await isOther(own.replace('SUB', 'other'))
  await isOther('alter function auth.mine() owner to authenticated')
  await isOther('alter function auth.mine() strict')
  await isOther('alter function auth.mine() volatile', 'delegated')
  await isOther('alter function auth.mine() stable')
  await isOther('alter function auth.mine() rename to own')
  await isOther(`alter policy p on t using (user_id = auth.own() and m <> 'ok')`)
  await isOther('alter table t rename user_id to owner')
  await isOther(`alter type mood rename value 'ok' to 'fine'`)
  await isOther(`alter type mood rename value 'fine' to 'ok'`)
  await isOther(`alter policy p on t to anon`)
  await isOther(`alter policy p on t to authenticated`)
  await isOther('create policy q on t as restrictive using (b)')
  await isOther('alter table t disable row level security', 'open')
  await isOther('alter table t enable row level security')
  await isOther('alter role authenticated bypassrls', 'open')
  await isOther('alter role authenticated nobypassrls')
  await isOther('alter table t owner to authenticated', 'open')
  await isOther('alter table t force row level security')
  await sql('alter table t owner to postgres; drop function auth.own cascade')
})

test('rules that were wrong are delegated from then on', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy(OWNED)
  const { number } = await judge.rules('t', ME)
  const distrusted = await judge.distrust('t', ME, 'seen to be wrong')
  isDelegated(distrusted, /^seen to be wrong$/)
  assert.notEqual(distrusted.number, number)
  assert.deepEqual(await judge.rules('t', ME), distrusted)
  await policy(`org = 'x'`)
  isCompiled(await judge.rules('t', ME), `'x'::text`)
  await sql('drop policy p on t')
})

test('nothing is compiled where that is switched off', async (t) => {
  const judge = Judge.start(t, cluster, { NO_COMPILING: '1' })
  await policy(OWNED)
  isDelegated(await judge.rules('t', ME), /switched off/)
  assert.equal((await judge.rules('t', 'service_role')).kind, 'open')
})

test('a locked relation keeps nobody waiting, and is compiled later', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy('b')
  await sql(`create table free (id int primary key); alter table free enable row level security; grant select on free to anon; create policy p on free using (true); insert into free values (1)`)
  const locker = await cluster.connect()
  await locker.query('begin; lock table t')
  const rules = judge.rules('t', ME) // as long as it is locked they are not known
  const other = Judge.start(t, cluster)
  const anon = other.context('anon')
  for (const [i, name] of ['t', 'free'].entries()) {
    await other.row(name, { id: 1 })
    other.want(i, anon) // takes access to it
  }
  await other.heard()
  await locker.query('rollback')
  isCompiled(await rules, '')
  await sql('drop table free')
})

test('a freshness of zero judges what waits', async (t) => {
  const judge = Judge.start(t, cluster, { FRESHNESS_MS: '0' })
  await policy('b')
  await sql('insert into t (id, b) values (1, true)')
  const anon = judge.context('anon')
  assert.equal(await judge.see('t', { id: 1, b: 't' }, anon), 'VISIBLE')
  isCompiled(await judge.rules('t', 'anon'), '')
})

test('a function that calls a proven one by its full name is proven, and falls with it', async (t) => {
  const judge = Judge.start(t, cluster)
  await sql(`create schema app; grant usage on schema app to public;
    create function app.org() returns text stable language sql as $$ select auth.jwt() ->> 'org' $$;
    create function app.again() returns text stable security definer set search_path = '' language sql as $$ select coalesce(app.org(), 'none') $$`)
  await policy('org = app.again()')
  const { kind, says, number } = await judge.rules('t', 'authenticated')
  assert.equal(kind, 'compiled', says)
  const body = (of, text) => `create or replace function ${of} returns text stable language sql as $$ ${text} $$`
  const org = body('app.org()', `select auth.jwt() ->> 'org'`)
  isDelegated(await meanwhile(judge, body('app.org()', `select auth.jwt() ->> 'org' || now()::text`), org), /app\.again: its body has a part that is not proven: org/)
  isDelegated(await meanwhile(judge, body('app.org()', 'select app.again()'), org), /app\.again/)
  isDelegated(await meanwhile(judge, `alter function app.org() immutable`, 'alter function app.org() stable'), /app\.again/)
  isDelegated(await meanwhile(judge, `alter function app.org() volatile`, 'alter function app.org() stable'), /app\.again/)
  isDelegated(await meanwhile(judge, `revoke execute on function app.org() from public`, 'grant execute on function app.org() to public'), /may not execute app\.org/)
  isDelegated(await meanwhile(judge, `alter function app.org() rename to org2; create function app.org(int default 1) returns text stable language sql as $$ select 'x' $$`,
    'drop function app.org(int); alter function app.org2() rename to org'), /app\.again/)
  const after = await meanwhile(judge, `create function app.org(int default 1) returns text stable language sql as $$ select 'x' $$`, 'drop function app.org(int)')
  assert.equal(after.kind, 'compiled', 'a call without arguments does not find it')
  assert.ok(after.number > number, 'other functions, other rules')
  await sql('drop schema app cascade')
})
