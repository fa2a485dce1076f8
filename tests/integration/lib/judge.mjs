// Row checks without a stream: judge_driver, told what the log says, beside a real Postgres.
import { spawn } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { BINARY, SANITIZER_ENV, SLOWNESS } from './env.mjs'
import { deadline } from './wait.mjs'

const DRIVER = path.join(path.dirname(BINARY), 'tests/judge_driver')

export class Judge {
  #contexts = 0
  #changes = 0
  #compared = 0
  #relations = new Map()

  /** `env`: of judge_driver. Ended with the test. */
  static start(t, cluster, env = {}) {
    const judge = new Judge()
    judge.sql = cluster.sql.bind(cluster)
    judge.child = spawn(DRIVER, { env: { ...process.env, ...SANITIZER_ENV, ...cluster.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    judge.stderr = ''
    judge.child.stderr.on('data', (data) => { judge.stderr += data })
    judge.exited = new Promise((resolve) => judge.child.once('exit', resolve))
    judge.lines = readline.createInterface({ input: judge.child.stdout })[Symbol.asyncIterator]()
    t.after(() => judge.end())
    return judge
  }

  async end() {
    if (this.child.exitCode !== null) return
    this.child.stdin.end()
    const status = await deadline(this.exited, 20000 * SLOWNESS, 'the end of judge_driver')
    if (status !== 0) throw new Error(`judge_driver ended with ${status}: ${this.stderr}`)
  }

  #say(...fields) {
    this.child.stdin.write(fields.join('\t') + '\n')
  }

  context(role, claims = {}) {
    this.#say('context', role, typeof claims === 'string' ? claims : JSON.stringify(claims))
    return this.#contexts++
  }

  async relation(table) {
    if (!this.#relations.has(table)) {
      const [{ oid, columns }] = await this.sql(
        `select $1::regclass::oid::text as oid, array_agg(attname::text order by attnum) as columns
         from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped`, [table])
      this.#say('rel', oid, ...columns)
      this.#relations.set(table, { oid, columns })
    }
    return this.#relations.get(table)
  }

  /** What the log says of a row: texts by column; a column left out is NULL, `undefined` an unchanged TOAST value. */
  async row(table, values, { op = 'I', xid = '3', old } = {}) {
    const { oid, columns } = await this.relation(table)
    const text = (row) => columns.map((c) => !(c in row) || row[c] === null ? '\\N' : row[c] === undefined ? '\\U' : String(row[c]))
    this.#say('row', oid, op, xid, ...text(values))
    if (old) this.#say('old', ...text(old))
    return this.#changes++
  }

  want(change, context) {
    this.#say('want', change, context)
  }

  compare(change, { role = 'anon', type = 'text', collation = '', schema = '', op, valueType, value, subject }) {
    this.#say('compare', change, role, type, collation, schema, op, valueType ?? (op === 'in' ? `${type}[]` : type), value ?? '\\N', subject)
    return this.#compared++
  }

  /** { ok, ms, verdict: Map 'change/context' → word, truth: [word], troubles, counts } */
  async send({ quiet = false } = {}) {
    const result = { verdict: new Map(), truth: [], troubles: [], counts: {} }
    this.#say(...(quiet ? ['send', 'quiet'] : ['send']))
    for (;;) {
      const { value: line, done } = await deadline(this.lines.next(), 60000 * SLOWNESS, 'an answer of judge_driver')
      if (done) throw new Error(`judge_driver ended: ${this.stderr}`)
      const [what, ...f] = line.split('\t')
      if (what === 'verdict') result.verdict.set(`${f[0]}/${f[1]}`, f[2])
      else if (what === 'truth') result.truth[f[1]] = f[2]
      else if (what === 'trouble') result.troubles.push({ role: f[1], over: f[2] === '1', text: f[3] })
      else if (what === 'count') result.counts[f[0]] = Number(f[1])
      else if (what === 'answered') {
        result.ok = f[0] === '1'
        result.ms = Number(f[1])
        if (result.ok) this.#changes = this.#compared = 0
        return result
      }
    }
  }

  /** One row, one context. */
  async see(table, values, context, options) {
    this.want(await this.row(table, values, options), context)
    const { verdict } = await this.send()
    return verdict.get(`0/${context}`)
  }

  /** When all that was said before has been heard. */
  async heard() {
    this.#say('ping')
    await deadline(this.lines.next(), 20000 * SLOWNESS, 'an answer of judge_driver')
  }

  async #hearRules() {
    const { value: line, done } = await deadline(this.lines.next(), 20000 * SLOWNESS, 'rules of judge_driver')
    if (done) throw new Error(`judge_driver ended: ${this.stderr}`)
    const [, number, kind, says] = line.split('\t')
    return { number: Number(number), kind, says }
  }

  /** What the policies of a table come to for a role, as the catalog says now: { number, kind, says }. */
  async rules(table, role) {
    const [{ oid }] = await this.sql('select $1::regclass::oid::text as oid', [table])
    this.#say('rules', oid, role)
    return this.#hearRules()
  }

  /** Of what `rules` said last; says what is in its place. */
  async distrust(table, role, why) {
    const [{ oid }] = await this.sql('select $1::regclass::oid::text as oid', [table])
    this.#say('distrust', oid, role, why)
    return this.#hearRules()
  }

  async forget() {
    this.#say('forget')
    await deadline(this.lines.next(), 20000 * SLOWNESS, 'an answer of judge_driver')
    this.#changes = this.#compared = 0
  }
}
