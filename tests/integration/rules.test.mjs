// What the policies of a table come to for a role: compiled, or left to Postgres, and why. All that
// decides it is read from the catalog; a part that only looks like what is proven is not compiled.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Judge } from './lib/judge.mjs'

const OWNED = 'user_id = auth.uid()'

let cluster, sql
before(async () => {
  cluster = await Cluster.start()
  sql = cluster.sql.bind(cluster)
  await sql(`create schema evil; create type mood as enum ('sad', 'ok')`)
})
after(() => cluster.remove())

beforeEach(() => sql(`
  drop table if exists t cascade;
  create table t (id int primary key, user_id uuid, org text, level int, at timestamptz, m mood, b bool);
  alter table t enable row level security; grant select on t to anon, authenticated`))

const policy = (condition, options = '') => sql(`drop policy if exists p on t; create policy p on t ${options} for select using (${condition})`)

/** The rules while the statements hold. */
async function meanwhile(judge, make, unmake, role = 'authenticated') {
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

test('what is proven is compiled, for those to whom row security applies', async (t) => {
  const judge = Judge.start(t, cluster)
  await policy(OWNED)
  assert.deepEqual(await judge.rules('t', 'authenticated'), { number: 1, kind: 'compiled', says: 'auth.uid()' })
  assert.equal((await judge.rules('t', 'service_role')).kind, 'open')
  isDelegated(await judge.rules('t', 'nobody_of_this_name'), /^there is no such role/)
  await policy(`org = (select auth.jwt() ->> 'org') and level >= 3 or m = 'ok' or b`)
  const { kind, says } = await judge.rules('t', 'authenticated')
  assert.equal(kind, 'compiled', says)
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
  isDelegated(await meanwhile(judge, `alter function app.org() volatile`, 'alter function app.org() stable'), /app\.again/)
  isDelegated(await meanwhile(judge, `revoke execute on function app.org() from public`, 'grant execute on function app.org() to public'), /may not execute app\.org/)
  isDelegated(await meanwhile(judge, `alter function app.org() rename to org2; create function app.org(int default 1) returns text stable language sql as $$ select 'x' $$`,
    'drop function app.org(int); alter function app.org2() rename to org'), /app\.again/)
  const after = await meanwhile(judge, `create function app.org(int default 1) returns text stable language sql as $$ select 'x' $$`, 'drop function app.org(int)')
  assert.equal(after.kind, 'compiled', 'a call without arguments does not find it')
  assert.ok(after.number > number, 'other functions, other rules')
  await sql('drop schema app cascade')
})
