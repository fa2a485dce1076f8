// The processes of a benchmark: programs that end by themselves, servers that are ended, what they
// used. Every child is known here, so that nothing outlives the run.
'use strict'
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')

const DEADLINE_MS = 240000 // of one program; each gives up by itself long before
const START_MS = 20000
const END_MS = 10000

const children = new Set()
let onCommand = () => {}

/** Called with every program and its arguments. */
function watchCommands(listener) { onCommand = listener }

function keep(child) {
  children.add(child)
  child.ended = new Promise((resolve) => child.on('close', (code, signal) => {
    children.delete(child)
    resolve({ code, signal })
  }))
  return child
}

function wordOfEnd(program, { code, signal }, complaint) {
  const line = complaint.trim().split('\n').at(-1).replace(/^bench: /, '')
  return `${path.basename(program)}: ${line || `ended with ${signal ?? `status ${code}`}`}`
}

/** Resolves with standard output; rejects with the program's last complaint when it fails. */
async function run(program, args, env = {}) {
  onCommand(program, args)
  const child = keep(spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }))
  let out = '', complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text) => { out += text })
  child.stderr.setEncoding('utf8').on('data', (text) => { complaint = (complaint + text).slice(-4000) })
  const timer = setTimeout(() => { complaint = `not done after ${DEADLINE_MS / 1000} s`; child.kill('SIGKILL') }, DEADLINE_MS)
  const failed = new Promise((_, reject) => child.on('error', reject))
  const end = await Promise.race([child.ended, failed]).finally(() => clearTimeout(timer))
  if (end.code !== 0) throw new Error(wordOfEnd(program, end, complaint))
  return out
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Starts a server whose output goes to the file `log`, and waits until it listens on all `ports`. */
async function serve(program, args, { env = {}, log, ports }) {
  onCommand(program, args)
  const fd = fs.openSync(log, 'a')
  const child = keep(spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', fd, fd] }))
  fs.closeSync(fd)
  let failure = null
  child.on('error', (error) => { failure = error })
  for (const deadline = Date.now() + START_MS; !ports.every(listens);) {
    if (failure) throw failure.code === 'ENOENT' ? new Error(`${program} is not installed`) : failure
    if (child.exitCode !== null || child.signalCode || Date.now() > deadline) {
      const said = fs.readFileSync(log, 'utf8').trim().split('\n').at(-1)
      throw new Error(`${path.basename(program)} does not start: ${said || `see ${log}`}`)
    }
    await pause(10)
  }
  return { child, pid: child.pid, stop: () => stop(child) }
}

async function stop(child) {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  const end = await child.ended
  clearTimeout(timer)
  return end
}

/** Ends whatever still runs; for after a failure. */
async function stopAll() {
  for (const child of children) child.kill('SIGCONT')
  await Promise.all([...children].map(stop))
}

function killAll() {
  for (const child of children) child.kill('SIGKILL')
}

async function freePort() {
  const server = net.createServer()
  await new Promise((resolve, reject) => server.on('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Whether somebody listens, without a connection that a server might count. */
function listens(port) {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((file) => fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n')
    .some((line) => { const [, local, , state] = line.trim().split(/\s+/); return state === '0A' && `${local} `.endsWith(end) }))
}

/** User and system time of a process so far, and the most memory it ever held. */
function usage(pid) {
  const ticksPerSecond = 100 // USER_HZ, the same on every Linux architecture Debian has
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const peak = /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, peakMiB: Number(peak[1]) / 1024 }
}

function childrenOf(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
}

module.exports = { run, serve, stopAll, killAll, watchCommands, freePort, pause, usage, childrenOf }
