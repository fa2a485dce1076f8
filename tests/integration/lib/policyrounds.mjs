// Rounds of a comparison without a server: random policies compiled by bridge/policy, and SELECT with
// the same role and claims. Thousands of rows a second.
import assert from 'node:assert/strict'
import { Compiler, describe, evaluate, rowsOf, withClaims } from './compiled.mjs'
import { Conditions, POOL, namesOf, poolSql, randomClaims, randomValue } from './conditions.mjs'

const CLAIMS = 5, ROUNDS_OF_ROWS = 10
const TABLE = 'policy_rows', ROLE = 'authenticated'

const sorted = (numbers) => [...numbers].sort((a, b) => a - b)

export class PolicyRounds {
  compared = 0 // rows, each with one role and claims
  policies = 0
  refused = 0 // lists of policies that were not compiled
  failed = 0 // claims whose values could not be evaluated: Postgres decides then
  #rounds = 0

  /** `rows`: of the table; more are faster, fewer are more policies. */
  constructor(cluster, random, seed, rows = 40) {
    Object.assign(this, { cluster, random, seed, rows })
  }

  /** `hasPool`: somebody has run poolSql here. */
  async prepare({ hasPool = false } = {}) {
    const icu = (await this.cluster.sql(`select from pg_collation where collname = 'en-x-icu'`)).length > 0
    this.client = await this.cluster.connect()
    this.names = namesOf(icu)
    await this.client.query(`${hasPool ? '' : poolSql(icu)}
      create table ${TABLE} (n int4 primary key, gone int4, ${this.names.map((name) => `${name} ${POOL[name].type}`).join(', ')}); alter table ${TABLE} drop column gone;
      alter table ${TABLE} enable row level security; grant select on ${TABLE} to public`)
    this.proven = (await this.client.query(`select oid::text from pg_proc where pronamespace = 'auth'::regnamespace`)).rows.map((r) => r.oid)
    this.conditions = new Conditions(this.random, this.names)
    this.compiler = new Compiler()
  }

  async close() {
    if (this.compiler) assert.equal(await this.compiler.close(), 0)
  }

  async #fill() {
    const row = (n) => `(${[n, ...this.names.map((name) => randomValue(this.random, name))].join(', ')})`
    await this.client.query(`truncate ${TABLE}; insert into ${TABLE} values ${this.random.times(this.rows, row).join(', ')}`)
  }

  async #describe(list) {
    const policies = list.map(({ as, using }, i) => `create policy p${i} on ${TABLE} as ${as} for select using (${using})`)
    const old = (await this.client.query(`select polname from pg_policy where polrelid = $1::regclass`, [TABLE])).rows.map((r) => `drop policy ${r.polname} on ${TABLE}`)
    await this.client.query([...old, ...policies].join('; ')).catch((e) => assert.fail(`${e.message}: ${this.#where(list)}`))
    return describe(this.client, `public.${TABLE}`, this.proven)
  }

  #where(list, claims) {
    return `DIFFERENTIAL_SEED=${this.seed}, round ${this.#rounds}: ${list.map(({ as, using }) => `${as} ${using}`).join(' | ')}${claims ? ` for ${JSON.stringify(claims)}` : ''}`
  }

  /** One list of policies. `isCompiled`: all of it can be compiled, and is. */
  async round() {
    const { random } = this, isCompiled = random.chance(0.85)
    if (this.#rounds++ % ROUNDS_OF_ROWS === 0) await this.#fill()
    const list = random.times(1 + random.below(3), () => ({
      as: random.chance(0.3) ? 'restrictive' : 'permissive',
      using: isCompiled || random.chance(0.5) ? this.conditions.compiled(3) : this.conditions.delegated(TABLE),
    }))
    const facts = await this.#describe(list), answer = await this.compiler.ask(facts)
    this.policies += list.length
    if (isCompiled) assert.equal(answer.why, undefined, this.#where(list))
    if (answer.why !== undefined) {
      assert.notEqual(answer.why, '', this.#where(list))
      this.refused++
      return
    }
    const rows = await rowsOf(this.client, `public.${TABLE}`, facts.columns)
    for (let i = 0; i < CLAIMS; i++) await this.#compare(list, facts, answer, rows, randomClaims(random, i ? 0.03 : 0.3))
  }

  /** Where the values can be evaluated no row is an error. */
  async #compare(list, facts, answer, rows, claims) {
    const values = await withClaims(this.client, ROLE, claims, () => evaluate(this.client, answer.slots)).catch((e) => e)
    if (values instanceof Error) {
      this.failed++
      return
    }
    const seen = await withClaims(this.client, ROLE, claims, async () => (await this.client.query(`select n from ${TABLE}`)).rows.map((r) => r.n))
      .catch((e) => assert.fail(`SELECT is an error, and what was compiled is none: ${e.message}; ${this.#where(list, claims)}`))
    const verdict = await this.compiler.ask({ ...facts, values, rows })
    assert.equal(verdict.rows?.length, rows.length, `${verdict.why}; ${this.#where(list, claims)}`)
    const mine = rows.filter((_, i) => verdict.rows[i]).map((r) => Number(r[0]))
    assert.deepEqual(sorted(mine), sorted(seen), this.#where(list, claims))
    this.compared += rows.length
  }
}
