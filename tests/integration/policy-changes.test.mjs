// Policies, grants, functions and roles that change while rows are written: after the commit of what
// takes a right away no later row reaches who has lost it. A row is later when its transaction began
// after the COMMIT had returned.
//
// The server has POLICY_FRESHNESS_MS=60000: where the triggers of `walcast migrate` are, the order of
// the stream alone does it. POLICY_CHANGES_SEED repeats the order of rounds, POLICY_CHANGES_ROUNDS
// says how many.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { BINARY } from './lib/env.mjs'
import { AT_GATE, GATE_SQL, PATIENT, closeGate } from './lib/gate.mjs'
import { MAJOR, since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { USERS } from './lib/policies.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { childEnv, Server } from './lib/server.mjs'
import { hangCommits } from './lib/standby.mjs'
import { SECRET, tokenFor } from './lib/token.mjs'
import { never, until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const [ANN] = USERS
const SEED = seedFrom('POLICY_CHANGES_SEED'), random = new Random(SEED)
const ROUNDS = Number(process.env.POLICY_CHANGES_ROUNDS ?? (process.env.TESTS_FULL ? 400 : 20))
const ROWS_LATER = 12 // of each round, at least
const STREAM_ORDER = since(14, 'logical messages in pgoutput')
const IN_ORDER = MAJOR >= 14

const world = sharedWorld({ migrate: MAJOR >= 13, env: { POLICY_FRESHNESS_MS: '60000' } }, async () => {
  await makeTables()
  await makeRoles()
})
const sql = (...args) => world.sql(...args)

const UID = `create or replace function auth.uid() returns uuid stable language sql as`
const RESTORE_UID = `${UID} $$ select (auth.jwt() ->> 'sub')::uuid $$`
const COLUMNS = 'id, owner, state, n'

/** Policies that are compiled, and ones that Postgres is asked about. */
const KINDS = {
  compiled: { own: 'owner = auth.uid()', open: `state = 'open'` },
  delegated: { own: 'owner = auth.uid() and exists (select from members m where m.sub = auth.uid())', open: `state = 'open' and exists (select from members)` },
}

/**
 * What is taken away from a table NAME, and given back. `shows`: may a later row, of this id, still
 * arrive; as that record? `using`, `more`: of the table, beside the usual.
 */
const CASES = {
  'drop policy': { take: 'drop policy p on NAME', give: 'create policy p on NAME for select to authenticated using (USING)' },
  'alter policy using': { take: 'alter policy p on NAME using (false)', give: 'alter policy p on NAME using (USING)' },
  'alter policy to': { take: 'alter policy p on NAME to anon', give: 'alter policy p on NAME to authenticated' },
  'a restrictive policy': { take: 'create policy r on NAME as restrictive using (false)', give: 'drop policy r on NAME' },
  'revoke select': { take: 'revoke select on NAME from authenticated', give: 'grant select on NAME to authenticated' },
  'revoke of a column': { take: `revoke select on NAME from authenticated; grant select (${COLUMNS}) on NAME to authenticated`, give: 'grant select on NAME to authenticated', shows: (record) => !('secret' in record) },
  'enable row security': { take: 'alter table NAME enable row level security', give: 'alter table NAME disable row level security', isOpen: true, using: 'false', more: 'alter table NAME disable row level security' },
  'a function of the policy': { take: `${UID} $$ select null::uuid $$`, give: RESTORE_UID },
  'another function of the policy': { take: `${UID} $$ select '${USERS[1]}'::uuid $$`, give: RESTORE_UID },
  'names of an enum swapped': { // the first value stays to be seen, whatever it is called
    take: SWAP('open', 'shut'), give: SWAP('shut', 'open'), using: 'open', shows: (record) => record.n === 1,
  },
  'drop of a function with its policy': {
    calls: true, take: 'drop function NAME_may(uuid) cascade', more: 'drop policy p on NAME; MAY', give: 'MAY',
  },
}
const MAY = `create function NAME_may(owner uuid) returns bool stable language sql as $$ select owner = auth.uid() $$;
  create policy p on NAME for select to authenticated using (NAME_may(owner))`

function SWAP(a, b) {
  return [[a, 'aside'], [b, a], ['aside', b]].map(([from, to]) => `alter type NAME_state rename value '${from}' to '${to}'`).join('; ')
}

const tables = []
for (const kind of Object.keys(KINDS)) {
  for (const [what, { take, give, using = 'own', more = '', shows = () => false, isOpen = false, calls = false }] of Object.entries(CASES)) {
    const name = `t${tables.length}`, condition = KINDS[kind][using] ?? using
    const fill = (text) => text.replaceAll('MAY', () => MAY).replaceAll('NAME', name).replaceAll('USING', () => condition)
    tables.push({ name, isCompiled: isOpen ? undefined : kind === 'compiled' && !calls, what: `${what} (${kind})`, take: fill(take), give: fill(give), shows, sql: `
      create type ${name}_state as enum ('open', 'shut');
      create table ${name} (id int primary key, owner uuid, state ${name}_state, n int, secret text);
      alter table ${name} enable row level security; create policy p on ${name} for select to authenticated using (${condition}); ${fill(more)}` })
  }
}

async function makeTables() {
  await sql('create table members (sub uuid); grant select on members to public')
  await sql('insert into members values ($1)', [ANN])
  await sql(`create table beacon (id int primary key); ${GATE_SQL}
    create table slow (id int primary key); alter table slow enable row level security; create policy p on slow using (${AT_GATE})`)
  for (const table of tables) await sql(table.sql)
  for (const name of [...tables.map((t) => t.name), 'beacon', 'slow']) await publishTable(world, name)
}

// ---- writers ----

let ids = 0
const done = new Set() // ids whose COMMIT has returned

/** The state's value, and not its name of today: (enum_range(null::t))[n]. */
const INSERT = (name) => `insert into ${name} select $1::int, $2::uuid, (enum_range(null::${name}_state))[$3::int], $3::int, 'secret-' || $1::int`
const values = (id) => [id, ANN, 1 + (id % 2)]

class Writers {
  #stop = false

  constructor(count = 3) {
    this.target = tables[0].name
    this.done = Promise.all(Array.from({ length: count }, (_, i) => this.#write(i)))
  }

  async #write(index) {
    const session = await world.cluster.connect()
    if (index === 0) await session.query('set synchronous_commit = off')
    while (!this.#stop) {
      const id = ++ids
      await session.query(INSERT(this.target), values(id))
      done.add(id)
    }
  }

  async stop() {
    this.#stop = true
    await this.done
  }
}

// ---- who watches ----

let beacons = 0

class Watcher {
  static async open(t, server, { token = tokenFor('authenticated', { sub: ANN }), names = tables.map((table) => table.name) } = {}) {
    const watcher = new Watcher()
    watcher.client = await Client.open(server, { token })
    t.after(() => watcher.client.close())
    const bindings = [...names, 'beacon'].map((table) => ({ event: '*', schema: 'public', table }))
    const { system } = await watcher.client.subscribe('all', bindings)
    assert.equal(system.status, 'ok', system.message)
    return watcher
  }

  /** Records of a table; of a refused row there is none. */
  records(table) {
    return this.client.changes().filter(({ data }) => data.table === table && data.record?.id !== undefined).map(({ data }) => data.record)
  }

  async gets(table, isIt, what) {
    await until(() => this.records(table).some(isIt), () => `${what}; of ${table} there are ${JSON.stringify(this.records(table).slice(-3))}, ids are at ${ids}`)
  }

  /** Whatever was committed before has arrived, or never does. */
  async isPast() {
    const id = ++beacons
    await sql('insert into beacon values ($1)', [id])
    await this.gets('beacon', (record) => record.id === id, `beacon ${id}`)
  }
}

/** Who judges the rows of which table, as `walcast check` says. */
function judges(cluster) {
  const { stdout } = spawnSync(BINARY, ['check', '--json'], { encoding: 'utf8', env: childEnv({ ...cluster.serverEnv, JWT_SECRET: SECRET }), timeout: 60_000 })
  return stdout.trim().split('\n').map((line) => JSON.parse(line)).filter((f) => f.reason.startsWith('rls_'))
}

// ---- rounds ----

const left = []
const cases = (list = tables) => {
  if (!left.length) left.push(...random.sample(list, list.length))
  return left.pop()
}

/** Of rows that came late: how many, and after what. */
function assertNone(late) {
  const counts = {}
  for (const { what } of late) counts[what] = (counts[what] ?? 0) + 1
  assert.deepEqual(counts, {}, `${JSON.stringify(counts)}, POLICY_CHANGES_SEED=${SEED}; the first: ${JSON.stringify(late[0])}`)
}

/** In one transaction with a row behind it. */
async function takeAway({ name, take }) {
  const id = ++ids
  await sql('begin')
  await sql(take)
  await sql(INSERT(name), values(id))
  await sql('commit')
  return id
}

const shown = (table, watcher, isLater) => watcher.records(table.name).filter((r) => isLater(r.id) && !table.shows(r))

/** Rows that came though they must not. `pause`: how long it may take to take effect. */
async function round(table, writers, watcher, pause = null) {
  const before = ids
  writers.target = table.name
  await watcher.gets(table.name, (r) => r.id > before && ('secret' in r), `a row before ${table.what}`)
  const own = await takeAway(table)
  await pause?.()
  const from = ids, later = () => [...done].filter((id) => id > from)
  await until(() => later().length >= ROWS_LATER, 'rows are written')
  const rows = new Set(pause ? later() : [...later(), own])
  await watcher.isPast()
  const late = shown(table, watcher, (id) => rows.has(id)).map((record) => ({ what: table.what, record }))
  await sql(table.give)
  const after = ids
  await watcher.gets(table.name, (r) => r.id > after && ('secret' in r), `a row again after ${table.what}`)
  return late
}

test('what is compiled is what the rounds take for it', async () => {
  const rules = judges(world.cluster).filter((f) => /^public\.t\d+ for authenticated/.test(f.finding))
  const kindOf = (name) => rules.find((f) => f.finding.startsWith(`public.${name} `))?.finding
  for (const table of tables.filter((t) => t.isCompiled !== undefined)) {
    const word = table.isCompiled ? 'compiled' : 'delegated'
    assert.match(kindOf(table.name) ?? '', new RegExp(`: ${word}`), `${table.what}: ${JSON.stringify(kindOf(table.name))}`)
  }
})

test(`in the order of the stream: no later row arrives, in ${ROUNDS} rounds (POLICY_CHANGES_SEED=${SEED})`, STREAM_ORDER, async (t) => {
  const ann = await Watcher.open(t, world.server), writers = new Writers(), late = []
  try {
    for (let n = 0; n < ROUNDS; n++) {
      const table = cases()
      late.push(...await round(table, writers, ann))
    }
  } finally {
    await writers.stop()
  }
  assertNone(late)
})

/** A second server, with other settings. */
async function another(t, env) {
  const server = await Server.start({ ...world.cluster.serverEnv, ...env })
  t.after(() => server.stop())
  return server
}

for (const [what, ddl] of Object.entries({ 'a policy dropped': 'drop policy p on NAME', 'a policy altered': 'alter policy p on NAME using (false)', 'a grant revoked': 'revoke select on NAME from authenticated' })) {
  test(`of a transaction nobody sees the rows that stand before ${what} in it`, STREAM_ORDER, async (t) => {
    for (const round of [1, 2, 3, 4, 5]) {
      const name = `own_${what.split(' ').join('_')}_${round}`, first = ++ids, hidden = ++ids
      await sql(`create table ${name} (id int primary key, owner uuid); alter table ${name} enable row level security; create policy p on ${name} for select using (owner = auth.uid())`)
      await publishTable(world, name)
      const ann = await Watcher.open(t, world.server, { names: [name] })
      await sql(`insert into ${name} values ($1, $2)`, [first, ANN])
      await ann.gets(name, (r) => r.id === first, 'a row')
      await sql(`begin; insert into ${name} values (${hidden}, '${ANN}'); ${ddl.replace('NAME', name)}; commit`)
      await ann.isPast()
      assert.deepEqual(ann.records(name).map((r) => r.id), [first])
    }
  })
}

test('while the commit of DDL hangs, what commits behind it waits, and is judged by what it says', STREAM_ORDER, async (t) => {
  const [a, b, c] = ['revoke select (compiled)', 'a function of the policy (compiled)', 'a function of the policy (delegated)'].map((what) => tables.find((table) => table.what === what))
  const ann = await Watcher.open(t, world.server), all = await Watcher.open(t, world.server, { token: tokenFor('service_role') })
  const { local, release } = await hangCommits(world)
  const taking = await Promise.all([a, b].map(async ({ take }) => ({ done: (await world.cluster.connect()).query(take) })))
  const hanging = `select from pg_stat_activity where wait_event = 'SyncRep'`
  await until(async () => (await local.query(hanging)).rows.length > taking.length, 'both commits hang') // and the probe
  await local.query('create table visible_at_once (id int)') // seen by the next answer, those before it are not
  const own = [], records = (watcher) => [a, b, c].flatMap(({ name }) => watcher.records(name).filter((r) => own.includes(r.id)))
  for (const { name } of [c, b, a, c, b, a]) { // what is asked about first gives the others time
    const id = ++ids
    own.push(id)
    await local.query(INSERT(name), values(id))
  }
  const [{ lsn }] = (await local.query('select pg_current_wal_flush_lsn() as lsn')).rows
  await until(async () => (await local.query('select from pg_stat_replication where sent_lsn >= $1', [lsn])).rows.length, 'the stream is past them')
  for (const watcher of [ann, all]) assert.deepEqual(records(watcher), [])
  await never(() => records(ann).length || records(all).length, 'a row that the hanging commit hides')
  await release()
  await Promise.all(taking.map(({ done }) => done))
  for (const watcher of [ann, all]) await watcher.isPast()
  assert.deepEqual(records(ann), [])
  assert.equal(records(all).length, own.length)
  for (const { give } of [a, b]) await sql(give)
})

test('a row that is read after the labels of its enum have changed their meaning is not judged by the new ones', async (t) => {
  const table = tables.find(({ what }) => what === 'names of an enum swapped (compiled)')
  const server = await another(t, PATIENT)
  const ann = await Watcher.open(t, server, { names: [table.name, 'slow'] })
  const first = ++ids
  await sql(INSERT(table.name), [first, ANN, 1])
  await ann.gets(table.name, (r) => r.id === first, 'a row')
  const gate = await closeGate(t, world)
  await sql('insert into slow select generate_series(1, 1100)') // more than may wait: the stream is held
  await gate.waiting()
  const hidden = ++ids, last = ++ids
  await sql(INSERT(table.name), [hidden, ANN, 2]) // it is called what the other one will be
  await sql(table.take)
  await sql(INSERT(table.name), [last, ANN, 1])
  const [{ at }] = await sql('select clock_timestamp() as at') // behind the rules the position is asked for, each second
  await until(async () => (await sql(`select bool_and(query_start > $1::timestamptz + interval '1 s' and state = 'idle') as all from pg_stat_activity where application_name = 'walcast_catalog'`, [at]))[0].all, 'the rules are read anew')
  await gate.open()
  await ann.gets(table.name, (r) => r.id === last, 'the row behind it')
  await sql(table.give)
  assert.deepEqual(ann.records(table.name).filter((r) => r.n === 2), [])
})

test('messages that anybody writes cost little: changes go on beside a flood of them', STREAM_ORDER, async (t) => {
  const ann = await Watcher.open(t, world.server), [table] = tables
  await sql(`create role anybody login password 'anybody'`)
  const flood = await world.cluster.connect({ user: 'anybody', password: 'anybody' })
  let isOver = false
  const flooding = (async () => {
    await flood.query(`select count(pg_logical_emit_message(true, 'walcast.rules', 'x')), count(pg_logical_emit_message(false, 'walcast.rules', '')) from generate_series(1, 100000)`)
    while (!isOver) await flood.query(`do $$ begin for i in 1 .. 100 loop perform pg_logical_emit_message(true, 'walcast.rules', ''); commit; end loop; end $$`)
  })()
  const mine = []
  for (let n = 0; n < 300; n++) {
    const id = ++ids
    mine.push(id)
    await sql(INSERT(table.name), values(id))
  }
  await ann.gets(table.name, (r) => r.id === mine.at(-1), 'the last row')
  isOver = true
  await flooding
  const seen = ann.records(table.name).map((r) => r.id).filter((id) => mine.includes(id))
  assert.deepEqual(seen, mine, 'each once, in order')
})

// ---- without the order of the stream: by age alone ----

const SECOND_MS = 1_200 // POLICY_FRESHNESS_MS is 1,000

async function aSecond() {
  const end = Date.now() + SECOND_MS
  await until(() => Date.now() > end, 'a second')
}

/** Of roles no event trigger tells. */
const [AUDITED, EDITED, OWNED] = ['audited', 'edited', 'owned']
const INHERITING = MAJOR >= 16 ? ['revoke inherit option for editors from authenticated', 'grant editors to authenticated with inherit true']
  : ['alter role authenticated noinherit', 'alter role authenticated inherit']
const ROLES = [
  { name: EDITED, what: 'revoke of a role', role: 'authenticated', take: 'revoke editors from authenticated', give: 'grant editors to authenticated' },
  { name: EDITED, what: 'noinherit', role: 'authenticated', take: INHERITING[0], give: INHERITING[1] },
  { name: AUDITED, what: 'nobypassrls', role: 'auditor', take: 'alter role auditor nobypassrls', give: 'alter role auditor bypassrls' },
  { name: OWNED, what: 'revoke of the owner', role: 'authenticated', take: 'revoke proprietor from authenticated', give: 'grant proprietor to authenticated' },
]

async function makeRoles() {
  await sql('create role editors; create role auditor bypassrls; create role proprietor; grant editors, proprietor to authenticated; grant select on members to auditor')
  for (const name of [AUDITED, EDITED, OWNED]) {
    await sql(`create type ${name}_state as enum ('open', 'shut'); create table ${name} (id int primary key, owner uuid, state ${name}_state, n int, secret text);
      alter table ${name} enable row level security`)
    await publishTable(world, name, name === OWNED ? 'anon' : 'anon, authenticated, auditor')
  }
  await sql(`create policy p on ${EDITED} for select to editors using (owner = '${ANN}'); alter table ${OWNED} owner to proprietor; grant select on beacon to auditor`)
}

async function roleRounds(t, server, pause) {
  const writers = new Writers(), late = []
  const watchers = { authenticated: await Watcher.open(t, server, { names: [EDITED, OWNED] }), auditor: await Watcher.open(t, server, { token: tokenFor('auditor', { sub: ANN }), names: [AUDITED] }) }
  try {
    for (const change of random.sample(ROLES, ROLES.length)) {
      const table = { ...change, shows: () => false }
      late.push(...await round(table, writers, watchers[change.role], pause))
    }
  } finally {
    await writers.stop()
  }
  assertNone(late)
}

test('roles and memberships take effect within a second', async (t) => {
  await roleRounds(t, await another(t, { POLICY_FRESHNESS_MS: '1000' }), aSecond)
})

test('with POLICY_FRESHNESS_MS=0 roles and memberships take effect for every later row', async (t) => {
  await roleRounds(t, await another(t, { POLICY_FRESHNESS_MS: '0' }), null)
})

test('without the triggers, dropped while the server runs, policies take effect within a second', async (t) => {
  const server = await another(t, { POLICY_FRESHNESS_MS: '1000' })
  const ann = await Watcher.open(t, server), writers = new Writers(), late = []
  const picked = random.sample(tables, process.env.TESTS_FULL ? tables.length : 3)
  try {
    if (IN_ORDER) {
      late.push(...await round(picked[0], writers, ann))
      await sql('drop event trigger walcast_rules_sql_drop; drop function walcast.rules_changed() cascade')
    }
    for (const table of picked) late.push(...await round(table, writers, ann, aSecond))
  } finally {
    await writers.stop()
  }
  assertNone(late)
})
