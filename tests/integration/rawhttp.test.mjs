// HTTP as no library would send it: whatever comes in on one connection, the thread serves the others.
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

const GET = 'GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n'
const post = (length) => `POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`
const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** No database is needed; one thread, so that a stuck one is noticed. */
async function startServer(t) {
  const server = await Server.start({ SOCKET_THREADS: '1', DB_HOST: '127.0.0.1', DB_PORT: '1' }, { wait: 'up' })
  t.after(() => server.stop())
  return server
}

/** Sends the parts, each once the one before it is on its way, and returns what came until the end. */
function exchange(server, ...parts) {
  return new Promise((done, fail) => {
    const socket = net.connect(server.port, '127.0.0.1')
    let got = ''
    socket.setEncoding('latin1').setTimeout(5000, () => socket.destroy(new Error(`no end; got ${JSON.stringify(got)}`)))
    socket.on('data', (text) => { got += text }).on('close', () => done(got))
    socket.on('error', (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? done(got) : fail(error)))
    for (const part of parts) socket.write(part)
  })
}

const PIPELINED = {
  'a body behind a GET': GET + post(5) + 'hello',
  'a body behind a body': post(5) + 'hello' + post(5) + 'hello',
  'a body longer than its request': GET + post(5000) + 'x'.repeat(5000) + GET,
  'a body that never comes whole': GET + post(5) + 'he',
  'a GET with a body behind a GET': GET + GET.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n') + 'hello',
  'a body for the WebSocket path': GET + post(5).replace('/nowhere', '/socket/websocket') + 'hello',
  'an upgrade with a body': GET + `GET /socket/websocket?vsn=1.0.0 HTTP/1.1\r\nHost: x\r\n${UPGRADE}Content-Length: 4\r\n\r\nabcd`,
  'a refused upgrade and more': `GET /nowhere HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n` + post(5) + 'hello',
}

test('pipelined requests leave the other connections served', async (t) => {
  const server = await startServer(t)
  for (const [name, bytes] of Object.entries(PIPELINED)) {
    const answer = await exchange(server, bytes)
    assert.match(answer, /^HTTP\/1\.[01] (200|404) /, name)
    assert.equal(answer.match(/HTTP\/1\.[01] \d/g).length, 1, `${name}: one response for a connection`)
    assert.match(answer, /\r\nconnection: close\r\n/, name)
    assert.equal((await server.get('/healthcheck', { signal: AbortSignal.timeout(5000) })).status, 200, `after ${name}`)
  }
})

test('an empty body is answered, whatever the method', async (t) => {
  const server = await startServer(t)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'])
    for (const length of ['Content-Length: 0\r\n', ''])
      assert.match(await exchange(server, `${method} /nowhere HTTP/1.1\r\nHost: x\r\n${length}\r\n`), /^HTTP\/1\.[01] 404 /, method)
})

test('a body in chunks is refused', async (t) => {
  const server = await startServer(t)
  for (const method of ['POST', 'PUT', 'GET'])
    assert.match(await exchange(server, `${method} /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`), /^HTTP\/1\.[01] 411 /, method)
})

test('a body in pieces is one request', async (t) => {
  const server = await startServer(t)
  const socket = net.connect(server.port, '127.0.0.1').setNoDelay()
  let got = ''
  socket.on('data', (data) => { got += data })
  for (const part of [post(8).slice(0, 20), post(8).slice(20), 'abc', 'de', 'fgh']) {
    assert.equal(got, '')
    await new Promise((sent) => socket.write(part, sent))
    await server.get('/healthcheck') // the server has turned its loop since
  }
  await until(() => /^HTTP\/1\.1 404 /.test(got), () => `an answer; got ${got}`)
})
