// Rows under row security for users who each see their own: judged in process, judged by Postgres,
// and Postgres alone.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { sql } = require('../cluster.js')
const { withWalcast, load, userToken } = require('../walcast.js')
const { medianRow, whole } = require('../rows.js')

const SETTINGS = { compiled: { RLS_COMPILE: 'on' }, delegated: { RLS_COMPILE: 'off' } }

async function byWalcast(bench, way, users, rows) {
  const tokens = path.join(bench.dir, 'tokens')
  fs.writeFileSync(tokens, Array.from({ length: users }, (_, user) => `${userToken(bench, user)}\n`).join(''), { mode: 0o600 })
  await sql(bench.env, 'truncate bench_users, bench_end')
  try {
    return await withWalcast(bench, { ...SETTINGS[way] }, (walcast) =>
      load(bench, 'users', [walcast.port, tokens, walcast.pid, rows], bench.env))
  } finally {
    fs.rmSync(tokens)
  }
}

async function byPostgres(bench, users, rows) {
  await sql(bench.env, 'truncate bench_users')
  await sql(bench.env, `call bench_fill_users(${rows}, ${users})`)
  return load(bench, 'checks', [users, rows], bench.env)
}

const WAYS = {
  compiled: { label: (n) => `${n}, judged in process`, measure: (bench, users, rows) => byWalcast(bench, 'compiled', users, rows) },
  delegated: { label: (n) => `${n}, judged by Postgres (RLS_COMPILE=off)`, measure: (bench, users, rows) => byWalcast(bench, 'delegated', users, rows) },
  floor: { label: (n) => `· ${n}, the same questions to Postgres alone`, measure: byPostgres },
}

const of = (sizes) => Object.keys(WAYS).flatMap((way) => Object.entries(sizes[way]).map(([users, rows]) => ({ way, users: Number(users), rows, key: `${way}/${users}` })))

const users = {
  cases: (sizes) => of(sizes).map((c) => ({ key: c.key, measure: (bench) => WAYS[c.way].measure(bench, c.users, c.rows) })),
  rows: (rounds, sizes) => of(sizes).map(({ way, users: n, key }) => medianRow(`users/${key}`, 'rows under `user_id = auth.uid()`, each to its user',
    WAYS[way].label(`${whole(n)} user${n === 1 ? '' : 's'}`), rounds(key),
    { per_second: (r) => r.rows / r.seconds, ...(way === 'floor' ? {} : { cpu: (r) => r.cpu_seconds / r.rows * 1e6 }) }, { users: n, way })),
}

module.exports = { users }
