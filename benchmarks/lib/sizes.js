// How much of everything a run measures: as quoted, or --quick, to see that all of it works.
'use strict'

const FULL = {
  latency: { rates: [100, 1000], subscribers: [1, 500], seconds: 10 },
  curve: { rates: [10, 500, 2000, 5000], seconds: 4 },
  beside: { rate: 100, seconds: 10, scale: 10, clients: 4, transactions: 400 },
  send: { ways: ['row', 'message', 'message_immediate'], rate: 100, seconds: 5, rows: 50000 },
  drain: { rows: 1000000, transactions: 1000 },
  users: {
    compiled: { 1: 500000, 100: 500000, 1000: 500000, 10000: 200000 }, // users: rows
    delegated: { 1: 100000, 100: 5000, 1000: 1000, 10000: 100 },
    floor: { 1: 100000, 100: 5000, 1000: 1000, 10000: 100 },
  },
  match: { rows: 200000, cases: { // channels, and how many of them rows are for
    'one of 1': [1, 1], 'one of 1,000': [1000, 1], 'one of 10,000': [10000, 1], 'one of 100,000': [100000, 1],
    'all of 100': [100, 100], 'all of 10,000': [10000, 10000], 'all of 100,000': [100000, 100000] } },
  fanout: { receivers: [100, 1000, 5000], deliveries: 1000000, rate: 10, seconds: 3 },
  crowd: { clients: 10000 },
  private: { connections: 4000, pools: [1, 2] },
  presence: { clients: 10000 },
  subscribe: { connections: 100, channels: 10000 },
  index: { counts: [1, 100000], changes: 1000000 },
}

const QUICK = {
  latency: { rates: [100, 1000], subscribers: [1, 50], seconds: 1 },
  curve: { rates: [10, 500, 2000, 5000], seconds: 1 },
  beside: { rate: 100, seconds: 1, scale: 1, clients: 4, transactions: 200 },
  send: { ways: ['row', 'message', 'message_immediate'], rate: 100, seconds: 1, rows: 5000 },
  drain: { rows: 50000, transactions: 50 },
  users: {
    compiled: { 1: 20000, 100: 20000, 1000: 20000, 10000: 10000 },
    delegated: { 1: 5000, 100: 500, 1000: 100, 10000: 10 },
    floor: { 1: 5000, 100: 500, 1000: 100, 10000: 10 },
  },
  match: { rows: 20000, cases: { 'one of 1': [1, 1], 'one of 10,000': [10000, 1], 'all of 100': [100, 100], 'all of 10,000': [10000, 10000] } },
  fanout: { receivers: [100, 1000], deliveries: 100000, rate: 10, seconds: 1 },
  crowd: { clients: 1000 },
  private: { connections: 500, pools: [1, 2] },
  presence: { clients: 500 },
  subscribe: { connections: 100, channels: 1000 },
  index: { counts: [1, 1000], changes: 10000 },
}

/** The sizes of a run: options given on the command line count over both sets. */
function sizesFor(options) {
  const sizes = structuredClone(options.quick ? QUICK : FULL)
  if (options.seconds) for (const name of ['latency', 'send', 'beside']) sizes[name].seconds = options.seconds
  if (options.rate) sizes.latency.rates = [options.rate]
  if (options.rows) sizes.drain.rows = options.rows
  if (options.clients) sizes.crowd.clients = sizes.presence.clients = options.clients
  return sizes
}

module.exports = { sizesFor }
