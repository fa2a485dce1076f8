// Effects do not overtake their causes: whoever has seen a message, or the answer to one, and then
// sends another, on any connection, has it arrive behind the first everywhere.
import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const RECEIVERS = 12, POSTS = 600, RELAYS = 2_000
// More threads than most machines here have cores: they are preempted in every place there is.
const world = sharedWorld({ env: { SOCKET_THREADS: '4' } })

async function members(t, room) {
  const clients = await Promise.all(Array.from({ length: RECEIVERS }, () => Client.open(world.server)))
  t.after(() => clients.forEach((c) => c.close()))
  for (const c of clients) assert.equal((await c.join(room, { broadcast: { self: true } })).status, 'ok')
  return clients
}

const numbers = (client) => client.all('broadcast').map(({ payload }) => payload.n)

async function assertAllInOrder(clients, count) {
  const wanted = Array.from({ length: count }, (_, n) => n)
  await until(() => clients.every((c) => c.all('broadcast').length >= count), () => `${count} each; got ${clients.map((c) => c.all('broadcast').length)}`, 20_000 * SLOWNESS)
  for (const c of clients) assert.deepEqual(numbers(c), wanted)
}

/** On a connection of its own, which any socket thread may accept. */
function post(room, n) {
  const body = JSON.stringify({ messages: [{ topic: room, event: 'n', payload: { n } }] })
  const headers = { authorization: `Bearer ${tokenFor('anon')}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    http.request({ host: '127.0.0.1', port: world.server.port, path: '/api/broadcast', method: 'POST', agent: false, headers }, (res) => {
      resolve(res.statusCode) // at the first sight of the answer
      res.resume()
    }).on('error', reject).end(body)
  })
}

test('a broadcast posted after the answer to another arrives behind it', async (t) => {
  const clients = await members(t, 'posts')
  for (let n = 0; n < POSTS; n++) assert.equal(await post('posts', n), 202)
  await assertAllInOrder(clients, POSTS)
})

test('a reaction to a broadcast arrives behind it', async (t) => {
  const clients = await members(t, 'relay')
  const say = (client, n) => client.send('realtime:relay', 'broadcast', { type: 'broadcast', event: 'n', payload: { n } })
  clients.forEach((c, i) => c.ws.on('message', (data) => {
    const [, , , event, message] = JSON.parse(data)
    const next = event === 'broadcast' ? message.payload.n + 1 : 0
    if (next && next < RELAYS && next % RECEIVERS === i) say(c, next)
  }))
  say(clients[0], 0)
  await assertAllInOrder(clients, RELAYS)
})
