// The activation fence: SELECT after "Subscribed", then apply the stream, and you have the table.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const SEED = seedFrom('FENCE_SEED')
const BACKLOG = 50_000
const WRITERS = 4
const JOINERS = 10
const WRITES_EACH = 400
const BINDING = [{ event: '*', schema: 'public', table: 't' }]

/** One session that inserts, updates and deletes in its own range of ids, in transactions of 1 to 4. */
async function write(cluster, index) {
  const session = await cluster.connect()
  const random = new Random(SEED + index)
  const mine = []
  let next = (index + 1) * 1_000_000
  for (let n = 0; n < WRITES_EACH; n++) {
    await session.query('begin')
    for (let k = random.below(4); k >= 0; k--) {
      const what = random.next(), target = random.pick(mine)
      if (what < 0.5 || !mine.length) {
        await session.query('insert into t values ($1, $2)', [next, `new ${n}`])
        mine.push(next++)
      } else if (what < 0.8) await session.query('update t set v = $2 where id = $1', [target, `changed ${n}`])
      else await session.query('delete from t where id = $1', [mine.splice(mine.indexOf(target), 1)[0]])
    }
    await session.query('commit')
  }
}

function applyTo(rows, { data }) {
  if (data.type === 'DELETE') rows.delete(data.old_record.id)
  else rows.set(data.record.id, data.record.v)
}

/** Joins, SELECTs after "Subscribed", and remembers both. */
async function join(world, index) {
  const client = await Client.open(world.server)
  const before = await world.cluster.connect()
  const seenBefore = new Set((await before.query('select id from t where v like $1', ['backlog%'])).rows.map((r) => r.id))
  await client.subscribe(`fence-${index}`, BINDING)
  const rows = new Map((await before.query('select id, v from t')).rows.map((r) => [r.id, r.v]))
  return { client, rows, seenBefore }
}

test(`joins amid a backlog and ${WRITERS} writers end with exactly the table (FENCE_SEED=${SEED})`, async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const world = await startWorld(t, { sql: 'create table t (id int primary key, v text)', publish: ['t'] })
  const early = await Client.open(world.server)
  t.after(() => early.close())
  await early.subscribe('early', BINDING)
  await world.sql(`insert into t select i, 'backlog ' || i from generate_series(1, ${BACKLOG}) i`)

  const writers = Array.from({ length: WRITERS }, (_, i) => write(world.cluster, i))
  const joiners = []
  const random = new Random(SEED)
  for (let i = 0; i < JOINERS; i++) {
    joiners.push(await join(world, i))
    await world.sql('select pg_sleep($1)', [random.next() * 0.1])
  }
  t.after(() => joiners.forEach((j) => j.client.close()))
  assert.ok(early.changes().length > 0, 'the stream was moving')
  await Promise.all(writers)
  await world.sql(`insert into t values (0, 'end')`)

  const table = new Map((await world.sql('select id, v from t')).map((r) => [r.id, r.v]))
  for (const [i, { client, rows, seenBefore }] of joiners.entries()) {
    await until(() => client.changes().some((c) => c.data.record?.id === 0), `joiner ${i} has the last row`, 60_000 * SLOWNESS)
    for (const change of client.changes()) {
      assert.ok(!seenBefore.has(change.data.record?.id), `joiner ${i} got row ${change.data.record?.id}, committed before it asked`)
      applyTo(rows, change)
    }
    assert.deepEqual([...rows].sort(([a], [b]) => a - b), [...table].sort(([a], [b]) => a - b), `joiner ${i}`)
  }
})

test('an open transaction that commits after "Subscribed" arrives whole', async (t) => {
  const world = await startWorld(t, { sql: 'create table t (id int primary key, v text)', publish: ['t'] })
  const session = await world.cluster.connect()
  await session.query('begin')
  await session.query(`insert into t values (1, 'early')`)
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('open', BINDING)
  await session.query(`insert into t values (2, 'late')`)
  await session.query('commit')
  assert.deepEqual((await client.untilChanges(2)).map((c) => c.data.record.id), [1, 2])
})
