// The policies that people write (tests/data/policies): compiled or delegated as expected, for the
// expected reason, and their rows reach exactly those who may see them.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { CATALOGUE, COLUMNS, PEOPLE, ROWS, SETUP } from '../data/policies/catalogue.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { visibleTo } from './lib/policies.mjs'
import { connect, disconnect, subscribe } from './lib/realtime.mjs'
import { rulesOf } from './lib/rules.mjs'
import { secondsFromNow, mint } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const ENTRIES = Object.entries(CATALOGUE).flatMap(([family, list]) => list.map((entry) => ({ family, ...entry })))
ENTRIES.forEach((entry, i) => Object.assign(entry, { table: `docs_${i}`, clauses: [entry.using].flat() }))

const clauseOf = (using) => (/^(as|for) /.test(using) ? using : `for select using (${using})`)
const ddlOf = ({ table, clauses }) => `create table ${table} (${COLUMNS}); alter table ${table} enable row level security;
  ${clauses.map((c, i) => `create policy p${i} on ${table} ${clauseOf(c).replaceAll('docs.', `${table}.`)}`).join('; ')};
  grant select on ${table} to anon, authenticated; alter publication supabase_realtime add table ${table};`

const clients = [], received = {} // person -> realtime-js payloads
let session, rules

const world = sharedWorld({ sql: `${SETUP} ${ENTRIES.map(ddlOf).join('\n')} create table last (id int4 primary key); grant select on last to anon, authenticated; alter publication supabase_realtime add table last` }, async (world) => {
  session = await world.cluster.connect()
  rules = await rulesOf(world.cluster)
  const tables = [...ENTRIES.map((e) => e.table), 'last']
  for (const [person, claims] of Object.entries(PEOPLE)) {
    const client = connect(world.server, { token: mint({ exp: secondsFromNow(3600), ...claims }) })
    clients.push(client)
    const { payloads } = await subscribe(client, person, tables.map((table) => ({ event: 'INSERT', schema: 'public', table })))
    received[person] = payloads
  }
  for (const { table } of ENTRIES) await world.sql(`insert into ${table} select * from jsonb_populate_recordset(null::${table}, $1)`, [JSON.stringify(ROWS)])
  await world.sql('insert into last values (1)')
  for (const person of Object.keys(PEOPLE)) await until(() => received[person].some((p) => p.table === 'last'), `the last row for ${person}`, 60_000 * SLOWNESS)
})
after(async () => {
  for (const client of clients) await disconnect(client)
})

test('the catalogue has every family, compiled and delegated', () => {
  assert.ok(ENTRIES.length >= 60, `${ENTRIES.length} policies`)
  assert.ok(ENTRIES.filter((e) => !e.why).length >= 40 && ENTRIES.filter((e) => e.why).length >= 20)
})

for (const entry of ENTRIES) {
  const { family, table, clauses, why, sees } = entry
  test(`${family}: ${clauses.join('; ')}: ${why ? 'delegated' : 'compiled'}`, async () => {
    for (const [person, claims] of Object.entries(PEOPLE)) {
      const got = received[person].filter((p) => p.table === table)
      assert.deepEqual(got.flatMap((p) => p.errors ?? []), [])
      assert.deepEqual(got.map((p) => p.new.id), sees[person], `what reaches ${person}`)
      assert.deepEqual([...await visibleTo(session, { role: claims.role, claims }, table, 'id')].sort(), sees[person], `what ${person} can SELECT`)
    }
    const says = rules.get(`${table} for authenticated`)
    if (why) assert.match(says ?? '', why)
    else assert.equal(says, null)
  })
}
