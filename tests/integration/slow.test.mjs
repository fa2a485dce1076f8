// A client that never reads costs the server a bounded queue, and the others nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const ROWS = 100_000
const BINDING = [{ event: '*', schema: 'public', table: 't' }]
// Buffers are fixed so that they must overflow: 100,000 rows are about 30 MB on the wire, the queue
// and the kernel's buffers on both sides hold less than 5 MB of them.
const SMALL = { SEND_BUFFER_BYTES: '65536', MAX_QUEUED_BYTES: '262144' }

test('a client that never reads is closed with its reason; another gets every row in order', async (t) => {
  const world = await startWorld(t, { sql: 'create table t (id int primary key, v text)', publish: ['t'], env: SMALL })
  const reader = await Client.open(world.server), sleeper = await Client.open(world.server)
  t.after(() => [reader, sleeper].forEach((c) => c.close()))
  await reader.subscribe('reader', BINDING)
  await sleeper.subscribe('sleeper', BINDING)
  sleeper.pause()

  // the reader keeps only what the test needs of each row
  let next = 1, wrong = null
  reader.ws.removeAllListeners('message')
  reader.ws.on('message', (data) => {
    const message = JSON.parse(data.toString())
    if (message[3] !== 'postgres_changes') return
    const { id } = message[4].data.record
    if (id !== next) wrong ??= `row ${id} in place ${next}`
    next++
  })

  const [first, last] = [1, ROWS]
  for (let from = first; from <= last; from += 10_000)
    await world.sql(`insert into t select i, 'row ' || i from generate_series(${from}, ${from + 9_999}) i`)
  await until(() => next > ROWS || wrong || reader.closed, () => `${ROWS} rows; got ${next - 1}`, 120_000 * SLOWNESS)
  assert.equal(wrong, null)
  assert.equal(reader.closed, null)
  assert.equal(next, ROWS + 1)

  await world.server.untilLog(/slow_consumer/)
  assert.equal(await world.server.metric('walcast_connections_closed_total{reason="slow_consumer"}'), 1)
  sleeper.ws.resume()
  assert.notEqual((await sleeper.untilClosed()).code, 1000)
  assert.ok(sleeper.changes().length < ROWS, 'it cannot have received everything')
})
