// Many tenants on one server: nobody sees another's traffic, or waits for another's database.
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { api, controlEnv, createTenant, databaseOf, secretOf, sharedControl, tenantToken } from './lib/control.mjs'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

const IDLE_CLOSE_MS = 400
const SOON_MS = 2000 * SLOWNESS
const BINDING = [{ event: '*', schema: 'public', table: 't' }]
const DATABASES = ['one', 'two']

const db = {} // connections by database
const world = sharedControl({
  conf: { max_connections: '100', max_wal_senders: '40', max_replication_slots: '40' },
  env: { TENANT_IDLE_CLOSE_MS: String(IDLE_CLOSE_MS), MAX_QUEUED_BYTES: String(64 << 20), SOCKET_THREADS: '1', DB_CONNECT_TIMEOUT_MS: '3000' },
}, async ({ cluster, sql, ...self }) => {
  for (const name of DATABASES) {
    await sql(`create database ${name}`)
    db[name] = await cluster.connect({ database: name })
    await db[name].query(`create table t (id int primary key, v text); grant select on t to anon, authenticated;
      create publication supabase_realtime for table t`)
    await createTenant({ cluster, ...self }, name, { settings: { db_name: name }, max_events_per_second: 1_000_000 })
  }
})
const connect = async (t, id, { server = world.server } = {}) => {
  const client = await Client.open(server, { token: tenantToken(id), headers: { host: `${id}.localhost` } })
  t.after(() => client.close())
  return client
}
const subscribed = async (t, id, options) => {
  const client = await connect(t, id, options)
  assert.equal((await client.subscribe('room', BINDING)).system.status, 'ok')
  return client
}
const ids = (client) => client.changes().map((c) => c.data.record.id)
const ours = async (name) => (await world.sql(`select pid from pg_stat_activity where datname = $1 and application_name like 'walcast%'`, [name])).length
let last = 100
const insert = (name, id = ++last) => db[name].query('insert into t values ($1)', [id]).then(() => id)

/** Its database answers in time. */
async function assertServed(client, name) {
  const id = await insert(name)
  await until(() => ids(client).includes(id), `row ${id} of ${name}`, SOON_MS)
}

test('tenants with the same topics and tables never see each other', async (t) => {
  const clients = {}
  for (const name of DATABASES) clients[name] = await subscribed(t, name)
  for (const name of DATABASES) {
    clients[name].send('realtime:room', 'broadcast', { type: 'broadcast', event: 'e', payload: { from: name } })
    clients[name].send('realtime:room', 'presence', { type: 'presence', event: 'track', payload: { name } })
  }
  await db.one.query('insert into t values (1), (2)')
  await db.two.query('insert into t values (1), (3)')
  const listeners = {}
  for (const name of DATABASES) {
    listeners[name] = await connect(t, name)
    assert.equal((await listeners[name].join('room', { presence: { enabled: true } })).status, 'ok')
    const state = await listeners[name].nth('presence_state')
    assert.deepEqual(Object.values(state).map((p) => p.metas[0].name), [name])
    listeners[name].send('realtime:room', 'broadcast', { type: 'broadcast', event: 'last', payload: { from: name } })
  }
  for (const name of DATABASES) {
    await until(() => clients[name].all('broadcast').length >= 1 && clients[name].changes().length >= 2, 'what is its own')
    assert.deepEqual(clients[name].all('broadcast').map((p) => [p.event, p.payload.from]), [['last', name]])
  }
  assert.deepEqual([ids(clients.one), ids(clients.two)], [[1, 2], [1, 3]])
  const crossed = await Client.open(world.server, { token: tenantToken('one'), headers: { host: 'two.localhost' } }).then(() => 'let in', (e) => e.status)
  assert.equal(crossed, 401)
})

test('databases that refuse, hang or are killed delay nobody', async (t) => {
  const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await new Promise((done) => silent.once('listening', done))
  const put = (id, settings) => api(world.server, 'PUT', `/tenants/${id}`, { json: { tenant: { jwt_secret: `secret-of-${id}-secret-of-${id}-secret`, extensions: [{ type: 'postgres_cdc_rls', settings: { region: 'r', db_host: '127.0.0.1', db_name: 'x', db_user: 'x', db_password: 'x', ssl_enforced: false, ...settings } }] } } })
  const MANY = 40 // more than may connect at once
  const bad = [['refuses', { db_port: '1' }]]
  for (let i = 0; i < MANY; i++) bad.push([`hangs${i}`, { db_port: String(silent.address().port) }])
  await Promise.all(bad.map(([id, settings]) => put(id, settings)))
  const good = await subscribed(t, 'one')
  for (const [id] of bad) {
    const client = await connect(t, id)
    client.send('realtime:room', 'phx_join', { config: { postgres_changes: BINDING } })
    assert.equal((await client.join('public')).status, 'ok', 'a public join does not wait for the database')
  }
  await assertServed(good, 'one')
  const late = await subscribed(t, 'two') // its database is opened behind all these
  await world.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = 'two' and application_name like 'walcast%'`)
  await assertServed(good, 'one')
  await late.wait(() => late.all('system').filter((m) => m.status === 'ok').length >= 2, 'the killed one is back')
  await assertServed(late, 'two')
  const { json } = await api(world.server, 'GET', '/tenants/refuses/health')
  assert.equal(json.data.db_connected, false)
  const shown = (await world.server.health()).body.tenants.find((x) => x.id === 'refuses')
  assert.equal(shown.reason, 'connection_failed')
  for (const [id] of bad) await api(world.server, 'DELETE', `/tenants/${id}`)
})

/** What looks like Postgres lets everybody in and answers whatever it is asked with the first of `messages`, then the second again and again. */
async function impostor(t, messages) {
  const message = (type, body) => Buffer.concat([Buffer.from(type), Buffer.from(Uint32Array.of(body.length + 4).buffer).swap32(), body])
  const sockets = new Set()
  const server = net.createServer((socket) => {
    // one write in a turn: our own clients have theirs in between
    const flood = (part) => { if (!socket.destroyed) socket.write(part, () => setImmediate(flood, part)) }
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('Z', Buffer.from('I'))]))
      socket.once('data', () => {
        const [first, again] = messages(message)
        if (first) socket.write(first)
        if (again) flood(again)
      })
      socket.on('data', () => {}) // what is not read hides the end
    })
  }).listen(0, '127.0.0.1')
  t.after(() => { server.close(); for (const socket of sockets) socket.destroy() })
  await new Promise((done) => server.once('listening', done))
  return { port: String(server.address().port), sockets }
}

const createAt = (id, port) => api(world.server, 'PUT', `/tenants/${id}`, { json: { tenant: { jwt_secret: secretOf(id), extensions: [{ type: 'postgres_cdc_rls', settings: { region: 'r', db_host: '127.0.0.1', db_port: port, db_name: 'x', db_user: 'x', db_password: 'x', ssl_enforced: false } }] } } })
const NOTICES_AT_ONCE = 2000

test('answers and notices without end take neither memory nor the log', async (t) => {
  const good = await subscribed(t, 'one')
  const column = Buffer.concat([Buffer.from('\0\x01a\0'), Buffer.alloc(9), Buffer.from([25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0])])
  const row = Buffer.concat([Buffer.from([0, 1, 0, 1, 0, 0]), Buffer.alloc(0x10000, 'x')])
  const endless = await impostor(t, (m) => [Buffer.concat([m('1', Buffer.alloc(0)), m('2', Buffer.alloc(0)), m('T', column)]), m('D', row)])
  const loud = await impostor(t, (m) => [null, Buffer.concat(Array(NOTICES_AT_ONCE).fill(m('N', Buffer.from('SNOTICE\0C00000\0Mloud\0\0'))))])
  const { json } = await createAt('endless', endless.port)
  assert.match(json.reason, /the answer is too large/)
  void createAt('loud', loud.port).catch(() => {}) // the notices are answer enough
  await until(async () => (await api(world.server, 'GET', '/tenants/loud')).status === 200, 'the tenant')
  const client = await connect(t, 'loud')
  client.send('realtime:room', 'phx_join', { config: { postgres_changes: BINDING } })
  await world.server.untilLog(/notice tenant=loud .*message="loud" repeated=[1-9]/)
  assert.ok(world.server.log.match(/notice tenant=loud/g).length <= 15)
  await assertServed(good, 'one')
  for (const id of ['endless', 'loud']) await api(world.server, 'DELETE', `/tenants/${id}`)
  await until(() => endless.sockets.size + loud.sockets.size === 0, 'the end of their connections', SOON_MS)
})

test('deleting a tenant ends the preparing of its database', async (t) => {
  const mute = await impostor(t, () => [])
  const preparing = createAt('mute', mute.port)
  await until(() => mute.sockets.size > 0, 'the connection that prepares')
  assert.equal((await api(world.server, 'DELETE', '/tenants/mute')).status, 204)
  await until(() => mute.sockets.size === 0, 'its end', SOON_MS)
  assert.equal((await preparing).status, 404)
})

test('a flood, and a client that does not read it, delay no other tenant', async (t) => {
  const ROWS = 20_000
  const slow = await subscribed(t, 'one'), reader = await subscribed(t, 'one'), quick = await subscribed(t, 'two')
  slow.pause() // its queue has room for all: it is there to the end
  const flood = db.one.query(`insert into t select 100000 + i, repeat('x', 1000) from generate_series(1, ${ROWS}) i`)
  const isOver = () => { assert.equal(reader.closed, null); return ids(reader).filter((id) => id > 100_000).length === ROWS }
  await until(async () => { await assertServed(quick, 'two'); return isOver() }, () => `all rows; got ${ids(reader).length}`, 60_000)
  await flood
  assert.doesNotMatch(world.server.log, /slow_consumer/)
})

test('a database nobody uses is let go, and opened again for the next', async (t) => {
  const first = await subscribed(t, 'one')
  assert.ok(await ours('one') >= 2)
  await assertServed(first, 'one')
  first.close()
  await until(async () => await ours('one') === 0, 'its connections are closed')
  await until(async () => !(await world.server.health()).body.tenants.some((x) => x.id === 'one'), '/health does not list it')
  const second = await subscribed(t, 'one')
  await assertServed(second, 'one')
})

test('a user keeps the database open, however quiet', async (t) => {
  const client = await connect(t, 'two')
  assert.equal((await client.join('room')).status, 'ok')
  await until(async () => await ours('two') >= 1, 'it is opened by a public join')
  const since = Date.now()
  await until(async () => { assert.ok(await ours('two') >= 1); return Date.now() - since > 3 * IDLE_CLOSE_MS }, 'idle for long')
})

test('shutdown lets the database go, and subscribed clients get it back', async (t) => {
  const client = await subscribed(t, 'one')
  const before = await world.sql(`select pid from pg_stat_activity where datname = 'one' and application_name like 'walcast%'`)
  assert.equal((await api(world.server, 'POST', '/tenants/one/shutdown')).status, 204)
  await until(async () => (await world.sql('select pid from pg_stat_activity where pid = any($1)', [before.map((r) => r.pid)])).length === 0, 'the old connections are gone')
  await client.wait(() => client.all('system').filter((m) => m.status === 'ok').length >= 2, 'Subscribed again')
  await assertServed(client, 'one')
  assert.equal(client.closed, null)
})

test('tenants are spread over several threads', async (t) => {
  const server = await Server.start({ ...controlEnv(world.cluster), BRIDGE_THREADS: '3', TENANT_IDLE_CLOSE_MS: String(IDLE_CLOSE_MS) })
  t.after(() => server.stop())
  const one = await subscribed(t, 'one', { server }), two = await subscribed(t, 'two', { server })
  await assertServed(one, 'one')
  await assertServed(two, 'two')
  const { body } = await server.health()
  assert.deepEqual([body.tenants_known, body.tenants_open], [2, 2])
})

test('partitions of realtime.messages are kept for tenants that nobody uses', async (t) => {
  let attempts = 0
  const silent = net.createServer(() => { attempts++ }).listen(0, '127.0.0.1')
  t.after(() => silent.close())
  await new Promise((done) => silent.once('listening', done))
  const hanging = ['hangs0', 'hangs1', 'hangs2'], databases = ['asleep', 'kept']
  const settings = { db_port: String(silent.address().port) }
  const puts = hanging.map((id) => api(world.server, 'PUT', `/tenants/${id}`, { json: { tenant: { jwt_secret: secretOf(id), extensions: [databaseOf(world.cluster, settings)] } } }))
  for (const name of databases) {
    await world.sql(`create database ${name}`)
    db[name] = await world.cluster.connect({ database: name })
    await createTenant(world, name, { settings: { db_name: name }, suspend: name === 'asleep' })
    await db[name].query(`drop schema if exists realtime cascade; create schema realtime;
      create table realtime.messages (inserted_at timestamp not null) partition by range (inserted_at)`)
  }
  const partitions = async (name) => (await db[name].query(`select relname from pg_inherits join pg_class on oid = inhrelid where inhparent = 'realtime.messages'::regclass`)).rows.map((r) => r.relname)
  const areKept = () => until(async () => (await partitions('kept')).length === 9, 'yesterday, today and seven days ahead')
  await Promise.all(puts)
  attempts = 0 // before, it was tried to prepare them
  const server = await Server.start({ ...controlEnv(world.cluster), JANITOR_RUN_AFTER_IN_MS: '0', JANITOR_SCHEDULE_TIMER_IN_MS: '1000', JANITOR_MAX_CHILDREN: '2', JANITOR_CHILDREN_TIMEOUT: '500' })
  t.after(() => server.stop())
  await areKept()
  await db.kept.query(`create table realtime.messages_2020_01_02 partition of realtime.messages for values from ('2020-01-02') to ('2020-01-03');
    drop table ${(await partitions('kept')).map((name) => `realtime.${name}`).join()}`)
  await areKept()
  await until(async () => !(await partitions('kept')).includes('messages_2020_01_02'), 'the old one is dropped')
  await until(() => attempts > 2 * hanging.length, 'those that hang are visited again')
  for (const id of hanging) assert.equal(server.log.match(new RegExp(`not_migrated tenant=${id} `, 'g'))?.length, 1, 'told once')
  assert.deepEqual(await partitions('asleep'), [], 'a suspended tenant is not visited')
  assert.deepEqual((await server.health()).body.tenants, [], 'none was opened')
  for (const id of [...hanging, ...databases]) await api(world.server, 'DELETE', `/tenants/${id}`)
})
