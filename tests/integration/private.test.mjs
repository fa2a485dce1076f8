// Private channels: what the policies of realtime.messages let the clients join, read, send and track.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'
import { ENCODING, userPush } from './lib/binary.mjs'
import { areBroadcastsBalanced, broadcastBooks } from './lib/books.mjs'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { connect } from './lib/realtime.mjs'
import { hangCommits } from './lib/standby.mjs'
import { tokenFor } from './lib/token.mjs'
import { never, until } from './lib/wait.mjs'
import { sharedWorld, startWorld } from './lib/world.mjs'

const FUNCTIONS = since(13, 'gen_random_uuid()')
const OK = { status: 'ok', response: {} }
const track = (payload) => ({ type: 'presence', event: 'track', payload })

/** The claim `may` holds letters: r and p to read broadcasts and presences, w and q to write them. */
const POLICIES = `
  create function public.may(letter text) returns boolean stable language sql as
    $$ select position(letter in coalesce(auth.jwt() ->> 'may', '')) > 0 $$;
  create policy reads on realtime.messages for select to authenticated using (
    case realtime.topic() when 'raises' then 1 / (length(extension) - length(extension)) = 1
      when 'headers' then current_setting('request.headers', true)::json ->> 'x-real-ip' = '192.0.2.7'
      else may(case extension when 'broadcast' then 'r' else 'p' end) end);
  create policy writes on realtime.messages for insert to authenticated with check (
    case realtime.topic() when 'raises-on-write' then 1 / (length(extension) - length(extension)) = 1
      else may(case extension when 'broadcast' then 'w' else 'q' end) end);`

const WORLD = { migrate: true, sql: POLICIES, env: { CLIENT_PRESENCE_MAX_CALLS: '1000' } }
const world = sharedWorld(WORLD, ({ server }) => server.untilLog(/repl streaming .*messages=1/))

const tokenOf = (may, claims = {}) => tokenFor('authenticated', { may, ...claims })
const refused = (room) => `Unauthorized: You do not have permissions to read from this Channel topic: ${room}`
let rooms = 0
const newRoom = () => `private-${++rooms}`

/** A connection that is closed with the test. */
async function open(t, may, options = {}) {
  const client = await Client.open(options.server ?? world.server, { token: tokenOf(may), ...options })
  t.after(() => client.close())
  return client
}

/** The same, joined; `config` besides `private`. */
async function member(t, room, may, config = {}, options = {}) {
  const client = await open(t, may, options)
  const { status, response } = await client.join(room, { private: true, ...config })
  assert.equal(status, 'ok', JSON.stringify(response))
  return client
}

const send = (client, room, payload, event = 'e') => client.send(`realtime:${room}`, 'broadcast', { type: 'broadcast', event, payload })
const say = (client, room, payload) => client.reply(client.send(`realtime:${room}`, 'presence', payload))
/** Answered when everything that was sent to the topic before has been judged. */
const judged = async (client, room) => assert.deepEqual(await say(client, room, { type: 'presence', event: 'untrack' }), OK)
const refresh = (client, room, access_token) => client.send(`realtime:${room}`, 'access_token', { access_token })
const payloads = (client, room) => client.all('broadcast', room).map((m) => m.payload)

for (const vsn of ['1.0.0', '2.0.0']) {
  test(`version ${vsn}: a policy decides who joins, and each join is answered once`, FUNCTIONS, async (t) => {
    const room = newRoom()
    await member(t, room, 'r', {}, { vsn })
    for (const token of [tokenOf(''), tokenOf('wq'), tokenFor('anon', { may: 'rpwq' }), tokenFor('nobody', { may: 'r' })]) {
      const client = await open(t, '', { vsn, token })
      const reply = await client.join(room, { private: true, presence: { enabled: true } })
      assert.deepEqual(reply, { status: 'error', response: { reason: refused(room) } })
      await client.heartbeat()
      assert.equal(client.messages.length, 2, 'nothing but the reply and that of the heartbeat')
    }
  })

  test(`version ${vsn}: broadcasts reach members with their ack`, FUNCTIONS, async (t) => {
    const room = newRoom()
    const sender = await member(t, room, 'rw', { broadcast: { ack: true, self: true } }, { vsn })
    const reader = await member(t, room, 'r', {}, { vsn })
    assert.deepEqual(await sender.reply(send(sender, room, { n: 1 })), OK)
    for (const c of [sender, reader]) assert.deepEqual((await c.nth('broadcast')).payload, { n: 1 })
  })
}

test('a policy that raises refuses the join, and the log has its code', FUNCTIONS, async (t) => {
  const client = await open(t, 'rp')
  const { response } = await client.join('raises', { private: true, presence: { enabled: true } })
  assert.equal(response.reason, refused('raises'))
  await world.server.untilLog(/not_authorized code=RlsPolicyError/)
  assert.deepEqual(client.all('presence_state'), [])
})

test('policies see the headers of the request that are asked for', FUNCTIONS, async (t) => {
  await member(t, 'headers', '', {}, { headers: { 'X-Real-IP': '192.0.2.7' } })
  const other = await open(t, '', { headers: { 'x-real-ip': '192.0.2.8' } })
  assert.equal((await other.join('headers', { private: true })).response.reason, refused('headers'))
})

test('who may not write is not answered and not heard, others are', FUNCTIONS, async (t) => {
  const room = newRoom()
  const reader = await member(t, room, 'r', { broadcast: { ack: true, self: true } })
  const writer = await member(t, room, 'rw', { broadcast: { ack: true } })
  const refs = [send(reader, room, { n: 1 }), send(reader, room, { n: 2 })]
  reader.raw(userPush(`realtime:${room}`, 'bytes', Buffer.from([1]), { ref: '77', encoding: ENCODING.BYTES }))
  await judged(reader, room)
  assert.deepEqual(await writer.reply(send(writer, room, { n: 3 })), OK)
  assert.deepEqual((await reader.nth('broadcast')).payload, { n: 3 })
  assert.deepEqual(payloads(reader, room), [{ n: 3 }])
  assert.ok(!reader.find((m) => m.event === 'phx_reply' && [...refs, '77'].includes(m.ref)))
  assert.deepEqual(writer.messages.filter((m) => m.event === 'broadcast' || m.binary), [])
})

test('a write policy that raises: nothing is sent, and a track is answered with an error', FUNCTIONS, async (t) => {
  const room = 'raises-on-write'
  const client = await member(t, room, 'rpwq', { broadcast: { ack: true, self: true } })
  send(client, room, { n: 1 })
  assert.deepEqual(await say(client, room, track({})), { status: 'error', response: {} })
  assert.deepEqual(payloads(client, room), [])
})

test('a hundred messages sent with the first one arrive in order', FUNCTIONS, async (t) => {
  const room = newRoom()
  const sender = await member(t, room, 'rw'), reader = await member(t, room, 'r')
  for (let n = 0; n < 100; n++) send(sender, room, n)
  await reader.nth('broadcast', 100)
  assert.deepEqual(payloads(reader, room), Array.from({ length: 100 }, (_, n) => n))
})

test('the public and the private room of one name do not hear each other', FUNCTIONS, async (t) => {
  const room = newRoom()
  const inside = await member(t, room, 'rw', { broadcast: { ack: true, self: true } })
  const outside = await open(t, '')
  assert.equal((await outside.join(room, { broadcast: { ack: true, self: true } })).status, 'ok')
  assert.deepEqual(await inside.reply(send(inside, room, 'inside')), OK)
  assert.deepEqual(await outside.reply(send(outside, room, 'outside')), OK)
  await world.sql(`select realtime.send('{"from": "database"}', 'e', $1, true), realtime.send('{"from": "database, too"}', 'e', $1, false)`, [room])
  const texts = async (client) => [(await client.nth('broadcast')).payload, JSON.parse((await client.nth('binary')).payload).from]
  assert.deepEqual(await texts(inside), ['inside', 'database'])
  assert.deepEqual(await texts(outside), ['outside', 'database, too'])
  for (const c of [inside, outside]) assert.equal(c.all('broadcast').length + c.all('binary').length, 2)
})

test('who may only see presences joins, tracks and sees, and gets no broadcast from anywhere', FUNCTIONS, async (t) => {
  const room = newRoom()
  const present = await member(t, room, 'pq', { presence: { enabled: true, key: 'me' }, broadcast: { self: true } })
  const sender = await member(t, room, 'rwpq', { broadcast: { ack: true, self: true }, presence: { enabled: true, key: 'sender' } })
  assert.deepEqual(await present.nth('presence_state'), {})
  assert.deepEqual(await say(present, room, track({ name: 'a' })), OK)
  assert.deepEqual(Object.keys((await sender.nth('presence_diff')).joins), ['me'])
  await present.nth('presence_diff')
  send(present, room, 'from me')
  assert.deepEqual(await sender.reply(send(sender, room, 'from the sender')), OK)
  await world.sql(`select realtime.send('{}', 'e', $1, true)`, [room])
  await sender.nth('binary')
  assert.deepEqual(await say(sender, room, track({ name: 'b' })), OK)
  assert.deepEqual(Object.keys((await present.nth('presence_diff', 2)).joins), ['sender'])
  assert.deepEqual([...present.all('broadcast'), ...present.all('binary')], [])
  assert.deepEqual(payloads(sender, room), ['from the sender'])
})

test('who may not see presences gets neither state nor diffs, not even with a track', FUNCTIONS, async (t) => {
  const room = newRoom()
  const blind = await member(t, room, 'rwq', { presence: { enabled: true, key: 'blind' } })
  const late = await member(t, room, 'rwq') // asks when it tracks
  const other = await member(t, room, 'rpwq', { presence: { enabled: true, key: 'other' }, broadcast: { ack: true } })
  for (const c of [blind, late, other]) assert.deepEqual(await say(c, room, track({})), OK)
  await until(() => other.all('presence_diff').flatMap((d) => Object.keys(d.joins)).length >= 3, () => `three joins; got ${JSON.stringify(other.all('presence_diff'))}`)
  assert.deepEqual(await other.reply(send(other, room, 1)), OK)
  for (const c of [blind, late]) {
    await c.nth('broadcast')
    assert.deepEqual([...c.all('presence_state'), ...c.all('presence_diff')], [])
  }
})

test('a reader may not track, sees others, and need not be allowed to untrack', FUNCTIONS, async (t) => {
  const room = newRoom()
  const reader = await member(t, room, 'rp', { presence: { enabled: true } })
  assert.deepEqual(await say(reader, room, track({})), { status: 'error', response: {} })
  await judged(reader, room)
  const other = await member(t, room, 'rpwq', { presence: { enabled: true, key: 'other' } })
  assert.deepEqual(await say(other, room, track({ n: 1 })), OK)
  assert.equal((await reader.nth('presence_diff')).joins.other.metas[0].n, 1)
})

const CHANGES = [
  ['loses everything', 'rp', '', (room) => `You do not have permissions to read from this Channel topic: ${room}`],
  ['loses presence and keeps broadcast', 'rp', 'r', (room) => `You no longer have permission to read from this Channel topic: ${room}`],
  ['loses broadcast and keeps presence', 'rp', 'p', (room) => `You no longer have permission to read from this Channel topic: ${room}`],
  ['loses presence, all it had', 'p', '', (room) => `You do not have permissions to read from this Channel topic: ${room}`],
  ['keeps everything', 'rp', 'rp', null],
  ['keeps presence, all it has', 'p', 'pwq', null],
]
for (const [what, before, after, text] of CHANGES) {
  test(`with a new token a channel that ${what} ${text ? 'is shut' : 'stays'}`, FUNCTIONS, async (t) => {
    const room = newRoom()
    const client = await member(t, room, before, { presence: { enabled: true } })
    refresh(client, room, tokenOf(after))
    if (text) {
      assert.deepEqual(await client.nth('system'), { extension: 'system', status: 'error', message: text(room), channel: room })
      await client.nth('phx_close')
    } else {
      await judged(client, room)
      assert.deepEqual([...client.all('system'), ...client.all('phx_close')], [])
    }
  })
}

test('with a new token broadcasts begin, and writing ends', FUNCTIONS, async (t) => {
  const room = newRoom()
  const client = await member(t, room, 'pw', { presence: { enabled: true } })
  const other = await member(t, room, 'rw', { broadcast: { ack: true } })
  send(client, room, 'may write')
  assert.deepEqual((await other.nth('broadcast')).payload, 'may write')
  refresh(client, room, tokenOf('rp'))
  send(client, room, 'may not any more')
  await judged(client, room)
  assert.deepEqual(await other.reply(send(other, room, 'for readers')), OK)
  assert.deepEqual((await client.nth('broadcast')).payload, 'for readers')
  assert.deepEqual(payloads(other, room), ['may write'])
})

test('nothing is lost while new tokens of the same permissions are judged', FUNCTIONS, async (t) => {
  const room = newRoom()
  const client = await member(t, room, 'r'), other = await member(t, room, 'rw')
  for (let n = 0; n < 50; n++) {
    refresh(client, room, tokenOf('r', { n }))
    send(other, room, n)
    if (n % 10 === 0) await client.heartbeat()
  }
  await client.nth('broadcast', 50)
  assert.deepEqual(payloads(client, room), Array.from({ length: 50 }, (_, n) => n))
})

test('two applications with supabase-js: one may speak, one may not enter, one gets a new token', FUNCTIONS, async (t) => {
  const room = newRoom(), got = []
  const url = `http://127.0.0.1:${world.server.port}`
  const application = (may) => {
    const client = createClient(url, tokenOf(may), { realtime: { transport: WebSocket } })
    t.after(() => client.realtime.disconnect())
    return client
  }
  const subscribe = (channel) => {
    const statuses = []
    channel.subscribe((status, error) => statuses.push(error ? `${status}: ${error.message}` : status))
    return statuses
  }
  const [speaker, listener, stranger] = ['rw', 'r', 'w'].map(application)
  const speaking = speaker.channel(room, { config: { private: true, broadcast: { ack: true } } })
  const listening = listener.channel(room, { config: { private: true } }).on('broadcast', { event: 'e' }, (m) => got.push(m.payload))
  const statuses = [speaking, listening, stranger.channel(room, { config: { private: true } })].map(subscribe)
  await until(() => statuses.every((s) => s.length), () => `statuses; got ${JSON.stringify(statuses)}`)
  assert.deepEqual(statuses.slice(0, 2), [['SUBSCRIBED'], ['SUBSCRIBED']])
  assert.match(statuses[2][0], /^CHANNEL_ERROR: .*You do not have permissions to read/)
  assert.equal(await speaking.send({ type: 'broadcast', event: 'e', payload: { n: 1 } }), 'ok')
  await until(() => got.length === 1, 'the broadcast')
  assert.deepEqual(got, [{ n: 1 }])
  await listener.realtime.setAuth(tokenOf(''))
  await until(() => statuses[1].includes('CLOSED'), () => `CLOSED; got ${statuses[1]}`)
})

test('realtime-js replays the newest rows, oldest first', FUNCTIONS, async (t) => {
  const room = newRoom(), got = []
  for (const i of [1, 2, 3, 4]) await world.sql(`select realtime.send(jsonb_build_object('i', $1::int), 'e', $2, true)`, [i, room])
  const client = connect(world.server, { token: tokenOf('r') })
  t.after(() => client.disconnect())
  const channel = client.channel(room, { config: { private: true, broadcast: { replay: { since: Date.now() - 60_000, limit: 3 } } } })
  channel.on('broadcast', { event: 'e' }, ({ payload, meta }) => got.push([payload.i, meta.replayed, meta.id === payload.id])).subscribe()
  await until(() => got.length >= 3, () => `3 rows; got ${JSON.stringify(got)}`)
  assert.deepEqual(got, [2, 3, 4].map((i) => [i, true, true]))
  await world.sql(`select realtime.send('{"i": 5}', 'e', $1, true)`, [room])
  await until(() => got.length >= 4, 'a live one')
  assert.deepEqual(got[3], [5, undefined, true])
})

test('bytes are replayed to version 2 only; what is older, public or of another room to nobody', FUNCTIONS, async (t) => {
  const room = newRoom()
  await world.sql(`select realtime.send('{"n": "old"}', 'e', $1, true)`, [room])
  const [{ from }] = await world.sql('select (extract(epoch from clock_timestamp()) * 1000)::bigint + 1 as from')
  await until(() => Date.now() > Number(from), 'the next millisecond')
  await world.sql(`select realtime.send('{"n": 1}', 'e', $1, true)`, [room])
  await world.sql(`select realtime.send_binary('\\x00ff', 'b', $1, true)`, [room])
  await world.sql(`select realtime.send('{"n": "public"}', 'e', $1, false), realtime.send('{"n": "elsewhere"}', 'e', $1 || 'x', true)`, [room])
  await world.sql(`select realtime.send('{"n": 2}', 'e', $1, true)`, [room])
  const replay = { broadcast: { replay: { since: Number(from) } } }
  const v1 = await member(t, room, 'r', replay, { vsn: '1.0.0' }), v2 = await member(t, room, 'r', replay)
  for (const c of [v1, v2]) {
    await c.nth('broadcast', 2)
    await c.heartbeat()
    assert.deepEqual(payloads(c, room).map((p) => p.n), [1, 2])
  }
  const [bytes] = v2.all('binary')
  assert.deepEqual({ ...bytes, payload: [...bytes.payload], meta: JSON.parse(bytes.meta).replayed }, { kind: 4, enc: 0, topic: `realtime:${room}`, event: 'b', meta: true, payload: [0, 255] })
  assert.deepEqual(v1.all('binary'), [])
  const order = v2.messages.filter((m) => m.binary || m.event === 'broadcast').map((m) => m.binary?.event ?? m.payload.payload.n)
  assert.deepEqual(order, [1, 'b', 2])
})

test('joins with replay during inserts miss no row and get none twice', FUNCTIONS, async (t) => {
  const room = newRoom(), from = Date.now() - 60_000, WRITERS = 8, REPLAYED_MAX = 25
  const sent = Array(WRITERS).fill(0)
  let isDone = false
  t.after(() => { isDone = true })
  const write = async (w) => {
    const session = await world.cluster.connect()
    while (!isDone) await session.query(`select realtime.send(jsonb_build_object('w', $1::int, 'i', $2::int), 'e', $3, true)`, [w, ++sent[w], room])
    await session.end()
  }
  const writing = Promise.all(sent.map((_, w) => write(w)))
  const clients = []
  for (let i = 0; i < 12; i++) clients.push(await member(t, room, 'r', { broadcast: { replay: { since: from } } }, { vsn: '1.0.0' }))
  isDone = true
  await writing
  const books = await broadcastBooks(world.server)
  for (const client of clients) {
    for (const [w, last] of sent.entries()) await client.wait((m) => m.event === 'broadcast' && m.payload.payload.w === w && m.payload.payload.i === last, `row ${last} of writer ${w}`)
    await client.heartbeat()
    const got = client.all('broadcast', room), replayed = got.filter((m) => m.meta.replayed).length
    for (const [w, last] of sent.entries()) {
      // the stream may be behind, and bring later what is older than the newest rows
      const rows = got.map((m) => m.payload).filter((p) => p.w === w).map((p) => p.i).sort((a, b) => a - b), [first] = rows
      assert.deepEqual(rows, Array.from({ length: last - first + 1 }, (_, n) => first + n), `writer ${w}; ${JSON.stringify(books.withheld)}`)
      assert.ok(first === 1 || replayed === REPLAYED_MAX, `from ${first} of writer ${w} on, after ${replayed} replayed`)
    }
  }
})

test('a replay waits for what was streamed before it is visible, and then has it', FUNCTIONS, async (t) => {
  const room = newRoom(), write = (session, n) => session.query(`select realtime.send(jsonb_build_object('n', $1::int), 'e', $2, true)`, [n, room])
  const listener = await member(t, room, 'r', {}, { vsn: '1.0.0' }), writer = await world.cluster.connect()
  const { local, release } = await hangCommits(world)
  let hangs, joins
  const late = await open(t, 'r', { vsn: '1.0.0' })
  try {
    hangs = write(writer, 1)
    await listener.nth('broadcast')
    await write(local, 2) // visible before what it follows in the log
    await listener.nth('broadcast', 2)
    joins = late.join(room, { private: true, broadcast: { replay: { since: Date.now() - 60_000 } } })
    await member(t, room, 'r') // others need not wait
    await never(() => late.messages.length, 'an answer to the join')
  } finally {
    await release()
    await world.sql('reset synchronous_commit')
  }
  await hangs
  assert.equal((await joins).status, 'ok')
  await late.nth('broadcast', 2)
  assert.deepEqual(late.all('broadcast').map(({ payload, meta }) => [payload.n, meta.replayed]), [[1, true], [2, true]])
})

test('a replay is for those who may read broadcasts', FUNCTIONS, async (t) => {
  const room = newRoom()
  const client = await open(t, 'p')
  const { response } = await client.join(room, { private: true, presence: { enabled: true }, broadcast: { replay: { since: 1 } } })
  assert.equal(response.reason, refused(room))
})

test('without its database a tenant has no private joins and sends nothing; what is public goes on', FUNCTIONS, async (t) => {
  const { server, cluster } = await startWorld(t, WORLD)
  const client = await member(t, 'room', 'rwpq', { broadcast: { ack: true, self: true } }, { server })
  assert.equal((await client.join('open', { broadcast: { ack: true } })).status, 'ok')
  await cluster.stop('immediate')
  send(client, 'room', 'lost')
  assert.deepEqual(await say(client, 'room', track({})), { status: 'error', response: {} })
  await server.untilLog(/not_authorized code=UnableToConnectToProject .*topic="room"/)
  assert.deepEqual(await client.reply(send(client, 'open', 1)), OK)
  const { response } = await client.join('other', { private: true })
  assert.match(response.reason, /^(UnableToConnectToProject: Realtime was unable to connect to the project database|DatabaseConnectionRateLimitReached: Too many database connections attempts per second)$/)
  refresh(client, 'open', tokenOf('rwpq', { n: 1 })) // nobody asks about a public one
  await cluster.boot()
  await until(async () => {
    const ref = send(client, 'room', 'back')
    await judged(client, 'room')
    return client.find((m) => m.event === 'phx_reply' && m.ref === ref)
  }, 'a broadcast that is permitted again')
  await until(() => payloads(client, 'room').length > 0, 'its own copy, which may come after the reply')
  assert.deepEqual(new Set(payloads(client, 'room')), new Set(['back']))
})

test('every broadcast of private rooms is in the books', FUNCTIONS, async (t) => {
  const room = newRoom()
  const blind = await member(t, room, 'p', { presence: { enabled: true } }), reader = await member(t, room, 'r')
  await world.sql(`select realtime.send('{}', 'e', $1, true)`, [room])
  await reader.nth('binary')
  send(blind, room, 'denied')
  await judged(blind, room)
  let books
  await until(async () => areBroadcastsBalanced(books = await broadcastBooks(world.server)), () => `books that balance; they say ${JSON.stringify(books)}`)
  assert.ok(books.dropped.not_permitted > 0 && books.withheld.not_permitted > 0, JSON.stringify(books))
})
