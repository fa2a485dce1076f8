// What one client address may do, proxies that speak for others, origins, connections without a channel.
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const start = (t, env) => startWorld(t, { env: { SOCKET_THREADS: '2', ...env } })
const from = (address, rest = {}) => ({ headers: { 'x-forwarded-for': address }, ...rest })
/** `null` when the connection opens, else status and error. */
const attempt = async (server, options) => {
  try {
    (await Client.open(server, options)).close()
    return null
  } catch (e) {
    if (!e.status) throw e
    return [e.status, JSON.parse(e.body).error]
  }
}
const TOO_MANY = 'Too many connections from this address'

test('connections of one address are bounded; another address, as a trusted proxy names it, is not', async (t) => {
  const { server } = await start(t, { MAX_CONNECTIONS_PER_ADDRESS: '2', TRUSTED_PROXIES: '127.0.0.0/8' })
  const open = [await Client.open(server, from('192.0.2.1')), await Client.open(server, from('6.6.6.6, 192.0.2.1'))]
  assert.deepEqual(await attempt(server, from('192.0.2.1')), [429, TOO_MANY])
  assert.equal(await attempt(server, from('192.0.2.2')), null)
  assert.equal(await attempt(server, from('2001:db8::1')), null)
  assert.match(server.log, /address_refused address=192\.0\.2\.1 why="Too many connections from this address"/)
  open.pop().close()
  await until(async () => await attempt(server, from('192.0.2.1')) === null, 'room again')
  for (let i = 0; i < 20; i++) assert.equal(await attempt(server, {}), null) // a proxy that names nobody
  open.pop().close()
})

test('without trusted proxies what a client says of its address counts for nothing', async (t) => {
  const { server } = await start(t, { MAX_CONNECTIONS_PER_ADDRESS: '1' })
  const first = await Client.open(server, from('192.0.2.1'))
  assert.deepEqual(await attempt(server, from('192.0.2.2')), [429, TOO_MANY])
  first.close()
})

test('attempts per second', async (t) => {
  const { server } = await start(t, { CONNECTS_PER_SECOND_PER_ADDRESS: '5', TRUSTED_PROXIES: '127.0.0.1' })
  const answers = await Promise.all(Array.from({ length: 40 }, () => attempt(server, from('192.0.2.1'))))
  const granted = answers.filter((a) => a === null).length
  assert.ok(granted >= 5 && granted <= 20, `${granted} granted`)
  assert.ok(answers.filter((a) => a !== null).every(([status, error]) => status === 429 && error === 'Too many connection attempts from this address'))
  assert.equal(await attempt(server, from('192.0.2.2')), null)
  await until(async () => await attempt(server, from('192.0.2.1')) === null, 'the next one')
})

test('an address that is refused again and again is slowed down, nobody else', async (t) => {
  const { server } = await start(t, { REFUSALS_PER_MINUTE_PER_ADDRESS: '60', TRUSTED_PROXIES: '127.0.0.1' })
  const bad = from('192.0.2.1', { token: 'potato' })
  let refusals = 0, answer
  while ((answer = await attempt(server, bad))[0] === 401) refusals++
  assert.deepEqual(answer, [429, 'Too many refused connection attempts from this address'])
  assert.ok(refusals >= 60 && refusals <= 70, `${refusals} refusals`)
  assert.equal((await attempt(server, from('192.0.2.1')))[0], 429) // good tokens, too
  assert.equal(await attempt(server, from('192.0.2.2')), null)
  await until(async () => await attempt(server, from('192.0.2.1')) === null, 'the next look at a token')
})

test('only pages of the allowed origins open WebSockets; what sends no origin is no browser', async (t) => {
  const { server } = await start(t, { ALLOWED_ORIGINS: 'https://app.example.com,https://*.example.org' })
  const page = (origin) => attempt(server, { headers: { origin } })
  for (const origin of ['https://app.example.com', 'https://x.example.org']) assert.equal(await page(origin), null)
  for (const origin of ['https://evil.example', 'https://example.org', 'null']) assert.deepEqual(await page(origin), [403, 'Origin not allowed'])
  assert.equal(await attempt(server, {}), null)
  server.child.kill('SIGHUP') // the list outlives the settings it came with
  await server.untilLog(/app reload status="ok"/)
  assert.equal(await page('https://app.example.com'), null)
  assert.deepEqual(await page('https://evil.example'), [403, 'Origin not allowed'])
})

test('by default every page may', async (t) => {
  const { server } = await start(t, {})
  assert.equal(await attempt(server, { headers: { origin: 'https://anything.example' } }), null)
})

test('a network that cannot be read keeps the server from starting', async () => {
  const server = await Server.start({ TRUSTED_PROXIES: '10.0.0.0/8,proxy.local', DB_HOST: '127.0.0.1' }, { wait: 'no' })
  assert.equal((await server.ended()).code, 1)
  assert.match(server.log, /"proxy\.local.{1,3} is no network such as 10\.0\.0\.0\/8/)
})

test('a connection that has joined, or tried to, is cut when it has no channel for long', async (t) => {
  const { server } = await start(t, { NO_CHANNEL_TIMEOUT_IN_MS: '1500' })
  const never = await Client.open(server), left = await Client.open(server)
  const failed = await Client.open(server), member = await Client.open(server)
  await member.join('stays')
  await left.join('leaves')
  await left.reply(left.send('realtime:leaves', 'phx_leave', {}, { joinRef: '1' }))
  assert.equal((await failed.join('', {})).status, 'error')
  for (const client of [left, failed]) assert.equal((await client.untilClosed()).code, 1006) // no close frame
  assert.equal((await member.heartbeat()).status, 'ok')
  assert.equal((await never.heartbeat()).status, 'ok')
  assert.equal(await server.metric('walcast_connections_closed_total{reason="no_channel"}'), 2)
  never.close()
  member.close()
})

/** What comes back for raw bytes; the connection is then ended from here. */
const raw = (server, bytes) => new Promise((resolve, reject) => {
  let text = ''
  const socket = net.connect(server.port, '127.0.0.1', () => socket.write(bytes))
  socket.on('data', (d) => { text += d; if (text.includes('\r\n\r\n')) socket.destroy() })
  socket.on('close', () => resolve(text)).on('error', (e) => e.code === 'ECONNRESET' || e.code === 'EPIPE' ? resolve(text) : reject(e))
})

test('header floods end their own connection only', async (t) => {
  const { server } = await start(t, {})
  const client = await Client.open(server)
  const head = 'GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n'
  const floods = [
    head + 'x-y: z\r\n'.repeat(10_000) + '\r\n',
    `${head}x-y: ${'z'.repeat(1_000_000)}\r\n\r\n`,
    `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    head + Array.from({ length: 2000 }, (_, i) => `x-${i}: ${i}\r\n`).join('') + '\r\n',
    `${head}x-forwarded-for: ${'10.0.0.1, '.repeat(100_000)}\r\n\r\n`,
  ]
  for (const flood of floods) assert.doesNotMatch(await raw(server, flood), /^HTTP\/1\.\d (101|2)/)
  assert.equal((await client.heartbeat()).status, 'ok')
  client.close()
})
