// Policies compiled by bridge/policy, driven by tests/unit/bridge/policy/judge_policy.c: what the
// catalog says of a table's policies goes in; what comes back is asked of Postgres, and judges rows.
import { spawn } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { BINARY } from './env.mjs'

const PROGRAM = path.join(path.dirname(BINARY), 'tests/unit/bridge/policy/judge_policy')

export class Compiler {
  #waiting = []

  constructor() {
    this.process = spawn(PROGRAM, { stdio: ['pipe', 'pipe', 'inherit'] })
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => this.#waiting.shift().resolve(line))
    this.ended = new Promise((resolve) => this.process.on('exit', resolve))
    this.process.stdin.on('error', () => {}) // its end is told below
    this.process.on('error', (error) => this.#fail(error))
    this.process.on('close', (status, signal) => this.#fail(new Error(`judge_policy has ended: ${signal ?? status}`)))
  }

  #fail(error) {
    this.failure = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  async ask(request) {
    if (this.failure) throw this.failure
    const line = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
    this.process.stdin.write(`${JSON.stringify(request)}\n`)
    return JSON.parse(await line)
  }

  async close() {
    this.process.stdin.end()
    return this.ended
  }
}

const text = { rowMode: 'array', types: { getTypeParser: () => (v) => v } }

/** What bridge/policy wants to know of a table and its policies. `claims`: functions whose bodies are proven. */
export async function describe(client, table, claims = []) {
  await client.query(`set search_path = ''`)
  const policies = (await client.query({ text: `select pg_catalog.pg_get_expr(polqual, polrelid), polqual::text, polpermissive from pg_catalog.pg_policy where polrelid = $1::pg_catalog.regclass and polcmd in ('r', '*') order by oid`, values: [table], rowMode: 'array' })).rows
  const columns = (await client.query(`select case when attisdropped then null else attname end as name, atttypid::int as type, coalesce(typtype = 'e', false) as enum from pg_catalog.pg_attribute left join pg_catalog.pg_type t on t.oid = atttypid where attrelid = $1::pg_catalog.regclass and attnum > 0 order by attnum`, [table])).rows
  const oids = [...new Set(policies.flatMap(([, tree]) => [...tree.matchAll(/:(?:funcid|opfuncid) (\d+)/g)].map((m) => m[1])))]
  const functions = Object.fromEntries((await client.query(`select oid::text, case when oid::text = any($2) then 'claims' else 'immutable' end as kind from pg_catalog.pg_proc where oid = any($1::oid[]) and (oid::text = any($2) or oid < 16384 and provolatile = 'i')`, [oids, claims])).rows.map((r) => [r.oid, r.kind]))
  const isC = (await client.query(`select datcollate in ('C', 'POSIX') as c from pg_catalog.pg_database where datname = pg_catalog.current_database()`)).rows[0].c
  const collations = Object.fromEntries((await client.query(`select oid::text, collisdeterministic as d, oid in (950, 951) or oid = 100 and $1 as c from pg_catalog.pg_collation`, [isC])).rows.map((r) => [r.oid, [r.d, r.c]]))
  await client.query('reset search_path')
  return { policies: policies.map(([text, tree, permissive]) => ({ text, tree, permissive })), columns, functions, collations }
}

/** Runs fn in a transaction with the role and its claims, as checks have them, and undoes it. */
export async function withClaims(client, role, claims, fn) {
  await client.query('begin')
  try {
    await client.query(`select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), set_config('request.jwt.claim.sub', $3, true)`, [role, JSON.stringify(claims), claims.sub ?? ''])
    return await fn()
  } finally {
    await client.query('rollback')
  }
}

/** The slots' values, as the server prints them. */
export async function evaluate(client, slots) {
  if (!slots.length) return []
  await client.query(`set local search_path = ''`)
  return (await client.query({ text: `select ${slots.join(', ')}`, ...text })).rows[0]
}

/** Every row of the table, as text, by attribute number; dropped columns are null. */
export async function rowsOf(client, table, columns) {
  const list = columns.map((c) => (c.name === null ? 'null' : `"${c.name}"`)).join(', ')
  return (await client.query({ text: `select ${list} from ${table} order by 1`, ...text })).rows
}
