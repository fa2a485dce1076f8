// Random policies, roles, claims, rows and changes: who gets a row is who finds it with SELECT.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { COLUMNS, KEYS, PLAIN_COLUMNS, POLICY_SQL, USERS, keyNames, randomContexts, randomPolicies, randomValues, visibleTo } from './lib/policies.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { mint, secondsFromNow } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const SEED = seedFrom('DIFFERENTIAL_SEED')
const COMPARISONS = Number(process.env.DIFFERENTIAL_COMPARISONS ?? 5_000)
const CONTEXTS = 25, ROWS = 34 // one round, with insert and update: 1,700 comparisons
const EXPIRY = secondsFromNow(3 * 3600)
const ALL_ROLES = 'anon, authenticated, service_role, editor, "my-role"'

const random = new Random(SEED)
let session, keys

const world = sharedWorld({ sql: `${POLICY_SQL}; create table sentinel (id int primary key)` }, async (world) => {
  await publishTable(world, 'sentinel', ALL_ROLES)
  session = await world.cluster.connect()
  const hasIcu = (await world.sql(`select from pg_collation where collname = 'en-x-icu'`)).length > 0
  keys = KEYS.filter((k) => !k.needs || hasIcu)
  for (const sub of USERS) await world.sql(`insert into members select $1, o, ${random.below(6)} from generate_series(1, 3) o where o <> ${1 + random.below(3)}`, [sub])
})

/** A protected table, published, and its twin that is not, under the same policies. */
async function makeTable(name, key, isFull) {
  const policies = randomPolicies(random)
  const ddl = (t) => `create table ${t} (${key.columns}, ${COLUMNS}, primary key (${keyNames(key)})); alter table ${t} enable row level security;
    ${policies.map((p) => p(t)).join(';')}; grant select on ${t} to ${ALL_ROLES}`
  await world.sql(ddl(name))
  if (isFull) await world.sql(`alter table ${name} replica identity full`)
  await publishTable(world, name, '')
  return { name, key, isFull, ddl }
}

const insertSql = ({ name, key }, n) => {
  const values = randomValues(random)
  return `insert into ${name} values (${key.value(n)}, ${n}, ${PLAIN_COLUMNS.map((c) => values[c]).join(', ')})`
}

function updateSql({ name }, n) {
  const values = randomValues(random, random.sample(PLAIN_COLUMNS, 1 + random.below(3)))
  return `update ${name} set ${Object.entries(values).map(([c, v]) => `${c} = ${v}`).join(', ')} where n = ${n}`
}

/** One connection with a channel for each context, subscribed to the table. */
async function subscribe(t, table, contexts) {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  for (const c of contexts) {
    const bindings = [table.name, 'sentinel'].map((name) => ({ event: '*', schema: 'public', table: name }))
    const { system } = await client.subscribe(`${table.name}-${c.name}`, bindings, { access_token: mint(c.claims) })
    assert.equal(system.status, 'ok', system.message)
  }
  return client
}

let sentinels = 0
/** After this every channel has what was committed before. */
async function settle(client, { name }, contexts) {
  await world.sql('insert into sentinel values ($1)', [++sentinels])
  for (const c of contexts) {
    await until(() => client.changes(`${name}-${c.name}`).some((m) => m.data.record?.id === sentinels && m.data.table === 'sentinel'), `sentinel ${sentinels} for ${c.name}`, 60_000 * SLOWNESS)
  }
}

const changesOf = (client, { name }, context, type) => client.changes(`${name}-${context.name}`).map((m) => m.data).filter((d) => d.table === name && d.type === type)
const describe = (table, c) => `DIFFERENTIAL_SEED=${SEED}, ${table.name}, key ${table.key.columns}, role ${c.role}, claims ${JSON.stringify(c.claims)}`

/** Everybody got exactly the rows of `visible`: context -> set of n. */
function assertDelivered(client, table, contexts, type, visible) {
  for (const c of contexts) {
    const got = changesOf(client, table, c, type).map((d) => d.record.n).sort((a, b) => a - b)
    assert.deepEqual(got, [...visible.get(c)].sort((a, b) => a - b), `${type}, ${describe(table, c)}`)
  }
}

const everyones = async (table, contexts) => {
  const visible = new Map()
  for (const c of contexts) visible.set(c, await visibleTo(session, c, table.name))
  return visible
}

const bypasses = (c) => c.role === 'service_role'

/** An old row is whole only for those who saw it before; else it is the key. */
function assertOldRecords(client, table, contexts, visibleBefore) {
  const wholeSize = table.isFull ? keyNames(table.key).split(',').length + 1 + PLAIN_COLUMNS.length : -1
  for (const c of contexts) {
    for (const d of changesOf(client, table, c, 'UPDATE')) {
      const size = Object.keys(d.old_record).length, isKey = size === keyNames(table.key).split(',').length
      assert.ok(isKey || size === wholeSize, `${size} columns in an old row, ${describe(table, c)}`)
      if (!isKey) assert.ok(visibleBefore.get(c).has(d.record.n), `row ${d.record.n} was hidden before it changed, and its old row is shown; ${describe(table, c)}`)
      if (bypasses(c)) assert.equal(isKey, !table.isFull)
    }
    for (const d of changesOf(client, table, c, 'DELETE')) {
      assert.equal(Object.keys(d.old_record).length, bypasses(c) && table.isFull ? wholeSize : keyNames(table.key).split(',').length, describe(table, c))
    }
  }
}

async function round(t, number) {
  const table = await makeTable(`t${number}`, random.pick(keys), random.chance(0.5))
  const contexts = randomContexts(random, CONTEXTS, EXPIRY)
  const client = await subscribe(t, table, contexts)
  const rows = Array.from({ length: ROWS }, (_, i) => i + 1)
  for (const n of rows) await session.query(insertSql(table, n))
  await settle(client, table, contexts)
  const inserted = await everyones(table, contexts)
  assertDelivered(client, table, contexts, 'INSERT', inserted)
  for (const n of rows) await session.query(updateSql(table, n))
  await settle(client, table, contexts)
  assertDelivered(client, table, contexts, 'UPDATE', await everyones(table, contexts))
  await session.query(`delete from ${table.name}`)
  await settle(client, table, contexts)
  for (const c of contexts) assert.equal(changesOf(client, table, c, 'DELETE').length, ROWS, `DELETE, ${describe(table, c)}`)
  assertOldRecords(client, table, contexts, inserted)
  client.close()
  await world.sql(`drop table ${table.name}`)
  return CONTEXTS * ROWS * 2
}

test(`rows arrive where SELECT finds them, ${COMPARISONS} times (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  let compared = 0
  for (let number = 1; compared < COMPARISONS; number++) compared += await round(t, number)
  t.diagnostic(`seed ${SEED}: ${compared} comparisons`)
})

const WRITERS = 6, WRITES = Math.ceil(COMPARISONS / 100)

/** Changes of rows that others change too. */
async function write(table, index) {
  const own = await world.cluster.connect(), mine = new Random(SEED + index)
  for (let i = 0; i < WRITES; i++) {
    const n = 1 + mine.below(20), kind = mine.next()
    const values = randomValues(mine), columns = PLAIN_COLUMNS.map((c) => values[c]).join(', ')
    if (kind < 0.4) await own.query(`insert into ${table.name} values (${n}, ${n}, ${columns}) on conflict do nothing`)
    else if (kind < 0.8) await own.query(`update ${table.name} set (${PLAIN_COLUMNS.join(', ')}) = (${columns}) where id = ${n}`)
    else await own.query(`delete from ${table.name} where id = ${n}`)
  }
}

/** Rows as they were delivered, put into a table under the same policies: all must be visible there. */
async function assertVisible(table, context, images, what) {
  const shadow = `${table.name}_shadow`
  await world.sql(`drop table if exists ${shadow}; ${table.ddl(shadow)}`)
  await world.sql(`insert into ${shadow} select r.* from jsonb_array_elements($1) with ordinality e (image, i),
    jsonb_populate_record(null::${shadow}, image || jsonb_build_object('id', i, 'n', i)) r`, [JSON.stringify(images)])
  const visible = await visibleTo(session, context, shadow)
  const leaked = images.filter((image, i) => !visible.has(i + 1))
  assert.deepEqual(leaked, [], `${what} that ${context.name} may not see; ${describe(table, context)}`)
}

test(`with ${WRITERS} writers nobody is shown a row that the policies hide (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  const table = await makeTable('crowd', KEYS[0], true), contexts = randomContexts(random, CONTEXTS, EXPIRY)
  const client = await subscribe(t, table, contexts)
  await Promise.all(Array.from({ length: WRITERS }, (_, i) => write(table, i)))
  await settle(client, table, contexts)
  let shown = 0
  for (const c of contexts) {
    const changes = ['INSERT', 'UPDATE'].flatMap((type) => changesOf(client, table, c, type))
    await assertVisible(table, c, changes.map((d) => d.record), 'rows')
    await assertVisible(table, c, changes.map((d) => d.old_record).filter((old) => old && Object.keys(old).length > 1), 'old rows')
    shown += changes.length
  }
  assert.ok(shown > WRITERS * WRITES / 4, `${shown} changes were delivered at all`)
  t.diagnostic(`seed ${SEED}: ${shown} deliveries`)
})
