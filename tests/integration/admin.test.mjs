// The HTTP API for tenants, and what its changes mean for clients.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { test } from 'node:test'
import { API_SECRET, STORE, api, apiToken, controlEnv, createTenant, databaseOf, secretOf, sharedControl, tenantToken } from './lib/control.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { mint, secondsFromNow } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

const NEXT_SECRET = 'the-next-secret-the-next-secret-the-next'
const BLOCKED = apiToken({ jti: 'withdrawn' })
const NODE = /^walcast@./
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const notFound = { message: 'not found' }

const world = sharedControl({
  env: { API_JWT_SECRET_NEXT: NEXT_SECRET, API_TOKEN_BLOCKLIST: `x.y.z,${BLOCKED}`, REGION: 'eu-west-1', SLOT_NAME_SUFFIX: 'n1', REQUEST_ID_BAGGAGE_KEY: 'trace', TENANT_MAX_CONCURRENT_USERS: '300' },
  sql: `create table notes (id int primary key, body text); grant select on notes to anon;
        alter publication supabase_realtime add table notes`,
})
const call = (method, path, options) => api(world.server, method, path, options)
const post = (tenant, options) => call('POST', '/tenants', { json: { tenant }, ...options })
const put = (id, tenant, options) => call('PUT', `/tenants/${id}`, { json: { tenant }, ...options })
const health = async (id) => (await call('GET', `/tenants/${id}/health`)).json.data

const connect = (id, options = {}) => Client.open(world.server, { token: tenantToken(id), headers: { host: `${id}.localhost` }, ...options })
const joined = async (t, id, room = 'room') => {
  const client = await connect(id)
  t.after(() => client.close())
  assert.equal((await client.join(room)).status, 'ok')
  return client
}
const refused = (id, options) => connect(id, options).then(() => assert.fail('was let in'), (e) => { if (!e.status) throw e; return e.status })

async function toldAndClosed(client) {
  const { payload } = await client.wait((m) => m.event === 'system', 'the notice')
  assert.equal(payload.message, 'Server requested disconnect')
  assert.equal((await client.untilClosed()).code, 1012)
}

test('a tenant is created, its database prepared, and it is shown without its password', async () => {
  const { status, json, headers } = await post({ external_id: 'made', name: 'ignored', jwt_secret: secretOf('made'), extensions: [databaseOf(world.cluster)] })
  assert.equal(status, 201)
  assert.match(json.data.id, UUID)
  assert.equal(headers.get('location'), `/api/tenants/${json.data.id}`)
  const { id, inserted_at: insertedAt, extensions, ...rest } = json.data
  assert.deepEqual(rest, {
    external_id: 'made', name: 'made', max_concurrent_users: 300, max_channels_per_client: 100, max_events_per_second: 100, max_joins_per_second: 100,
    private_only: false, max_client_presence_events_per_window: null, client_presence_window_ms: null, presence_enabled: false,
  })
  assert.match(insertedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  const { settings } = extensions[0]
  assert.deepEqual(Object.keys(settings).sort(), ['db_host', 'db_name', 'db_port', 'db_user', 'poll_interval_ms', 'poll_max_changes', 'poll_max_record_bytes', 'publication', 'region', 'slot_name', 'ssl_enforced'])
  for (const name of ['db_host', 'db_name', 'db_port', 'db_user']) assert.match(settings[name], /^g1:/)
  assert.equal(settings.region, 'us-east-1')
  assert.deepEqual(await world.sql(`select to_regclass('realtime.messages') is not null as ok`), [{ ok: true }])
  assert.deepEqual((await call('GET', '/tenants/made')).json, json)
  assert.ok((await call('GET', '/tenants')).json.data.some((t) => t.external_id === 'made'))
  const stored = (await (await world.cluster.connect({ database: STORE })).query(`select * from _realtime.tenants where external_id = 'made'`)).rows[0]
  assert.ok(stored.migrations_ran > 0)
  assert.doesNotMatch(JSON.stringify(stored), /secret-of/)
})

test('PUT and PATCH create, too, and POST changes', async () => {
  for (const [method, id] of [['PUT', 'by-put'], ['PATCH', 'by-patch']]) {
    const made = await call(method, `/tenants/${id}`, { json: { tenant: { jwt_secret: 's', extensions: [] } } })
    assert.equal(made.status, 201)
    assert.equal(made.json.data.external_id, id)
    const changed = await post({ external_id: id, max_events_per_second: 7 })
    assert.equal(changed.status, 200)
    assert.equal(changed.headers.get('location'), `/api/tenants/${made.json.data.id}`)
    assert.equal(changed.json.data.id, made.json.data.id)
    assert.equal((await call('GET', `/tenants/${id}`)).json.data.max_events_per_second, 7)
  }
})

test('settings are kept, and their public name wins', async () => {
  const extensions = [databaseOf(world.cluster, { subcriber_pool_size: 3, postgres_changes_pool: 10, own: { a: [1] } })]
  await put('settings', { jwt_secret: 's', extensions, max_client_presence_events_per_window: 42, client_presence_window_ms: 5000, presence_enabled: true })
  const { data } = (await call('GET', '/tenants/settings')).json
  assert.equal(data.max_client_presence_events_per_window, 42)
  assert.equal(data.client_presence_window_ms, 5000)
  assert.equal(data.presence_enabled, true)
  const { settings } = data.extensions[0]
  assert.equal(settings.subcriber_pool_size, 10)
  assert.deepEqual(settings.own, { a: [1] })
  assert.ok(!('postgres_changes_pool' in settings))
})

test('what is wrong is named', async () => {
  const cases = [
    [{ name: 'x' }, { external_id: [`can't be blank`] }],
    [{ external_id: 'w', extensions: [{ type: 'postgres', settings: { ...databaseOf(world.cluster).settings, db_host: null } }] }, { extensions: [{ settings: [`db_host can't be blank`] }] }],
    [{ external_id: 'w', jwt_secret: 's' }, { extensions: [`can't be blank`] }],
    [{ external_id: 'w', extensions: [] }, { jwt_secret: ['either jwt_secret or jwt_jwks must be provided'] }],
    [{ external_id: 'w', jwt_secret: 's', extensions: [], max_concurrent_users: 'many' }, { max_concurrent_users: ['is invalid'] }],
  ]
  for (const [tenant, errors] of cases) {
    const { status, json } = await post(tenant)
    assert.deepEqual([status, json], [422, { errors }])
  }
  assert.equal((await call('GET', '/tenants/w')).status, 404)
})

test('a body that is none, and one without a tenant', async () => {
  for (const token of [null, undefined]) {
    const { status, text } = await call('POST', '/tenants', { body: '{bad', ...(token === null ? { token } : {}) })
    assert.deepEqual([status, text], [400, 'Bad Request'])
  }
  for (const json of [{}, [], { tenant: 'x' }, { tenant: null }]) {
    const answer = await call('POST', '/tenants', { json })
    assert.deepEqual([answer.status, answer.json], [400, 'Bad Request'])
  }
  assert.equal((await call('PUT', '/tenants/x')).status, 400)
  assert.equal((await call('GET', '/tenants', { headers: { accept: 'text/html' } })).status, 406)
})

const ROUTES = [['GET', ''], ['POST', ''], ['GET', '/made'], ['PUT', '/made'], ['PATCH', '/made'], ['DELETE', '/made'], ['POST', '/made/reload'], ['POST', '/made/shutdown'], ['GET', '/made/health']]

test('without a good token every route is 403, with an empty body, and nothing happens', async () => {
  const bad = [null, 'potato', BLOCKED, apiToken({ exp: secondsFromNow(-1) }), apiToken({}, 'another secret'), mint({}, { secret: API_SECRET }).slice(0, -3)]
  for (const token of bad) {
    for (const [method, path] of ROUTES) {
      const { status, text, headers } = await call(method, `/tenants${path}`, { token, ...(method.startsWith('P') ? { json: { tenant: { suspend: true } } } : {}) })
      assert.deepEqual([status, text, headers.get('content-type')], [403, '', null], `${method} ${path}`)
    }
  }
  for (const authorization of [`bearer ${apiToken()}`, `Basic ${apiToken()}`, apiToken(), `Bearer  ${apiToken()}`]) assert.equal((await call('GET', '/tenants', { token: null, headers: { authorization } })).status, 403, authorization)
  assert.equal((await call('GET', '/tenants/made')).status, 200)
})

test('either secret and each of its algorithms is good, and a web page gets nothing', async () => {
  for (const secret of [API_SECRET, NEXT_SECRET])
    for (const alg of ['HS256', 'HS384', 'HS512'])
      assert.equal((await call('GET', '/tenants', { token: mint({ exp: secondsFromNow(60) }, { secret, alg }) })).status, 200)
  const { headers } = await call('GET', '/tenants', { headers: { origin: 'https://example.com' } })
  assert.equal(headers.get('access-control-allow-origin'), null)
  assert.equal((await call('OPTIONS', '/tenants', { headers: { origin: 'https://example.com', 'access-control-request-method': 'GET' } })).status, 404)
})

test('who is not there is 404, and deleted without a word', async () => {
  for (const [method, path] of [['GET', ''], ['POST', '/reload'], ['POST', '/shutdown'], ['GET', '/health']]) {
    const { status, json } = await call(method, `/tenants/nobody${path}`)
    assert.deepEqual([status, json], [404, notFound], `${method} ${path}`)
  }
  assert.equal((await call('DELETE', '/tenants/nobody')).status, 204)
})

test('a client of a tenant that was just made gets its changes', async (t) => {
  await createTenant(world, 'fresh')
  const client = await connect('fresh')
  t.after(() => client.close())
  const { system } = await client.subscribe('n', [{ event: 'INSERT', schema: 'public', table: 'notes' }])
  assert.equal(system.status, 'ok')
  const id = crypto.randomInt(2 ** 31 - 1)
  await world.sql(`insert into notes values (${id}, 'x')`)
  await until(() => client.changes().some(({ data }) => data.record.id === id), 'the change')
})

test('a tenant is found by its header and in the path, too', async (t) => {
  await createTenant(world, 'named', { extensions: [] })
  const token = tenantToken('named')
  for (const url of [`${world.server.socketUrl}`, world.server.socketUrl.replace('/socket', '/t/named/socket')]) {
    const byHeader = url === world.server.socketUrl
    const client = await Client.open({ socketUrl: url }, { token, headers: byHeader ? { 'x-tenant-id': 'named' } : {} })
    t.after(() => client.close())
    assert.equal((await client.join('r')).status, 'ok')
  }
})

test('new keys send the clients of the old ones away', async (t) => {
  await createTenant(world, 'keys', { extensions: [] })
  const client = await joined(t, 'keys')
  const other = await joined(t, 'made')
  assert.equal((await put('keys', { jwt_secret: 'another' })).status, 200)
  await toldAndClosed(client)
  assert.equal(await refused('keys'), 401)
  const again = await connect('keys', { token: mint({ role: 'anon', exp: secondsFromNow(60) }, { secret: 'another' }) })
  t.after(() => again.close())
  assert.equal((await other.heartbeat()).status, 'ok')
})

test('a key set is rotated', async (t) => {
  const pair = () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keys = { first: pair(), second: pair() }
  const jwks = (...kids) => ({ keys: kids.map((kid) => ({ ...keys[kid].publicKey.export({ format: 'jwk' }), kid })) })
  const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const token = (kid) => {
    const text = `${base64url({ alg: 'ES256', kid })}.${base64url({ role: 'anon', exp: secondsFromNow(60) })}`
    return `${text}.${crypto.sign('sha256', text, { key: keys[kid].privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  assert.equal((await put('rotating', { jwt_jwks: jwks('first'), extensions: [] })).status, 201)
  const client = await connect('rotating', { token: token('first') })
  t.after(() => client.close())
  await client.join('r')
  assert.equal(await refused('rotating', { token: token('second') }), 401)
  assert.equal((await put('rotating', { jwt_jwks: jwks('first', 'second') })).status, 200)
  await toldAndClosed(client)
  for (const kid of ['first', 'second']) (await connect('rotating', { token: token(kid) })).close()
  assert.equal((await put('rotating', { jwt_jwks: jwks('second') })).status, 200)
  assert.equal(await refused('rotating', { token: token('first') }), 401)
  ;(await connect('rotating', { token: token('second') })).close()
})

test('limits and names change under the clients', async (t) => {
  await createTenant(world, 'limits', { extensions: [] })
  const client = await joined(t, 'limits')
  assert.equal((await put('limits', { max_channels_per_client: 2, name: 'another name' })).status, 200)
  assert.equal((await client.join('second')).status, 'ok')
  assert.equal((await client.join('third')).response.reason, 'ChannelRateLimitReached: Too many channels')
  assert.equal(client.closed, null)
  assert.equal((await call('GET', '/tenants/limits')).json.data.name, 'another name')
})

test('a suspended tenant has no clients until it is no longer suspended', async (t) => {
  await createTenant(world, 'suspended', { extensions: [] })
  const client = await joined(t, 'suspended')
  await put('suspended', { suspend: true })
  await toldAndClosed(client)
  assert.equal(await refused('suspended'), 403)
  await put('suspended', { suspend: false })
  await joined(t, 'suspended')
})

test('private_only refuses public channels', async (t) => {
  await createTenant(world, 'private', { extensions: [] })
  const client = await joined(t, 'private')
  await put('private', { private_only: true })
  await toldAndClosed(client)
  const again = await connect('private')
  t.after(() => again.close())
  assert.match((await again.join('room')).response.reason, /PrivateOnly/)
})

test('reload sends the clients away, shutdown lets them be, and both let the database go', async (t) => {
  await createTenant(world, 'restarted')
  const client = await joined(t, 'restarted')
  await until(async () => (await health('restarted')).db_connected, 'the database')
  assert.equal((await call('POST', '/tenants/restarted/shutdown')).status, 204)
  assert.equal((await client.heartbeat()).status, 'ok')
  assert.equal((await call('POST', '/tenants/restarted/reload')).status, 204)
  await toldAndClosed(client)
  assert.equal((await call('POST', '/tenants/restarted/reload')).status, 204)
  await joined(t, 'restarted')
})

test('health: nobody there, somebody with a database, somebody without', async (t) => {
  await createTenant(world, 'healthy')
  const idle = await health('healthy')
  assert.match(idle.node, NODE)
  const { node } = idle
  assert.deepEqual(idle, { healthy: true, db_connected: false, replication_connected: false, connected_cluster: 0, region: 'eu-west-1', node })
  await joined(t, 'healthy')
  await until(async () => (await health('healthy')).replication_connected, 'the stream')
  assert.deepEqual(await health('healthy'), { healthy: true, db_connected: true, replication_connected: true, connected_cluster: 1, region: 'eu-west-1', node })
  const away = databaseOf(world.cluster, { db_port: '1' })
  assert.equal((await post({ external_id: 'homeless', jwt_secret: secretOf('homeless'), extensions: [away] })).status, 401)
  await joined(t, 'homeless')
  await until(async () => (await health('homeless')).connected_cluster === 1, 'the client')
  assert.deepEqual(await health('homeless'), { healthy: false, db_connected: false, replication_connected: false, connected_cluster: 1, region: 'eu-west-1', node })
})

test('a tenant whose database cannot be prepared is there, unhealthy, and prepared when that is possible', async () => {
  const settings = { db_name: 'not_yet' }
  const { status, json } = await post({ external_id: 'early', jwt_secret: secretOf('early'), extensions: [databaseOf(world.cluster, settings)] })
  assert.equal(status, 401)
  assert.equal(json.message, 'Unauthorized')
  assert.match(json.reason, /not_yet/)
  assert.equal((await call('GET', '/tenants/early')).status, 200)
  assert.equal((await health('early')).healthy, false)
  await world.sql('create database not_yet')
  await until(async () => (await health('early')).healthy, 'health', 30_000)
  const [{ ok }] = (await (await world.cluster.connect({ database: 'not_yet' })).query(`select to_regclass('realtime.messages') is not null as ok`)).rows
  assert.equal(ok, true)
})

test('a deleted tenant has no clients, no row and no slot, and the slots of others stay', async (t) => {
  const slots = async () => (await world.sql('select slot_name from pg_replication_slots where not temporary order by 1')).map((r) => r.slot_name)
  await world.sql(`select pg_create_logical_replication_slot('realtime_of_somebody_else', 'pgoutput')`)
  t.after(() => world.sql(`select pg_drop_replication_slot('realtime_of_somebody_else')`))
  await createTenant(world, 'doomed', { settings: { slot_name: 'doomed_slot', permanent_slot: true } })
  const client = await joined(t, 'doomed')
  await until(async () => (await slots()).includes('doomed_slot_n1'), 'the slot')
  assert.equal((await call('DELETE', '/tenants/doomed')).status, 204)
  await toldAndClosed(client)
  assert.equal((await call('GET', '/tenants/doomed')).status, 404)
  assert.equal(await refused('doomed'), 404)
  assert.deepEqual(await slots(), ['realtime_of_somebody_else'])
  assert.equal((await call('DELETE', '/tenants/doomed')).status, 204)
})

test('a row that another server writes or deletes is noticed', async (t) => {
  await createTenant(world, 'elsewhere', { extensions: [] })
  const client = await joined(t, 'elsewhere')
  const store = await world.cluster.connect({ database: STORE })
  await store.query(`update _realtime.tenants set suspend = true where external_id = 'elsewhere'`)
  await toldAndClosed(client)
  await store.query(`delete from _realtime.tenants where external_id = 'elsewhere'`)
  await until(async () => (await call('GET', '/tenants/elsewhere')).status === 404, 'the end of the tenant')
})

test('of writes at the same time each is done, or told to try again', async () => {
  await createTenant(world, 'contended', { extensions: [] })
  const limits = Array.from({ length: 30 }, (_, i) => 100 + i)
  const answers = await Promise.all(limits.map((n) => call('PUT', '/tenants/contended', { json: { tenant: { max_concurrent_users: n } } })))
  assert.deepEqual(answers.filter(({ status }) => status !== 200 && status !== 409), [])
  const done = answers.filter(({ status }) => status === 200).map(({ json }) => json.data.max_concurrent_users)
  assert.ok(done.length > 0)
  assert.ok(done.includes((await call('GET', '/tenants/contended')).json.data.max_concurrent_users))
  assert.equal((await call('DELETE', '/tenants/contended')).status, 204)
})

test('a tenant whose secrets cannot be read is none, and /health counts it until it is mended', async () => {
  const unusable = async () => (await (await world.server.get('/health')).json()).store.tenants_unusable
  await createTenant(world, 'foreign', { extensions: [] })
  assert.equal(await unusable(), 0)
  const store = await world.cluster.connect({ database: STORE })
  const [{ jwt_secret }] = (await store.query(`select jwt_secret from _realtime.tenants where external_id = 'foreign'`)).rows
  await store.query(`update _realtime.tenants set jwt_secret = 'g1:AAAA' where external_id = 'foreign'`)
  await until(async () => (await unusable()) === 1, 'the count')
  assert.equal((await call('GET', '/tenants/foreign')).status, 404)
  await store.query(`update _realtime.tenants set jwt_secret = $1 where external_id = 'foreign'`, [jwt_secret])
  await until(async () => (await unusable()) === 0, 'the mended tenant')
  assert.equal((await call('DELETE', '/tenants/foreign')).status, 204)
})

test('REQUEST_ID_BAGGAGE_KEY names the entry that an answer repeats', async () => {
  const { headers } = await call('GET', '/tenants/made', { headers: { baggage: 'request-id=0000000000,trace=1234567890' } })
  assert.equal(headers.get('x-request-id'), '1234567890')
})

test('the description of the API is for everybody', async () => {
  const { status, json } = await call('GET', '/openapi', { token: null })
  assert.equal(status, 200)
  assert.equal(json.openapi, '3.0.3')
  for (const [method, path] of ROUTES) assert.ok(json.paths[`/api/tenants${path.replace('made', '{id}')}`][method.toLowerCase()], `${method} ${path}`)
})

test('in environment mode the one tenant is shown and cannot be changed', async (t) => {
  const server = await Server.start({ ...world.cluster.serverEnv, API_JWT_SECRET: API_SECRET })
  t.after(() => server.stop())
  const list = await api(server, 'GET', '/tenants')
  assert.deepEqual(list.json.data.map((d) => d.external_id), ['realtime-dev'])
  assert.doesNotMatch(list.text, new RegExp(world.cluster.env.DB_PASSWORD))
  assert.equal((await api(server, 'GET', '/tenants/realtime-dev')).json.data.external_id, 'realtime-dev')
  assert.equal((await api(server, 'GET', '/tenants/realtime-dev/health')).json.data.db_connected, true)
  for (const [method, path] of [['POST', ''], ['PUT', '/realtime-dev'], ['DELETE', '/realtime-dev']]) {
    const { status, json } = await api(server, method, `/tenants${path}`, method === 'DELETE' ? {} : { json: { tenant: { external_id: 'x', suspend: true } } })
    assert.equal(status, 409)
    assert.match(json.message, /JWT_SECRET/)
  }
  assert.equal((await api(server, 'POST', '/tenants/realtime-dev/shutdown')).status, 204)
  assert.equal((await api(server, 'POST', '/tenants/realtime-dev/reload')).status, 204)
  assert.equal((await api(server, 'POST', '/tenants/nobody/reload')).status, 404)
})

test('without API_JWT_SECRET nobody may, and the log says so once', async (t) => {
  const server = await Server.start({ ...world.cluster.serverEnv, SECRET_KEY_BASE: 'x', NUM_ACCEPTORS: '5' })
  t.after(() => server.stop())
  for (const token of [null, apiToken(), mint({}, { secret: 'x' })]) assert.equal((await api(server, 'GET', '/tenants', { token })).status, 403)
  assert.equal(server.log.match(/tenants_api_closed/g).length, 1)
  assert.equal(server.log.match(/settings_without_effect names=.*SECRET_KEY_BASE.*/g).length, 1)
})

test('before the control store was read there is no answer, and then there is', async (t) => {
  const server = await Server.start({ ...controlEnv(world.cluster), DB_NAME: 'later' }, { wait: 'up' })
  t.after(() => server.stop())
  assert.equal((await server.get('/health')).status, 503)
  assert.equal((await server.get('/health/ready')).status, 503)
  for (const [method, path] of [['GET', ''], ['GET', '/x'], ['DELETE', '/x']]) assert.equal((await api(server, method, `/tenants${path}`)).status, 503)
  await world.sql('create database later')
  await until(async () => (await server.get('/health/ready')).status === 200, 'readiness', 30_000)
  assert.deepEqual((await api(server, 'GET', '/tenants')).json, { data: [] })
})

test('while the control store is away tenants are shown and served, and cannot be changed', async (t) => {
  await put('by-put', { jwt_secret: secretOf('by-put') })
  const served = await joined(t, 'by-put')
  await world.cluster.stop()
  await until(async () => (await put('by-put', { max_events_per_second: 9 })).status === 503, '503')
  assert.equal((await call('DELETE', '/tenants/by-put')).status, 503)
  assert.equal((await call('GET', '/tenants/by-put')).status, 200)
  assert.equal((await served.heartbeat()).status, 'ok')
  await world.cluster.boot()
  await until(async () => (await put('by-put', { max_events_per_second: 9 })).status === 200, '200 again', 60_000)
})
