// Values of claims: given_driver beside a real Postgres, with rules that a test makes up.
import { spawn } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { BINARY, SANITIZER_ENV, SLOWNESS } from './env.mjs'
import { deadline } from './wait.mjs'

const DRIVER = path.join(path.dirname(BINARY), 'tests/given_driver')

export class Givens {
  #rules = 0
  #contexts = 0

  /** `env`: of given_driver. Ended with the test. */
  static start(t, cluster, env = {}) {
    const givens = new Givens()
    givens.child = spawn(DRIVER, { env: { ...process.env, ...SANITIZER_ENV, ...cluster.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    givens.stderr = ''
    givens.child.stderr.on('data', (data) => { givens.stderr += data })
    givens.exited = new Promise((resolve) => givens.child.once('exit', resolve))
    givens.lines = readline.createInterface({ input: givens.child.stdout })[Symbol.asyncIterator]()
    t.after(() => givens.end())
    return givens
  }

  async end() {
    if (this.child.exitCode !== null) return
    this.child.stdin.end()
    const status = await deadline(this.exited, 20000 * SLOWNESS, 'the end of given_driver')
    if (status !== 0) throw new Error(`given_driver ended with ${status}: ${this.stderr}`)
  }

  say(...fields) {
    this.child.stdin.write(fields.join('\t') + '\n')
  }

  async #line() {
    const { value, done } = await deadline(this.lines.next(), 60000 * SLOWNESS, 'an answer of given_driver')
    if (done) throw new Error(`given_driver ended: ${this.stderr}`)
    return value.split('\t')
  }

  /** Slots as 'kind:sql'; `code`: whether somebody's runs, and whose. */
  rules(slots, { owners = '', code = owners !== '' } = {}) {
    this.say('rules', owners, code ? 1 : 0, ...slots)
    return this.#rules++
  }

  /** Other rules that ask the same. */
  again(rules) {
    this.say('again', rules)
    return this.#rules++
  }

  context(claims = {}, role = 'authenticated') {
    this.say('context', role, typeof claims === 'string' ? claims : JSON.stringify(claims))
    return this.#contexts++
  }

  /** { n, state, outcome, values, sqlstate }; values only where `known` at once */
  async get(rules, context) {
    this.say('get', rules, context)
    return Givens.#given(await this.#line())
  }

  static #given([, n, state, more, ...values]) {
    return state === 'FAILED' ? { n: Number(n), state, sqlstate: more } : { n: Number(n), state, outcome: more, values }
  }

  /** Of all that were waited for: the given by its number, `ms` beside them. */
  async wait() {
    this.say('wait')
    const known = new Map()
    for (;;) {
      const line = await this.#line()
      if (line[0] === 'done') return Object.assign(known, { ms: Number(line[1]) })
      const given = Givens.#given(line)
      known.set(given.n, given)
    }
  }

  /** The next line of a get that was only said, or of those waited for. */
  async next() {
    return Givens.#given(await this.#line())
  }

  /** One context; what it is given. */
  async of(rules, context) {
    const { n, state, ...rest } = await this.get(rules, context)
    return state === 'WAITING' ? (await this.wait()).get(n) : { n, state, ...rest }
  }

  async many(rules, count) {
    this.say('many', rules, count)
    const [, ms, bytes] = await this.#line()
    return { ms: Number(ms), bytes: Number(bytes) }
  }

  async free() {
    this.say('free')
    await this.#line()
  }
}
