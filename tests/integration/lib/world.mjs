// A cluster and a server together.
import { after, before } from 'node:test'
import { Cluster } from './cluster.mjs'
import { migrated } from './migrate.mjs'
import { Server } from './server.mjs'

/**
 * `sql` runs before the server starts; tables named in `publish` go into the publication with SELECT
 * granted to the three roles. `migrate`: `walcast migrate` before all that. `conf`, `bin`: see Cluster.start. `env`: more settings of the server;
 * `wait`: see Server.start.
 */
async function start(world, { sql = '', publish = [], migrate = false, conf, bin, env = {}, ...options }) {
  world.cluster = await Cluster.start({ conf, bin })
  world.sql = world.cluster.sql.bind(world.cluster)
  if (migrate) migrated(world.cluster)
  if (sql) await world.sql(sql)
  for (const table of publish) await publishTable(world, table)
  world.server = await Server.start({ ...world.cluster.serverEnv, ...env }, options)
}

/** The servers first (`beside`: more of them), so that they are seen to end well while their database is there. */
async function stop(world) {
  try {
    for (const server of [world.server, ...world.beside ?? []]) await server?.stop()
  } finally {
    await world.cluster?.remove()
  }
}

/** For one test: gone when it ends. */
export async function startWorld(t, options = {}) {
  const world = {}
  t.after(() => stop(world))
  await start(world, options)
  return world
}

/**
 * For all tests of a file; call it at the top level. The fields are there when the tests run.
 * `prepare` follows the start (hooks of a file's top level do not wait for each other).
 */
export function sharedWorld(options = {}, prepare = async () => {}) {
  const world = {}
  before(async () => {
    await start(world, options)
    await prepare(world)
  })
  after(() => stop(world))
  return world
}

export async function publishTable(world, table, roles = 'anon, authenticated, service_role') {
  if (roles) await world.sql(`grant select on ${table} to ${roles}`)
  await world.sql(`alter publication supabase_realtime add table ${table}`)
}
