// Very many subscriptions with a filter each: making them, finding the one a row is for.
'use strict'
const { sql } = require('../cluster.js')
const { withWalcast, load } = require('../walcast.js')
const { medianRow, whole } = require('../rows.js')

const match = {
  cases: ({ rows, cases }) => Object.entries(cases).map(([key, [channels, places]]) => ({ key, measure: async (bench) => {
    await sql(bench.env, 'truncate bench_match')
    return withWalcast(bench, {}, (walcast) => load(bench, 'match', [walcast.port, bench.token, walcast.pid, channels, places, rows], bench.env))
  } })),
  rows: (rounds, { cases }) => Object.entries(cases).map(([key, [channels, places]]) => medianRow(`match/${key}`, 'rows for one of many subscriptions `n=eq.N`',
    `rows for ${key} subscription${channels === 1 ? '' : 's'}`, rounds(key), { per_second: (r) => r.rows / r.seconds, cpu: (r) => r.cpu_seconds / r.rows * 1e6 }, { channels, places })),
}

const subscribe = {
  cases: ({ connections, channels }) => [{ key: 'all', measure: (bench) =>
    withWalcast(bench, {}, (walcast) => load(bench, 'subscribe', [walcast.port, bench.token, walcast.pid, connections, channels])) }],
  rows: (rounds, { connections, channels }) => [medianRow('subscribe', 'joins', `${whole(channels)} channels of ${connections} connections, a filter each, to "Subscribed"`, rounds('all'),
    { per_second: (r) => r.channels / r.seconds, cpu: (r) => r.cpu_seconds / r.channels * 1e6, 'KiB each': (r) => (r.subscribed_kib - r.connected_kib) / r.channels })],
}

const index = {
  cases: ({ counts, changes }) => counts.map((count) => ({ key: String(count), measure: (bench) => load(bench, 'index', [count, changes]) })),
  rows: (rounds, { counts }) => counts.flatMap((count) => ['eq', 'in', 'range'].map((way) => medianRow(`index/${count}/${way}`, 'subscription index by itself',
    `${whole(count)} by ${way}`, rounds(String(count)),
    { cpu: (r) => r[way].change_ns / 1e3, 'KiB each': (r) => r[way].bytes / 1024, insert_ns: (r) => r[way].insert_ns, remove_ns: (r) => r[way].remove_ns }))),
}

module.exports = { match, subscribe, index }
