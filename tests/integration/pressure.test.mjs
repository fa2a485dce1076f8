// Senders faster than the rings: nothing is lost or reordered, nobody stalls.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { frame, heartbeatText, OP, RawConnection } from './lib/raw.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const MESSAGES = 3_000, SENDERS = 3, RECEIVERS = 4
// Rings of two messages overflow at once, so senders are paused and read again all the time.
const TINY = { RING_ENTRIES: '2', SOCKET_THREADS: '2' }

/** Keeps of each broadcast what the test needs: per sender, the next number expected. */
function listen(client) {
  const seen = { next: Array(SENDERS).fill(0), wrong: null }
  client.ws.on('message', (data) => {
    const [, , , event, payload] = JSON.parse(data.toString())
    if (event !== 'broadcast') return
    const { sender, n } = payload
    if (n !== seen.next[sender]) seen.wrong ??= `${n} of sender ${sender} in place ${seen.next[sender]}`
    seen.next[sender]++
  })
  return seen
}

test('paused senders go on by themselves; every receiver gets every message in order', async (t) => {
  const world = await startWorld(t, { env: TINY })
  const open = async (n) => Promise.all(Array.from({ length: n }, () => Client.open(world.server)))
  const senders = await open(SENDERS), receivers = await open(RECEIVERS), [other] = await open(1)
  t.after(() => [...senders, ...receivers, other].forEach((c) => c.close()))
  for (const c of [...senders, ...receivers]) assert.equal((await c.join('flood', {})).status, 'ok')
  for (const c of [...senders, ...receivers]) c.ws.removeAllListeners('message')
  const seen = receivers.map(listen)

  senders.forEach((c, sender) => {
    c.ws._socket.cork() // many messages in one packet: the rest of one that is being read must not be forgotten
    for (let n = 0; n < MESSAGES; n++) c.send('realtime:flood', 'broadcast', { sender, n })
    c.ws._socket.uncork()
  })
  await other.heartbeat()
  const isDone = (s) => s.wrong || s.next.every((n) => n === MESSAGES)
  await until(() => seen.every(isDone), () => `all messages; got ${JSON.stringify(seen)}`, 20_000 * SLOWNESS)
  assert.deepEqual(seen.map((s) => s.wrong), seen.map(() => null))
  assert.ok(await world.server.metric('walcast_ring_full_total') > 0)
  assert.equal(await world.server.metric('walcast_wakeup_backstop_total'), 0)
  assert.equal(await world.server.metric('walcast_broadcasts_dropped_total{reason="overflow"}'), 0)
})

test('what one packet holds beyond the pause is read though nothing else happens', async (t) => {
  const world = await startWorld(t, { env: { ...TINY, SOCKET_THREADS: '1' } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  assert.equal((await client.join('alone', { broadcast: { self: true } })).status, 'ok')
  const numbers = Array.from({ length: 15 }, (_, n) => n)
  client.ws._socket.cork()
  for (const n of numbers) client.send('realtime:alone', 'broadcast', { n })
  client.ws._socket.uncork()
  await client.nth('broadcast', numbers.length)
  assert.deepEqual(client.all('broadcast').map((p) => p.n), numbers)
})

/** Heartbeats without a pause, their answers thrown away. */
async function flood(server) {
  const raw = await RawConnection.open(server)
  raw.socket.removeAllListeners('data').on('data', () => {})
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => frame(OP.TEXT, heartbeatText('1'))))
  const goOn = () => raw.socket.destroyed || raw.socket.write(many, goOn)
  goOn()
  return raw
}

test('clients that ask without a pause do not hold up the messages of others on their thread', async (t) => {
  const world = await startWorld(t, { env: { SOCKET_THREADS: '1' } })
  const client = await Client.open(world.server)
  t.after(() => client.close())
  assert.equal((await client.join('calm', { broadcast: { self: true } })).status, 'ok')
  const floods = await Promise.all(Array.from({ length: 3 }, () => flood(world.server)))
  const started = Date.now(), COUNT = 20
  for (let n = 1; n <= COUNT; n++) {
    client.send('realtime:calm', 'broadcast', { n })
    await client.nth('broadcast', n)
  }
  const ms = Date.now() - started
  floods.forEach((raw) => raw.socket.destroy())
  assert.ok(ms < 3_000 * SLOWNESS, `${COUNT} messages took ${ms} ms`)
})
