// The binary under test as a process: started on a free port, watched, stopped by its pid. A test
// fails when the process crashes, reports through a sanitizer, or ends with the wrong status.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import { BINARY, SANITIZER_ENV } from './env.mjs'
import { Page } from './metrics.mjs'
import { SECRET } from './token.mjs'
import { DEADLINE_MS, until } from './wait.mjs'

const REPORT = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assertion failed/i
const USER_HZ = 100 // on every Linux architecture Debian has
// Below the range of outgoing connections, and apart from the range of tools/cluster.
const FIRST_PORT = 12000, PORTS = 8000

const canListen = (port) => new Promise((done) => {
  const probe = net.createServer().once('error', () => done(false)).once('listening', () => probe.close(() => done(true)))
  probe.listen(port, '127.0.0.1')
})

export async function freePort() {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if (await canListen(port)) return port
  }
}

/** The environment of a child: nothing of ours that would configure it, and the sanitizers' options. */
export function childEnv(env) {
  const { PATH, HOME, LANG, TMPDIR, SOCKET_THREADS } = process.env
  const given = Object.fromEntries(Object.entries({ PATH, HOME, LANG, TMPDIR, SOCKET_THREADS }).filter(([, v]) => v !== undefined))
  return { ...given, ...SANITIZER_ENV, ...env }
}

export class Server {
  log = ''
  exited = null

  /** Starts `walcast serve`. `wait`: 'up' (it answers), 'streaming' (/health says 200) or 'no'. */
  static async start(env = {}, { wait = 'streaming' } = {}) {
    const server = new Server()
    server.port = env.PORT ?? await freePort()
    server.env = { JWT_SECRET: SECRET, PORT: String(server.port), ...env }
    server.spawn()
    await server.ready(wait)
    return server
  }

  spawn() {
    this.exited = null
    this.child = spawn(BINARY, ['serve'], { env: childEnv(this.env), stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding('utf8').on('data', (text) => { this.log += text })
    this.child.once('close', (code, signal) => { this.exited = { code, signal } })
    this.onExit = () => this.child.kill('SIGKILL')
    process.once('exit', this.onExit)
  }

  async ready(wait) {
    if (wait === 'no') return
    const path = wait === 'up' ? '/healthcheck' : '/health'
    await until(async () => {
      if (this.exited) throw new Error(`walcast ended at once: ${JSON.stringify(this.exited)}\n${this.log}`)
      return (await this.get(path).catch(() => null))?.status === 200
    }, () => `200 from ${path}; log:\n${this.log.slice(-4000)}`)
  }

  get socketUrl() {
    return `ws://127.0.0.1:${this.port}/socket`
  }

  get(path, options) {
    return fetch(`http://127.0.0.1:${this.port}${path}`, options)
  }

  /** User and system time of the process so far. What it worked, however busy the machine is. */
  cpuSeconds() {
    const stat = fs.readFileSync(`/proc/${this.child.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / USER_HZ
  }

  /** `tenant` is the first of the body's tenants; there is only one so far. */
  async health() {
    const response = await this.get('/health')
    const body = await response.json()
    return { status: response.status, body, tenant: body.tenants[0] }
  }

  async metrics() {
    return new Page(await (await this.get('/metrics')).text())
  }

  /** The value of one series of /metrics; labels but the node's are part of the name. Throws when it is absent. */
  async metric(name) {
    const page = await this.metrics(), value = page.get(name)
    assert.ok(value !== undefined, `${name} is not in /metrics:\n${page.text}`)
    return value
  }

  untilLog(pattern, deadlineMs) {
    return until(() => pattern.exec(this.log), () => `${pattern} in the log:\n${this.log.slice(-4000)}`, deadlineMs)
  }

  async ended(deadlineMs = DEADLINE_MS) {
    await until(() => this.exited, () => `the end of pid ${this.child.pid}; log:\n${this.log.slice(-4000)}`, deadlineMs)
    process.removeListener('exit', this.onExit)
    return this.exited
  }

  assertClean() {
    assert.ok(!REPORT.test(this.log), `a sanitizer or an assertion reported:\n${this.log.slice(-20000)}`)
  }

  /** Ends it as an operator does and checks how it ended. Fine when it has ended before. */
  async stop() {
    if (this.exited === null) this.child.kill('SIGTERM')
    try {
      await this.ended()
    } catch (e) {
      this.child.kill('SIGKILL')
      throw e
    }
    this.assertClean()
    assert.deepEqual(this.exited, { code: 0, signal: null }, `exit status\n${this.log.slice(-4000)}`)
  }

  /** As a power cut would. */
  async kill() {
    this.child.kill('SIGKILL')
    await this.ended()
    this.assertClean()
  }

  /** After stop or kill: the same settings again. */
  async again({ wait = 'streaming' } = {}) {
    this.spawn()
    await this.ready(wait)
  }
}
