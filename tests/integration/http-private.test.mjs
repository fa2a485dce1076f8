// Private messages over HTTP: the policies of realtime.messages decide, and the request waits for them.
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { ENCODING } from './lib/binary.mjs'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const FUNCTIONS = since(13, 'gen_random_uuid()')
const WAITING_MAX = 1024 // on a thread
const UNAUTHORIZED = [403, { message: 'Unauthorized' }]
const RLS_ERROR = [422, { message: 'RLS policy error' }]
const TOO_MANY = [503, { message: 'Too many requests wait' }]

const world = sharedWorld({
  migrate: true,
  env: { REQUEST_HEADERS: 'x-badge' },
  sql: `
  create function public.header(name text) returns text stable language sql as $$ select current_setting('request.headers', true)::json ->> name $$;
  create policy reads on realtime.messages for select to authenticated using (true);
  create policy writes on realtime.messages for insert to authenticated with check (
    case split_part(realtime.topic(), ':', 1) when 'raises' then 1 / (length(extension) - length(extension)) = 1
      when 'headers' then header('user-agent') = 'probe' and header('x-badge') = '7' and header('content-type') = 'application/json'
      when 'claims' then auth.jwt() ->> 'team' = 'red'
      else extension = 'broadcast' and realtime.topic() like 'open:%' end);`,
}, ({ server }) => server.untilLog(/repl streaming .*messages=1/))

let rooms = 0
const newRoom = (kind = 'open') => `${kind}:${++rooms}`

/** Resolves to [status, body]. */
async function post(path, body, { token = tokenFor('authenticated'), headers = {}, server = world.server, signal } = {}) {
  const response = await server.get(`/api/broadcast${path}`, {
    method: 'POST', body: JSON.stringify(body), signal, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  })
  const text = await response.text()
  return [response.status, text && JSON.parse(text)]
}
const single = (room, options) => post(`/${encodeURIComponent(room)}/events/e?private=true`, { n: 1 }, options)
const batch = (messages, options) => post('', { messages }, options)
const message = (topic, event, more = {}) => ({ topic, event, payload: {}, private: true, ...more })

async function member(t, room, { vsn, config = { private: true } } = {}) {
  const client = await Client.open(world.server, { token: tokenFor('authenticated'), vsn })
  t.after(() => client.close())
  const { status, response } = await client.join(room, config)
  assert.equal(status, 'ok', JSON.stringify(response))
  return client
}

test('a permitted message reaches both versions in the private room alone', FUNCTIONS, async (t) => {
  const room = newRoom()
  const one = await member(t, room, { vsn: '1.0.0' }), two = await member(t, room)
  const outside = await member(t, room, { config: {} })
  assert.deepEqual(await single(room), [202, ''])
  assert.deepEqual(await one.nth('broadcast'), { type: 'broadcast', event: 'e', payload: { n: 1 } })
  const { payload, ...head } = await two.nth('binary')
  assert.deepEqual(head, { kind: 4, enc: ENCODING.JSON, topic: `realtime:${room}`, event: 'e', meta: '' })
  assert.deepEqual(JSON.parse(payload.toString()), { n: 1 })
  await post(`/${encodeURIComponent(room)}/events/public`, {})
  assert.equal((await outside.nth('binary')).event, 'public', 'the first that arrives')
})

test('who may not write is told so, and so is what the policies raise', FUNCTIONS, async () => {
  assert.deepEqual(await single(newRoom('closed')), UNAUTHORIZED)
  assert.deepEqual(await single(newRoom(), { token: tokenFor('anon') }), UNAUTHORIZED)
  assert.deepEqual(await single(newRoom('raises')), RLS_ERROR)
  assert.deepEqual(await single(newRoom(), { token: tokenFor('no_such_role') }), RLS_ERROR)
})

test('policies see the headers and the claims of the request', FUNCTIONS, async () => {
  const headers = { 'user-agent': 'probe', 'X-Badge': '7' }
  assert.deepEqual(await single('headers', { headers }), [202, ''])
  assert.deepEqual(await single('headers', { headers: { ...headers, 'x-badge': '8' } }), UNAUTHORIZED)
  assert.deepEqual(await single('claims', { token: tokenFor('authenticated', { team: 'red' }) }), [202, ''])
  assert.deepEqual(await single('claims', { token: tokenFor('authenticated', { team: 'blue' }) }), UNAUTHORIZED)
})

test('of a batch, what is permitted arrives in order and the rest is skipped', FUNCTIONS, async (t) => {
  const room = newRoom(), closed = newRoom('closed')
  const inside = await member(t, room), shut = await member(t, closed), outside = await member(t, room, { config: {} })
  assert.deepEqual(await batch([
    message(room, '1'), message(closed, 'x'), message(room, '2', { id: 'given' }), message(newRoom('raises'), 'x'),
    message(room, 'public', { private: false }), message(room, '3'),
  ]), [202, ''])
  await inside.nth('broadcast', 3)
  assert.deepEqual(inside.all('broadcast').map(({ event, meta }) => [event, meta?.id]), [['1', undefined], ['2', 'given'], ['3', undefined]])
  assert.equal((await outside.nth('broadcast')).event, 'public')
  await shut.heartbeat()
  assert.deepEqual(shut.all('broadcast'), [])
  assert.deepEqual(await batch([message(closed, 'x')], { token: tokenFor('anon') }), [202, ''])
})

test('many topics of one batch are all judged', FUNCTIONS, async (t) => {
  const topics = Array.from({ length: 100 }, (_, i) => newRoom(i % 2 ? 'open' : 'closed'))
  const last = await member(t, topics.at(-1))
  assert.deepEqual(await batch(topics.map((topic) => message(topic, 'e'))), [202, ''])
  await last.nth('broadcast')
})

// ── while the database does not answer ───────────────────────────────────────────────────────

/** Accepts connections and says nothing; one thread, so that its limit is the server's. */
async function hung(t) {
  const sockets = new Set()
  const silent = net.createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  t.after(() => { silent.close(); sockets.forEach((socket) => socket.destroy()) })
  await new Promise((ok) => silent.once('listening', ok))
  const server = await Server.start({ DB_HOST: '127.0.0.1', DB_PORT: String(silent.address().port), SOCKET_THREADS: '1' }, { wait: 'up' })
  t.after(() => server.stop())
  return server
}

/** Sends bytes; `got` is what has come, `ended` says that it is all. */
function raw(t, server, text) {
  const socket = net.connect(server.port, '127.0.0.1').setEncoding('latin1')
  const connection = { got: '', ended: false, socket }
  socket.on('data', (part) => { connection.got += part }).on('error', () => {}).on('close', () => { connection.ended = true })
  socket.write(text)
  t.after(() => socket.destroy())
  return connection
}
const request = () => `POST /api/broadcast/x/events/e?private=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('authenticated')}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`
const statusOf = (connection) => Number(/^HTTP\/1\.1 (\d+)/.exec(connection.got)?.[1])

test('requests that wait are bounded, cost nothing, and end when their clients hang up', async (t) => {
  const server = await hung(t)
  const crowd = Array.from({ length: WAITING_MAX + 20 }, () => raw(t, server, request()))
  await until(() => crowd.filter((c) => statusOf(c) === 503).length === 20, () => `20 refusals; got ${crowd.filter((c) => c.got).length}`)
  assert.deepEqual(await single('x', { server }), TOO_MANY)
  const cpu = server.cpuSeconds()
  for (let i = 0; i < 20; i++) assert.equal((await server.get('/healthcheck')).status, 200)
  assert.ok(server.cpuSeconds() - cpu < 2)
  crowd.forEach(({ socket }) => socket.destroy())
  await until(async () => {
    const next = raw(t, server, request())
    const refused = until(() => next.got, '', 300).then(() => true, () => false)
    return !await refused
  }, 'a place for the next one')
})

test('what follows a request that waits is neither read nor answered', async (t) => {
  const server = await hung(t)
  const pipelined = raw(t, server, request() + 'GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n')
  const cpu = server.cpuSeconds()
  for (let i = 0; i < 20; i++) assert.equal((await server.get('/healthcheck')).status, 200)
  assert.equal(pipelined.got, '')
  assert.ok(server.cpuSeconds() - cpu < 2)
  await server.stop()
  await until(() => pipelined.ended, 'the end')
  assert.equal((pipelined.got.match(/HTTP\/1\.1/g) ?? []).length, 1, pipelined.got)
})

test('a shutdown answers those that wait', async (t) => {
  const server = await hung(t)
  const waiting = Array.from({ length: 10 }, () => raw(t, server, request()))
  await server.get('/healthcheck')
  await server.stop()
  await until(() => waiting.every((c) => c.ended), 'the end of all')
  for (const c of waiting) assert.match(c.got, /^HTTP\/1\.1 503 [^]*{"message":"Service Unavailable"}$/)
})
