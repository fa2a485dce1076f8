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
