// The file of a run: machine, commands, sizes, what each round gave, and the rows made of that.
'use strict'
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { ROOT } = require('./cluster.js')
const { BENCHMARKS } = require('./benchmarks.js')
const { addBudgets } = require('./budgets.js')
const { versions } = require('./peers.js')
const { markdown } = require('./rows.js')

const DIR = path.join(ROOT, 'benchmarks/results')

function describeMachine(build) {
  const git = (...args) => execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' }).trim()
  const cache = fs.readFileSync(path.join(build, 'CMakeCache.txt'), 'utf8')
  const compiler = /^CMAKE_C_COMPILER:\w+=(.*)$/m.exec(cache)[1]
  const type = /^CMAKE_BUILD_TYPE:\w+=(.*)$/m.exec(cache)[1]
  if (type !== 'Release' || /^WC_SANITIZE:\w+=./m.test(cache)) throw new Error(`${build} is no release build (cmake --preset bench)`)
  return {
    commit: git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? '+changes' : ''),
    compiler: execFileSync(compiler, ['--version'], { encoding: 'utf8' }).split('\n')[0],
    build_type: type,
    cpu: `${os.cpus().length} x ${os.cpus()[0].model.trim()}`,
    memory_gib: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? os.type(),
    load_before: os.loadavg()[0], // over a minute; figures of a busy machine are not figures
    postgres: execFileSync('psql', ['--version'], { encoding: 'utf8' }).trim(),
  }
}

function newResults(options, sizes, machine, words) {
  const started = new Date()
  fs.mkdirSync(DIR, { recursive: true })
  const results = {
    command: ['benchmarks/run', ...words].join(' '), started: started.toISOString(), finished: null, seconds: {},
    quick: options.quick, rounds_wanted: options.rounds, machine, peers: versions(),
    sizes: Object.fromEntries(options.wanted.map((name) => [name, sizes[name]])),
    rows: [], commands: {}, rounds: Object.fromEntries(options.wanted.map((name) => [name, []])),
  }
  const hidden = {
    file: path.join(DIR, `${results.started.replace(/[:.]/g, '-')}.json`),
    // the last one stands for those of other rounds, which differ in ports and process ids
    noteCommand: (name, program, args) => { (results.commands[name] ??= {})[path.basename(program)] = [path.basename(program), ...args].join(' ').replaceAll(`${ROOT}/`, '').slice(0, 400) },
    finish: (rows) => Object.assign(results, { finished: new Date().toISOString(), rows }),
  }
  return Object.defineProperties(results, Object.fromEntries(Object.entries(hidden).map(([name, value]) => [name, { value, enumerable: false }])))
}

// A run that is killed leaves the rounds it had.
function saveResults(results) {
  fs.writeFileSync(`${results.file}.new`, `${JSON.stringify(results, null, 1)}\n`)
  fs.renameSync(`${results.file}.new`, results.file)
  if (results.finished) fs.writeFileSync(results.file.replace(/json$/, 'md'), `${asMarkdown(results)}\n\n${listCommands(results)}\n`)
}

function rowsOf({ rounds, sizes }) {
  const rows = Object.entries(rounds).flatMap(([name, all]) =>
    BENCHMARKS[name].rows((key) => all.map((round) => round[key] ?? { failed: 'not run' }), sizes[name]))
  addBudgets(rows)
  return rows
}

function describeRun({ machine: m, rounds_wanted: rounds, started, seconds, quick, command, peers }) {
  const minutes = Object.values(seconds).reduce((sum, s) => sum + s, 0) / 60
  return `\`${command}\` at ${m.commit.slice(0, 12)}${m.commit.endsWith('+changes') ? ' with changes' : ''}, ${started.slice(0, 10)}: medians of ${rounds} round${rounds === 1 ? '' : 's'}, ` +
    `${minutes.toFixed(0)} minutes, on ${m.cpu}, ${m.memory_gib} GiB, ${m.system}, kernel ${m.kernel}, ${m.compiler}, ${m.postgres}; load average before: ${m.load_before.toFixed(2)}. ` +
    `Beside it: ${Object.values(peers).join('; ')}.${quick ? ' **With --quick: these figures say nothing.**' : ''}`
}

const listCommands = ({ commands }) => ['Commands, of the last round:', '', ...Object.entries(commands).flatMap(([name, lines]) => [`    # ${name}`, ...Object.values(lines).map((line) => `    ${line}`)])].join('\n')

const asMarkdown = (results) => `${describeRun(results)}\n\n${markdown(results.rows)}`

module.exports = { DIR, describeMachine, newResults, saveResults, rowsOf, describeRun, asMarkdown }
