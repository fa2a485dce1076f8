// Compiled verdicts held against Postgres (RLS_SHADOW_PERMILLE): whatever rows and rules do
// meanwhile, verdicts that are right raise no alarm. That wrong ones do: tests/unit/bridge/subs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const MINE = `current_setting('request.jwt.claims', true)::json ->> 'sub'`
const is = (body) => `create or replace function who.is() returns text language sql stable as $$ select ${body} $$`
const world = sharedWorld({ sql: `create schema who; grant usage on schema who to public; ${is(MINE)}`, env: { RLS_SHADOW_PERMILLE: '1000', POLICY_FRESHNESS_MS: '400' } })
const sql = (...args) => world.sql(...args)
const OWNERS = ['ann', 'bea', 'cat', 'dot']
const DEADLINE_MS = 20_000 * SLOWNESS
const SEED = seedFrom('SHADOW_SEED'), random = new Random(SEED)

async function table(t, name) {
  await sql(`create table ${name} (id int primary key, owner text, n int); alter table ${name} enable row level security;
    create policy p on ${name} for select to authenticated using (owner = who.is())`)
  await publishTable(world, name)
  for (const sub of OWNERS) {
    const client = await Client.open(world.server, { token: tokenFor('authenticated', { sub }) })
    t.after(() => client.close())
    assert.equal((await client.subscribe(name, [{ event: '*', schema: 'public', table: name }])).system.status, 'ok')
  }
}

const owner = () => random.pick(OWNERS)
const id = () => 1 + random.below(20)
/** One of a row's lives: it comes, changes hands, and goes. */
const write = (name) => random.pick([
  () => `insert into ${name} values (${id()}, '${owner()}', 0) on conflict (id) do update set owner = excluded.owner`,
  () => `update ${name} set owner = '${owner()}' where id = ${id()}`,
  () => `update ${name} set n = n + 1 where id = ${id()}`,
  () => `delete from ${name} where id = ${id()}`,
])()

const metric = (name) => world.server.metric(`walcast_rls_shadow_${name}`)

/** Writers until so many verdicts were held against Postgres; `meanwhile` runs beside them. */
async function underLoad(name, checks, meanwhile = () => sql(write(name))) {
  const from = await metric('checks_total'), end = Date.now() + DEADLINE_MS
  let done = false
  const loop = async (step) => { while (!done) await step() }
  const loops = [loop(() => sql(write(name))), loop(() => sql(write(name))), loop(meanwhile)]
  const checked = until(async () => await metric('checks_total') - from >= checks || Date.now() > end, 'enough checks', DEADLINE_MS + 5_000)
  await checked.finally(() => { done = true })
  await Promise.all(loops)
  assert.ok(await metric('checks_total') - from >= checks, `${await metric('checks_total') - from} checks`)
  assert.equal(await metric('disagreements_total'), 0)
  assert.ok(!world.server.log.includes('shadow_disagreement'), world.server.log)
}

/** Changes something and changes it back, before or after anybody looks at the catalog. */
const thereAndBack = (...pairs) => {
  let turn = 0
  return async () => {
    for (const statement of pairs[turn++ % pairs.length]) {
      await sql(statement)
      await sql(`select pg_sleep(${random.next() * 0.15})`)
    }
  }
}

test(`rows that change and go raise no alarm (SHADOW_SEED=${SEED})`, async (t) => {
  await table(t, 'busy')
  await underLoad('busy', 100)
})

test('policies that change, and change back, raise no alarm', async (t) => {
  await table(t, 'ruled')
  await underLoad('ruled', 60, thereAndBack(
    ['alter policy p on ruled using (owner <> who.is())', 'alter policy p on ruled using (owner = who.is())'],
    ['drop policy p on ruled', 'create policy p on ruled for select to authenticated using (owner = who.is())'],
    ['create policy q on ruled for select to authenticated using (true)', 'drop policy q on ruled']))
})

test('functions and switches that change, and change back, raise no alarm', async (t) => {
  await table(t, 'turned')
  await underLoad('turned', 60, thereAndBack(
    [is(`'ann'::text`), is(MINE)],
    ['alter table turned disable row level security', 'alter table turned enable row level security']))
})
