// How fast a backlog of rows, and broadcasts of the database, come through.
'use strict'
const { run, usage } = require('../processes.js')
const { sql, dropSlots } = require('../cluster.js')
const { withWalcast, load } = require('../walcast.js')
const { medianRow } = require('../rows.js')

// ── drain ────────────────────────────────────────────────────────────────────────────────────

// Two identical slots, then the backlog, then one row more by which both readers know the end.
async function writeBacklog(bench, { rows, transactions }) {
  await dropSlots(bench.env)
  await sql(bench.env, 'truncate bench_drain')
  for (const slot of ['bench_plain', 'bench_walcast']) await sql(bench.env, `select pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
  await sql(bench.env, `call bench_fill(${transactions}, ${rows / transactions})`)
  const end = await sql(bench.env, 'select pg_current_wal_lsn()')
  await sql(bench.env, `insert into bench_drain values (${rows + 1}, 0, 'the end')`)
  return end
}

async function byRecvlogical(bench, end) {
  const started = process.hrtime.bigint()
  await run('pg_recvlogical', ['--slot', 'bench_plain', '--start', '--no-loop', '-o', 'proto_version=1', '-o', 'publication_names=supabase_realtime', '-f', '/dev/null', '--endpos', end, '-d', bench.env.PGDATABASE], bench.env)
  return { seconds: Number(process.hrtime.bigint() - started) / 1e9 }
}

const byWalcast = (bench, rows) => withWalcast(bench, { SLOT_NAME: 'bench_walcast', RESUME_GRACE_MS: '10' }, async (walcast) => {
  const before = usage(walcast.pid)
  const answer = await load(bench, 'drain', [walcast.port, bench.token, 'bench_drain', rows])
  const after = usage(walcast.pid)
  return { ...answer, cpu_seconds: after.cpuSeconds - before.cpuSeconds, peak_mib: after.peakMiB }
})

async function measureDrain(bench, round, sizes) {
  const end = await writeBacklog(bench, sizes)
  const result = { rows: sizes.rows }
  const steps = [
    async () => { result.recvlogical = await byRecvlogical(bench, end) },
    async () => { result.walcast = await byWalcast(bench, sizes.rows) },
  ]
  for (const step of round % 2 ? steps.reverse() : steps) await step()
  await dropSlots(bench.env)
  return result
}

const GROUP_DRAIN = 'a backlog of rows to one subscriber'

const drain = {
  cases: (sizes) => [{ key: 'backlog', measure: (bench, round) => measureDrain(bench, round, sizes) }],
  rows: (rounds) => [
    medianRow('drain/walcast', GROUP_DRAIN, 'walcast', rounds('backlog'),
      { per_second: (r) => r.rows / r.walcast.seconds, cpu: (r) => r.walcast.cpu_seconds / r.rows * 1e6, MiB: (r) => r.walcast.peak_mib }),
    medianRow('drain/recvlogical', GROUP_DRAIN, '· `pg_recvlogical` to /dev/null', rounds('backlog'), { per_second: (r) => r.rows / r.recvlogical.seconds }),
  ],
}

// ── realtime.send ────────────────────────────────────────────────────────────────────────────

async function measureSend(bench, way, { rate, seconds, rows }) {
  await run(bench.walcast, ['migrate'], bench.env)
  await sql(bench.env, 'truncate realtime.messages')
  const answer = await withWalcast(bench, {}, (walcast) =>
    load(bench, 'send', [walcast.port, bench.token, rate, seconds, rows], { ...bench.env, PGOPTIONS: `-c realtime.send_via=${way}` }))
  const stored = await sql(bench.env, `select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'realtime.messages'::regclass`)
  return { ...answer, stored_mib: Number(stored) / 2 ** 20 }
}

const send = {
  cases: (sizes) => sizes.ways.map((way) => ({ key: way, measure: (bench) => measureSend(bench, way, sizes) })),
  rows: (rounds, { ways }) => ways.map((way) => medianRow(`send/${way}`, 'realtime.send to one client', `\`send_via\` = ${way}`, rounds(way), {
    per_second: (r) => r.rows / r.seconds, p50: (r) => r.latency_ms.p50, p99: (r) => r.latency_ms.p99,
    written_per_second: (r) => r.rows / r.written_seconds, stored_mib: (r) => r.stored_mib })),
}

module.exports = { drain, send }
