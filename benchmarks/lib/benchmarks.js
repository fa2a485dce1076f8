// Every benchmark by its name, in the order of the table. Each has cases(sizes), the measurements of
// one round, each with a key and measure(bench, round); and rows(rounds, sizes), where rounds(key)
// gives what that case gave in each round.
'use strict'
const { latency, curve, beside } = require('./measure/latency.js')
const { drain, send } = require('./measure/throughput.js')
const { users } = require('./measure/rules.js')
const { match, subscribe, index } = require('./measure/subscriptions.js')
const { fanout } = require('./measure/fanout.js')
const { crowd, private: privateRooms, presence } = require('./measure/clients.js')

const BENCHMARKS = { latency, curve, beside, drain, users, match, fanout, crowd, private: privateRooms, subscribe, presence, send, index }

module.exports = { BENCHMARKS }
