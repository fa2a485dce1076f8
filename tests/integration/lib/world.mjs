// A cluster and a server together, for test files whose tests share them.
import { Cluster } from './cluster.mjs'
import { Server } from './server.mjs'

/**
 * `scope.after` is node:test's `after` or a test's context. `sql` runs before the server starts;
 * tables named in `publish` go into the publication with SELECT granted to the three roles. The
 * server is stopped before its database.
 */
export async function startWorld(scope, { sql = '', publish = [], conf, bin, env = {}, ...options } = {}) {
  const world = {}
  scope.after(async () => {
    try {
      await world.server?.stop()
    } finally {
      await world.cluster?.remove()
    }
  })
  world.cluster = await Cluster.start({ conf, bin })
  world.sql = world.cluster.sql.bind(world.cluster)
  if (sql) await world.sql(sql)
  for (const table of publish) await publishTable(world, table)
  world.server = await Server.start({ ...world.cluster.serverEnv, ...env }, options)
  return world
}

export async function publishTable(world, table, roles = 'anon, authenticated, service_role') {
  if (roles) await world.sql(`grant select on ${table} to ${roles}`)
  await world.sql(`alter publication supabase_realtime add table ${table}`)
}
