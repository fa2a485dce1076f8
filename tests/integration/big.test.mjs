// Large transactions, rows, tables and crowds. TESTS_FULL=1 (make test-all) takes the large figures.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { FULL, IS_TSAN, SANITIZER_ENV, SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const run = promisify(execFile)
const binding = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })
const residentMiB = ({ server }) => Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) / 1024
// AddressSanitizer keeps freed memory for a while: let it keep little, or nothing would look flat
// (ASAN_OPTIONS); clients that only listen are not idle here
const ENV = { ASAN_OPTIONS: `${SANITIZER_ENV.ASAN_OPTIONS}:quarantine_size_mb=4`, IDLE_TIMEOUT_MS: '3600000' }
const start = (t, options) => startWorld(t, { ...options, env: ENV })
const DEADLINE_MS = (FULL ? 600_000 : 60_000) * SLOWNESS

/** Counts the changes of a client instead of keeping them; `wrong`: the first that is not the next id. */
function count(client) {
  const seen = { n: 0, wrong: null }
  client.ws.removeAllListeners('message')
  client.ws.on('message', (data) => {
    const [, , , event, payload] = JSON.parse(data.toString())
    if (event !== 'postgres_changes') return
    if (payload.data.record.id !== ++seen.n) seen.wrong ??= `row ${payload.data.record.id} in place ${seen.n}`
  })
  return seen
}

const OWNED = `alter table t enable row level security; create policy own on t for select using (owner = auth.jwt() ->> 'sub');`
for (const [name, ddl, rows] of [['', '', FULL ? 1_000_000 : 40_000], [' under row security', OWNED, FULL ? 100_000 : 5_000]]) {
  test(`a transaction of ${rows} rows${name} arrives whole and in order, and memory stays flat`, async (t) => {
    const world = await start(t, { sql: `create table t (id int primary key, owner text, body text); ${ddl}`, publish: ['t'] })
    const client = await Client.open(world.server, { token: tokenFor('authenticated', { sub: 'ann' }) })
    t.after(() => client.close())
    await client.subscribe('large', [binding('t')])
    const seen = count(client)
    const writing = world.sql(`insert into t select i, 'ann', repeat('x', 100) from generate_series(1, ${rows}) i`)
    const sizes = []
    await until(() => {
      if (seen.n > rows / 10) sizes.push(residentMiB(world))
      return seen.wrong || seen.n >= rows
    }, () => `${rows} rows; got ${seen.n}`, DEADLINE_MS)
    await writing
    assert.deepEqual(seen, { n: rows, wrong: null })
    if (IS_TSAN) return
    const grown = Math.max(...sizes) - sizes[0]
    t.diagnostic(`${sizes[0].toFixed()} MiB after a tenth, at most ${grown.toFixed(1)} MiB more later`)
    assert.ok(grown < 48, `memory grew by ${grown} MiB`)
  })
}

test('a row of many megabytes is announced without its large values, and the next rows arrive', async (t) => {
  const MEGABYTES = FULL ? 50 : 8
  const world = await start(t, { sql: 'create table t (id int primary key, body text, n int); alter table t replica identity full', publish: ['t'] })
  const all = await Client.open(world.server), few = await Client.open(world.server)
  t.after(() => [all, few].forEach((c) => c.close()))
  await all.subscribe('all', [binding('t')])
  await few.subscribe('few', [binding('t', { filter: 'id=eq.2' })])
  await world.sql(`insert into t values (1, repeat('b', ${MEGABYTES} * 1000000), 7)`)
  await world.sql('update t set n = 8')
  await world.sql('delete from t')
  await world.sql(`insert into t values (2, 'small', 9)`)
  const changes = (await all.untilChanges(4, DEADLINE_MS)).map((c) => c.data)
  const TOO_LARGE = ['Error 413: Payload Too Large']
  assert.deepEqual(changes.map((d) => [d.type, d.record, d.old_record, d.errors]), [
    ['INSERT', { id: 1, n: 7 }, undefined, TOO_LARGE],
    ['UPDATE', { id: 1, n: 8 }, { id: 1, n: 7 }, TOO_LARGE],
    ['DELETE', undefined, { id: 1, n: 8 }, TOO_LARGE],
    ['INSERT', { id: 2, body: 'small', n: 9 }, undefined, null],
  ])
  assert.deepEqual((await few.untilChanges(1)).map((c) => c.data.record.id), [2])
})

test('a table of 1,600 columns', async (t) => {
  const names = Array.from({ length: 1599 }, (_, i) => `c${i + 1}`)
  const world = await start(t, { sql: `create table t (id int primary key, ${names.map((c) => `${c} int2`).join(', ')})`, publish: ['t'] })
  const all = await Client.open(world.server), some = await Client.open(world.server)
  t.after(() => [all, some].forEach((c) => c.close()))
  await all.subscribe('all', [binding('t')])
  const { system } = await some.subscribe('some', [binding('t', { select: ['c1599'], filter: 'c1599=gte.3,c1=is.null' })])
  assert.equal(system.status, 'ok', system.message)
  for (const n of [2, 3]) await world.sql(`insert into t (id, c2, c1599) values (${n}, 1, ${n})`)
  const { record, columns } = (await all.untilChanges(2))[1].data
  assert.deepEqual(record, { id: 3, ...Object.fromEntries(names.map((c) => [c, null])), c2: 1, c1599: 3 })
  assert.deepEqual(columns.map((c) => c.name), ['id', ...names])
  assert.deepEqual((await some.untilChanges(1)).map((c) => c.data.record), [{ id: 3, c1599: 3 }])
})

test('many relations', async (t) => {
  const RELATIONS = FULL ? 10_000 : 400, STEP = 200
  const world = await start(t, { conf: { max_locks_per_transaction: '1024' }, sql: 'drop publication supabase_realtime; create publication supabase_realtime for all tables; create table first (id int primary key)' })
  const client = await Client.open(world.server, { token: tokenFor('service_role') })
  t.after(() => client.close())
  assert.equal((await client.subscribe('many', [binding('*')])).system.status, 'ok')
  for (let from = 0; from < RELATIONS; from += STEP) {
    await world.sql(`do $$ begin for i in ${from}..${from + STEP - 1} loop
      execute format('create table r%s (id int primary key); grant select on r%s to service_role; insert into r%s values (%s)', i, i, i, i); end loop; end $$`)
  }
  const expected = Array.from({ length: RELATIONS }, (_, i) => `r${i} ${i}`)
  const named = (c) => `${c.data.table} ${c.data.record.id}`
  assert.deepEqual((await client.untilChanges(RELATIONS, DEADLINE_MS)).map(named), expected)
  for (let from = 0; from < RELATIONS; from += STEP) {
    await world.sql(`do $$ begin for i in ${from}..${from + STEP - 1} loop execute format('insert into r%s values (-1)', i); end loop; end $$`)
  }
  const again = (await client.untilChanges(2 * RELATIONS, DEADLINE_MS)).slice(RELATIONS)
  assert.deepEqual(again.map(named), expected.map((name) => `${name.split(' ')[0]} -1`))
})

const PGBENCH = '/usr/lib/postgresql/15/bin/pgbench'
const PER_CONNECTION = 10

/** Runs the script `times` times in each of 4 sessions. */
async function pgbench(world, script, times) {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-pgbench-')), 'script.sql')
  fs.writeFileSync(file, script)
  const { DB_HOST, DB_PORT, DB_USER, DB_NAME, DB_PASSWORD } = world.cluster.serverEnv
  const place = ['-h', DB_HOST, '-p', DB_PORT, '-U', DB_USER, DB_NAME]
  try {
    await run(PGBENCH, ['-n', '-c', '4', '-j', '1', '-t', String(times), '-f', file, ...place], { env: { ...process.env, PGPASSWORD: DB_PASSWORD } })
  } finally {
    fs.rmSync(path.dirname(file), { recursive: true })
  }
}

/** Each channel k of `crowd` is subscribed with options(k) and must get exactly the rows of owner k. */
async function assertEverybodyServed(t, world, crowd, options, times) {
  const clients = []
  for (let k = 0; k < crowd; k++) {
    if (k % PER_CONNECTION === 0) {
      const client = await Client.open(world.server)
      t.after(() => client.close())
      clients.push(client)
    }
    const { more, extra } = options(k)
    const { system } = await clients.at(-1).subscribe(`crowd-${k}`, [binding('t', more)], extra)
    assert.equal(system.status, 'ok', system.message)
  }
  await pgbench(world, `\\set k random(0, ${crowd - 1})\ninsert into t (owner) values (:k);\n`, times)
  await world.sql(`insert into t (owner) select generate_series(0, ${crowd - 1})`) // the last for everybody
  const rows = await world.sql('select owner, array_agg(id order by id) as ids from t group by owner')
  assert.equal(rows.length, crowd)
  for (const { owner, ids } of rows) {
    const client = clients[Math.floor(owner / PER_CONNECTION)], got = () => client.changes(`crowd-${owner}`).map((c) => c.data.record.id)
    await until(() => got().length >= ids.length, () => `${ids.length} rows for ${owner}; got ${got().length}`, DEADLINE_MS)
    assert.deepEqual(got().sort((a, b) => a - b), ids, `rows of ${owner}`)
  }
}

const CROWDED = 'create table t (id int generated always as identity primary key, owner int not null)'

test('500 subscribers with filters while pgbench runs: each gets its rows, once', async (t) => {
  const world = await start(t, { sql: CROWDED, publish: ['t'] })
  await assertEverybodyServed(t, world, 500, (k) => ({ more: { filter: `owner=eq.${k}` } }), FULL ? 5_000 : 500)
})

const JUDGED = FULL ? 500 : 100
test(`${JUDGED} users under row security while pgbench runs: each gets its rows, once`, async (t) => {
  const world = await start(t, { sql: `${CROWDED}; alter table t enable row level security; create policy own on t for select using (owner = (auth.jwt() ->> 'k')::int)`, publish: ['t'] })
  await assertEverybodyServed(t, world, JUDGED, (k) => ({ extra: { access_token: tokenFor('authenticated', { k }) } }), FULL ? 1_000 : 100)
})
