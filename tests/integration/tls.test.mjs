// TLS on our own port: sockets and HTTP through it, and the certificate replaced while it serves.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import tls from 'node:tls'
import { RealtimeClient } from '@supabase/realtime-js'
import WebSocket from 'ws'
import { Client } from './lib/phoenix.mjs'
import { disconnect } from './lib/realtime.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-tls-'))
const file = (name) => path.join(folder, name)
const files = { TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: file('key.pem') }
const KEYS = { rsa: ['-newkey', 'rsa:2048'], ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] }
const MESSAGE_BYTES = 2_000_000

/** A certificate that is its own authority. */
function certify(name, kind) {
  execFileSync('openssl', ['req', '-x509', ...KEYS[kind], '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
    '-out', files.TLS_CERT_FILE, '-keyout', files.TLS_KEY_FILE], { stdio: 'ignore' })
  return fs.readFileSync(files.TLS_CERT_FILE)
}

let server, ca // the certificate the server has now; no database is needed
before(async () => {
  ca = certify('first', 'rsa')
  server = await Server.start({ ...files, SOCKET_THREADS: '2', DB_HOST: '127.0.0.1', DB_PORT: '1', TENANT_MAX_PAYLOAD_SIZE_IN_KB: '4000' }, { wait: 'no' })
  await server.untilLog(/ listening .*tls=on/)
})
after(async () => {
  await server?.stop()
  fs.rmSync(folder, { recursive: true })
})

const secure = () => ({ socketUrl: `wss://127.0.0.1:${server.port}/socket` })
const open = (options) => Client.open(secure(), { ca, ...options })

const request = (url, { body, ...options } = {}) => new Promise((done, fail) => {
  https.request({ host: '127.0.0.1', port: server.port, path: url, ca, agent: false, ...options }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (part) => { text += part }).on('end', () => done({ status: response.statusCode, text }))
  }).on('error', fail).end(body)
})

/** The name in the certificate that a new connection is shown. */
const presented = (options = {}) => new Promise((done, fail) => {
  const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => {
    const { subject } = socket.getPeerCertificate()
    done({ name: subject.CN, protocol: socket.getProtocol(), alpn: socket.alpnProtocol })
    socket.destroy()
  }).on('error', fail)
})

async function joined(t, room, options) {
  const client = await open(options)
  t.after(() => client.close())
  await client.reply(client.send(`realtime:${room}`, 'phx_join', { config: { broadcast: { self: true } } }))
  return client
}

test('realtime-js works over wss', async (t) => {
  class Trusting extends WebSocket {
    constructor(address, protocols, options) { super(address, protocols, { ...options, ca }) }
  }
  const client = new RealtimeClient(secure().socketUrl, { transport: Trusting, params: { apikey: tokenFor('anon') } })
  t.after(() => disconnect(client))
  const got = []
  const channel = client.channel('js', { config: { broadcast: { self: true, ack: true } } }).on('broadcast', { event: 'e' }, ({ payload }) => got.push(payload))
  await new Promise((ok) => channel.subscribe((status) => status === 'SUBSCRIBED' && ok()))
  await channel.send({ type: 'broadcast', event: 'e', payload: { n: 1 } })
  await until(() => got.length === 1, 'its own message')
})

test('HTTP goes through it: at once, with a body, and answered later', async () => {
  const headers = { authorization: `Bearer ${tokenFor('anon')}`, 'content-type': 'application/json' }
  assert.deepEqual(await request('/healthcheck'), { status: 200, text: 'ok' })
  const messages = [{ topic: 'x', event: 'e', payload: { text: 'y'.repeat(MESSAGE_BYTES) } }]
  assert.equal((await request('/api/broadcast', { method: 'POST', headers, body: JSON.stringify({ messages }) })).status, 202)
  const refused = await request('/api/broadcast/x/events/e?private=true', { method: 'POST', headers, body: '{}' })
  assert.deepEqual(refused, { status: 422, text: '{"message":"Tenant database unavailable"}' })
})

test('large messages arrive whole, at readers who pause too', async (t) => {
  const [sender, reader] = [await joined(t, 'large'), await joined(t, 'large')]
  reader.ws._socket.pause()
  const sent = ['a', 'b', 'c'].map((c) => ({ text: c.repeat(MESSAGE_BYTES) }))
  for (const payload of sent) sender.send('realtime:large', 'broadcast', { type: 'broadcast', event: 'e', payload })
  await sender.nth('broadcast', sent.length)
  reader.ws._socket.resume()
  await reader.nth('broadcast', sent.length)
  for (const client of [sender, reader]) assert.deepEqual(client.all('broadcast').map((m) => m.payload), sent)
})

test('a reader who never reads is closed as too slow, and the others go on', async (t) => {
  const [sender, sleeper] = [await joined(t, 'slow'), await joined(t, 'slow')]
  const payload = { text: 'x'.repeat(MESSAGE_BYTES) }
  const slow = () => /closed .*reason=slow_consumer/.test(server.log)
  sleeper.ws._socket.pause()
  for (let n = 1; !slow(); n++) {
    sender.send('realtime:slow', 'broadcast', { type: 'broadcast', event: 'e', payload })
    await sender.nth('broadcast', n)
  }
})

test('many small messages in one burst are all answered', async (t) => {
  const client = await joined(t, 'burst')
  const refs = Array.from({ length: 5000 }, () => client.send('phoenix', 'heartbeat', {}))
  await until(() => client.all('phx_reply').length >= refs.length, () => `${refs.length} answers; got ${client.all('phx_reply').length}`)
})

test('what is no TLS is told so, and older TLS refused', async () => {
  const plain = await new Promise((done, fail) => {
    let text = ''
    net.connect(server.port, '127.0.0.1').setEncoding('utf8').on('data', (part) => { text += part }).on('error', fail).on('close', () => done(text))
      .write('GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n')
  })
  assert.match(plain, /^HTTP\/1\.1 400 [^]*TLS/)
  await assert.rejects(presented({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' })
  assert.equal((await presented({ maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2')
  assert.deepEqual(await presented({ ALPNProtocols: ['h2', 'http/1.1'] }), { name: 'first', protocol: 'TLSv1.3', alpn: 'http/1.1' })
})

test('who sends nothing, or half a handshake, keeps nobody waiting', async (t) => {
  const hello = Buffer.concat([Buffer.from([22, 3, 1, 2, 0]), Buffer.alloc(100, 1)]) // 100 of 512 bytes
  const sockets = await Promise.all(Array.from({ length: 300 }, (_, i) => new Promise((done, fail) => {
    const socket = net.connect(server.port, '127.0.0.1', () => done(socket)).on('error', fail)
    if (i % 2) socket.write(hello)
  })))
  t.after(() => sockets.forEach((socket) => socket.destroy()))
  const cpu = server.cpuSeconds()
  const answers = await Promise.all(Array.from({ length: 20 }, () => request('/healthcheck')))
  assert.ok(answers.every(({ status }) => status === 200))
  assert.ok(server.cpuSeconds() - cpu < 5, 'those who wait cost nothing')
})

test('on SIGHUP new connections get the new certificate, and old ones go on', async (t) => {
  const early = await joined(t, 'reload')
  const reload = async (pattern) => {
    const before = server.log.length
    server.child.kill('SIGHUP')
    await until(() => pattern.test(server.log.slice(before)), () => `${pattern} in ${server.log.slice(before)}`)
  }
  ca = certify('second', 'ec')
  assert.equal((await presented()).name, 'first', 'not before the signal')
  await reload(/ info tls certificate /)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) assert.equal((await presented({ maxVersion })).name, 'second')
  for (const [name, content] of [['cert.pem', 'nonsense'], ['key.pem', ''], ['cert.pem', null]]) {
    const good = fs.readFileSync(file(name))
    if (content === null) fs.rmSync(file(name))
    else fs.writeFileSync(file(name), content)
    await reload(/ error app certificate_not_loaded .*hint="/)
    fs.writeFileSync(file(name), good)
    assert.equal((await presented()).name, 'second')
  }
  const late = await joined(t, 'reload')
  early.send('realtime:reload', 'broadcast', { type: 'broadcast', event: 'e', payload: { n: 1 } })
  assert.deepEqual((await late.nth('broadcast')).payload, { n: 1 })
  assert.equal(early.closed, null)
})

test('a certificate that cannot be used is an error at the start', async () => {
  for (const [env, why] of [
    [{ TLS_CERT_FILE: files.TLS_CERT_FILE }, /TLS_CERT_FILE and TLS_KEY_FILE/],
    [{ TLS_KEY_FILE: files.TLS_KEY_FILE }, /TLS_CERT_FILE and TLS_KEY_FILE/],
    [{ ...files, TLS_KEY_FILE: file('none.pem') }, /key \S+none\.pem: No such file/],
    [{ ...files, TLS_CERT_FILE: files.TLS_KEY_FILE }, /certificate \S+: /],
  ]) {
    const failing = await Server.start(env, { wait: 'no' })
    const { code } = await failing.ended()
    assert.ok(code > 0, JSON.stringify(env))
    assert.match(failing.log, /start_failed/)
    assert.match(failing.log, why)
    assert.doesNotMatch(failing.log, /PRIVATE/)
    failing.assertClean()
  }
})
