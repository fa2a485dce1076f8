// The budgets: each belongs to a row of the table and is measured on rows of the same run.
'use strict'
const { short } = require('./rows.js')

const atLeast = (least, value, unit = '') => ({ measured: `${short(value)}${unit}`, met: value >= least })
const atMost = (most, value, unit = '') => ({ measured: `${short(value)}${unit}`, met: value <= most })

/** row: whose budget it is; beside: the row it is compared with. */
const BUDGETS = [
  { row: 'latency/100/1', text: 'p50 ≤ 0.3 ms, p99 ≤ 1 ms',
    judge: ({ ms }) => ({ measured: `${short(ms.p50)}, ${short(ms.p99)}`, met: ms.p50 <= 0.3 && ms.p99 <= 1 }) },
  { row: 'drain/walcast', beside: 'drain/recvlogical', text: 'rows/s ≥ 0.8 × `pg_recvlogical`',
    judge: (row, floor) => atLeast(0.8, row.per_second / floor.per_second, ' ×') },
  { row: 'users/compiled/1000', beside: 'drain/walcast', text: 'rows/s ≥ 0.5 × the backlog without row security',
    judge: (row, plain) => atLeast(0.5, row.per_second / plain.per_second, ' ×') },
  { row: 'match/one of 100,000', beside: 'match/one of 1', text: 'CPU ≤ 2 × one subscription', judge: (row, one) => atMost(2, row.cpu / one.cpu, ' ×') },
  { row: 'match/all of 100,000', beside: 'match/one of 1', text: 'CPU ≤ 2 × one subscription', judge: (row, one) => atMost(2, row.cpu / one.cpu, ' ×') },
  ...[100, 1000, 5000].map((n) => ({ row: `fanout/${n}/walcast`, beside: `fanout/${n}/sendloop`, text: 'CPU ≤ 1.5 × bare `send` loop',
    judge: (row, floor) => atMost(1.5, row.cpu / floor.cpu, ' ×') })),
  { row: 'crowd/join', text: '≥ 5,000 joins/s on one core, ≤ 8 KiB each idle',
    judge: (row) => ({ measured: `${Math.round(row.per_second).toLocaleString('en-US')}, ${short(row.memory.value)} KiB`, met: row.per_second >= 5000 && row.memory.value <= 8 }) },
]

/** Adds to each row its budget. One that could not be measured is not met. */
function addBudgets(rows) {
  const byId = new Map(rows.map((row) => [row.id, row]))
  for (const { row: id, beside, text, judge } of BUDGETS) {
    const row = byId.get(id), other = beside && byId.get(beside)
    if (!row) continue
    const missing = row.failed || (beside && (!other || other.failed))
    row.budget = { text, ...(beside ? { beside } : {}), ...(missing ? { measured: 'not measured', met: false } : judge(row, other)) }
  }
}

module.exports = { addBudgets }
