// The official clients as applications use them, new and old, alone and with each other.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { RealtimeClient as Newest } from '@supabase/realtime-js'
import { RealtimeClient as SerializerOne } from 'realtime-js-2v1'
import { RealtimeClient as VersionOne } from 'realtime-js-1'
import WebSocket from 'ws'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const world = sharedWorld({ sql: 'create table t (id int primary key, v text)', publish: ['t'] })

let rooms = 0
const newRoom = () => `clients:${++rooms}`

/** Clients with channels; `VersionOne` knows neither broadcast nor presence. */
const MODERN = { 'realtime-js 2, newest': Newest, 'realtime-js 2 with serializer 1': SerializerOne }

function connect(t, Client, options = {}) {
  const client = new Client(world.server.socketUrl, { transport: WebSocket, params: { apikey: tokenFor('anon') }, ...options })
  t.after(() => client.disconnect())
  return client
}

/** Subscribes and waits for SUBSCRIBED; `listen` adds the listeners first. */
async function subscribe(client, room, config = {}, listen = () => {}) {
  const channel = client.channel(room, { config })
  listen(channel)
  const statuses = []
  channel.subscribe((status, error) => statuses.push(error ? `${status}: ${error.message}` : status))
  await until(() => statuses.includes('SUBSCRIBED'), () => `SUBSCRIBED; got ${statuses}`)
  return channel
}

const keep = (list) => (payload) => list.push(payload)

for (const [name, Client] of Object.entries(MODERN)) {
  test(`${name}: broadcast with ack and self`, async (t) => {
    const got = []
    const channel = await subscribe(connect(t, Client), newRoom(), { broadcast: { self: true, ack: true } }, (c) => c.on('broadcast', { event: 'e' }, keep(got)))
    const payload = { n: 1.5, s: 'ü😀', deep: [{ a: null }] }
    assert.equal(await channel.send({ type: 'broadcast', event: 'e', payload }), 'ok')
    await until(() => got.length === 1, 'the own broadcast')
    assert.deepEqual({ event: got[0].event, payload: got[0].payload }, { event: 'e', payload })
  })

  test(`${name}: presence sync, join and leave`, async (t) => {
    const room = newRoom(), events = []
    const [a, b] = [connect(t, Client), connect(t, Client)]
    const listen = (c) => {
      for (const event of ['sync', 'join', 'leave']) c.on('presence', { event }, (p) => events.push({ event, key: p.key, names: (p.newPresences ?? p.leftPresences ?? []).map((x) => x.name) }))
    }
    const watcher = await subscribe(a, room, { presence: { key: 'watcher' } }, listen)
    const member = await subscribe(b, room, { presence: { key: 'member' } }, (c) => c.on('presence', { event: 'sync' }, () => {}))
    assert.equal(await member.track({ name: 'Ann' }), 'ok')
    await until(() => events.some((e) => e.event === 'join'), () => `a join; got ${JSON.stringify(events)}`)
    assert.deepEqual(events.find((e) => e.event === 'join'), { event: 'join', key: 'member', names: ['Ann'] })
    assert.deepEqual(Object.values(watcher.presenceState()).flat().map((p) => p.name), ['Ann'])
    assert.equal(await member.untrack(), 'ok')
    await until(() => events.some((e) => e.event === 'leave'), 'a leave')
    assert.deepEqual(events.find((e) => e.event === 'leave'), { event: 'leave', key: 'member', names: ['Ann'] })
    assert.deepEqual(watcher.presenceState(), {})
  })

  test(`${name}: presence of a client that goes away`, async (t) => {
    const room = newRoom(), joined = [], left = []
    const [a, b] = [connect(t, Client), connect(t, Client)]
    await subscribe(a, room, {}, (c) => c.on('presence', { event: 'join' }, keep(joined)).on('presence', { event: 'leave' }, keep(left)))
    const member = await subscribe(b, room, { presence: { key: 'gone' } }, (c) => c.on('presence', { event: 'sync' }, () => {}))
    await member.track({})
    // who leaves before anybody was told of the join is in no diff
    await until(() => joined.length === 1, 'the join')
    await b.disconnect()
    await until(() => left.length === 1, 'the leave')
    assert.equal(left[0].key, 'gone')
  })

  test(`${name}: changes, broadcast and presence on one channel`, async (t) => {
    const changes = [], broadcasts = [], joins = [], systems = []
    const id = 1000 + rooms
    const channel = await subscribe(connect(t, Client), newRoom(), { broadcast: { self: true }, presence: { key: 'k' } }, (c) => c
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 't', filter: `id=eq.${id}` }, keep(changes))
      .on('broadcast', { event: '*' }, keep(broadcasts)).on('presence', { event: 'join' }, keep(joins)).on('system', {}, keep(systems)))
    await until(() => systems.length, 'the verdict')
    await world.sql(`insert into t values (${id}, 'x'), (${id + 100000}, 'y')`)
    await channel.send({ type: 'broadcast', event: 'e', payload: {} })
    await channel.track({})
    await until(() => changes.length && broadcasts.length && joins.length, () => JSON.stringify({ changes, broadcasts, joins }))
    assert.deepEqual(changes.map((c) => c.new), [{ id, v: 'x' }])
  })

  test(`${name}: 50 broadcasts arrive, all and in order`, async (t) => {
    const room = newRoom(), got = []
    const sender = await subscribe(connect(t, Client), room)
    await subscribe(connect(t, Client), room, {}, (c) => c.on('broadcast', { event: 'e' }, (m) => got.push(m.payload.i)))
    for (let i = 0; i < 50; i++) await sender.send({ type: 'broadcast', event: 'e', payload: { i } })
    await until(() => got.length === 50, () => `50; got ${got.length}`)
    assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i))
  })

  test(`${name}: a send before the channel is joined goes over HTTP and arrives`, async (t) => {
    const room = newRoom(), got = []
    await subscribe(connect(t, Newest), room, {}, (c) => c.on('broadcast', { event: 'e' }, keep(got)))
    await subscribe(connect(t, SerializerOne), room, {}, (c) => c.on('broadcast', { event: 'e' }, keep(got)))
    const client = connect(t, Client)
    assert.equal(await client.channel(room).send({ type: 'broadcast', event: 'e', payload: { over: 'http' } }), 'ok')
    await until(() => got.length === 2, () => `2; got ${JSON.stringify(got)}`)
    for (const message of got) assert.deepEqual(message.payload, { over: 'http' })
  })

  test(`${name}: leaving and subscribing again works`, async (t) => {
    const room = newRoom(), client = connect(t, Client)
    for (let i = 0; i < 3; i++) {
      const channel = await subscribe(client, room)
      assert.equal(await channel.unsubscribe(), 'ok')
    }
  })
}

test('broadcast and presence between the versions, in both directions', async (t) => {
  const room = newRoom(), got = { newest: [], old: [] }, joined = { newest: [], old: [] }, channels = {}
  for (const [name, Client] of [['newest', Newest], ['old', SerializerOne]]) {
    channels[name] = await subscribe(connect(t, Client), room, { presence: { key: name } }, (c) => c.on('broadcast', { event: '*' }, keep(got[name])).on('presence', { event: 'join' }, (p) => joined[name].push(p.key)))
  }
  await channels.newest.send({ type: 'broadcast', event: 'n', payload: { from: 'newest' } })
  await channels.old.send({ type: 'broadcast', event: 'o', payload: { from: 'old' } })
  for (const name of ['newest', 'old']) await channels[name].track({ name })
  await until(() => got.newest.length && got.old.length, () => JSON.stringify(got))
  assert.deepEqual([got.newest[0].payload, got.old[0].payload], [{ from: 'old' }, { from: 'newest' }])
  await until(() => [joined.newest, joined.old].every((keys) => new Set(keys).size === 2), () => JSON.stringify(joined))
})

test('bytes pass between newest clients exactly', async (t) => {
  const room = newRoom(), got = []
  const sender = await subscribe(connect(t, Newest), room)
  await subscribe(connect(t, Newest), room, {}, (c) => c.on('broadcast', { event: 'b' }, keep(got)))
  await sender.send({ type: 'broadcast', event: 'b', payload: new Uint8Array([0, 255, 1]).buffer })
  await until(() => got.length === 1, 'the bytes')
  assert.deepEqual([...new Uint8Array(got[0].payload)], [0, 255, 1])
})

test('httpSend of a client that never subscribed reaches both versions', async (t) => {
  const room = newRoom(), got = []
  for (const Client of [Newest, SerializerOne]) await subscribe(connect(t, Client), room, {}, (c) => c.on('broadcast', { event: 'h' }, keep(got)))
  const { success } = await connect(t, Newest).channel(room).httpSend('h', { a: 1 })
  assert.equal(success, true)
  await until(() => got.length === 2, () => `2; got ${JSON.stringify(got)}`)
  for (const message of got) assert.deepEqual(message.payload, { a: 1 })
})

test('realtime-js 1.7 gets changes while newer clients talk on the same topic', async (t) => {
  await world.sql('create table old (id int primary key)')
  await publishTable(world, 'old')
  const old = new VersionOne(world.server.socketUrl, { transport: WebSocket, params: { apikey: tokenFor('anon') } })
  t.after(() => old.disconnect())
  old.connect()
  const got = [], systems = []
  const subscription = old.channel('realtime:public:old')
  subscription.on('INSERT', keep(got))
  subscription.on('system', keep(systems))
  const joined = new Promise((resolve, reject) => subscription.subscribe().receive('ok', resolve).receive('error', reject))
  await joined
  await until(() => systems.length, 'the verdict')
  const talker = await subscribe(connect(t, Newest), 'public:old', { broadcast: { ack: true } })
  assert.equal(await talker.send({ type: 'broadcast', event: 'noise', payload: {} }), 'ok')
  await world.sql('insert into old values (1)')
  await until(() => got.length === 1, 'the change')
  assert.deepEqual(got[0].record, { id: 1 })
})

test('createClient(url, key) of supabase-js reaches walcast with no gateway', async (t) => {
  const supabase = createClient(`http://127.0.0.1:${world.server.port}`, tokenFor('anon'), { realtime: { transport: WebSocket }, auth: { persistSession: false, autoRefreshToken: false } })
  t.after(() => supabase.realtime.disconnect())
  const changes = [], broadcasts = [], systems = []
  const channel = supabase.channel(newRoom(), { config: { broadcast: { self: true, ack: true } } })
    .on('postgres_changes', { event: '*', schema: 'public', table: 't' }, keep(changes)).on('broadcast', { event: 'e' }, keep(broadcasts)).on('system', {}, keep(systems))
  const statuses = []
  channel.subscribe((status) => statuses.push(status))
  await until(() => statuses.includes('SUBSCRIBED') && systems.length, () => `SUBSCRIBED; got ${statuses}`)
  assert.equal(await channel.send({ type: 'broadcast', event: 'e', payload: {} }), 'ok')
  await world.sql("insert into t values (7, 'seven')")
  await until(() => changes.length === 1 && broadcasts.length === 1, () => JSON.stringify({ changes, broadcasts }))
  assert.deepEqual(changes[0].new, { id: 7, v: 'seven' })
  const { success } = await supabase.channel(newRoom()).httpSend('e', {})
  assert.equal(success, true)
})
