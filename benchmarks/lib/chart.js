// The picture of a run: how latency and throughput go as the load grows, from the rows of the table,
// drawn by Vega-Lite.
'use strict'

const THEMES = {
  light: { paper: '#ffffff', ink: '#1f2328', faint: '#d0d7de', colors: ['#0969da', '#bf3989', '#1a7f37', '#bc4c00', '#8250df'] },
  dark: { paper: '#0d1117', ink: '#e6edf3', faint: '#30363d', colors: ['#58a6ff', '#f778ba', '#56d364', '#f0883e', '#bc8cff'] },
}
const SIZE = { width: 420, height: 240 }
const LEAST_MS = 0.02 // nothing smaller is drawn: the floor can be below 0

const axis = (title, extra = {}) => ({ title, format: '~s', tickCount: 5, labelOverlap: true, ...extra })
const log = { type: 'log', nice: false }
const TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500] // of small quantities

function panel(title, values, x, y, names) {
  return {
    ...SIZE, title,
    data: { values },
    mark: { type: 'line', point: { size: 45, filled: true }, strokeWidth: 2 },
    encoding: {
      x: { field: 'x', type: 'quantitative', scale: { ...log, padding: 8 }, axis: axis(x.title, { values: x.ticks }) },
      y: { field: 'y', type: 'quantitative', scale: { ...log, padding: 8 }, axis: axis(y.title, y.axis) },
      color: { field: 'who', type: 'nominal', sort: names, scale: { domain: names }, legend: { title: null, orient: 'bottom', direction: 'horizontal', columns: names.length > 4 ? 3 : 2, columnPadding: 24, labelLimit: 300, symbolType: 'stroke', symbolStrokeWidth: 2.5, symbolSize: 300 } },
      strokeDash: { field: 'who', type: 'nominal', sort: names, scale: { domain: names, range: names.map((name) => (name.startsWith('bare') || name.startsWith('Postgres') ? [5, 4] : [1, 0])) } },
    },
  }
}

const unique = (values) => [...new Set(values)].sort((a, b) => a - b)

function latencyPanel(rows) {
  const one = rows.filter((row) => row.subscribers === 1 && row.ms && /^(latency|curve)\//.test(row.id))
  const rate = new Map(one.filter((row) => row.per_second).map((row) => [row.load, row.per_second]))
  const values = one.flatMap((row) => (row.id.endsWith('/floor')
    ? [{ x: rate.get(row.load), y: Math.max(LEAST_MS, row.ms.p50), who: 'bare libpq reader, p50' }]
    : ['p50', 'p95', 'p99'].map((p) => ({ x: row.per_second, y: Math.max(LEAST_MS, row.ms[p]), who: `walcast, ${p}` }))))
  return panel('Commit to client, one subscriber', values, { title: 'transactions per second', ticks: [10, 100, 500, 1000, 2000, 5000] }, { title: 'milliseconds', axis: { format: '~g', values: TICKS } },
    ['walcast, p50', 'walcast, p95', 'walcast, p99', 'bare libpq reader, p50'])
}

function rulesPanel(rows) {
  const names = { compiled: 'judged in process', delegated: 'judged by Postgres', floor: 'Postgres alone' }
  const values = rows.filter((row) => row.way && row.per_second).map((row) => ({ x: row.users, y: row.per_second, who: names[row.way] }))
  return panel('Rows under user_id = auth.uid()', values, { title: 'users, one connection each', ticks: unique(values.map((v) => v.x)) }, { title: 'rows per second' }, Object.values(names))
}

const CONTESTANTS = { walcast: 'walcast', nats: 'nats-server', nchan: 'nginx with nchan', mosquitto: 'mosquitto', sendloop: 'bare send loop' }

function fanoutPanel(rows, title, field, unit, marks = {}) {
  const values = rows.filter((row) => row.receivers && row[field] !== undefined).map((row) => ({ x: row.receivers, y: row[field], who: CONTESTANTS[row.who] }))
  return panel(title, values, { title: 'receivers of each message', ticks: unique(values.map((v) => v.x)) }, { title: unit, axis: marks }, Object.values(CONTESTANTS))
}

function specification(rows, theme) {
  const panels = [latencyPanel(rows), rulesPanel(rows),
    fanoutPanel(rows, '100-byte messages delivered', 'per_second', 'deliveries per second'),
    fanoutPanel(rows, 'What a million deliveries cost', 'cpu', 'CPU seconds of the server', { format: '~g', values: TICKS })].filter((p) => p.data.values.length)
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    background: theme.paper, padding: 16, columns: 2, spacing: 36, concat: panels,
    resolve: { scale: { color: 'independent', strokeDash: 'independent' } },
    config: {
      font: 'sans-serif', range: { category: theme.colors }, view: { stroke: theme.faint },
      axis: { labelColor: theme.ink, titleColor: theme.ink, gridColor: theme.faint, domainColor: theme.faint, tickColor: theme.faint, labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal' },
      legend: { labelColor: theme.ink, labelFontSize: 12 },
      title: { color: theme.ink, fontSize: 14, anchor: 'start', frame: 'group', offset: 10 },
    },
  }
}

/** {light, dark}: the picture as SVG, for each theme. */
async function drawCharts(rows) {
  const vega = await import('vega'), { compile } = await import('vega-lite')
  const drawn = Object.entries(THEMES).map(async ([name, theme]) => {
    const view = new vega.View(vega.parse(compile(specification(rows, theme)).spec), { renderer: 'none' })
    return [name, await view.toSVG()]
  })
  return Object.fromEntries(await Promise.all(drawn))
}

module.exports = { drawCharts }
