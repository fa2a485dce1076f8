// What clients rely on in public channels, each test once per serializer version. Elsewhere:
// refusals and garbage (badinput), limits of the tenant (limits), tokens (token), old clients
// (legacy), exact frames (golden), official clients (clients).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ENCODING, push, userPush } from './lib/binary.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { mint, secondsFromNow, tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

// No database: public channels do not wait for one. The original refuses every join without it.
const MAX_PAYLOAD_KB = 10
const WINDOW = { calls: 5, ms: 1500 }
let server
before(async () => {
  server = await Server.start({ DB_PORT: '1', TENANT_MAX_PAYLOAD_SIZE_IN_KB: String(MAX_PAYLOAD_KB), CLIENT_PRESENCE_MAX_CALLS: String(WINDOW.calls), CLIENT_PRESENCE_WINDOW_MS: String(WINDOW.ms) }, { wait: 'up' })
})
after(() => server?.stop())

let rooms = 0
const newRoom = () => `room:${++rooms}`
const OK = { status: 'ok', response: {} }
const JOINED = { status: 'ok', response: { postgres_changes: [] } }
const broadcast = (event, payload) => ({ type: 'broadcast', event, payload })
const track = (payload) => ({ type: 'presence', event: 'track', payload })
const exp = () => secondsFromNow(3600)

async function open(t, options) {
  const client = await Client.open(server, options)
  t.after(() => client.close())
  return client
}

async function joined(t, room, config = {}, options = {}) {
  const client = await open(t, options)
  assert.deepEqual(await client.join(room, config), JOINED)
  return client
}

/** What `from` had sent, and would arrive at `to`, has arrived: messages of one sender keep their order. */
async function settle(from, to) {
  const room = newRoom()
  for (const client of new Set([from, to])) assert.deepEqual(await client.join(room, { broadcast: { self: from === to } }), JOINED)
  from.send(`realtime:${room}`, 'broadcast', broadcast('settled', {}))
  await to.nth('broadcast', 1, room)
}

for (const vsn of ['1.0.0', '2.0.0']) {
  const behaves = (name, run) => test(`${name} (${vsn})`, run)
  const isV2 = vsn === '2.0.0'

  // ── connection ─────────────────────────────────────────────────────────────────────────────

  behaves('the key is taken from x-api-key, which wins over apikey', async (t) => {
    const a = await open(t, { vsn, token: 'potato', headers: { 'x-api-key': tokenFor('anon') } })
    assert.deepEqual(await a.heartbeat(), OK)
  })

  behaves('the endpoint is at /realtime/v1/websocket too', async (t) => {
    const a = await Client.open({ socketUrl: `ws://127.0.0.1:${server.port}/realtime/v1` }, { vsn })
    t.after(() => a.close())
    assert.deepEqual(await a.join(newRoom()), JOINED)
  })

  behaves('unknown query parameters, and log_level of any value, are ignored', async (t) => {
    const a = await open(t, { vsn, query: { log_level: 'loud', token: 'x', foo: 'bar' } })
    assert.deepEqual(await a.heartbeat(), OK)
  })

  // ── join ───────────────────────────────────────────────────────────────────────────────────

  behaves('a join without bindings is answered with an empty list and no system message', async (t) => {
    const a = await open(t, { vsn })
    for (const postgres_changes of [undefined, null, [], [null]]) assert.deepEqual(await a.join(newRoom(), { postgres_changes }), JOINED)
    await a.heartbeat()
    assert.deepEqual(a.all('system'), [])
  })

  behaves('a topic without a name is refused, and no presence_state follows', async (t) => {
    const a = await open(t, { vsn })
    const reply = await a.join('', { presence: { enabled: true } })
    assert.deepEqual(reply, { status: 'error', response: { reason: 'TopicNameRequired: You must provide a topic name' } })
    await a.join(newRoom(), { presence: { enabled: true } })
    await a.nth('presence_state')
    assert.equal(a.all('presence_state').length, 1)
  })

  for (const [value, isTrue] of [[true, true], ['true', true], ['True', true], ['TRUE', true], [false, false], ['false', false], ['False', false], ['yes', false], ['a', false], [1, false], [null, false]]) {
    behaves(`broadcast.self ${JSON.stringify(value)} means ${isTrue}`, async (t) => {
      const room = newRoom()
      const a = await joined(t, room, { broadcast: { self: value, ack: true } }, { vsn })
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', broadcast('e', {}))), OK)
      await settle(a, a)
      assert.equal(a.all('broadcast', room).length, isTrue ? 1 : 0)
    })
  }

  behaves('private of a wrong type joins a public channel', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { private: 'yes', broadcast: { self: true } }, { vsn })
    const b = await joined(t, room, {}, { vsn })
    a.send(`realtime:${room}`, 'broadcast', broadcast('e', { n: 1 }))
    assert.deepEqual(await b.nth('broadcast'), broadcast('e', { n: 1 }))
  })

  behaves('a presence key may be a number; an empty, null or missing one becomes a random string', async (t) => {
    const keys = []
    for (const key of [7, '', null, undefined]) {
      const room = newRoom()
      const a = await joined(t, room, { presence: { enabled: true, key } }, { vsn })
      a.send(`realtime:${room}`, 'presence', track({}))
      keys.push(...Object.keys((await a.nth('presence_diff')).joins))
    }
    assert.equal(keys[0], '7')
    assert.equal(new Set(keys).size, 4)
    for (const key of keys.slice(1)) assert.match(key, /^.{16,}$/)
  })

  behaves('presence {} means disabled: no presence_state', async (t) => {
    const a = await open(t, { vsn })
    for (const presence of [{}, { enabled: false }, { enabled: 'test' }, null, 'x']) assert.deepEqual(await a.join(newRoom(), { presence }), JOINED)
    await a.join(newRoom(), { presence: { enabled: true } })
    await a.nth('presence_state')
    assert.equal(a.all('presence_state').length, 1)
  })

  for (const config of [[], 'x', 7, { postgres_changes: [7] }, { postgres_changes: ['x'] }]) {
    behaves(`a config of ${JSON.stringify(config)} is an error, not the end`, async (t) => {
      const a = await open(t, { vsn })
      const { status, response } = await a.join(newRoom(), config)
      assert.equal(status, 'error')
      assert.match(response.reason, /^UnknownErrorOnChannel: /)
      assert.deepEqual(await a.heartbeat(), OK)
    })
  }

  for (const [name, token, reason] of [
    ['an expired token', () => mint({ role: 'anon', exp: secondsFromNow(-10) }), /^InvalidJWTToken: Token has expired 1\d seconds ago$/],
    ['a token without role', () => mint({ exp: exp() }), /^InvalidJWTToken: Fields `role` and `exp` are required in JWT$/],
    ['no token at all', () => 'potato', /^MalformedJWT: The token provided is not a valid JWT$/],
    ['a token whose exp is a string', () => mint({ role: 'anon', exp: String(exp()) }), /./],
    ['a token whose iat is a string', () => mint({ role: 'anon', exp: exp(), iat: 'x' }), /./],
  ]) {
    behaves(`a rejoin with ${name} is refused, and the channel it replaces gets phx_close after the reply`, async (t) => {
      const room = newRoom()
      const a = await joined(t, room, {}, { vsn })
      const reply = await a.join(room, {}, { access_token: token() })
      assert.equal(reply.status, 'error')
      assert.match(reply.response.reason, reason)
      await a.nth('phx_close')
      const events = a.messages.filter((m) => m.topic === `realtime:${room}`).map((m) => [m.event, m.ref])
      assert.deepEqual(events, [['phx_reply', '1'], ['phx_reply', '2'], ['phx_close', '1']])
      assert.deepEqual((await a.reply(a.send(`realtime:${room}`, 'broadcast', {}))).response, { reason: 'unmatched topic' })
    })
  }

  for (const name of ['access_token', 'user_token']) {
    behaves(`${name} that starts with sb_ stands for the connection's key`, async (t) => {
      const a = await open(t, { vsn })
      assert.deepEqual(await a.join(newRoom(), {}, { [name]: 'sb_publishable_x' }), JOINED)
    })
  }

  behaves('exp and iat may be decimal numbers', async (t) => {
    const a = await open(t, { vsn, token: mint({ role: 'anon', exp: exp() + 0.5, iat: secondsFromNow(-5) + 0.25 }) })
    assert.deepEqual(await a.join(newRoom()), JOINED)
  })

  behaves('rejoining a topic 20 times works, each old channel closed with its own ref', async (t) => {
    const room = newRoom()
    const a = await open(t, { vsn })
    for (let i = 0; i < 20; i++) assert.deepEqual(await a.join(room), JOINED)
    await a.heartbeat()
    assert.deepEqual(a.messages.filter((m) => m.event === 'phx_close').map((m) => m.ref), Array.from({ length: 19 }, (_, i) => String(i + 1)))
  })

  behaves('topics may hold colons, quotes, spaces and any letters, and are case-sensitive', async (t) => {
    const name = `Ünï "quoted" \\ a:b:c 😀 ${newRoom()}`
    const a = await joined(t, name, { broadcast: { self: true } }, { vsn })
    const b = await joined(t, name.toLowerCase(), {}, { vsn })
    a.send(`realtime:${name}`, 'broadcast', broadcast('e', {}))
    await a.nth('broadcast', 1, name)
    await settle(a, b)
    assert.deepEqual(b.all('broadcast', name.toLowerCase()), [])
  })

  // ── join_ref (lenient, but for leaving) ────────────────────────────────────────────────────

  for (const [name, joinRef] of [['stale', 'long-gone'], ['null', null]]) {
    behaves(`track and an acknowledged broadcast are taken with a ${name} join_ref`, async (t) => {
      const room = newRoom()
      const a = await joined(t, room, { broadcast: { self: true, ack: true }, presence: { key: 'k' } }, { vsn })
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', track({ x: 1 }), { ref: 't', joinRef })), OK)
      assert.equal((await a.nth('presence_diff')).joins.k.metas[0].x, 1)
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', broadcast('e', {}), { ref: 'b', joinRef })), OK)
      assert.deepEqual(await a.nth('broadcast'), broadcast('e', {}))
      if (isV2) for (const ref of ['t', 'b']) assert.equal(a.find((m) => m.ref === ref).joinRef, '1', 'the reply has the join_ref of the join')
    })

    behaves(`a leave with a ${name} join_ref is ignored`, async (t) => {
      const room = newRoom()
      const a = await joined(t, room, { broadcast: { ack: true } }, { vsn })
      a.send(`realtime:${room}`, 'phx_leave', {}, { ref: 'l', joinRef })
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', {})), OK)
      assert.equal(a.find((m) => m.ref === 'l'), undefined)
    })
  }

  behaves('leaving each joined topic gives a reply and phx_close', async (t) => {
    const a = await open(t, { vsn })
    const names = [newRoom(), newRoom(), newRoom()]
    for (const name of names) await a.join(name)
    for (const [i, name] of names.entries()) assert.deepEqual(await a.reply(a.send(`realtime:${name}`, 'phx_leave', {}, { ref: `l${i}`, joinRef: String(i + 1) })), OK)
    await a.nth('phx_close', 3)
    assert.deepEqual(a.messages.filter((m) => m.event === 'phx_close').map((m) => m.topic), names.map((name) => `realtime:${name}`))
  })

  behaves('refs come back with the JSON type they were sent in', async (t) => {
    const a = await open(t, { vsn })
    for (const ref of [7, 'x"y', null, 1.5]) {
      a.send('phoenix', 'heartbeat', {}, { ref })
      await a.wait((m) => m.event === 'phx_reply' && m.ref === ref, `the reply to ${ref}`)
    }
  })

  // ── broadcast ──────────────────────────────────────────────────────────────────────────────

  behaves('a broadcast to oneself comes back unchanged', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { self: true } }, { vsn })
    const payload = { ...broadcast('e', { deep: [{ a: [null, true, 'ü😀"\\', -0.5] }] }), more: { x: 1 }, meta: { id: 'forged' } }
    a.send(`realtime:${room}`, 'broadcast', payload)
    assert.deepEqual(await a.nth('broadcast'), payload)
  })

  behaves('numbers keep their digits', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { self: true } }, { vsn })
    const digits = '{"big":123456789012345678901234567890,"float":1.0,"exp":1e400,"small":0.1000000000000000055511151231257827}'
    const text = a.v2 ? `["1","9","realtime:${room}","broadcast",${digits}]` : `{"topic":"realtime:${room}","event":"broadcast","ref":"9","payload":${digits}}`
    a.raw(text)
    await a.nth('broadcast')
    assert.ok(a.messages.find((m) => m.event === 'broadcast').text.includes(digits))
  })

  behaves('without self the sender gets nothing, but another channel of the same user does', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { self: false, ack: true } }, { vsn })
    const b = await joined(t, room, {}, { vsn })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', broadcast('e', {}))), OK)
    await b.nth('broadcast')
    await settle(a, a)
    assert.deepEqual(a.all('broadcast', room), [])
  })

  behaves('without ack there is no reply', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { self: true } }, { vsn })
    const ref = a.send(`realtime:${room}`, 'broadcast', broadcast('e', {}))
    await a.nth('broadcast')
    await settle(a, a)
    assert.equal(a.find((m) => m.ref === ref), undefined)
  })

  behaves('a public channel named private:x is a room of its own', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { ack: true } }, { vsn })
    const b = await joined(t, `private:${room}`, { broadcast: { ack: true } }, { vsn })
    for (const [c, name] of [[a, room], [b, `private:${room}`]]) assert.deepEqual(await c.reply(c.send(`realtime:${name}`, 'broadcast', {})), OK)
    await settle(a, b)
    await settle(b, a)
    assert.deepEqual([...a.all('broadcast', room), ...b.all('broadcast', `private:${room}`)], [])
  })

  behaves('any object is forwarded, and a payload that is none reaches version 1 receivers', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { ack: true } }, { vsn })
    const one = await joined(t, room, {}, { vsn: '1.0.0' }), two = await joined(t, room, {}, { vsn: '2.0.0' })
    for (const [i, payload] of [{}, { event: 'x' }, { type: 'other', a: null }].entries()) {
      a.send(`realtime:${room}`, 'broadcast', payload)
      for (const c of [one, two]) assert.deepEqual(await c.nth('broadcast', i + 1), payload)
    }
    for (const [i, payload] of ['text', 7, [1, 2], null].entries()) {
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', payload)), OK, 'the original crashes here when a version 2 client listens')
      assert.deepEqual(await one.nth('broadcast', i + 4), payload)
    }
    a.send(`realtime:${room}`, 'broadcast', { last: true })
    assert.deepEqual(await two.nth('broadcast', 4), { last: true })
  })

  behaves('a payload over the limit: an error with ack, silence without, and the channel goes on', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { ack: true } }, { vsn }), b = await joined(t, room, {}, { vsn })
    const large = broadcast('e', { x: 'x'.repeat(MAX_PAYLOAD_KB * 1000 + 600) })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', large)), { status: 'error', response: 'payload_size_exceeded' })
    const ref = b.send(`realtime:${room}`, 'broadcast', large)
    b.send(`realtime:${room}`, 'broadcast', broadcast('small', {}))
    assert.deepEqual(await a.nth('broadcast'), broadcast('small', {}))
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', broadcast('e', { x: 'x'.repeat(MAX_PAYLOAD_KB * 1000 - 200) }))), OK)
    await b.nth('broadcast')
    assert.equal(b.find((m) => m.ref === ref), undefined)
    assert.deepEqual([a.all('phx_close'), b.all('phx_close')], [[], []])
  })

  behaves('a room that everybody left is empty: nothing arrives, nothing breaks', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { broadcast: { ack: true } }, { vsn }), b = await joined(t, room, {}, { vsn })
    await b.reply(b.send(`realtime:${room}`, 'phx_leave', {}, { joinRef: '1' }))
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'broadcast', broadcast('e', {}))), OK)
    await settle(a, b)
    assert.deepEqual(b.all('broadcast', room), [])
  })

  // ── presence ───────────────────────────────────────────────────────────────────────────────

  behaves('a join with presence gets presence_state, {} for an empty room', async (t) => {
    const a = await joined(t, newRoom(), { presence: { enabled: true } }, { vsn })
    assert.deepEqual(await a.nth('presence_state'), {})
    const [message] = a.messages.filter((m) => m.event === 'presence_state')
    assert.equal(message.ref, null)
    if (isV2) assert.equal(message.joinRef, '1')
  })

  behaves('track is answered and announced under the key; TRACK too', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { enabled: true, key: 'me' } }, { vsn }), b = await joined(t, room, {}, { vsn })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', { ...track({ user: 'a' }), event: 'TRACK' })), OK)
    for (const c of [a, b]) {
      const { joins, leaves } = await c.nth('presence_diff')
      assert.deepEqual(leaves, {})
      assert.deepEqual(Object.keys(joins), ['me'])
      const [{ phx_ref, ...meta }] = joins.me.metas
      assert.deepEqual(meta, { user: 'a' })
      assert.equal(typeof phx_ref, 'string')
    }
    const [fanOut] = b.messages.filter((m) => m.event === 'presence_diff')
    assert.equal(fanOut.ref, null)
    if (isV2) assert.equal(fanOut.joinRef, null)
  })

  behaves('the first track enables presence: others get the diff, the tracker no state', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { key: 'me' } }, { vsn })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', track({}))), OK)
    await a.nth('presence_diff')
    assert.deepEqual(a.all('presence_state'), [])
    const b = await joined(t, room, { presence: { enabled: true } }, { vsn })
    assert.deepEqual(Object.keys(await b.nth('presence_state')), ['me'])
  })

  behaves('the same payload again is answered and not announced; another one replaces it', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { enabled: true, key: 'me' } }, { vsn })
    const send = async (payload) => assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', payload)), OK)
    await send(track({ n: 1 }))
    const first = (await a.nth('presence_diff')).joins.me.metas[0].phx_ref
    await send(track({ n: 1 }))
    await send(track({ n: 2 }))
    const { joins, leaves } = await a.nth('presence_diff', 2)
    assert.deepEqual([joins.me.metas[0].n, joins.me.metas[0].phx_ref_prev, leaves.me.metas[0]], [2, first, { n: 1, phx_ref: first }])
    const b = await joined(t, room, { presence: { enabled: true } }, { vsn })
    assert.deepEqual((await b.nth('presence_state')).me.metas, joins.me.metas)
  })

  behaves('track, untrack, track with the same payload announces it again', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { enabled: true, key: 'me' } }, { vsn })
    // Each change is seen before the next: what is under way together may be merged into one diff.
    const untrack = { type: 'presence', event: 'untrack' }
    for (const [payload, diffs] of [[track({ n: 1 }), 1], [untrack, 2], [untrack, 2], [track({ n: 1 }), 3]]) {
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', payload)), OK)
      await a.nth('presence_diff', diffs)
    }
    const refs = a.all('presence_diff').flatMap((d) => (d.joins.me?.metas ?? []).map((m) => m.phx_ref))
    assert.equal(new Set(refs).size, 2)
  })

  behaves('leaving, closing and breaking off announce the leave', async (t) => {
    const room = newRoom()
    const watcher = await joined(t, room, { presence: { enabled: true } }, { vsn })
    const ends = { leaver: (c) => c.send(`realtime:${room}`, 'phx_leave', {}, { joinRef: '1' }), closer: (c) => c.ws.close(), breaker: (c) => c.close() }
    let diffs = 0
    for (const [key, end] of Object.entries(ends)) {
      const c = await joined(t, room, { presence: { key } }, { vsn })
      await c.reply(c.send(`realtime:${room}`, 'presence', track({})))
      await watcher.nth('presence_diff', ++diffs)
      end(c)
      assert.deepEqual(Object.keys((await watcher.nth('presence_diff', ++diffs)).leaves), [key])
    }
  })

  behaves('one key on two connections holds two metas; each leaves alone', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { enabled: true, key: 'k' } }, { vsn }), b = await joined(t, room, { presence: { enabled: true, key: 'k' } }, { vsn })
    for (const [c, u] of [[a, 1], [b, 2]]) await c.reply(c.send(`realtime:${room}`, 'presence', track({ u })))
    await a.nth('presence_diff', 2)
    const c = await joined(t, room, { presence: { enabled: true } }, { vsn })
    assert.deepEqual((await c.nth('presence_state')).k.metas.map((m) => m.u).sort(), [1, 2])
    a.close()
    assert.deepEqual((await c.nth('presence_diff')).leaves.k.metas.map((m) => m.u), [1])
  })

  for (const [name, payload] of [['text', 'x'], ['a number', 7], ['a list', [1]], ['null', null]]) {
    behaves(`track with ${name} as payload is an error, and the channel goes on`, async (t) => {
      const room = newRoom()
      const a = await joined(t, room, { presence: { enabled: true, key: 'me' } }, { vsn })
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', track(payload))), { status: 'error', response: { reason: 'Presence track payload must be a map' } })
      assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', track({}))), OK)
    })
  }

  behaves('an unknown presence event is an error and does not enable presence', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, {}, { vsn })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', { type: 'presence', event: 'dance' })), { status: 'error', response: {} })
    assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', {})), OK)
    const b = await joined(t, room, { presence: { enabled: true } }, { vsn })
    assert.deepEqual(await b.nth('presence_state'), {})
  })

  behaves('a presence over the size limit shuts the channel', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { enabled: true } }, { vsn })
    a.send(`realtime:${room}`, 'presence', track({ x: 'x'.repeat(MAX_PAYLOAD_KB * 1000 + 600) }))
    await a.nth('phx_close')
    assert.deepEqual(a.all('system'), [{ extension: 'system', status: 'error', message: 'Track message size exceeded', channel: room }])
    assert.deepEqual(await a.heartbeat(), OK)
  })

  behaves('one presence message more than the window allows shuts the channel, of this connection only', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { key: 'a' } }, { vsn }), b = await joined(t, room, { presence: { key: 'b' } }, { vsn })
    for (let i = 0; i <= WINDOW.calls; i++) a.send(`realtime:${room}`, 'presence', track({ i }))
    await a.nth('phx_close')
    assert.deepEqual(a.all('system').map((m) => m.message), ['Client presence rate limit exceeded'])
    assert.deepEqual(await b.reply(b.send(`realtime:${room}`, 'presence', track({}))), OK)
  })

  behaves('a new window allows new presence messages', async (t) => {
    const room = newRoom()
    const a = await joined(t, room, { presence: { key: 'a' } }, { vsn })
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < WINDOW.calls; i++) assert.deepEqual(await a.reply(a.send(`realtime:${room}`, 'presence', track({ round, i }))), OK)
      const end = Date.now() + WINDOW.ms + 100
      await until(() => Date.now() > end, 'the end of the window')
    }
    assert.deepEqual(a.all('phx_close'), [])
  })
}

// ── both versions in one room ────────────────────────────────────────────────────────────────

async function mixedRoom(t, config = {}) {
  const room = newRoom()
  return { room, one: await joined(t, room, config, { vsn: '1.0.0' }), two: await joined(t, room, config, { vsn: '2.0.0' }) }
}

test('JSON broadcasts cross between the versions in both directions', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  one.send(`realtime:${room}`, 'broadcast', broadcast('from1', { a: 1 }))
  assert.deepEqual(await two.nth('broadcast'), broadcast('from1', { a: 1 }))
  two.raw(userPush(`realtime:${room}`, 'from2', '{"b": 1.0}'))
  assert.deepEqual(await one.nth('broadcast'), broadcast('from2', { b: 1 }))
  assert.ok(one.messages.at(-1).text.includes('{"b": 1.0}'), 'JSON is not written anew')
})

test('bytes come back exactly to version 2, and version 1 gets nothing', async (t) => {
  const { room, one, two } = await mixedRoom(t, { broadcast: { self: true, ack: true } })
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  two.raw(userPush(`realtime:${room}`, 'bytes', bytes, { encoding: ENCODING.BYTES, ref: '5' }))
  assert.deepEqual(await two.reply('5'), OK)
  assert.deepEqual(await two.nth('binary'), { kind: 4, enc: ENCODING.BYTES, topic: `realtime:${room}`, event: 'bytes', meta: '', payload: bytes })
  await settle(two, one)
  assert.deepEqual(one.all('broadcast', room), [])
})

test('an empty payload of bytes is delivered', async (t) => {
  const { room, two } = await mixedRoom(t, { broadcast: { self: true } })
  two.raw(userPush(`realtime:${room}`, 'none', '', { encoding: ENCODING.BYTES }))
  assert.equal((await two.nth('binary')).payload.length, 0)
})

test('a user event of 255 bytes is delivered, and nothing longer can be said', async (t) => {
  const { room, two } = await mixedRoom(t, { broadcast: { self: true } })
  two.raw(userPush(`realtime:${room}`, 'e'.repeat(255), '{}'))
  assert.equal((await two.nth('binary')).event.length, 255)
})

test('a binary push of kind 0 reaches version 2 as kind 2', async (t) => {
  const { room, one, two } = await mixedRoom(t, { broadcast: { self: true } })
  two.raw(push(`realtime:${room}`, 'broadcast', Buffer.from([1, 2, 0])))
  assert.deepEqual(await two.nth('binary'), { kind: 2, topic: `realtime:${room}`, event: 'broadcast', payload: Buffer.from([1, 2, 0]) })
  await settle(two, one)
  assert.deepEqual(one.all('broadcast', room), [])
})

test('a kind 3 push whose metadata is no JSON is dropped', async (t) => {
  const { room, two } = await mixedRoom(t, { broadcast: { self: true, ack: true } })
  two.raw(userPush(`realtime:${room}`, 'bad', '{}', { meta: '{bad', ref: '7' }))
  two.raw(userPush(`realtime:${room}`, 'good', '{}', { meta: '{"persist":true}', ref: '8' }))
  assert.deepEqual(await two.reply('8'), OK)
  assert.equal((await two.nth('binary')).event, 'good')
  assert.equal(two.find((m) => m.ref === '7'), undefined)
})

test('a kind 3 push to a topic that was not joined is answered as unmatched', async (t) => {
  const two = await open(t, { vsn: '2.0.0' })
  two.raw(userPush('realtime:elsewhere', 'e', '{}', { ref: '3' }))
  assert.deepEqual(await two.reply('3'), { status: 'error', response: { reason: 'unmatched topic' } })
})

test('JSON of a kind 3 push that is none never breaks a version 1 message', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  two.raw(userPush(`realtime:${room}`, 'evil', '1},"topic":"realtime:forged","x":{"a":1'))
  two.raw(userPush(`realtime:${room}`, 'fine', '{"a":1}'))
  assert.deepEqual(await one.nth('broadcast'), broadcast('fine', { a: 1 }))
})

test('a thousand broadcasts of two senders arrive in each sender\'s order at every receiver', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  const watchers = [await joined(t, room, {}, { vsn: '1.0.0' }), await joined(t, room, {}, { vsn: '2.0.0' })]
  for (let i = 0; i < 500; i++) for (const [name, c] of [['one', one], ['two', two]]) c.send(`realtime:${room}`, 'broadcast', broadcast(name, { i }))
  for (const c of watchers) {
    await c.nth('broadcast', 1000)
    for (const name of ['one', 'two']) assert.deepEqual(c.all('broadcast').filter((m) => m.event === name).map((m) => m.payload.i), Array.from({ length: 500 }, (_, i) => i))
  }
})

// ── over HTTP ────────────────────────────────────────────────────────────────────────────────

const post = (path, body, { headers = { authorization: `Bearer ${tokenFor('anon')}` }, type = 'application/json' } = {}) =>
  server.get(`/api/broadcast${path}`, { method: 'POST', body: type === 'application/json' && typeof body !== 'string' ? JSON.stringify(body) : body, headers: { ...(type ? { 'content-type': type } : {}), ...headers } })

test('a batch reaches both versions, and id becomes meta.id', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  const response = await post('', { messages: [{ topic: room, event: 'a', payload: { n: 1 } }, { topic: room, event: 'b', payload: {}, id: 'given', private: 'false' }] })
  assert.deepEqual([response.status, await response.text()], [202, ''])
  for (const c of [one, two]) {
    assert.deepEqual(await c.nth('broadcast', 1), broadcast('a', { n: 1 }))
    assert.deepEqual(await c.nth('broadcast', 2), { ...broadcast('b', {}), meta: { id: 'given' } })
  }
})

test('private messages of a batch are skipped, public ones pass', async (t) => {
  const { room, one } = await mixedRoom(t)
  const response = await post('', { messages: [{ topic: room, event: 'secret', payload: {}, private: true }, { topic: room, event: 'open', payload: {} }] })
  assert.equal(response.status, 202)
  assert.deepEqual(await one.nth('broadcast'), broadcast('open', {}))
})

test('one bad message refuses the batch, with errors for each element', async (t) => {
  const { room, one } = await mixedRoom(t)
  const good = { topic: room, event: 'e', payload: {} }
  const large = { ...good, payload: { x: 'x'.repeat(MAX_PAYLOAD_KB * 1000 + 600) } }
  for (const [bad, errors] of [
    [{ topic: room }, { event: ["can't be blank"], payload: ["can't be blank"] }],
    [large, { payload: ['Payload size exceeds tenant limit'] }],
  ]) {
    const response = await post('', { messages: [good, bad] })
    assert.deepEqual([response.status, await response.json()], [422, { errors: { messages: [{}, errors] } }])
  }
  await post('/' + encodeURIComponent(room) + '/events/last', {})
  assert.equal((await one.nth('broadcast')).event, 'last', 'nothing of the refused batches arrived')
})

test('a single JSON message is text for version 1 and kind 4 for version 2', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  const response = await post(`/${encodeURIComponent(room)}/events/e%20v`, '{"a": 1.0}', { type: 'application/json; charset=utf-8' })
  assert.equal(response.status, 202)
  assert.deepEqual(await one.nth('broadcast'), broadcast('e v', { a: 1 }))
  const { payload, ...head } = await two.nth('binary')
  assert.deepEqual(head, { kind: 4, enc: ENCODING.JSON, topic: `realtime:${room}`, event: 'e v', meta: '' })
  assert.deepEqual(JSON.parse(payload.toString()), { a: 1 })
})

test('a single message of bytes is exact for version 2; an empty one is allowed', async (t) => {
  const { room, one, two } = await mixedRoom(t)
  for (const [i, bytes] of [Buffer.from([0, 255, 10, 13]), Buffer.alloc(0)].entries()) {
    const response = await post(`/${encodeURIComponent(room)}/events/b`, bytes, { type: 'application/octet-stream' })
    assert.equal(response.status, 202)
    assert.deepEqual((await two.nth('binary', i + 1)).payload, bytes)
  }
  await post(`/${encodeURIComponent(room)}/events/json`, {})
  assert.equal((await one.nth('broadcast')).event, 'json', 'the first that arrives')
})

for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
  test(`a single message of ${type} is refused with 415`, async () => {
    const response = await post('/x/events/e', 'x', { type })
    assert.deepEqual([response.status, await response.json()], [415, { error: 'Unsupported Media Type. Use application/json or application/octet-stream' }])
  })
}

test('a single message over the size limit is refused with 422', async () => {
  const response = await post('/x/events/e', { x: 'x'.repeat(MAX_PAYLOAD_KB * 1000 + 600) })
  assert.deepEqual([response.status, await response.json()], [422, { errors: { payload: ['Payload size exceeds tenant limit'] } }])
})

for (const [name, headers, status] of [
  ['bearer in lower case', () => ({ authorization: `bearer ${tokenFor('anon')}` }), 202],
  ['the apikey header', () => ({ apikey: tokenFor('anon') }), 202],
  ['x-api-key, which is for sockets', () => ({ 'x-api-key': tokenFor('anon') }), 401],
  ['another scheme', () => ({ authorization: `Basic ${tokenFor('anon')}` }), 401],
  ['a scheme alone', () => ({ authorization: 'Bearer' }), 401],
  ['three words', () => ({ authorization: `Bearer ${tokenFor('anon')} x` }), 401],
  ['an expired token', () => ({ authorization: `Bearer ${mint({ role: 'anon', exp: secondsFromNow(-10) })}` }), 401],
  ['nothing', () => ({}), 401],
]) {
  test(`over HTTP, ${name} is answered with ${status}`, async () => {
    const response = await post('', { messages: [{ topic: 'x', event: 'e', payload: {} }] }, { headers: headers() })
    assert.equal(response.status, status)
    if (status === 401) assert.deepEqual(await response.json(), { message: 'Unauthorized' })
  })
}

test('answers carry the rate headers and a request id, and CORS is answered', async () => {
  const response = await post('', { messages: [{ topic: 'x', event: 'e', payload: {} }] }, { headers: { authorization: `Bearer ${tokenFor('anon')}`, origin: 'https://app.example' } })
  for (const name of ['x-rate-rolling', 'x-rate-limit', 'x-rate-limit-remaining']) assert.match(response.headers.get(name), /^\d+$/)
  assert.ok(response.headers.get('x-request-id'))
  assert.equal(response.headers.get('access-control-allow-origin'), '*')
  const preflight = await server.get('/api/broadcast', { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' } })
  assert.ok(preflight.ok, `status ${preflight.status}`)
  assert.match(preflight.headers.get('access-control-allow-headers'), /authorization/i)
})

test('the API is under /realtime/v1 too', async () => {
  for (const path of ['/api/ping', '/realtime/v1/api/ping']) assert.equal((await server.get(path)).status, 200, path)
  const response = await server.get('/realtime/v1/api/broadcast', { method: 'POST', headers: { authorization: `Bearer ${tokenFor('anon')}`, 'content-type': 'application/json' }, body: '{"messages":[]}' })
  assert.notEqual(response.status, 404)
})

test('byte counters never go down', async (t) => {
  const names = ['walcast_bytes_received_total', 'walcast_bytes_sent_total']
  const read = async () => (await server.metrics()).samples.filter(({ name }) => names.includes(name)).map(({ value }) => value)
  const earlier = await read()
  const { room, one, two } = await mixedRoom(t)
  one.send(`realtime:${room}`, 'broadcast', broadcast('e', {}))
  await two.nth('broadcast')
  const later = await read()
  assert.ok(earlier.length > 0 && later.length === earlier.length)
  for (const [i, value] of later.entries()) assert.ok(value >= earlier[i] && earlier[i] >= 0, `${earlier} -> ${later}`)
})
