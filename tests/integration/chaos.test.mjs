// What can happen to a stream, under load, with clients attached: nothing crashes, every client sees
// what it sees in order, a permanent slot loses nothing that it still holds, and where something may
// have been lost every client is told.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { FULL, SLOWNESS } from './lib/env.mjs'
import { assertComplete, Load, LOAD_TABLE, untilLast, written } from './lib/load.mjs'
import { MAJOR } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { startWorld } from './lib/world.mjs'

const SLOT = 'walcast_it'
const BINDING = [{ event: '*', schema: 'public', table: 't' }]
const BACK_MS = 60_000 * SLOWNESS
const ROWS = 60 // of each writer, before and after
const KNOWN_MS = 1500 // by when a change of roles is known: POLICY_FRESHNESS_MS, and some

const systems = (client, pattern) => client.messages.filter((m) => m.event === 'system' && pattern.test(m.payload.message)).length
/** How often a client heard that there may be a gap; each time it is told "Subscribed" again. */
const told = (client) => systems(client, /^Changes may have been missed/)
const subscribed = (client) => systems(client, /^Subscribed to PostgreSQL$/)

async function untilReason(world, reason) {
  await until(async () => (await world.server.health()).tenant.reason === reason, async () => `the reason ${reason}; /health: ${JSON.stringify(await world.server.health())}`, BACK_MS)
}

const terminate = (world) => world.sql('select pg_terminate_backend(active_pid) from pg_replication_slots where active')

/** Drops the permanent slot as soon as nobody reads it. */
async function dropSlot(world) {
  await until(async () => {
    await terminate(world)
    return world.sql(`select pg_drop_replication_slot('${SLOT}')`).then(() => true, () => false)
  }, 'the slot is dropped', BACK_MS)
}

async function killPostmaster(world) {
  const pid = Number(fs.readFileSync(path.join(world.cluster.dir, 'data/postmaster.pid'), 'utf8').split('\n')[0])
  process.kill(pid, 'SIGKILL')
  await world.cluster.forget()
  // it does not start while a process of the old one lives, which all end when they notice
  await until(() => world.cluster.boot().then(() => true, () => false), 'Postgres is back', BACK_MS)
}

/** While walcast is stopped, more WAL is written than a slot may keep. */
async function invalidate(world) {
  process.kill(world.server.child.pid, 'SIGSTOP')
  try {
    await until(async () => {
      await world.sql('select pg_switch_wal()')
      await world.sql('checkpoint')
      return (await world.sql(`select from pg_replication_slots where active`)).length === 0
    }, 'the slot is lost', BACK_MS)
  } finally {
    process.kill(world.server.child.pid, 'SIGCONT')
  }
}

async function republish(world) {
  await world.sql('drop publication supabase_realtime')
  await untilReason(world, 'publication_missing')
  await world.sql('create publication supabase_realtime for table t')
}

/** The login of the stream: lost while its connection is. */
async function dropLogin(world) {
  await world.sql('alter role streamer nologin')
  await terminate(world)
  await untilReason(world, 'login_refused')
  await world.sql('alter role streamer login')
}

/*
 * `keeps`: a permanent slot still holds everything, and the epoch goes on. `quick`: with this kind of
 * slot it is part of `make test`; the rest takes TESTS_FULL=1.
 */
const CHAOS = {
  'Postgres restarted': { act: (world) => world.cluster.restart('fast'), keeps: true, quick: 'permanent' },
  'Postgres stopped at once': { act: (world) => world.cluster.restart('immediate'), keeps: true, quick: 'temporary' },
  'the postmaster killed': { act: killPostmaster, keeps: true, quick: 'permanent' },
  'the walsender terminated': { act: terminate, keeps: true, quick: 'temporary' },
  'the login refused for a while': { act: dropLogin, keeps: true },
  'the slot dropped': { act: dropSlot, only: 'permanent', quick: 'permanent' },
  'the slot invalidated': {
    act: invalidate,
    mend: async (world) => {
      await untilReason(world, 'slot_invalidated')
      await world.sql(`select pg_drop_replication_slot('${SLOT}')`)
    },
    conf: { max_slot_wal_keep_size: '1MB', min_wal_size: '32MB', max_wal_size: '48MB' },
  },
  'the publication dropped and made again': { act: republish, mend: MAJOR < 18 ? dropSlot : undefined, gap: true, quick: 'permanent' },
}

async function start(t, slot, conf) {
  const world = await startWorld(t, {
    sql: `${LOAD_TABLE.sql}; create role streamer login replication password 'a password'; grant anon, authenticated, service_role to streamer`,
    publish: LOAD_TABLE.publish,
    conf,
    env: { DB_USER: 'streamer', DB_PASSWORD: 'a password', STATUS_INTERVAL_MS: '500', ...(slot === 'permanent' ? { SLOT_NAME: SLOT, RESUME_GRACE_MS: '100' } : {}) },
  })
  const clients = await Promise.all(['anon', 'authenticated', 'service_role'].map((role) => Client.open(world.server, { token: tokenFor(role) })))
  t.after(() => clients.forEach((c) => c.close()))
  for (const client of clients) await client.subscribe('chaos', BINDING)
  const load = new Load(world.cluster)
  t.after(() => load.stop())
  await load.more(ROWS)
  return { world, clients, load }
}

async function settle({ world, clients, load }) {
  await load.more(ROWS, BACK_MS)
  await load.stop()
  const table = await written(world)
  for (const client of clients) {
    await untilLast(client, table, BACK_MS)
    assert.equal(client.closed, null, 'clients stay connected')
  }
  return table
}

test('a role dropped and made again: its clients get nothing meanwhile, the others everything', async (t) => {
  const run = await start(t, 'permanent')
  const { world, clients: [anon, ...others], load } = run
  const has = (client, mark) => client.changes().some(({ data: { record } }) => record.n >= mark[record.writer])
  await world.sql('drop owned by anon; drop role anon')
  const dropped = Date.now()
  await until(() => Date.now() - dropped > KNOWN_MS, 'the server knows it', 2 * KNOWN_MS)
  const gone = load.mark()
  await load.more(ROWS)
  await until(() => others.every((c) => has(c, gone)), 'rows of that time for the others')
  assert.ok(!has(anon, gone), 'none of them for a role that is gone')
  await world.sql('create role anon nologin; grant select on t to anon; grant anon to streamer')
  await until(() => has(anon, gone), 'rows again', BACK_MS)
  const from = load.mark()
  const table = await settle(run)
  assertComplete(anon, table, { from })
  for (const client of others) assertComplete(client, table)
})

for (const [what, { act, mend, keeps, only, conf, gap, quick }] of Object.entries(CHAOS)) {
  for (const slot of ['permanent', 'temporary']) {
    if (only && only !== slot) continue
    const skip = !FULL && quick !== slot && 'TESTS_FULL=1 runs it'
    test(`${what}, with a ${slot} slot`, { skip }, async (t) => {
      const run = await start(t, slot, conf)
      const { world, clients, load } = run
      await act(world)
      if (slot === 'permanent') await mend?.(world)
      await until(async () => (await world.server.health()).status === 200, async () => `the stream is back; /health: ${JSON.stringify(await world.server.health())}`, BACK_MS)
      const isSameEpoch = slot === 'permanent' && (keeps || (gap && !mend))
      if (!isSameEpoch) await until(() => clients.every((c) => told(c) > 0 && subscribed(c) > told(c)), 'every client is told', BACK_MS)
      const from = isSameEpoch && !gap ? [] : load.mark()
      const table = await settle(run)
      for (const client of clients) {
        assertComplete(client, table, { from })
        if (isSameEpoch) assert.equal(told(client), 0, 'nothing was missed, nobody is told')
      }
    })
  }
}
