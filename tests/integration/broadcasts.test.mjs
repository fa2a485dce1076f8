// The books of /metrics about broadcasts: what was sent was published or dropped for a reason; each
// member of its room got it, or did not for a reason, once; and tenants add up to the node.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENCODING, userPush } from './lib/binary.mjs'
import { areBroadcastsBalanced, broadcastBooks, oddSums } from './lib/books.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { Random, seedFrom } from './lib/random.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const STEPS = 60, PER_STEP = 25, BYTES = 8_000, GUESTS = 8, ROOM = 'books', TICK_MS = 5000
const LONG_MS = 60_000 * SLOWNESS
// Small, so that whoever stops reading overflows; see slow.test.mjs.
const SMALL = { SEND_BUFFER_BYTES: '65536', MAX_QUEUED_BYTES: '262144', SOCKET_THREADS: '3' }

/** A member that counts what it gets instead of keeping it. */
async function member(server, vsn, room = ROOM) {
  const client = await Client.open(server, { vsn })
  client.count = 0
  client.ws.on('message', (data, isBinary) => {
    if (isBinary || client.messages.at(-1).event === 'broadcast') client.messages.pop(), client.count++
  })
  assert.equal((await client.join(room, { broadcast: { ack: false } })).status, 'ok')
  return client
}

const WAYS = {
  vanish: (client) => client.ws.terminate(),
  close: (client) => client.ws.close(),
  leave: (client) => client.send(`realtime:${ROOM}`, 'phx_leave', {}),
  rejoin: (client) => client.send(`realtime:${ROOM}`, 'phx_join', { config: {} }, { ref: '900', joinRef: '900' }),
  misjoin: (client) => client.send(`realtime:${ROOM}`, 'phx_join', { config: {}, access_token: 'potato' }, { ref: '901', joinRef: '901' }),
  sleep: (client) => client.pause(),
  wake: (client) => client.ws.resume(),
}

const payload = (i) => ({ i, x: 'x'.repeat(BYTES) })
const post = (server, path, type, body) => server.get(path, { method: 'POST', headers: { authorization: `Bearer ${tokenFor('anon')}`, 'content-type': type }, body })
const SENDS = {
  // one after the other, as a connection takes them
  database: (world, sender, i) => world.sending = Promise.resolve(world.sending).then(() => world.sql('select realtime.send($1::jsonb, $2, $3, false)', [JSON.stringify(payload(i)), 'e', i % 5 ? ROOM : 'nobody-there'])),
  client: (world, sender, i) => sender.send(`realtime:${ROOM}`, 'broadcast', { type: 'broadcast', event: 'e', payload: payload(i) }),
  // V1 gets nothing of these bytes
  binary: (world, sender) => sender.raw(userPush(`realtime:${ROOM}`, 'e', Buffer.alloc(100, 0xff), { encoding: ENCODING.BYTES })),
  batch: ({ server }, sender, i) => post(server, '/api/broadcast', 'application/json', JSON.stringify({ messages: [ROOM, 'nobody-there'].map((topic) => ({ topic, event: 'e', payload: payload(i) })) })),
  single: ({ server }, sender, i) => post(server, `/api/broadcast/${ROOM}/events/e`, 'application/json', JSON.stringify(payload(i))),
}

async function expectBalance(t, server) {
  let last
  await until(async () => areBroadcastsBalanced(last = await broadcastBooks(server)), () => `the books balance; they say ${JSON.stringify(last)}`, LONG_MS)
  t.diagnostic(JSON.stringify(last))
  assert.deepEqual(await broadcastBooks(server), last)
  let odd
  await until(async () => (odd = oddSums(await server.metrics())).length === 0, () => `tenants add up to the node; not so: ${JSON.stringify(odd)}`)
  return last
}

test('every broadcast for every member is delivered or withheld, once', since(13, 'gen_random_uuid()'), async (t) => {
  const seed = seedFrom('ACCOUNTING_SEED'), random = new Random(seed)
  t.diagnostic(`ACCOUNTING_SEED=${seed}`)
  const world = await startWorld(t, { env: SMALL, migrate: true }), { server } = world
  await server.untilLog(/repl streaming .*messages=1/)
  const sender = await member(server, '2.0.0'), newGuest = () => member(server, random.pick(['1.0.0', '2.0.0']))
  const guests = await Promise.all(random.times(GUESTS, newGuest)), everybody = [sender, ...guests]
  t.after(() => everybody.forEach((c) => c.close()))

  const seen = ({ withheld }) => withheld.connection_closed > 0 && withheld.slow_consumer > 0 && withheld.serializer > 0
  const ways = Object.keys(WAYS), sends = Object.keys(SENDS)
  const oversize = { type: 'broadcast', event: 'e', payload: 'x'.repeat(3_100_000) }
  sender.send(`realtime:${ROOM}`, 'broadcast', oversize)
  for (let step = 0; step < STEPS || (step < 10 * STEPS && !seen(await broadcastBooks(server))); step++) {
    const answers = random.times(PER_STEP, (i) => SENDS[random.pick(sends)](world, sender, i))
    const i = random.below(GUESTS)
    if (guests[i].ws.readyState === guests[i].ws.OPEN) WAYS[random.pick(ways)](guests[i])
    else everybody.push(guests[i] = await newGuest())
    for (const answer of await Promise.all(answers)) if (answer?.status) assert.equal(answer.status, 202)
  }
  await sender.heartbeat()
  const [{ rows }] = await world.sql('select count(*)::int as rows from realtime.messages')
  await until(async () => await server.metric('walcast_broadcasts_total{origin="database"}') === rows, `${rows} rows of the database`, LONG_MS)
  guests.forEach((c) => c.close())
  await until(async () => await server.metric('walcast_connections') === 1, 'the guests are gone', LONG_MS)
  const last = await expectBalance(t, server)
  for (const origin of ['client', 'http', 'database']) assert.ok(last.sent[origin] > 0, origin)
  assert.ok(seen(last), `nothing was tried: ${JSON.stringify(last)}`)
  assert.equal(last.dropped.payload_size, 1)
  assert.ok(last.dropped.nobody_there > 0)
  const page = await server.metrics(), ages = ['committed_at', 'inserted_at'].map((what) => page.get(`realtime_tenants_broadcast_from_database_latency_${what}_count{tenant="realtime-dev"}`))
  assert.ok(ages[0] > 0 && ages[0] <= rows && ages[0] === ages[1], `ages of ${ages} of ${rows} rows`)
  assert.ok(last.delivered >= everybody.reduce((sum, { count }) => sum + count, 0), 'clients have no more than was delivered')
})

test('so it is when a limit shuts the members of a room', async (t) => {
  const { server } = await startWorld(t, { env: { ...SMALL, TENANT_MAX_EVENTS_PER_SECOND: '5' } })
  const sender = await member(server, '2.0.0'), others = await Promise.all(['1.0.0', '2.0.0', '2.0.0'].map((vsn) => member(server, vsn)))
  t.after(() => [sender, ...others].forEach((c) => c.close()))
  const send = () => sender.send(`realtime:${ROOM}`, 'broadcast', { type: 'broadcast', event: 'e', payload: {} })
  for (let i = 0; i < 200; i++) send()
  await until(async () => {
    send()
    return (await broadcastBooks(server)).withheld.rate_limited > 0
  }, 'a limit that triggers', 3 * TICK_MS * SLOWNESS)
  for (const other of others) await other.wait((m) => m.event === 'phx_close', 'the end of its channel')
  const { withheld } = await expectBalance(t, server)
  assert.equal(withheld.rate_limited, others.length)
  const page = await server.metrics()
  assert.equal(page.get('realtime_channel_error{tenant="realtime-dev",code="ChannelShutdown"}'), others.length)
})
