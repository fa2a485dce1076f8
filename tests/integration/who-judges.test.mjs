// Who judges rows, compiled policies or Postgres, as operators see it: /health, /metrics, the log,
// and the switch that leaves it all to Postgres.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { rulesOf } from './lib/rules.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const ANN = 'a0000000-0000-4000-8000-00000000000a', BOB = 'b0000000-0000-4000-8000-00000000000b'
const table = (name, using) => `create table ${name} (id int primary key, owner uuid); alter table ${name} enable row level security;
  create policy rows on ${name} for select to authenticated using (${using});`
const world = sharedWorld({
  sql: `create function is_ann(uuid) returns bool stable language sql as $$ select $1 = '${ANN}' and auth.uid() = '${ANN}' $$;
    ${table('notes', 'owner = auth.uid()')} ${table('teams', 'is_ann(owner)')} ${table('other', 'owner = auth.uid()')}`,
  publish: ['notes', 'teams', 'other'],
})

/** row_security of /health once `test` says yes. */
async function reported(server, test, what) {
  let last
  return until(async () => {
    last = (await server.health()).tenant.row_security
    return last && test(last) ? last : null
  }, () => `${what}: ${JSON.stringify(last)}`)
}
const of = (report, name) => report.tables.find((p) => p.table === `public.${name}`)

async function watch(t, server, name, sub) {
  const client = await Client.open(server, { token: tokenFor('authenticated', { sub }) })
  t.after(() => client.close())
  await client.subscribe(name, [{ event: '*', schema: 'public', table: name }])
  return client
}
const ids = (client) => client.changes().map(({ data }) => data.record.id)
const mode = (server, name) => server.metric(`walcast_rls_rules{tenant="realtime-dev",mode="${name}"}`)
const judged = (server, name) => server.metric(`walcast_rls_checks_total{mode="${name}"}`)

test('/health says of each table and role who judges its rows, and why', async (t) => {
  const { server } = world
  const ann = await watch(t, server, 'notes', ANN), bob = await watch(t, server, 'notes', BOB), team = await watch(t, server, 'teams', ANN)
  const report = await reported(server, (r) => of(r, 'notes')?.waiting === 0 && of(r, 'teams'), 'both tables, and no values missing')
  assert.deepEqual([report.compiled, report.delegated, report.not_listed], [1, 1, 0])
  assert.deepEqual(of(report, 'notes'), { table: 'public.notes', role: 'authenticated', mode: 'compiled', bindings: 2, waiting: 0 })
  assert.equal(report.tables[0], of(report, 'teams'), 'the delegated first')
  const { why, ...rest } = of(report, 'teams')
  assert.deepEqual(rest, { table: 'public.teams', role: 'authenticated', mode: 'delegated', bindings: 1 })
  assert.match(why, /rows.*is_ann/)
  assert.deepEqual([await mode(server, 'compiled'), await mode(server, 'delegated')], [1, 1])
  assert.match(server.log, /rules_compiled .*table=public\.notes role="authenticated"/)
  assert.match(server.log, /rules_delegated .*table=public\.teams role="authenticated" .*why=".*is_ann/)

  const before = { compiled: await judged(server, 'compiled'), delegated: await judged(server, 'delegated') }
  await world.sql(`insert into notes values (1, '${ANN}'), (2, '${BOB}'); insert into teams values (3, '${ANN}'), (4, '${BOB}')`)
  for (const client of [ann, bob, team]) await client.untilChanges(1)
  assert.deepEqual([ids(ann), ids(bob), ids(team)], [[1], [2], [3]])
  assert.ok(await judged(server, 'compiled') > before.compiled)
  assert.ok(await judged(server, 'delegated') > before.delegated)
})

test('a policy that is changed is seen in /health, and what it says counts', async (t) => {
  const { server } = world
  const ann = await watch(t, server, 'other', ANN)
  await reported(server, (r) => of(r, 'other')?.mode === 'compiled' && of(r, 'other').waiting === 0, 'compiled')
  const changes = await server.metric('walcast_rules_changes_total')
  await world.sql('alter policy rows on other using (is_ann(owner))')
  const { why } = of(await reported(server, (r) => of(r, 'other')?.mode === 'delegated', 'delegated'), 'other')
  assert.match(why, /is_ann/)
  await world.sql(`insert into other values (1, '${BOB}'), (2, '${ANN}')`)
  await ann.untilChanges(1)
  await world.sql(`alter policy rows on other using (owner = '${BOB}')`)
  await reported(server, (r) => of(r, 'other')?.mode === 'compiled', 'compiled again')
  await world.sql(`insert into other values (3, '${ANN}'), (4, '${BOB}')`)
  await ann.untilChanges(2)
  assert.deepEqual(ids(ann), [2, 4])
  assert.ok(await server.metric('walcast_rules_changes_total') >= changes + 2)
  assert.equal([...server.log.matchAll(/rules_\w+ .*table=public\.other/g)].length, 3, server.log)
})

test('a token whose values cannot be had waits, is counted, and is judged by Postgres', async (t) => {
  const { server } = world
  const before = await server.metric('walcast_rls_values_failed_total')
  await watch(t, server, 'notes', 'no-uuid')
  await until(async () => await server.metric('walcast_rls_values_failed_total') > before, 'values that failed')
  await reported(server, (r) => of(r, 'notes')?.waiting === 1, 'a binding that waits')
  const errors = () => server.metric('walcast_row_check_errors_total{reason="error"}'), failed = await errors()
  await world.sql(`insert into notes values (5, '${ANN}')`)
  await until(async () => await errors() > failed, 'a row that Postgres is asked about, which cannot read the claim either')
})

test('RLS_COMPILE=off leaves all rows to Postgres', async (t) => {
  const server = await Server.start({ ...world.cluster.serverEnv, RLS_COMPILE: 'off' })
  t.after(() => server.stop())
  const ann = await watch(t, server, 'notes', ANN), bob = await watch(t, server, 'notes', BOB)
  const { why } = of(await reported(server, (r) => of(r, 'notes'), 'the table'), 'notes')
  assert.match(why, /switched off/)
  await world.sql(`insert into notes values (11, '${ANN}'), (12, '${BOB}')`)
  for (const client of [ann, bob]) await client.untilChanges(1)
  await world.sql(`insert into notes values (13, '${ANN}'), (14, '${BOB}')`)
  for (const client of [ann, bob]) await client.untilChanges(2)
  assert.deepEqual([ids(ann), ids(bob)], [[11, 13], [12, 14]])
  assert.equal(await judged(server, 'compiled'), 0)
  assert.deepEqual([await mode(server, 'compiled'), await mode(server, 'delegated')], [0, 1])
})

test('texts of another encoding are compared here only where that cannot tell', async () => {
  const tables = { less: `name < 'q'`, same: `name = 'q'`, numbers: 'id < 3' }
  const judges = {}
  for (const encoding of ['UTF8', 'KOI8R', 'EUC_JP']) {
    const name = encoding.toLowerCase()
    await world.sql(`create database ${name} encoding '${encoding}' lc_collate 'C' lc_ctype 'C' template template0`)
    const client = await world.cluster.connect({ database: name })
    await client.query(`create publication supabase_realtime; ${Object.entries(tables).map(([t, using]) => `create table ${t} (id int primary key, name text); alter table ${t} enable row level security;
      create policy p on ${t} for select using (${using}); grant select on ${t} to authenticated; alter publication supabase_realtime add table ${t}`).join(';')}`)
    const rules = await rulesOf({ serverEnv: { ...world.cluster.serverEnv, DB_NAME: name } })
    judges[encoding] = Object.keys(tables).filter((t) => rules.get(`${t} for authenticated`) === null)
  }
  assert.deepEqual(judges, { UTF8: ['less', 'same', 'numbers'], KOI8R: ['same', 'numbers'], EUC_JP: ['numbers'] })
})
