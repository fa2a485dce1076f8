// The one table: its rows from the figures of all rounds, and how they are written.
//
// A row: id, group, what (its name), per_second, cpu (CPU seconds per million), ms {p50, p95, p99},
// memory {value, unit}, factor (a ratio that has no unit); each may be missing. Or failed: why.
// note: what is to be known about it. budget: {text, measured, met}, added by budgets.js.
'use strict'

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * A row of medians. rounds: what the case gave in each round, {failed} where it gave nothing;
 * figures: name -> function of a round's result ('p50', 'p95' and 'p99' make up `ms`).
 */
function medianRow(id, group, what, rounds, figures, extra = {}) {
  const good = rounds.filter((r) => !r.failed)
  const row = { id, group, what, rounds: good.length, ...extra }
  const lost = rounds.find((r) => r.failed)
  if (!good.length) return { ...row, failed: lost?.failed ?? 'not run' }
  for (const [name, of] of Object.entries(figures)) {
    const value = median(good.map(of))
    if (/^p\d\d$/.test(name)) (row.ms ??= {})[name] = value
    else if (name === 'KiB each' || name === 'MiB') row.memory = { value, unit: name }
    else row[name] = value
  }
  if (lost) row.note = `${good.length} of ${rounds.length} rounds: ${lost.failed}`
  return row
}

// ── as text ──────────────────────────────────────────────────────────────────────────────────

const whole = (n) => Math.round(n).toLocaleString('en-US')
/** Three digits that count, all of a larger whole number. */
function short(n) {
  if (n === 0) return '0'
  if (Math.abs(n) >= 100) return whole(n)
  return n.toFixed(Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(n))))))
}

function label({ what, failed, note }) {
  const remark = failed ? `failed: ${failed}` : note
  return remark ? `${what} (${remark.replace(/[|\n]/g, ' ').slice(0, 100)})` : what
}

function cells(row) {
  const percentiles = ['p50', 'p95', 'p99'].filter((p) => row.ms && p in row.ms)
  return [
    label(row),
    row.per_second === undefined ? '' : whole(row.per_second),
    row.cpu === undefined ? '' : short(row.cpu),
    percentiles.map((p) => short(row.ms[p])).join(' / '),
    row.memory ? `${short(row.memory.value)} ${row.memory.unit}` : '',
    row.budget ? `${row.budget.text}: ${row.budget.measured}` : '',
    row.budget ? (row.budget.met ? 'yes' : '**no**') : '',
  ]
}

const HEAD = ['what', 'per second', 'CPU s per million', 'ms p50 / p95 / p99', 'memory', 'budget: measured', 'met']
const RIGHT = [false, true, true, true, true, false, false]

/** A Markdown table whose columns also stand straight in a terminal. */
function markdown(rows) {
  const lines = []
  let group = null
  for (const row of rows) {
    if (row.group !== group) lines.push([`**${group = row.group}**`, '', '', '', '', '', ''])
    lines.push(cells(row))
  }
  const widths = HEAD.map((head, i) => Math.max(3, ...[HEAD, ...lines].map((line) => line[i].length)))
  const write = (line) => `| ${line.map((cell, i) => (RIGHT[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`
  const rule = `|${widths.map((w, i) => (RIGHT[i] ? `${'-'.repeat(w + 1)}:` : '-'.repeat(w + 2))).join('|')}|`
  return [write(HEAD), rule, ...lines.map(write)].join('\n')
}

module.exports = { median, medianRow, markdown, whole, short }
