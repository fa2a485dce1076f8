// /metrics of a server with many tenants: form, labels, what belongs to whom.
import assert from 'node:assert/strict'
import os from 'node:os'
import { test } from 'node:test'
import { oddSums } from './lib/books.mjs'
import { STORE, createTenant, sharedControl, tenantToken } from './lib/control.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'

const REGION = 'eu "quoted" \\ region', MANY = 1000
const world = sharedControl({
  env: { REGION },
  sql: 'create table notes (id int primary key, body text); grant select on notes to anon; alter publication supabase_realtime add table notes',
})

const connect = async (t, id) => {
  const client = await Client.open(world.server, { token: tenantToken(id), headers: { host: `${id}.localhost` } })
  t.after(() => client.close())
  return client
}

test('every sample carries the labels of the node, and each name is described once', async () => {
  const page = await world.server.metrics()
  for (const { node } of page.samples) assert.deepEqual(node, { region: REGION, host: os.hostname(), id: String(world.server.port) })
  assert.equal(new Set(page.samples.map((sample) => JSON.stringify([sample.name, sample.labels]))).size, page.samples.length)
  let name
  const described = new Set()
  for (const line of page.text.split('\n').filter(Boolean)) {
    const [, type] = /^# TYPE (\S+) (?:counter|gauge|histogram)$/.exec(line) ?? []
    if (type) assert.ok(!described.has(type), `${type} twice`), described.add(name = type)
    else if (!line.startsWith('# HELP ')) assert.match(line.split(/[ {]/)[0], new RegExp(`^${name}(_bucket|_sum|_count)?$`), line)
  }
  assert.ok(described.size > 80, `${described.size} names`)
})

test('tenants have their own figures, the node has the sums, and who is idle has none', async (t) => {
  for (const id of ['red', 'blue', 'idle']) await createTenant(world, id)
  const red = await connect(t, 'red'), blue = await connect(t, 'blue'), other = await connect(t, 'blue')
  for (const client of [red, blue, other]) assert.equal((await client.join('room')).status, 'ok')
  assert.equal((await red.join('', {})).status, 'error')
  await red.join('room2', {}, { access_token: 'potato' })
  blue.send('realtime:room', 'broadcast', { type: 'broadcast', event: 'e', payload: { a: 1 } })
  await other.nth('broadcast')
  await red.subscribe('changes', [{ event: '*', schema: 'public', table: 'notes' }])
  await world.sql(`insert into notes values (1, 'x')`)
  await red.untilChanges(1)

  const of = (page, name, tenant, more = '') => page.get(`${name}{tenant="${tenant}"${more}}`)
  const page = await until(async () => {
    const now = await world.server.metrics()
    return oddSums(now).length === 0 && of(now, 'realtime_subscriptions_manager_subscribers', 'red') === 1 ? now : null
  }, 'figures that have settled')
  assert.equal(of(page, 'realtime_connections_connected', 'red'), 1)
  assert.equal(of(page, 'realtime_connections_connected', 'blue'), 2)
  assert.equal(page.get('realtime_connections_global_connected'), 3)
  assert.equal(of(page, 'realtime_channel_events', 'red'), 0)
  assert.equal(of(page, 'realtime_channel_events', 'blue'), 2, 'sent once, delivered once')
  assert.equal(of(page, 'realtime_channel_db_events', 'red'), 1)
  assert.equal(of(page, 'realtime_replication_poller_changes_dispatch', 'red'), 1)
  assert.equal(of(page, 'realtime_channel_error', 'red', ',code="TopicNameRequired"'), 1)
  assert.equal(of(page, 'realtime_channel_error', 'red', ',code="MalformedJWT"'), 1)
  assert.equal(of(page, 'realtime_channel_error', 'blue', ',code="MalformedJWT"'), undefined)
  assert.equal(of(page, 'realtime_tenants_payload_size_count', 'blue', ',message_type="broadcast"'), 1)
  assert.equal(of(page, 'realtime_tenants_payload_size_count', 'red', ',message_type="postgres_changes"'), 1)
  assert.equal(page.get('walcast_commit_to_socket_seconds_count'), 1)
  assert.ok(of(page, 'walcast_slot_lag_bytes', 'red') >= 0)
  assert.ok(page.get('realtime_tenants_connected') >= 1)
  assert.equal(page.get('walcast_store_connected'), 1)
  assert.equal(page.get('phoenix_channel_joined_total{result="ok",transport="websocket",endpoint="walcast"}'), 4)
  assert.equal(page.get('phoenix_channel_joined_total{result="error",transport="websocket",endpoint="walcast"}'), 2)
  assert.doesNotMatch(page.text, /tenant="idle"/)
  for (const name of ['osmon_cpu_util', 'osmon_cpu_avg1', 'osmon_ram_usage']) assert.ok(page.get(name) >= 0, name)
})

test(`${MANY} more tenants that nobody uses add nothing to the page`, async (t) => {
  const before = await world.server.metrics()
  const store = await world.cluster.connect({ database: STORE })
  await store.query(`create temp table extra as select * from _realtime.tenants where external_id = 'idle'`)
  await store.query(`insert into _realtime.tenants select (jsonb_populate_record(extra, jsonb_build_object('id', gen_random_uuid(), 'external_id', 'extra' || i, 'name', 'extra' || i))).* from extra, generate_series(1, ${MANY}) i`)
  await until(async () => await world.server.metric('walcast_tenants_known') >= MANY, `${MANY} tenants`)
  const began = process.hrtime.bigint()
  const page = await world.server.metrics()
  t.diagnostic(`${page.text.length} bytes in ${Number(process.hrtime.bigint() - began) / 1e6} ms with ${MANY} tenants; ${before.text.length} bytes without`)
  assert.ok(Math.abs(page.text.length - before.text.length) < 4000, `${before.text.length} -> ${page.text.length} bytes`)
  assert.doesNotMatch(page.text, /tenant="extra/)
  const pages = await Promise.all(Array.from({ length: 50 }, () => world.server.metrics()))
  for (const { samples } of pages) assert.ok(samples.length >= page.samples.length)
})
