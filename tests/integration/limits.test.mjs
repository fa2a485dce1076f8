// The tenant's limits, what counts towards them, and that a reload moves them.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { connect } from './lib/realtime.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const TICK_MS = 5000 // of the averages
const systemTexts = (client) => client.messages.filter((m) => m.event === 'system').map((m) => m.payload.message)
const counted = async ({ server }, what) => server.metric(`walcast_${what}_total`)
const refused = (promise) => assert.rejects(promise.then((c) => c.close()), (e) => { refused.last = e; return true })

/** Two threads, so that what is shared between them is tested, too. */
async function startLimited(t, limits, rest = {}) {
  return startWorld(t, { ...rest, env: { SOCKET_THREADS: '2', ...limits } })
}

test('users: connections with a joined channel are bounded, exactly', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_CONCURRENT_USERS: '1' })
  const idle = await Client.open(world.server), first = await Client.open(world.server)
  assert.equal((await first.join('', {})).response.reason, 'TopicNameRequired: You must provide a topic name')
  assert.equal((await first.join('bad', {}, { access_token: 'potato' })).status, 'error') // counts for nothing
  assert.equal((await idle.join('bad', {}, { access_token: 'potato' })).status, 'error')
  assert.equal((await first.join('a')).status, 'ok')
  assert.equal((await first.join('b')).status, 'ok')
  assert.equal((await idle.join('a')).response.reason, 'ConnectionRateLimitReached: Too many connected users')
  assert.equal((await idle.heartbeat()).status, 'ok')
  await refused(Client.open(world.server))
  assert.deepEqual([refused.last.status, refused.last.body], [429, '{"error":"Too many connected users"}'])
  first.send('realtime:a', 'phx_leave', {}, { joinRef: '3' })
  first.send('realtime:b', 'phx_leave', {}, { joinRef: '4' })
  assert.equal((await idle.join('a')).status, 'error') // who has joined counts until it goes
  first.close()
  await until(async () => (await idle.join('a')).status === 'ok', 'room for the other')
  idle.close()
})

test('channels of one connection: one reply, and room again after leaving', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_CHANNELS_PER_CLIENT: '1' })
  const client = await Client.open(world.server)
  assert.equal((await client.join('a')).status, 'ok')
  assert.equal((await client.join('b')).response.reason, 'ChannelRateLimitReached: Too many channels')
  assert.equal((await client.join('a')).status, 'ok') // again: in the place of itself
  const other = await Client.open(world.server)
  assert.equal((await other.join('b')).status, 'ok')
  client.send('realtime:a', 'phx_leave', {}, { joinRef: '3' })
  assert.equal((await client.join('b')).status, 'ok')
  assert.equal(client.messages.filter((m) => m.topic === 'realtime:b').length, 2)
  client.close()
  other.close()
})

test('joins per second: refused with 429, or answered and closed with 1001', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_JOINS_PER_SECOND: '2' })
  const client = await Client.open(world.server), other = await Client.open(world.server)
  for (let i = 0; i < 200; i++) await client.join(`j${i}`)
  await other.join('failed', {}, { access_token: 'potato' })
  assert.equal(await counted(world, 'joins'), 201)
  await until(async () => { try { (await Client.open(world.server)).close() } catch (e) { return e.status === 429 && e.body === '{"error":"Too many joins per second"}' } }, 'a refused connection', 3 * TICK_MS)
  assert.equal((await other.join('one-more')).response.reason, 'ClientJoinRateLimitReached: Too many joins per second')
  assert.equal((await other.untilClosed()).code, 1001)
  assert.equal(await counted(world, 'joins'), 201) // what the limit refuses is not counted
  assert.equal((await client.heartbeat()).status, 'ok')
  client.close()
})

test('events per second: who would get a broadcast is shut, others and the connections go on', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_EVENTS_PER_SECOND: '5' })
  const sender = await Client.open(world.server), receiver = await Client.open(world.server, { vsn: '1.0.0' })
  await sender.join('room')
  await receiver.join('room')
  await receiver.join('quiet')
  for (let i = 0; i < 300; i++) sender.send('realtime:room', 'broadcast', { event: 'x', payload: { i } })
  await receiver.wait((m) => m.payload?.payload?.i === 299, 'all of them')
  assert.equal(await counted(world, 'events'), 600)
  await until(async () => {
    sender.send('realtime:room', 'broadcast', { event: 'x', payload: {} })
    await sender.heartbeat()
    return systemTexts(receiver).length
  }, 'the end of the channel', 3 * TICK_MS)
  const [system] = receiver.messages.filter((m) => m.event === 'system')
  assert.deepEqual(system.payload, { extension: 'system', status: 'error', message: 'Too many messages per second', channel: 'room' })
  await receiver.wait((m) => m.event === 'phx_close', 'phx_close')
  assert.match(world.server.log, /code=MessagePerSecondRateLimitReached tenant=realtime-dev/)
  assert.equal((await receiver.reply(receiver.send('realtime:room', 'broadcast', {}))).response.reason, 'unmatched topic')
  assert.equal((await receiver.heartbeat()).status, 'ok')
  assert.deepEqual(systemTexts(sender), []) // it gets none of its own
  sender.close()
  receiver.close()
})

test('changes over the limit are withheld, counted, and announced once; a channel is not shut for them', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_EVENTS_PER_SECOND: '5' }, { sql: 'create table c (id int primary key)', publish: ['c'] })
  const binding = [{ event: 'INSERT', schema: 'public', table: 'c' }]
  const clients = [await Client.open(world.server), await Client.open(world.server)]
  for (const client of clients) await client.subscribe('c', binding)
  await world.sql('insert into c select generate_series(1, 400)')
  for (const client of clients) await client.untilChanges(400)
  assert.equal(await counted(world, 'db_events'), 800)
  const withheld = () => world.server.metric('walcast_changes_withheld_total{reason="rate_limited"}')
  let next = 1000
  await until(async () => { await world.sql('insert into c values ($1)', [next++]); return await withheld() > 4 }, 'withheld changes', 3 * TICK_MS)
  for (const client of clients) {
    await until(() => systemTexts(client).length === 2, 'the notice')
    assert.deepEqual(client.messages.filter((m) => m.event === 'system')[1].payload,
      { extension: 'postgres_changes', status: 'error', message: 'Too many messages per second: changes are withheld until the rate falls', channel: 'c' })
    assert.equal((await client.heartbeat()).status, 'ok')
    assert.equal(client.messages.filter((m) => m.event === 'phx_close').length, 0)
    assert.equal(systemTexts(client).length, 2)
    client.close()
  }
})

test('what counts (1 join; 2 receivers of themselves, 5 broadcasts: 15 events; unknown events: 1)', async (t) => {
  const world = await startLimited(t, {}, { sql: 'create table c (id int primary key)', publish: ['c'] })
  const a = await Client.open(world.server), b = await Client.open(world.server)
  const self = { broadcast: { self: true } }
  await a.join('r', self)
  await b.join('r', self)
  assert.equal(await counted(world, 'joins'), 2)
  for (let i = 0; i < 5; i++) a.send('realtime:r', 'broadcast', { event: 'e', payload: { i } })
  for (const client of [a, b]) await client.wait((m) => m.payload?.payload?.i === 4, 'the last one')
  assert.equal(await counted(world, 'events'), 15)
  a.send('realtime:r', 'whatever', {})
  a.send('realtime:r', 'access_token', { access_token: 7 })
  await a.heartbeat()
  assert.equal(await counted(world, 'events'), 17)
  for (const client of [a, b]) await client.subscribe('c', [{ event: '*', schema: 'public', table: 'c' }])
  for (let i = 0; i < 5; i++) await world.sql('insert into c values ($1)', [i])
  for (const client of [a, b]) await client.untilChanges(5)
  assert.equal(await counted(world, 'db_events'), 10)
  await a.subscribe('nothing', [{ event: '*', schema: 'public', table: 'nope' }])
  assert.deepEqual([await counted(world, 'joins'), await counted(world, 'events'), await counted(world, 'db_events')], [5, 17, 10])
  a.close()
  b.close()
})

test('realtime-js learns of a full server as an error of its channel', async (t) => {
  const world = await startLimited(t, { TENANT_MAX_CHANNELS_PER_CLIENT: '1' })
  const client = connect(world.server)
  const statuses = []
  client.channel('one').subscribe((status) => statuses.push(['one', status]))
  await until(() => statuses.length, 'the first')
  client.channel('two').subscribe((status, error) => statuses.push(['two', status, error?.message]))
  await until(() => statuses.some(([name]) => name === 'two'), 'the second')
  const [, status, message] = statuses.find(([name]) => name === 'two')
  assert.equal(status, 'CHANNEL_ERROR')
  assert.match(message, /ChannelRateLimitReached: Too many channels/)
  await client.disconnect()
})

test('SIGHUP moves the limits under the connections that are there', async (t) => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-limits-')), 'settings')
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }))
  const write = (users, channels, more = '') => fs.writeFileSync(file, `# limits\nTENANT_MAX_CONCURRENT_USERS=${users}\nTENANT_MAX_CHANNELS_PER_CLIENT=${channels}\n${more}`)
  write(1, 1)
  const world = await startLimited(t, { SETTINGS_FILE: file })
  const reload = async (...values) => {
    write(...values)
    world.server.log = ''
    world.server.child.kill('SIGHUP')
    await world.server.untilLog(/app reload status/)
  }
  const waiting = await Client.open(world.server), first = await Client.open(world.server)
  assert.equal((await first.join('a')).status, 'ok')
  assert.equal((await waiting.join('a')).status, 'error')
  assert.equal((await first.join('b')).status, 'error')
  await reload(2, 2, 'PORT=1\n')
  assert.match(world.server.log, /status="ok"/) // PORT comes from the environment
  assert.equal((await waiting.join('a')).status, 'ok')
  assert.equal((await first.join('b')).status, 'ok')
  assert.equal((await first.join('c')).status, 'error')
  await reload(2, 'many')
  assert.match(world.server.log, /status="invalid input" notes="TENANT_MAX_CHANNELS_PER_CLIENT: /)
  assert.equal((await first.join('c')).response.reason, 'ChannelRateLimitReached: Too many channels')
  await reload(0, 0)
  for (let i = 0; i < 5; i++) assert.equal((await first.join(`more${i}`)).status, 'ok')
  await reload(1, 1) // who is there stays
  assert.equal((await waiting.heartbeat()).status, 'ok')
  assert.equal((await waiting.join('again')).status, 'error')
  first.close()
  waiting.close()
})
