// One message to many receivers: walcast, a bare send loop, and other servers.
'use strict'
const { CONTESTANTS } = require('../peers.js')
const { load } = require('../walcast.js')
const { medianRow, whole } = require('../rows.js')

async function measure(bench, contestant, receivers, { deliveries, rate, seconds }) {
  const server = await contestant.start(bench, receivers)
  const messages = Math.max(32, Math.floor(deliveries / receivers))
  try {
    return await load(bench, 'fanout', [contestant.wire, server.port, server.token, server.pids.join(','), receivers, messages, rate * seconds, rate])
  } finally {
    await server.stop()
  }
}

const fanout = {
  cases: (sizes) => sizes.receivers.flatMap((n) => Object.entries(CONTESTANTS).map(([name, contestant]) =>
    ({ key: `${n}/${name}`, measure: (bench) => measure(bench, contestant, n, sizes) }))),
  rows: (rounds, { receivers }) => receivers.flatMap((n) => Object.entries(CONTESTANTS).map(([name, { label }]) => medianRow(`fanout/${n}/${name}`,
    `100-byte messages to ${whole(n)} receivers`, label, rounds(`${n}/${name}`), {
      per_second: ({ saturated: s }) => s.deliveries / s.seconds, cpu: ({ saturated: s }) => s.cpu_seconds / s.deliveries * 1e6,
      p50: ({ paced }) => paced.ms.p50, p95: ({ paced }) => paced.ms.p95, p99: ({ paced }) => paced.ms.p99,
      per_read: ({ saturated: s }) => s.per_read }, { receivers: n, who: name }))),
}

module.exports = { fanout }
