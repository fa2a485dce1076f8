// Random policies, roles, claims, rows and changes: who gets a row is who finds it with SELECT,
// whether it is decided in process or left to Postgres.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Conditions, POOL, randomValue } from './lib/conditions.mjs'
import { Rounds } from './lib/differential.mjs'
import { ALL_ROLES, randomContexts, randomPolicies, shownTo } from './lib/policies.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { Server } from './lib/server.mjs'
import { sharedWorld } from './lib/world.mjs'

const SEED = seedFrom('DIFFERENTIAL_SEED')
const COMPARISONS = Number(process.env.DIFFERENTIAL_COMPARISONS ?? 5_000)

const random = new Random(SEED)
let rounds

const world = sharedWorld({ env: { DELETE_UNDER_RLS: 'judged' } }, async (world) => {
  const delegating = await Server.start({ ...world.cluster.serverEnv, RLS_COMPILE: 'off' })
  world.beside = [delegating]
  rounds = new Rounds(world, { compiled: world.server, delegated: delegating }, random, SEED)
  await rounds.prepare()
})

test(`rows arrive where SELECT finds them, ${COMPARISONS} times (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  while (rounds.compared < COMPARISONS) await rounds.round()
  const { compared, exact, shown, judged } = rounds
  t.diagnostic(`seed ${SEED}: ${compared} comparisons, ${exact} exact, ${shown} rows shown, ${judged} old rows`)
  assert.ok(exact > compared / 3 && shown > exact / 10 && shown < exact * 0.9, 'most of it said nothing')
  const [here, there] = await Promise.all(['compiled', 'delegated'].map((name) => rounds.checks(name)))
  t.diagnostic(`checks: ${JSON.stringify(here)} where policies are compiled, ${JSON.stringify(there)} where not`)
  assert.equal(there.compiled, 0)
  if (COMPARISONS >= 50_000) assert.ok(judged > 100, 'no old rows were judged') // some have no table of a full identity
  assert.ok(here.compiled > there.delegated / 20 && here.delegated < there.delegated * 0.9, 'too little was decided in process')
})

const WRITERS = 6, WRITES = Math.ceil(COMPARISONS / 100), CONTEXTS = 25
const COLUMNS = ['owner', 'level', 'org', 'is_open', 'at', 'mood'] // whose values come back from JSON as they were

/** Changes of rows that others change too. */
async function write(table, index) {
  const own = await world.cluster.connect(), mine = new Random(SEED + index)
  for (let i = 0; i < WRITES; i++) {
    const n = 1 + mine.below(20), kind = mine.next(), values = COLUMNS.map((c) => randomValue(mine, c)).join(', ')
    if (kind < 0.4) await own.query(`insert into ${table.name} values (${n}, ${n}, ${values}) on conflict do nothing`)
    else if (kind < 0.8) await own.query(`update ${table.name} set (${COLUMNS.join(', ')}) = (${values}) where id = ${n}`)
    else await own.query(`delete from ${table.name} where id = ${n}`)
  }
}

/** Rows as they were delivered, put into a table under the same policies: all must be visible there. */
async function assertVisible(table, context, images, what) {
  const shadow = `${table.name}_shadow`
  await world.sql(`drop table if exists ${shadow}; ${table.ddl(shadow)}`)
  await world.sql(`insert into ${shadow} select r.* from jsonb_array_elements($1) with ordinality e (image, i),
    jsonb_populate_record(null::${shadow}, image || jsonb_build_object('id', i, 'n', i)) r`, [JSON.stringify(images)])
  const { rows } = await shownTo(rounds.session, context, shadow, images.length)
  const leaked = images.filter((image, i) => !rows.has(i + 1))
  assert.deepEqual(leaked, [], `${what} that ${context.name} may not see; ${rounds.where(table, context)}`)
}

for (const kind of ['compiled', 'mixed']) {
  test(`with ${WRITERS} writers nobody is shown a row that ${kind} policies hide (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
    const policies = randomPolicies(random, new Conditions(random, COLUMNS), kind), contexts = randomContexts(random, CONTEXTS, rounds.expiry)
    const ddl = (name) => `create table ${name} (id int4 primary key, n int4 not null, ${COLUMNS.map((c) => `${c} ${POOL[c].type}`).join(', ')}); alter table ${name} enable row level security;
      ${policies.map((p) => p(name)).join(';')}; create policy own on ${name} for select using (owner = auth.uid()); grant select on ${name} to ${ALL_ROLES}`
    const table = { name: `crowd_${kind}`, ddl, policies: policies.map((p) => p('crowd')) }
    await world.sql(`${ddl(table.name)}; alter table ${table.name} replica identity full; alter publication supabase_realtime add table ${table.name}`)
    const clients = await rounds.subscribe([table], contexts)
    t.after(() => Object.values(clients).forEach((client) => client.close()))
    await Promise.all(Array.from({ length: WRITERS }, (_, i) => write(table, i)))
    await rounds.settle(clients, contexts)
    let shown = 0
    for (const client of Object.values(clients)) {
      for (const c of contexts) {
        const changes = ['INSERT', 'UPDATE'].flatMap((type) => rounds.changesOf(client, table, c, type))
        await assertVisible(table, c, changes.map((d) => d.record), 'rows')
        await assertVisible(table, c, changes.map((d) => d.old_record).filter((old) => old && Object.keys(old).length > 1), 'old rows')
        shown += changes.length
      }
    }
    assert.ok(shown > WRITERS * WRITES / 4, `${shown} changes were delivered at all`)
    t.diagnostic(`seed ${SEED}: ${shown} deliveries`)
  })
}
