// Many joins with bindings at once: all are answered, nobody waits for another's, and each gets its
// own changes only.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, startWorld } from './lib/world.mjs'

const SQL = 'create table t (id int primary key, v text)'
const CLIENTS = 4
const FRESHNESS_MS = 1000 // the default of POLICY_FRESHNESS_MS
const PATIENCE_MS = 30_000 * SLOWNESS

const binding = (filter) => ({ event: '*', schema: 'public', table: 't', ...(filter ? { filter } : {}) })

async function openClients(t, world, n = CLIENTS) {
  const clients = await Promise.all(Array.from({ length: n }, () => Client.open(world.server)))
  t.after(() => clients.forEach((c) => c.close()))
  return clients
}

/** Sends the join of a room and waits for nothing. */
function sendJoin(client, room, bindings) {
  client.send(`realtime:${room}`, 'phx_join', { config: { postgres_changes: bindings } }, { joinRef: '1' })
}

const verdicts = (clients) => clients.flatMap((c) => c.all('system'))

async function allSubscribed(clients, n) {
  await until(() => verdicts(clients).length >= n, () => `${n} verdicts; ${verdicts(clients).length} came`, PATIENCE_MS)
  assert.deepEqual(verdicts(clients).filter((v) => v.status !== 'ok'), [])
  assert.equal(verdicts(clients).length, n)
}

/** Nobody's bindings can be resolved until the returned function is called. */
async function holdCatalog(world) {
  const session = await world.cluster.connect()
  await session.query('begin; lock table pg_catalog.pg_publication in access exclusive mode')
  return () => session.query('rollback')
}

const catalogWaits = async (world) => (await world.sql(`select pid from pg_stat_activity where application_name = 'walcast_catalog' and wait_event_type = 'Lock'`))[0]?.pid

test('2,000 channels with filters each get their own row', async (t) => {
  const N = 2000
  const world = await startWorld(t, { sql: SQL, publish: ['t'] })
  const clients = await openClients(t, world)
  for (let i = 0; i < N; i++) sendJoin(clients[i % CLIENTS], `row-${i}`, [binding(`id=eq.${i}`)])
  await allSubscribed(clients, N)
  await world.sql(`insert into t select i, 'row' from generate_series(0, ${N}) i`)
  for (const c of clients) await c.untilChanges(N / CLIENTS, PATIENCE_MS)
  await Promise.all(clients.map((c) => c.heartbeat()))
  const got = clients.flatMap((c) => c.messages.filter((m) => m.event === 'postgres_changes'))
  assert.equal(got.length, N)
  const rooms = new Set(got.map((m) => m.topic))
  assert.equal(rooms.size, N)
  for (const m of got) assert.equal(m.topic, `realtime:row-${m.payload.data.record.id}`)
})

test('equal bindings of many channels and several bindings of one are all told apart', async (t) => {
  const N = 400
  const world = await startWorld(t, { sql: SQL, publish: ['t'] })
  const clients = await openClients(t, world)
  for (let i = 0; i < N; i++) sendJoin(clients[i % CLIENTS], `same-${i}`, [binding(), binding('id=eq.7'), binding('id=eq.07'), binding('id=eq.8')])
  await allSubscribed(clients, N)
  await world.sql(`insert into t values (7, 'seven')`)
  await until(() => clients.every((c) => c.changes().length >= N / CLIENTS), 'a change in each channel', PATIENCE_MS)
  for (const c of clients) {
    for (const m of c.messages.filter((x) => x.event === 'postgres_changes')) {
      const ids = c.find((x) => x.event === 'phx_reply' && x.topic === m.topic).payload.response.postgres_changes.map((b) => b.id)
      assert.deepEqual([...m.payload.ids].sort(), ids.slice(0, 3).sort())
    }
  }
})

test('one bad filter among many refuses its own channel only', async (t) => {
  const N = 300
  const world = await startWorld(t, { sql: SQL, publish: ['t'] })
  const clients = await openClients(t, world)
  const filters = ['id=eq.1', 'id=eq.one', 'nosuch=eq.1', `${'x'.repeat(5000)}=eq.1`]
  for (let i = 0; i < N; i++) sendJoin(clients[i % CLIENTS], `bad-${i}`, [binding(filters[i % 4])])
  await until(() => verdicts(clients).length >= N, 'all verdicts', PATIENCE_MS)
  const texts = filters.map((f, i) => clients[i].all('system'))
  assert.ok(texts[0].every((v) => v.status === 'ok'))
  assert.ok(texts[1].every((v) => /ERROR 22P02 \(invalid_text_representation\)/.test(v.message)))
  assert.ok(texts[2].every((v) => /invalid column for filter nosuch$/.test(v.message)))
  assert.ok(texts[3].every((v) => /invalid column for filter xxx/.test(v.message)))
})

test('a role revoked between two joins is refused within the freshness, a refusal is not kept', async (t) => {
  const world = await startWorld(t, { sql: `${SQL}; create table later (id int)`, publish: ['t'] })
  const [client] = await openClients(t, world, 1)
  let n = 0
  const join = async (bindings) => (await client.subscribe(`r-${n++}`, bindings)).system
  assert.equal((await join([binding('id=eq.1')])).status, 'ok')
  await world.sql('revoke select on t from anon')
  const since = Date.now()
  const refused = await until(async () => {
    const verdict = await join([binding('id=eq.1'), binding(`id=eq.${n}`)])
    return verdict.status === 'error' && verdict
  }, 'a refusal')
  assert.ok(Date.now() - since < FRESHNESS_MS * SLOWNESS, `refused after ${Date.now() - since} ms`)
  assert.match(refused.message, /invalid column for filter id$/)
  await world.sql('grant select on t to anon')
  assert.equal((await join([binding('id=eq.1'), binding(`id=eq.${n}`)])).status, 'ok')

  const unpublished = [{ event: '*', schema: 'public', table: 'later' }]
  assert.match((await join(unpublished)).message, /check Realtime is enabled/)
  await publishTable(world, 'later')
  assert.equal((await join(unpublished)).status, 'ok')
})

test('joins outlive the loss of the catalog connection', async (t) => {
  const N = 2000
  const world = await startWorld(t, { sql: SQL, publish: ['t'] })
  const clients = await openClients(t, world)
  const release = await holdCatalog(world)
  for (let i = 0; i < N; i++) sendJoin(clients[i % CLIENTS], `k-${i}`, [binding(i % 2 ? `id=eq.${i}` : '')])
  const pid = await until(() => catalogWaits(world), 'a question that waits')
  await world.sql('select pg_terminate_backend($1)', [pid])
  await release()
  await until(() => verdicts(clients).length > 0, 'a verdict')
  await world.sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walcast_catalog'`)
  await allSubscribed(clients, N)
  await world.sql(`insert into t values (3, 'three')`)
  await until(() => clients.reduce((sum, c) => sum + c.changes().length, 0) >= N / 2 + 1, 'a change in each channel', PATIENCE_MS)
})

test('thousands of joins of one client do not delay the others', async (t) => {
  const N = 3000
  const world = await startWorld(t, { sql: SQL, publish: ['t'] })
  const [flood, ...others] = await openClients(t, world)
  const release = await holdCatalog(world)
  for (let i = 0; i < N; i++) sendJoin(flood, `f-${i}`, [binding(`id=eq.${i}`)])
  await until(() => flood.all('phx_reply').length === N, 'all replies', PATIENCE_MS)
  const ahead = others.map((client, i) => new Promise((done) => {
    client.ws.on('message', (text) => { if (String(text).includes('"system"')) done(flood.all('system').length) })
    sendJoin(client, 'other', [binding(`id=eq.${N + i}`)])
  }))
  await Promise.all(others.map((c) => until(() => c.all('phx_reply').length === 1, 'the reply')))
  await release()
  // connections are dealt into lanes; all of these in the flood's is one chance in 262,144
  assert.ok(Math.min(...await Promise.all(ahead)) < N / 2, `verdicts of the flood before the others' own: ${await Promise.all(ahead)} of ${N}`)
  await allSubscribed([flood], N)
})
