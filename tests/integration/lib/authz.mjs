// Questions about private rooms without sockets: authz_driver beside a real Postgres.
import { spawn } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { BINARY, SANITIZER_ENV, SLOWNESS } from './env.mjs'
import { deadline } from './wait.mjs'

const DRIVER = path.join(path.dirname(BINARY), 'tests/authz_driver')
const PERMISSIONS = { r: 1, p: 2, w: 4, q: 8 }
const ERRORS = ['ok', 'policy', 'canceled', 'no_partition', 'pool', 'unavailable', 'connections', 'connect_rate', 'replay']

export class Authz {
  #waiting = new Map()
  #number = 0

  /** `env`: of authz_driver. Ended with the test. */
  static start(t, cluster, env = {}) {
    const authz = new Authz()
    authz.child = spawn(DRIVER, { env: { ...process.env, ...SANITIZER_ENV, ...cluster.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    authz.stderr = ''
    authz.child.stderr.on('data', (data) => { authz.stderr += data })
    authz.exited = new Promise((resolve) => authz.child.once('exit', resolve))
    readline.createInterface({ input: authz.child.stdout }).on('line', (line) => authz.#onLine(line.split('\t')))
    t.after(() => authz.end())
    return authz
  }

  async end() {
    if (this.child.exitCode === null) this.child.stdin.end()
    const status = await deadline(this.exited, 20000 * SLOWNESS, 'the end of authz_driver')
    if (status !== 0) throw new Error(`authz_driver ended with ${status}: ${this.stderr}`)
  }

  #onLine([what, ...f]) {
    const key = what === 'flood' ? 'flood' : f[0]
    const resolve = this.#waiting.get(key)
    if (!resolve) throw new Error(`an answer that nobody waits for: ${what} ${f}`)
    this.#waiting.delete(key)
    if (what === 'flood') return resolve({ granted: Number(f[0]), ms: Number(f[1]) })
    const may = Object.keys(PERMISSIONS).filter((letter) => Number(f[1]) & PERMISSIONS[letter]).join('')
    const hex = (s) => Buffer.from(s, 'hex')
    const rows = []
    for (let i = 3; i < f.length; i += 4)
      rows.push({ id: f[i], event: hex(f[i + 1]).toString(), payload: f[i + 2] === 'b' ? hex(f[i + 3]) : JSON.parse(hex(f[i + 3])) })
    resolve({ may, error: ERRORS[Number(f[2])], rows })
  }

  #say(key, fields) {
    const answer = new Promise((resolve) => this.#waiting.set(key, resolve))
    this.child.stdin.write(fields.join('\t') + '\n')
    return deadline(answer, 30000 * SLOWNESS, `the answer to ${fields}; ${this.stderr}`)
  }

  /** `wanted`: of r, p (read broadcasts, presence), w, q (write). { may: granted of them, error, rows } */
  ask(wanted, options) {
    const question = this.#question(wanted, options)
    return this.#say(question[1], question)
  }

  #question(wanted, { role = 'authenticated', claims = {}, topic = 'room', headers = {}, replay } = {}) {
    const json = typeof claims === 'string' ? claims : JSON.stringify({ role, ...claims })
    return ['ask', String(this.#number++), wanted, role, json, topic, JSON.stringify(headers), ...(replay ? [replay.since, replay.limit ?? 25] : [])]
  }

  /** Asks what must never be answered. */
  abandon(wanted, options) {
    this.child.stdin.write(this.#question(wanted, options).join('\t') + '\n')
  }

  /** A row of realtime.messages came from the stream, in this transaction: 32 bits of its id, as text. */
  streamed(xid) {
    this.child.stdin.write(`streamed\t${xid}\n`)
  }

  /** The stream began anew. */
  anew() {
    this.child.stdin.write('anew\n')
  }

  /** 'rp', or 'error: policy'. */
  async may(wanted, options) {
    const { may, error } = await this.ask(wanted, options)
    return error === 'ok' ? may : `error: ${error}`
  }

  /** As many equal questions at once: { granted, ms }. */
  flood(count, wanted, { role = 'authenticated', claims = {}, topic = 'room' } = {}) {
    return this.#say('flood', ['flood', count, wanted, role, JSON.stringify({ role, ...claims }), topic])
  }
}
