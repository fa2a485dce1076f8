// How a request says whose it is: by the path, by a header, by its host.
import assert from 'node:assert/strict'
import http from 'node:http'
import { after, before, test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { connect, disconnect } from './lib/realtime.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

const NAME = 'acme'
const headers = { authorization: `Bearer ${tokenFor('anon')}`, 'content-type': 'application/json' }
const MESSAGE = JSON.stringify({ messages: [{ topic: 'x', event: 'e', payload: {} }] })

let any, strict // no database is needed
before(async () => {
  const env = { SELF_HOST_TENANT_NAME: NAME, DB_HOST: '127.0.0.1', DB_PORT: '1' }
  any = await Server.start(env, { wait: 'up' })
  strict = await Server.start({ ...env, TENANT_HOST: 'strict' }, { wait: 'up' })
})
after(() => Promise.all([any?.stop(), strict?.stop()]))

/** fetch would not send this Host. */
const ping = (server, { path = '/api/ping', host, tenant } = {}) => new Promise((done, fail) => {
  http.get({ port: server.port, path, headers: { host: host ?? 'localhost', ...(tenant === undefined ? {} : { 'x-tenant-id': tenant }) } }, (response) => {
    response.resume().on('end', () => done(response.statusCode))
  }).on('error', fail)
})

/** Sees the server under the prefix of a tenant. */
const under = (server, name) => ({ socketUrl: `ws://127.0.0.1:${server.port}/t/${name}/socket` })

test('a strict server is reached by host, header or path', async () => {
  for (const [how, status] of [
    [{}, 401],
    [{ host: `${NAME}.example.com:4000` }, 200],
    [{ host: 'other.example.com' }, 401],
    [{ tenant: NAME }, 200],
    [{ path: `/t/${NAME}/api/ping` }, 200],
    [{ path: `/t/${NAME}/realtime/v1/api/ping` }, 200],
  ]) assert.equal(await ping(strict, how), status, JSON.stringify(how))
})

test('who names another tenant does not get this one, whatever the host says', async () => {
  for (const server of [any, strict]) {
    const host = `${NAME}.example.com`
    for (const how of [
      { tenant: 'other' }, { tenant: '' }, { tenant: 'x'.repeat(256) },
      { path: '/t/other/api/ping' }, { path: '/t/other/api/ping', tenant: NAME }, { path: `/t/%01${NAME}/api/ping` },
    ]) assert.equal(await ping(server, { host, ...how }), 401, JSON.stringify(how))
    assert.equal(await ping(server, { path: `/t/${NAME}/api/ping`, tenant: 'other' }), 200, 'the path comes first')
  }
})

test('sockets are opened under the path and with the header', async (t) => {
  for (const [server, options] of [
    [under(strict, NAME), {}],
    [{ socketUrl: `ws://127.0.0.1:${strict.port}/t/${NAME}/realtime/v1` }, {}],
    [strict, { headers: { 'x-tenant-id': NAME } }],
  ]) {
    const client = await Client.open(server, options)
    t.after(() => client.close())
  }
  for (const [server, options] of [[under(any, 'other'), {}], [strict, {}], [any, { headers: { 'x-tenant-id': 'other' } }]])
    await assert.rejects(Client.open(server, options), { status: 404, body: '{"error":"Tenant not found"}' })
})

test('realtime-js works under the path, sockets and HTTP alike', async (t) => {
  const clients = [connect(under(strict, NAME)), connect(under(strict, NAME))]
  t.after(() => Promise.all(clients.map(disconnect)))
  const got = []
  await clients[0].setAuth(tokenFor('anon'))
  await new Promise((joined) => clients[0].channel('room').on('broadcast', { event: 'e' }, ({ payload }) => got.push(payload)).subscribe((status) => status === 'SUBSCRIBED' && joined()))
  await clients[1].setAuth(tokenFor('anon'))
  const sender = clients[1].channel('room')
  const result = await sender.httpSend('e', { by: 'http' })
  assert.equal(result.success, true, JSON.stringify(result))
  await sender.send({ type: 'broadcast', event: 'e', payload: { by: 'batch' } })
  await until(() => got.length === 2, () => `both messages; got ${JSON.stringify(got)}`)
  assert.deepEqual(got, [{ by: 'http' }, { by: 'batch' }])
})

test('nothing but what belongs to a tenant is found under its path', async () => {
  const get = (path, options) => any.get(`/t/${NAME}${path}`, options)
  for (const path of ['/health', '/healthcheck', '/metrics', '/api/tenants', '/t/acme/api/ping', '/', '']) assert.equal((await get(path)).status, 404, path)
  assert.equal((await get('/api/broadcast', { method: 'POST', headers, body: MESSAGE })).status, 202)
  const preflight = await get('/api/broadcast', { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' } })
  assert.equal(preflight.status, 204)
})
