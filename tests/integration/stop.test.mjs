// Either side is told to stop while changes are under way.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const TABLE = { sql: 'create table t (id int primary key, v text)', publish: ['t'] }
const BINDING = { event: '*', schema: 'public', table: 't' }
const BACKLOG = 100_000
const LONG_MS = 60_000 * SLOWNESS

const ids = (client) => client.changes().map((c) => c.data.record.id)

for (const SLOT_NAME of ['', 'walcast_it']) {
  test(`Postgres can be stopped while ${SLOT_NAME ? 'a permanent' : 'a temporary'} slot holds a backlog`, async (t) => {
    // the short life of what is known about roles makes the stream ask while the server stops
    const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME, RESUME_GRACE_MS: '100', POLICY_FRESHNESS_MS: '100' } })
    const client = await Client.open(world.server)
    t.after(() => client.close())
    await client.subscribe('s', [BINDING])
    await world.sql(`insert into t select i, repeat('x', 500) from generate_series(1, ${BACKLOG}) i`)
    await until(() => client.changes().length > 100, 'the first rows')
    await world.cluster.stop('fast') // fails after 60 s
    await until(async () => (await world.server.health()).status === 503, '/health says 503')
    await world.cluster.boot()
    await until(async () => (await world.server.health()).status === 200, '/health says 200', LONG_MS)
    if (!SLOT_NAME) return
    await until(() => client.changes().length >= BACKLOG, () => `${client.changes().length} rows`, LONG_MS)
    assert.deepEqual(ids(client), Array.from({ length: BACKLOG }, (_, i) => i + 1), 'every row once, in order')
  })
}

test('with SLOT_NAME what is written while walcast stops is there after its next start', async (t) => {
  const world = await startWorld(t, { ...TABLE, env: { SLOT_NAME: 'walcast_it', RESUME_GRACE_MS: '1000', SHUTDOWN_TIMEOUT_MS: '1000' } })
  const client = await Client.open(world.server)
  const deaf = await Client.open(world.server)
  t.after(() => deaf.close())
  await client.subscribe('s', [BINDING])
  deaf.pause() // never answers the close, so that stopping takes its time
  let last = 0
  const write = () => world.sql('insert into t values ($1)', [++last])
  await write()
  await client.untilChanges(1)
  world.server.child.kill('SIGTERM')
  while (!world.server.exited) await write()
  await world.server.again({ wait: 'up' })
  const next = await Client.open(world.server)
  t.after(() => next.close())
  await next.subscribe('s', [BINDING])
  await write()
  await until(() => ids(next).includes(last), 'the last row', LONG_MS)
  const got = new Set([...ids(client), ...ids(next)])
  const missing = Array.from({ length: last }, (_, i) => i + 1).filter((id) => !got.has(id))
  assert.deepEqual(missing, [])
})
