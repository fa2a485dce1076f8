// Many tenants known to one server, some of them in use: memory and CPU of doing nothing.
//   WALCAST_BIN=build/bench/walcast node benchmarks/load/tenants.mjs [tenants] [active]
// Prints one JSON line. It borrows the integration tests' clusters and clients.
import fs from 'node:fs'
import { Cluster } from '../../tests/integration/lib/cluster.mjs'
import { STORE, controlEnv, createTenant, tenantToken } from '../../tests/integration/lib/control.mjs'
import { Client } from '../../tests/integration/lib/phoenix.mjs'
import { Server } from '../../tests/integration/lib/server.mjs'
import { until } from '../../tests/integration/lib/wait.mjs'

const TENANTS = Number(process.argv[2] ?? 1000), ACTIVE = Number(process.argv[3] ?? 50)
const REST_MS = 10_000, USER_HZ = 100
const MANY_MS = 300_000

const pause = (ms) => new Promise((done) => setTimeout(done, ms)) // a measured span, not a wait for something
const rssKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
function cpuMs(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 1000 / USER_HZ
}
async function rest(pid) {
  const before = cpuMs(pid), since = performance.now()
  await pause(REST_MS)
  return Number(((cpuMs(pid) - before) / (performance.now() - since) * 100).toFixed(2))
}

const conf = { max_connections: '600', max_wal_senders: '100', max_replication_slots: '100', shared_buffers: '64MB' }
const cluster = await Cluster.start({ conf })
await cluster.sql(`create database ${STORE}`)
await cluster.sql('create table t (id int primary key, v text)')
await cluster.sql('grant select on t to anon; alter publication supabase_realtime add table t')
const server = await Server.start({ ...controlEnv(cluster), SOCKET_THREADS: '2' })
const { pid } = server.child
const result = { benchmark: 'tenants', tenants: TENANTS, active: ACTIVE }
try {
  await createTenant({ cluster, server }, 'a0')
  await until(async () => (await cluster.sql(`select from pg_stat_activity where application_name like 'walcast%' and datname = 'postgres'`)).length === 0, 'its database is let go', MANY_MS)
  await cluster.forget() // templates have no connections
  const admin = await cluster.connect({ database: STORE })
  for (let i = 0; i < ACTIVE; i++) await admin.query(`create database d${i} template postgres`)
  result.rss_kb_before = rssKb(pid)

  const { tenants, extensions } = Object.fromEntries((await Promise.all(['tenants', 'extensions'].map(async (table) => [table, (await admin.query(`select string_agg(quote_ident(column_name), ', ') as all from information_schema.columns
    where table_schema = '_realtime' and table_name = $1 and column_name not in ('id', 'external_id', 'name', 'tenant_external_id')`, [table])).rows[0].all]))))
  for (let i = 0; i < ACTIVE; i++) await createTenant({ cluster, server }, `a${i + 1}`, { settings: { db_name: `d${i}` } })
  await admin.query(`insert into _realtime.tenants (id, external_id, name, ${tenants}) select gen_random_uuid(), 'idle' || i, 'idle' || i, ${tenants}
    from _realtime.tenants, generate_series(1, ${TENANTS - ACTIVE - 1}) i where external_id = 'a0'`)
  await admin.query(`insert into _realtime.extensions (id, tenant_external_id, ${extensions}) select gen_random_uuid(), 'idle' || i, ${extensions}
    from _realtime.extensions, generate_series(1, ${TENANTS - ACTIVE - 1}) i where tenant_external_id = 'a0'`)
  await until(async () => (await server.health()).body.tenants_known === TENANTS, 'all are known', MANY_MS)
  result.rss_kb_known = rssKb(pid)
  result.bytes_per_idle_tenant = Math.round((result.rss_kb_known - result.rss_kb_before) * 1024 / TENANTS)
  result.cpu_percent_all_idle = await rest(pid)

  const since = performance.now()
  const clients = await Promise.all(Array.from({ length: ACTIVE }, async (_, i) => {
    const id = `a${i + 1}`
    const client = await Client.open(server, { token: tenantToken(id), headers: { host: `${id}.localhost` } })
    const { system } = await client.subscribe('room', [{ event: '*', schema: 'public', table: 't' }])
    if (system.status !== 'ok') throw new Error(system.message)
    return client
  }))
  result.open_ms = Math.round(performance.now() - since)
  result.rss_kb_active = rssKb(pid)
  result.cpu_percent_active_idle = await rest(pid)
  for (let i = 0; i < ACTIVE; i++) {
    const db = await cluster.connect({ database: `d${i}` })
    await db.query('insert into t values (1)')
    await db.end()
  }
  await Promise.all(clients.map((client) => client.untilChanges(1, MANY_MS)))
  for (const client of clients) client.close()
  console.log(JSON.stringify(result))
} finally {
  await server.stop()
  await cluster.remove()
}
