// A commit that waits for a synchronous standby is in the stream but not yet visible: who joins
// meanwhile must find it in one of the two.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { hangCommits } from './lib/standby.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const BINDING = [{ event: '*', schema: 'public', table: 't' }]
const MORE = 6000 // transactions; more than the server remembers, and more than it keeps for a join
const LAST = 1_000_000

test('a join beside a hanging commit misses nothing and stalls nobody', async (t) => {
  const world = await startWorld(t, { sql: 'create table t (id int primary key, v text)', publish: ['t'] })
  const early = await Client.open(world.server), late = await Client.open(world.server)
  t.after(() => [early, late].forEach((c) => c.close()))
  await early.subscribe('early', BINDING)
  // the first change of a table carries its definition, which must be seen committed to be judged
  await world.sql(`insert into t values (0, 'first')`)
  await early.untilChanges(1)

  const hanging = await world.cluster.connect()
  const { local, release } = await hangCommits(world)
  const hung = hanging.query(`insert into t values (1, 'hung')`)
  await early.untilChanges(2)

  const subscribed = late.subscribe('late', BINDING)
  await late.wait((m) => m.event === 'phx_reply', 'the reply')
  for (let id = 2; id < MORE; id++) await local.query('insert into t values ($1, $2)', [id, 'local'])
  await early.untilChanges(MORE, 30_000 * SLOWNESS)
  assert.deepEqual(await world.sql('select from t where id = 1'), [], 'the first commit hangs')
  assert.equal(late.find((m) => m.event === 'system'), undefined, 'no gap-free place to begin yet')

  await release()
  await hung
  assert.equal((await subscribed).system.status, 'ok')
  const have = new Set((await world.sql('select id from t')).map((r) => r.id))
  await local.query('insert into t values ($1, $2)', [LAST, 'last'])
  await until(() => late.changes().some((c) => c.data.record.id === LAST), 'the last row')
  for (const change of late.changes()) have.add(change.data.record.id)
  assert.equal(have.size, MORE + 1, 'SELECT and stream together are the table')
  assert.ok(late.changes().length < MORE / 2, 'what was committed long before does not arrive')
})
