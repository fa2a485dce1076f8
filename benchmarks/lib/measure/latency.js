// From the commit of a row to its arrival: at several rates, and beside other writers.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { run, serve, pause } = require('../processes.js')
const { sql } = require('../cluster.js')
const { withWalcast, load } = require('../walcast.js')
const { medianRow, whole } = require('../rows.js')

async function measure(bench, rate, subscribers, seconds) {
  await sql(bench.env, 'truncate bench_latency')
  return withWalcast(bench, {}, (walcast) => load(bench, 'latency', [walcast.port, bench.token, rate, seconds, 1, subscribers], bench.env))
}

const p = (who) => Object.fromEntries(['p50', 'p95', 'p99'].map((name) => [name, (r) => r[who][name]]))
const plural = (n) => `${n} subscriber${n === 1 ? '' : 's'}`

function rowsOf(id, rounds, what, extra) {
  const rate = (r) => r.rows / r.written_seconds
  return [
    medianRow(id, 'commit to client', what, rounds, { per_second: rate, ...p('walcast_ms') }, extra),
    medianRow(`${id}/floor`, 'commit to client', '· pgoutput to a bare libpq reader', rounds, p('pgoutput_ms'), extra),
  ]
}

const latency = {
  cases: ({ rates, subscribers, seconds }) => rates.flatMap((rate) => subscribers.map((n) =>
    ({ key: `${rate}/${n}`, measure: (bench) => measure(bench, rate, n, seconds) }))),
  rows: (rounds, { rates, subscribers }) => rates.flatMap((rate) => subscribers.flatMap((n) =>
    rowsOf(`latency/${rate}/${n}`, rounds(`${rate}/${n}`), `${whole(rate)} tx/s, ${plural(n)}`, { load: rate, subscribers: n }))),
}

const curve = {
  cases: ({ rates, seconds }) => rates.map((rate) => ({ key: String(rate), measure: (bench) => measure(bench, rate, 1, seconds) })),
  rows: (rounds, { rates }) => rates.flatMap((rate) => rowsOf(`curve/${rate}`, rounds(String(rate)), `${whole(rate)} tx/s, ${plural(1)}`, { load: rate, subscribers: 1 })),
}

// ── beside pgbench ───────────────────────────────────────────────────────────────────────────

const TPCB = String.raw`
\set aid random(1, 100000 * :scale)
\set bid random(1, :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
update pgbench_tellers set tbalance = tbalance + :delta where tid = :tid;
update pgbench_branches set bbalance = bbalance + :delta where bid = :bid;
insert into LOG;
end;
`
const LOGS = {
  unpublished: 'pgbench_history (tid, bid, aid, delta, mtime) values (:tid, :bid, :aid, :delta, current_timestamp)',
  published: `bench_latency values (-nextval('bench_others'), 'twenty bytes of text')`,
}

const pgbench = () => path.join(process.env.PG_BIN ?? '/usr/lib/postgresql/15/bin', 'pgbench')

async function measureBeside(bench, { rate, seconds, scale, clients, transactions }, kind) {
  if (await sql(bench.env, `select to_regclass('pgbench_accounts') is null`) === 't') await run(pgbench(), ['-i', '-q', '-s', String(scale)], bench.env)
  const script = path.join(bench.dir, 'pgbench.sql')
  fs.writeFileSync(script, TPCB.replace('LOG', LOGS[kind]))
  const other = await serve(pgbench(), ['-n', '-f', script, '-s', String(scale), '-c', String(clients), '-j', '1', '-R', String(transactions), '-T', String(seconds + 60)],
    { env: bench.env, log: path.join(bench.dir, 'pgbench.log'), ports: [] })
  try {
    await pause(500) // its clients connect
    if (other.child.exitCode !== null) throw new Error(`pgbench ended; its log is ${bench.dir}/pgbench.log`)
    return await measure(bench, rate, 1, seconds)
  } finally {
    await other.stop()
  }
}

const LABELS = { unpublished: 'beside it on tables not published', published: 'beside it writing to the same table' }

const beside = {
  cases: (sizes) => Object.keys(LOGS).map((kind) => ({ key: kind, measure: (bench) => measureBeside(bench, sizes, kind) })),
  rows: (rounds, { rate, transactions, clients, scale }) => Object.keys(LOGS).flatMap((kind) =>
    rowsOf(`beside/${kind}`, rounds(kind), `${rate} tx/s, pgbench ${LABELS[kind]} (${transactions} tx/s, ${clients} clients, scale ${scale})`, {})),
}

module.exports = { latency, curve, beside }
