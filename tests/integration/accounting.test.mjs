// The books of /metrics: what was matched was delivered or withheld for a reason, each change for
// each channel exactly once, whatever clients do meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { books, isBalanced, oddSums } from './lib/books.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const STEPS = 60, ROWS_PER_STEP = 40, ROW_BYTES = 8_000, GUESTS = 8, READERS = 2
const LONG_MS = 60_000 * SLOWNESS
const BINDING = [{ event: 'INSERT', schema: 'public', table: 't' }]
// Small, so that whoever stops reading overflows; see slow.test.mjs.
const SMALL = { SEND_BUFFER_BYTES: '65536', MAX_QUEUED_BYTES: '262144', SOCKET_THREADS: '3' }

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)
/** A client that counts changes instead of keeping them. */
async function guest(server, vsn) {
  const client = await Client.open(server, { vsn })
  client.count = 0
  client.room = 'books'
  client.ws.on('message', (data) => {
    const { event } = client.messages.at(-1)
    if (event === 'postgres_changes') client.messages.pop(), client.count++
  })
  await client.subscribe(client.room, BINDING)
  return client
}

/** On a slow machine one may be too slow before it has begun; then another one comes. */
async function patientGuest(server, vsn) {
  for (;;)
    try {
      return await guest(server, vsn)
    } catch (e) {
      if (!/slow consumer/.test(e.message)) throw e
    }
}

/** What guests do to the books. */
const WAYS = {
  vanish: (client) => client.ws.terminate(),
  close: (client) => client.ws.close(),
  leave: (client) => client.send(`realtime:${client.room}`, 'phx_leave', {}),
  rejoin: (client) => client.send(`realtime:${client.room}`, 'phx_join', { config: { postgres_changes: BINDING } }, { ref: '900', joinRef: '900' }),
  sleep: (client) => client.pause(),
  wake: (client) => client.ws.resume(),
}

test('every change for every channel is delivered or withheld, once', async (t) => {
  const seed = seedFrom('ACCOUNTING_SEED'), random = new Random(seed)
  t.diagnostic(`ACCOUNTING_SEED=${seed}`)
  const world = await startWorld(t, { sql: 'create table t (id int primary key, v text)', publish: ['t'], env: SMALL })
  const readers = await Promise.all(random.times(READERS, (i) => patientGuest(world.server, i ? '1.0.0' : '2.0.0')))
  const newGuest = () => patientGuest(world.server, random.pick(['1.0.0', '2.0.0']))
  const guests = await Promise.all(random.times(GUESTS, newGuest))
  const everybody = [...readers, ...guests]
  t.after(() => everybody.forEach((c) => c.close()))

  const ways = Object.keys(WAYS)
  const hasClosed = async () => (await books(world.server)).withheld.connection_closed > 0
  let step = 0
  for (; step < STEPS || (step < 10 * STEPS && !await hasClosed()); step++) {
    const written = world.sql(`insert into t select ${step * ROWS_PER_STEP} + i, repeat('x', ${ROW_BYTES}) from generate_series(1, ${ROWS_PER_STEP}) i`)
    const i = random.below(GUESTS)
    if (guests[i].ws.readyState === guests[i].ws.OPEN) WAYS[random.pick(ways)](guests[i])
    else everybody.push(guests[i] = await newGuest())
    await written
  }
  const rows = step * ROWS_PER_STEP
  // on a slow machine a reader may be too slow, too
  await until(() => readers.every((c) => c.count >= rows || c.closed), () => `${rows} rows each; got ${readers.map((c) => c.count)}`, LONG_MS)
  await until(async () => await world.server.metric('walcast_changes_decoded_total') >= rows, 'the end of the stream', LONG_MS)
  guests.forEach((c) => c.close())
  const open = readers.filter((c) => !c.closed)
  await until(async () => await world.server.metric('walcast_connections') === open.length, 'the guests are gone', LONG_MS)
  let last
  await until(async () => isBalanced(last = await books(world.server)), () => `the books balance; they say ${JSON.stringify(last)}`)
  assert.deepEqual(await books(world.server), last)
  assert.deepEqual(oddSums(await world.server.metrics()), [])

  assert.deepEqual(open.map((c) => c.count), open.map(() => rows), 'who stays gets everything')
  assert.ok(last.delivered >= sum(everybody.map((c) => c.count)), `${JSON.stringify(last)}; clients have ${everybody.map((c) => c.count)}`)
  assert.ok(last.withheld.connection_closed > 0, `nothing was tried: ${JSON.stringify(last)}`)
  t.diagnostic(JSON.stringify(last))
})
