// Clients that mean harm, or just misbehave on a large scale: limits hold, the others are served, and
// the memory comes back.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { IS_TSAN, SANITIZER_ENV, SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { frame, OP, RawConnection } from './lib/raw.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

const REQUEST_TIMEOUT_MS = 10_000 // of the server
const ROOM = 'realtime:room'
// AddressSanitizer keeps freed memory for a while; here that would look like a leak.
const env = { ...SANITIZER_ENV, ASAN_OPTIONS: `${SANITIZER_ENV.ASAN_OPTIONS}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:allocator_release_to_os_interval_ms=500` }

let server, neighbour
before(async () => {
  server = await Server.start({ ...env, DB_PORT: '1', SEND_BUFFER_BYTES: '65536', MAX_QUEUED_BYTES: '1048576', SOCKET_THREADS: '2' }, { wait: 'up' })
  neighbour = await Client.open(server)
  await neighbour.join('neighbour', { broadcast: { self: true, ack: true } })
})
after(async () => {
  neighbour?.close()
  await server?.stop()
})

const residentMiB = () => Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) / 1024

/** Runs the attack; the neighbour is served during it, and afterwards memory is where it was. */
async function withstand(t, attack) {
  const earlier = residentMiB()
  let isOver = false, served = 0, slowest = 0
  const serving = (async () => {
    while (!isOver) {
      const since = Date.now()
      assert.deepEqual(await neighbour.heartbeat(), { status: 'ok', response: {} })
      slowest = Math.max(slowest, Date.now() - since)
      served++
    }
  })()
  await attack().finally(() => { isOver = true })
  await serving
  t.diagnostic(`${served} heartbeats of a neighbour, the slowest ${slowest} ms; ${earlier.toFixed(0)} MiB resident before`)
  assert.ok(served > 0)
  if (!IS_TSAN) await until(() => residentMiB() < earlier + 20, () => `memory back: ${earlier.toFixed(1)} MiB before, ${residentMiB().toFixed(1)} now`, 30_000)
}

function dial(bytes) {
  const socket = net.connect(server.port, '127.0.0.1')
  const state = { socket, got: '', isClosed: false }
  socket.on('data', (data) => { state.got += data }).on('error', () => {}).on('close', () => { state.isClosed = true })
  if (bytes) socket.write(bytes)
  return state
}

const HANDSHAKE = `GET /socket/websocket?vsn=2.0.0&apikey=${tokenFor('anon')} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`

test('500 handshakes that never end are cut', async (t) => {
  await withstand(t, async () => {
    const since = Date.now()
    const slow = Array.from({ length: 500 }, () => dial(HANDSHAKE))
    const drip = setInterval(() => { for (const { socket, isClosed } of slow) if (!isClosed) socket.write('x-more: 1\r\n') }, 1000)
    await until(() => slow.every((s) => s.isClosed), () => `${slow.filter((s) => !s.isClosed).length} are still open`, (REQUEST_TIMEOUT_MS + 20_000) * SLOWNESS).finally(() => clearInterval(drip))
    assert.ok(Date.now() - since < (REQUEST_TIMEOUT_MS + 10_000) * SLOWNESS)
    assert.ok(slow.every((s) => !s.got.startsWith('HTTP/1.1 101')))
  })
})

test('500 connections that say nothing are cut', async (t) => {
  await withstand(t, async () => {
    const silent = Array.from({ length: 500 }, () => dial())
    await until(() => silent.every((s) => s.isClosed), () => `${silent.filter((s) => !s.isClosed).length} are still open`, (REQUEST_TIMEOUT_MS + 20_000) * SLOWNESS)
  })
})

for (const [name, bytes] of [
  ['10,000 headers', HANDSHAKE + Array.from({ length: 10_000 }, (_, i) => `x-h${i}: ${i}\r\n`).join('') + '\r\n'],
  ['a header of 1 MB', `${HANDSHAKE}x-large: ${'x'.repeat(1_000_000)}\r\n\r\n`],
  ['a request line of 1 MB', `GET /${'x'.repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['a body announced with 1 TB', 'POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{'],
]) {
  test(`a hundred requests with ${name} are refused`, async (t) => {
    await withstand(t, async () => {
      const flood = Array.from({ length: 100 }, () => dial(bytes))
      await until(() => flood.every((s) => s.isClosed), () => `${flood.filter((s) => !s.isClosed).length} are still open`, (REQUEST_TIMEOUT_MS + 20_000) * SLOWNESS)
      for (const { got } of flood) assert.doesNotMatch(got, /^HTTP\/1\.[01] (101|2)/)
    })
  })
}

/** Connections that each send most of a large message or body, and never its end. */
const PIECES = 100, PIECE = 4_000_000
const HELD_MIB = 2 * 2 * (64 + PIECES / 16) // of two threads, each intake.h's limits; buffers double

test('bodies that never end do not pile up', async (t) => {
  await withstand(t, async () => {
    const earlier = residentMiB()
    const head = `POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${PIECE + 1}\r\n\r\n`
    const posts = Array.from({ length: PIECES }, () => dial(head + ' '.repeat(PIECE)))
    t.after(() => posts.forEach(({ socket }) => socket.destroy()))
    const refused = () => posts.filter((s) => s.isClosed).length
    await until(() => refused() > PIECES / 2, () => `${refused()} are refused`, 8000 * SLOWNESS)
    if (!IS_TSAN) assert.ok(residentMiB() < earlier + HELD_MIB, `${residentMiB()} MiB, ${earlier} before`)
    posts.forEach(({ socket }) => socket.destroy())
  })
})

test('messages that never end do not pile up, and small ones pass meanwhile', async (t) => {
  await withstand(t, async () => {
    const earlier = residentMiB()
    const raws = []
    for (let i = 0; i < PIECES; i++) raws.push(await RawConnection.open(server))
    t.after(() => raws.forEach((raw) => raw.close()))
    const part = frame(OP.TEXT, Buffer.alloc(PIECE, 32), { fin: false })
    for (const raw of raws) raw.socket.write(part)
    const refused = () => raws.filter((raw) => raw.ended || raw.frames.some((f) => f.opcode === OP.CLOSE)).length
    await until(() => refused() > PIECES / 2, () => `${refused()} are refused`, 30_000 * SLOWNESS)
    if (!IS_TSAN) assert.ok(residentMiB() < earlier + HELD_MIB, `${residentMiB()} MiB, ${earlier} before`)
    const other = await Client.open(server)
    t.after(() => other.close())
    await other.join('meanwhile', { broadcast: { ack: true } })
    assert.equal((await other.reply(other.send('realtime:meanwhile', 'broadcast', { event: 'e', payload: 'x'.repeat(50_000) }))).status, 'ok')
    raws.forEach((raw) => raw.close())
  })
})

test('20,000 joins that time out behind 40,000 that wait on cost little work', async (t) => {
  const spacious = await Server.start({ DB_PORT: '1', SOCKET_THREADS: '1' }, { wait: 'up' })
  t.after(() => spacious.stop())
  const client = await Client.open(spacious)
  t.after(() => client.close())
  const join = (topic, timeout) => client.send(topic, 'phx_join', { config: { postgres_changes: [{ table: 't' }], postgres_changes_options: { wait: true, timeout } } })
  for (let i = 0; i < 40_000; i++) join(`realtime:long-${i}`, 20_000)
  for (let i = 0; i < 20_000; i++) join(`realtime:short-${i}`, 2000)
  let timedOut = 0, before
  client.ws.on('message', (data) => {
    if (!data.includes('Timed out after 2000ms')) return
    before ??= spacious.cpuSeconds()
    timedOut++
  })
  await until(() => timedOut === 20_000, () => `all; got ${timedOut}`, 30_000 * SLOWNESS)
  const work = spacious.cpuSeconds() - before
  t.diagnostic(`${work.toFixed(2)} s of work from the first to the last`)
  assert.ok(work < 1.5 * SLOWNESS, `${work} s`)
})

test('10,000 topics joined on one connection are answered, bounded, and let go', async (t) => {
  await withstand(t, async () => {
    const client = await Client.open(server)
    t.after(() => client.close())
    const TOPICS = 10_000
    for (let i = 0; i < TOPICS; i++) client.send(`realtime:topic-${i}`, 'phx_join', { config: {} }, { ref: String(i), joinRef: String(i) })
    await until(() => client.messages.length >= TOPICS || client.closed, () => `${client.messages.length} replies`, 60_000 * SLOWNESS)
    const replies = client.messages.filter((m) => m.event === 'phx_reply')
    for (const { payload } of replies) if (payload.status === 'error') assert.match(payload.response.reason, /too many channels/i)
    assert.equal(replies.length, TOPICS)
    client.ws.close()
    await client.untilClosed()
  })
})

test('with TENANT_MAX_CHANNELS_PER_CLIENT the same gets the documented refusal', async (t) => {
  const limited = await Server.start({ DB_PORT: '1', TENANT_MAX_CHANNELS_PER_CLIENT: '100' }, { wait: 'up' })
  t.after(() => limited.stop())
  const client = await Client.open(limited)
  t.after(() => client.close())
  for (let i = 0; i < 1000; i++) client.send(`realtime:topic-${i}`, 'phx_join', { config: {} }, { ref: String(i), joinRef: String(i) })
  await until(() => client.messages.length >= 1000, () => `${client.messages.length} replies`)
  const reasons = client.messages.map((m) => m.payload.response.reason ?? 'ok')
  assert.deepEqual([reasons.filter((r) => r === 'ok').length, new Set(reasons.slice(100))], [100, new Set(['ChannelRateLimitReached: Too many channels'])])
})

const deep = (open, close, n) => `${open.repeat(n)}1${close.repeat(n)}`
for (const [name, text] of [
  ['nested arrays', `["1","1","${ROOM}","phx_join",${deep('[', ']', 1_000_000)}]`],
  ['nested objects', `["1","1","${ROOM}","phx_join",${deep('{"a":', '}', 700_000)}]`],
  ['two million numbers', `["1","1","${ROOM}","phx_join",[${'1,'.repeat(2_000_000)}1]]`],
  ['a topic of 4 MB', `["1","1","realtime:${'x'.repeat(4_000_000)}","phx_join",{}]`],
  ['an event of 4 MB', `["1","1","${ROOM}","${'x'.repeat(4_000_000)}",{}]`],
  ['a ref of 4 MB', `["1","${'x'.repeat(4_000_000)}","${ROOM}","phx_join",{}]`],
  ['a million escapes', `["1","1","realtime:${'\\u0041'.repeat(700_000)}","phx_join",{}]`],
]) {
  test(`ten connections sending ${name} survive without gain`, async (t) => {
    await withstand(t, async () => {
      const clients = await Promise.all(Array.from({ length: 10 }, () => Client.open(server)))
      t.after(() => clients.forEach((c) => c.close()))
      for (const client of clients) client.raw(text)
      for (const client of clients) {
        const ref = client.send('phoenix', 'heartbeat', {})
        await until(() => client.find((m) => m.ref === ref), 'the heartbeat behind it', 60_000 * SLOWNESS)
        assert.ok(client.messages.every((m) => m.text.length < 10_000), 'no answer is as large as the question')
      }
      for (const client of clients) client.close()
    })
  })
}

test('clients that stop reading during a flood are closed; the others get every message in order', async (t) => {
  await withstand(t, async () => {
    // readers share this process with the sender: a batch is far below MAX_QUEUED_BYTES
    const MESSAGES = 2000, BATCH = 20, config = { broadcast: { ack: true } }
    const [sender, ...readers] = await Promise.all(Array.from({ length: 4 }, () => Client.open(server)))
    const sleepers = await Promise.all(Array.from({ length: 10 }, () => Client.open(server)))
    t.after(() => [sender, ...readers, ...sleepers].forEach((c) => c.close()))
    for (const client of [sender, ...readers, ...sleepers]) assert.equal((await client.join('flood', config)).status, 'ok')
    for (const client of sleepers) client.pause()
    const filler = 'x'.repeat(10_000) // 20 MB for everybody, of which buffers hold a part
    for (let i = 0; i < MESSAGES; i++) {
      sender.send('realtime:flood', 'broadcast', { type: 'broadcast', event: 'e', payload: { i, filler } }, { ref: `m${i}` })
      if (i % BATCH < BATCH - 1) continue
      assert.equal((await sender.reply(`m${i}`)).status, 'ok')
      for (const reader of readers) await until(() => reader.all('broadcast').length === i + 1 || reader.closed, () => `${i + 1}; got ${reader.all('broadcast').length}`)
    }
    for (const reader of readers) {
      await until(() => reader.all('broadcast').length >= MESSAGES || reader.closed, () => `${MESSAGES}; got ${reader.all('broadcast').length}`, 60_000 * SLOWNESS)
      assert.deepEqual(reader.all('broadcast').map((m) => m.payload.i), Array.from({ length: MESSAGES }, (_, i) => i))
    }
    await until(async () => await server.metric('walcast_connections_closed_total{reason="slow_consumer"}') >= sleepers.length, 'all sleepers closed')
    for (const client of sleepers) client.ws.resume()
    for (const client of sleepers) assert.notEqual((await client.untilClosed()).code, 1000)
    for (const client of readers) assert.equal(client.closed, null)
  })
})

test('5,000 connections that come and go leave nothing behind', async (t) => {
  await withstand(t, async () => {
    for (let round = 0; round < 10; round++) {
      const clients = await Promise.all(Array.from({ length: 500 }, () => Client.open(server)))
      await Promise.all(clients.map((c) => c.join(`churn-${round}`, { presence: { enabled: true } })))
      for (const client of clients) client.close()
    }
    await until(async () => await server.metric('walcast_connections') <= 1, 'all connections gone')
  })
})
