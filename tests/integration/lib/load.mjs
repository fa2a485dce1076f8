// Writers that go on whatever happens to the server, and what clients must have seen of their rows.
import assert from 'node:assert/strict'
import { DEADLINE_MS, until } from './wait.mjs'

export const LOAD_TABLE = { sql: 'create table t (id bigint primary key, writer int, n int, v int default 0)', publish: ['t'] }

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** Row n of a writer. */
const idOf = (writer, n) => writer * 1_000_000 + n

export class Load {
  #stop = false
  errors = 0

  constructor(cluster, writers = 4) {
    this.cluster = cluster
    this.next = Array(writers).fill(1) // of each writer, the row it writes next
    this.done = Promise.all(this.next.map((_, w) => this.#write(w)))
  }

  async #connection() {
    while (!this.#stop) {
      const session = await this.cluster.connect().catch(() => null)
      if (session) return session
      await pause(20) // the server is away
    }
    return null
  }

  /** Transactions of one to three rows; every fourth changes an older row as well. */
  async #write(w) {
    let session = await this.#connection()
    while (!this.#stop) {
      const first = this.next[w], rows = 1 + first % 3
      this.next[w] += rows
      try {
        await session.query('insert into t select $1::bigint + i, $2::int, $3::int + i from generate_series(0, $4::int - 1) i', [idOf(w, first), w, first, rows])
        if (first % 4 === 0) await session.query('update t set v = v + 1 where id = $1', [idOf(w, first)])
      } catch { // whether that row is there the table will tell
        this.errors++
        await session.end().catch(() => {})
        session = await this.#connection()
      }
    }
    await session?.end().catch(() => {})
  }

  /** How far each writer is now: rows from there on are not begun yet. */
  mark() {
    return [...this.next]
  }

  /** Until each writer has begun `rows` more. */
  async more(rows, deadlineMs = DEADLINE_MS * 4) {
    const from = this.mark()
    await until(() => this.next.every((n, w) => n >= from[w] + rows), () => `${rows} more rows of each writer: ${from} to ${this.next}`, deadlineMs)
  }

  async stop() {
    this.#stop = true
    await this.done
  }
}

/** What is in the table: for each writer its rows, in the order they were written. */
export async function written(world) {
  const rows = await world.sql('select writer, array_agg(n order by n) as ns from t group by writer')
  return new Map(rows.map((r) => [r.writer, r.ns]))
}

const inserts = (client) => client.changes().filter((c) => c.data.type === 'INSERT').map((c) => c.data.record)

/** Until the client has the last row of every writer. */
export async function untilLast(client, table, deadlineMs = DEADLINE_MS * 4) {
  const last = () => new Set(inserts(client).map((r) => `${r.writer}/${r.n}`))
  await until(() => [...table].every(([w, ns]) => last().has(`${w}/${ns.at(-1)}`)), () => `the last rows; got ${last().size}`, deadlineMs)
}

/** Every row of the table from `from` on arrived, and each writer's rows once, as they were written. */
export function assertComplete(client, table, { from = [] } = {}) {
  const seen = new Map([...table.keys()].map((w) => [w, []]))
  for (const { writer, n } of inserts(client)) seen.get(writer).push(n)
  for (const [w, ns] of table) {
    const got = new Set(seen.get(w)), committed = new Set(ns)
    const missing = ns.filter((n) => n >= (from[w] ?? 0) && !got.has(n))
    assert.deepEqual(missing.slice(0, 20), [], `writer ${w}: ${missing.length} of ${ns.length} rows are missing`)
    seen.get(w).forEach((n, i, all) => {
      assert.ok(committed.has(n), `writer ${w}: row ${n} was never committed`)
      assert.ok(i === 0 || n > all[i - 1], `writer ${w}: row ${n} after ${all[i - 1]}`)
    })
  }
}
