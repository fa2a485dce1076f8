// Where a walcast spends its time, by perf: for what stands in the way of a budget (--profile).
'use strict'
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const LINES = 25

/** Samples a process until stop(); the functions that took most go to bench.profiles, by case. */
async function startProfile(bench, pid) {
  const file = path.join(bench.dir, `perf-${pid}`)
  const child = spawn('perf', ['record', '-q', '-F', '997', '-o', file, '-p', String(pid)], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  const wanted = bench.running
  return {
    stop: async () => {
      child.kill('SIGINT')
      await ended
      if (!fs.existsSync(file)) return
      const report = execFileSync('perf', ['report', '-i', file, '--stdio', '-q', '--no-children', '--sort', 'dso,symbol', '--percent-limit', '0.5'],
        { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] })
      bench.profiles[wanted] = report.split('\n').filter((line) => line.includes('%')).slice(0, LINES)
        .map((line) => line.trim().replace(/\s+/g, ' ').replace(/(?: -)+$/, ''))
      fs.rmSync(file)
    },
  }
}

module.exports = { startProfile }
