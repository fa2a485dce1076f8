// Random filters over random tables deliver exactly the rows that SELECT ... WHERE finds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CITEXT_SQL, COLUMNS, ICU_SQL, TYPES_SQL } from './lib/columns.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { filterSql, filterText, randomFilter } from './lib/filters.mjs'
import { Client } from './lib/phoenix.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const SEED = seedFrom('DIFFERENTIAL_SEED')
const COMPARISONS = Number(process.env.DIFFERENTIAL_COMPARISONS ?? 5_000)
const COLUMNS_PER_TABLE = 16, CHANNELS = 2, BINDINGS = 50, ROWS = 17 // one round: 5,100 comparisons
const BIG = 5_000 // characters, out of line: an UPDATE that leaves it alone does not carry it
const AWKWARD_NAMES = ['Größe x', 'a b', 'A', 'sel"ect', 'co,mma', 'do.t', 'par(en']

const random = new Random(SEED)
let available

const world = sharedWorld({ sql: `${TYPES_SQL}; create table sentinel (id int primary key)`, publish: ['sentinel'] }, async () => {
  const missing = new Set()
  for (const [need, sql] of [['icu', ICU_SQL], ['citext', CITEXT_SQL]]) {
    await world.sql(sql).catch((e) => {
      if (!['42704', '0A000', '22023', '58P01'].includes(e.code)) throw e // anything but "this build has none"
      missing.add(need)
    })
  }
  available = COLUMNS.filter((c) => !missing.has(c.needs))
})

/** A table of random columns, all published, and whether its old rows are whole. */
async function makeTable(name) {
  const columns = random.sample(available, COLUMNS_PER_TABLE).map((c, i) => ({ ...c, name: i < AWKWARD_NAMES.length && random.chance(0.15) ? AWKWARD_NAMES[i] : `c${i}` }))
  const big = { name: 'big', decl: 'text', base: 'text', isBig: true, values: ['a', 'b'], spellings: [], patterns: ['a%', '%b', 'z%'], ops: ['like', 'gt', 'lt', 'is', 'isdistinct'] }
  const isFull = random.chance(0.6)
  columns.push(big)
  const declared = columns.map((c) => `"${c.name.replaceAll('"', '""')}" ${c.decl}`)
  await world.sql(`create table ${name} (id int primary key, ${declared.join(', ')}); alter table ${name} alter big set storage external`)
  if (isFull) await world.sql(`alter table ${name} replica identity full`)
  await publishTable(world, name)
  return { name, columns, isFull }
}

const randomCell = (c) => (random.chance(0.15) ? null : c.isBig ? random.pick(c.values).repeat(BIG) : random.pick(c.values))
const quote = (c) => `"${c.name.replaceAll('"', '""')}"`

async function insertRow({ name, columns }, id) {
  const places = columns.map((c, i) => `$${i + 2}::text::${c.decl.replace(/ collate .*/, '')}`)
  await world.sql(`insert into ${name} (id, ${columns.map(quote)}) values ($1, ${places})`, [id, ...columns.map(randomCell)])
}

async function updateRow({ name, columns }, id) {
  const changed = random.sample(columns.filter((c) => !c.isBig), 1 + random.below(COLUMNS_PER_TABLE))
  const sets = changed.map((c, i) => `${quote(c)} = $${i + 2}::text::${c.decl.replace(/ collate .*/, '')}`)
  await world.sql(`update ${name} set ${sets} where id = $1`, [id, ...changed.map(randomCell)])
}

/** What Postgres says: `${type} ${id}` -> the set of filters that hold. */
async function decide({ name }, type, filters, carried) {
  const { rows } = await world.cluster.main.query(`select id, array[${filters.map((f) => `(${filterSql(f.conditions, carried)})`).join(',\n')}] as holds from ${name}`)
  return new Map(rows.map(({ id, holds }) => [`${type} ${id}`, new Set(filters.filter((f, i) => holds[i]))]))
}

/** Subscribes to the filters, in channels of BINDINGS; returns channel -> binding id -> filter. */
async function subscribe(client, { name }, filters) {
  const channels = new Map()
  for (let n = 0; n < CHANNELS; n++) {
    const mine = filters.slice(n * BINDINGS, (n + 1) * BINDINGS), room = `${name}-${n}`
    const sentinel = { event: '*', schema: 'public', table: 'sentinel' }
    const { reply, system } = await client.subscribe(room, [...mine.map((f) => ({ event: '*', schema: 'public', table: name, filter: f.text })), sentinel])
    assert.equal(system.status, 'ok', `seed ${SEED}: ${system.message}`)
    const ids = reply.response.postgres_changes.map((b) => b.id)
    channels.set(room, new Map(mine.map((f, i) => [ids[i], f])))
  }
  return channels
}

/** The filters that the server found to hold, by change; throws where one came twice. */
function delivered(client, channels) {
  const got = new Map()
  for (const [room, byId] of channels) {
    for (const { ids, data } of client.changes(room)) {
      if (data.table === 'sentinel') continue
      const change = `${data.type} ${(data.record ?? data.old_record).id}`
      const set = got.get(change) ?? got.set(change, new Set()).get(change)
      for (const id of ids) {
        assert.ok(!set.has(byId.get(id)), `${byId.get(id).text} got ${change} twice`)
        set.add(byId.get(id))
      }
    }
  }
  return got
}

async function assertAlike(table, filters, expected, got) {
  const wrong = []
  for (const change of new Set([...expected.keys(), ...got.keys()])) {
    const should = expected.get(change) ?? new Set(), does = got.get(change) ?? new Set()
    for (const f of filters) if (should.has(f) !== does.has(f)) wrong.push({ change, filter: f.text, postgres: should.has(f), columns: columnsOf(f.conditions) })
  }
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${expected.size * filters.length} differ; DIFFERENTIAL_SEED=${SEED}, table ${table.name}, identity ${table.isFull ? 'full' : 'default'}`)
}

const columnsOf = (conditions) => conditions.flatMap((c) => (c.join ? columnsOf(c.members) : [`${c.column.name} ${c.column.decl}`]))

async function round(client, number) {
  const table = await makeTable(`t${number}`)
  const texts = new Map()
  while (texts.size < CHANNELS * BINDINGS) {
    const conditions = randomFilter(random, table.columns), text = filterText(conditions)
    texts.set(text, { text, conditions }) // equal bindings would share an id
  }
  const filters = [...texts.values()], channels = await subscribe(client, table, filters)
  const ids = Array.from({ length: ROWS }, (_, i) => i + 1)
  for (const id of ids) await insertRow(table, id)
  const inserted = await decide(table, 'INSERT', filters)
  for (const id of ids) await updateRow(table, id)
  const updated = await decide(table, 'UPDATE', filters, (c) => (c.isBig && !table.isFull ? 'big is null' : 'true'))
  // with the default identity an old row is its key, which no filter here asks for
  const deleted = await decide(table, 'DELETE', filters, () => `${table.isFull}`)
  await world.sql(`delete from ${table.name}`)
  await world.sql('insert into sentinel values ($1)', [number])
  for (const room of channels.keys()) {
    await until(() => client.changes(room).some((c) => c.data.table === 'sentinel'), `the end of ${room}`, 60_000 * SLOWNESS)
  }
  await assertAlike(table, filters, new Map([...inserted, ...updated, ...deleted]), delivered(client, channels))
  for (const room of channels.keys()) client.send(`realtime:${room}`, 'phx_leave', {}, { joinRef: null })
  client.messages.length = 0
  await world.sql(`drop table ${table.name}`)
  return filters.length * ROWS * 3
}

test(`filters decide as WHERE does, ${COMPARISONS} times (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  let compared = 0
  for (let number = 1; compared < COMPARISONS; number++) compared += await round(client, number)
  t.diagnostic(`seed ${SEED}: ${compared} comparisons`)
})
