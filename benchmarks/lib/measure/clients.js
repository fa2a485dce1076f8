// Many connections: how fast they are let in, what they hold, presence.
'use strict'
const { sql } = require('../cluster.js')
const { run, usage } = require('../processes.js')
const { withWalcast, load } = require('../walcast.js')
const { medianRow, whole } = require('../rows.js')

const many = (bench, name, clients, settings) => withWalcast(bench, { MAX_CONNECTIONS: String(clients + 100), ...settings },
  (walcast) => load(bench, name, [walcast.port, bench.token, walcast.pid, clients]))

const crowd = {
  cases: ({ clients }) => [{ key: 'all', measure: (bench) => many(bench, 'crowd', clients, { SOCKET_THREADS: '1' }) }],
  rows: (rounds, { clients }) => [
    medianRow('crowd/join', 'joins', `${whole(clients)} connections, a public topic each, one socket thread`, rounds('all'),
      { per_second: (r) => r.connections / r.join_seconds, cpu: (r) => r.join_cpu_seconds / r.connections * 1e6, 'KiB each': (r) => (r.joined_kib - r.empty_kib) / r.connections }),
    medianRow('crowd/connect', 'joins', '· before that, connecting them one after the other', rounds('all'),
      { per_second: (r) => r.connections / r.connect_seconds, 'KiB each': (r) => (r.connected_kib - r.empty_kib) / r.connections }),
  ],
}

async function measurePrivate(bench, pool, connections) {
  await run(bench.walcast, ['migrate'], bench.env)
  await sql(bench.env, `set client_min_messages = warning; drop policy if exists bench on realtime.messages; create policy bench on realtime.messages for select to anon using (realtime.topic() like 'room-%')`)
  return withWalcast(bench, { DB_POOL: String(pool), SOCKET_THREADS: '1' }, async (walcast) => {
    const answer = await load(bench, 'crowd', [walcast.port, bench.token, walcast.pid, connections, 'private'])
    const backends = (await sql(bench.env, `select pid from pg_stat_activity where application_name = 'walcast_authorization'`)).split('\n')
    return { ...answer, postgres_cpu_seconds: backends.reduce((sum, pid) => sum + usage(pid).cpuSeconds, 0) }
  })
}

const privateRooms = {
  cases: ({ connections, pools }) => pools.map((pool) => ({ key: String(pool), measure: (bench) => measurePrivate(bench, pool, connections) })),
  rows: (rounds, { connections, pools }) => pools.map((pool) => medianRow(`private/${pool}`, 'joins', `${whole(connections)} connections, a private room each, \`DB_POOL=${pool}\``, rounds(String(pool)),
    { per_second: (r) => r.connections / r.join_seconds, cpu: (r) => r.join_cpu_seconds / r.connections * 1e6, postgres_cpu: (r) => r.postgres_cpu_seconds / r.connections * 1e6 })),
}

const presence = {
  cases: ({ clients }) => [{ key: 'all', measure: (bench) => many(bench, 'presence', clients, {}) }],
  rows: (rounds, { clients }) => [medianRow('presence', 'presence', `${whole(clients)} members of one room: joins told, until all know all`, rounds('all'),
    { per_second: (r) => r.members ** 2 / r.track_seconds, cpu: (r) => r.cpu_seconds / r.members ** 2 * 1e6, MiB: (r) => r.resident_kib / 1024, seconds: (r) => r.track_seconds, frames_each: (r) => r.frames / r.members })],
}

module.exports = { crowd, private: privateRooms, presence }
