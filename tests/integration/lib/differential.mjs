// Rounds of a comparison: random tables under random policies, each change through servers that
// decide in different ways, and SELECT with the same role and claims.
import assert from 'node:assert/strict'
import { Conditions, POOL, namesOf, poolSql, randomValue } from './conditions.mjs'
import { SLOWNESS } from './env.mjs'
import { MAJOR } from './major.mjs'
import { Client } from './phoenix.mjs'
import { ALL_ROLES, KEYS, POLICY_SQL, keyNames, randomContexts, randomPolicies, shownTo } from './policies.mjs'
import { mint, secondsFromNow } from './token.mjs'
import { until } from './wait.mjs'
import { publishTable } from './world.mjs'

const TABLES = 3, CONTEXTS = 14, ROWS = 20 // 1,680 comparisons a round, with insert and update
const KINDS = ['compiled', 'compiled', 'compiled', 'mixed', 'delegated']

const sorted = (numbers) => [...numbers].sort((a, b) => a - b)

export class Rounds {
  compared = 0 // pairs of row and context, each through all servers
  exact = 0 // of these, where neither an error nor the log lets anybody get less than SELECT shows
  shown = 0 // of these, rows that SELECT shows
  judged = 0 // old rows that were judged and delivered
  #sentinels = 0
  #round = 0

  /** `servers`: by name. `seed` is told when something is wrong. */
  constructor(world, servers, random, seed) {
    Object.assign(this, { world, servers, random, seed })
  }

  async prepare() {
    const { world } = this
    const hasIcu = (await world.sql(`select from pg_collation where collname = 'en-x-icu'`)).length > 0
    await world.sql(`${POLICY_SQL} ${poolSql(hasIcu)} create table sentinel (id int primary key)`)
    await publishTable(world, 'sentinel', ALL_ROLES)
    this.session = await world.cluster.connect()
    await this.session.query(`set timezone = 'UTC'`) // as checks have it: a date means a moment
    this.keys = KEYS.filter((k) => !k.needs || hasIcu)
    this.names = namesOf(hasIcu)
    this.expiry = secondsFromNow(24 * 3600)
  }

  /** Pairs of row and context that this server has checked, by who decided. Rows that the index leaves out are not counted. */
  async checks(server) {
    const page = await this.servers[server].metrics(), value = (mode) => page.get(`walcast_rls_checks_total{mode="${mode}"}`)
    return { compiled: value('compiled'), delegated: value('delegated') }
  }

  // ---- what is compared ----

  /** A protected table, published; `ddl` makes another like it. */
  async table(name, kind) {
    const { random } = this, key = random.chance(0.05) ? null : random.pick(this.keys)
    const columns = [...new Set(['owner', 'level', ...random.sample(this.names, 4 + random.below(5))])]
    const policies = randomPolicies(random, new Conditions(random, columns), kind)
    const isFull = !key || random.chance(0.4), isForced = random.chance(0.3), isOwned = random.chance(0.3)
    const own = key ? `${key.columns}, ` : '', primary = key ? `, primary key (${keyNames(key)})` : ''
    const grant = !isFull && random.chance(0.15) ? `(${[keyNames(key), 'n', ...random.sample(columns, 2)].join(', ')})` : ''
    const ddl = (t) => `create table ${t} (${own}n int4 not null, ${columns.map((c) => `${c} ${POOL[c].type}`).join(', ')}${primary}); ${isOwned ? `alter table ${t} owner to landlord;` : ''}
      alter table ${t} enable row level security; ${isForced ? `alter table ${t} force row level security;` : ''} ${policies.map((p) => p(t)).join(';')}; grant select ${grant} on ${t} to ${ALL_ROLES}`
    const list = MAJOR >= 15 && !isFull && random.chance(0.12) ? random.sample(columns, 3) : null
    const table = { name, key, columns, isFull, isForced, isOwned, ddl, grant, list, policies: policies.map((p) => p(name)) }
    await this.world.sql(ddl(name)).catch((e) => assert.fail(`${e.message}: ${ddl(name)}; ${this.where()}`))
    if (isFull) await this.world.sql(`alter table ${name} replica identity full`)
    await this.world.sql(`alter publication supabase_realtime add table ${name} ${list ? `(${[keyNames(key), 'n', ...list].join(', ')})` : ''}`)
    return table
  }

  where(table, context) {
    const about = table ? `, ${table.name}, key ${table.key?.columns}, ${table.policies.join('; ')}` : ''
    return `DIFFERENTIAL_SEED=${this.seed}, round ${this.#round}${about}${context ? `, role ${context.role}, claims ${JSON.stringify(context.claims)}` : ''}`
  }

  /** On each server a channel for each context, with all tables. */
  async subscribe(tables, contexts) {
    const clients = {}
    for (const [name, server] of Object.entries(this.servers)) {
      const client = clients[name] = await Client.open(server)
      for (const c of contexts) {
        const removals = this.judgesOld(name) ? { removals: true } : {}
        const bindings = [...tables.map((t) => t.name), 'sentinel'].map((table) => ({ event: '*', schema: 'public', table, ...removals }))
        const { system } = await client.subscribe(c.name, bindings, { access_token: mint(c.claims) })
        assert.equal(system.status, 'ok', `${system.message}; ${this.where(null, c)}`)
      }
    }
    return clients
  }

  /** After this every channel has what was committed before. */
  async settle(clients, contexts) {
    const id = ++this.#sentinels
    await this.world.sql('insert into sentinel values ($1)', [id])
    for (const [name, client] of Object.entries(clients))
      for (const c of contexts) await until(() => client.changes(c.name).some(({ data }) => data.table === 'sentinel' && data.record.id === id), `sentinel ${id} from ${name} for ${c.name}`, 60_000 * SLOWNESS)
  }

  insertSql({ name, key, columns }, n) {
    const own = key ? `${key.value(n)}, ` : ''
    return `insert into ${name} values (${own}${n}, ${columns.map((c) => randomValue(this.random, c)).join(', ')})`
  }

  updateSql({ name, columns }, n) {
    const changed = this.random.sample(columns, 1 + this.random.below(3))
    return `update ${name} set ${changed.map((c) => `${c} = ${randomValue(this.random, c)}`).join(', ')} where n = ${n}`
  }

  async write(table, make) {
    for (let n = 1; n <= ROWS; n++) await this.session.query(make(n)).catch((e) => assert.fail(`${e.message}: ${make(n)}; ${this.where(table)}`))
  }

  // ---- the comparison ----

  changesOf(client, table, context, type) {
    return client.changes(context.name).map((m) => m.data).filter((d) => d.table === table.name && d.type === type)
  }

  /**
   * From every server everybody got exactly the rows that SELECT shows. Fewer only where SELECT is
   * an error for a row, where the log lacks columns, and where there is no key: then only refusals.
   */
  assertDelivered(clients, table, contexts, type, shown) {
    for (const [name, client] of Object.entries(clients)) {
      for (const c of contexts) {
        const { rows, isError } = shown.get(c), changes = this.changesOf(client, table, c, type)
        const got = sorted(changes.flatMap((d) => d.record.n ?? [])), where = () => `${type} from ${name}, ${this.where(table, c)}`
        assert.deepEqual(got.filter((n) => !rows.has(n)), [], `HIDDEN BY POSTGRES AND DELIVERED: ${where()}`)
        if (!table.key) assert.deepEqual(got, [], where())
        else if (!isError && !table.list) assert.deepEqual(got, sorted(rows), where())
      }
    }
    this.#count(table, [...shown.values()])
  }

  #count(table, shown) {
    const exact = shown.filter(({ isError }) => table.key && !table.list && !isError)
    this.compared += shown.length * ROWS
    this.exact += exact.length * ROWS
    this.shown += exact.reduce((sum, { rows }) => sum + rows.size, 0)
  }

  /** What SELECT shows, by context. A row that was an error `before` may have ended the question about others. */
  async selected(table, contexts, before) {
    const selected = new Map()
    for (const c of contexts) {
      const { rows, isError } = await shownTo(this.session, c, table.name, ROWS)
      selected.set(c, { rows, isError: isError || Boolean(before?.get(c).isError) })
    }
    return selected
  }

  /** Row security does not apply. */
  sees(table, c) {
    return c.role === 'service_role' || (c.role === 'landlord' && table.isOwned && !table.isForced)
  }

  /** An old row is whole only for those who saw it before; else it is the key. */
  assertOldRecords(clients, table, contexts, before) {
    const keySize = keyNames(table.key).split(',').length, whole = keySize + 1 + table.columns.length
    for (const [name, client] of Object.entries(clients)) {
      for (const c of contexts) {
        for (const d of this.changesOf(client, table, c, 'UPDATE')) {
          const size = Object.keys(d.old_record).length
          if (size === keySize) continue
          assert.ok(table.isFull && size === whole, `${size} columns in an old row from ${name}, ${this.where(table, c)}`)
          assert.ok(before.get(c).rows.has(d.record.n), `row ${d.record.n} was hidden before it changed, and ${name} shows its old row; ${this.where(table, c)}`)
        }
        if (this.judgesOld(name) && !this.sees(table, c)) continue
        const deleted = this.changesOf(client, table, c, 'DELETE')
        assert.equal(deleted.length, ROWS, `DELETE from ${name}, ${this.where(table, c)}`)
        for (const d of deleted) assert.equal(Object.keys(d.old_record).length, this.sees(table, c) && table.isFull ? whole : keySize, this.where(table, c))
      }
    }
  }

  judgesOld(server) {
    return this.servers[server].env.DELETE_UNDER_RLS === 'judged'
  }

  /**
   * Where old rows are judged, the DELETEs since `from` are whole rows, and those of `expected` (of
   * shown rows, by context) or, where it is Postgres that judges, none at all.
   */
  assertJudged(clients, table, contexts, from, expected, what) {
    for (const [name, client] of Object.entries(clients).filter(([name]) => this.judgesOld(name))) {
      for (const c of contexts.filter((c) => !this.sees(table, c))) {
        const got = this.changesOf(client, table, c, 'DELETE').slice(from.get(c) ?? 0), wanted = sorted(expected(c)), where = () => `${what} from ${name}, ${this.where(table, c)}`
        if (!table.isFull) assert.deepEqual(got, [], where())
        if (!got.length) continue
        assert.deepEqual(sorted(got.map((d) => d.old_record.n)), wanted, where())
        this.judged += got.length
      }
    }
  }

  /** How many DELETEs each context has got of the table. */
  deletes(clients, table, contexts) {
    const judging = Object.keys(clients).find((name) => this.judgesOld(name))
    return new Map(contexts.map((c) => [c, judging ? this.changesOf(clients[judging], table, c, 'DELETE').length : 0]))
  }

  async round() {
    const { random } = this, contexts = randomContexts(random, CONTEXTS, this.expiry), number = ++this.#round, tables = []
    for (let i = 0; i < TABLES; i++) tables.push(await this.table(`t${number}_${i}`, i ? random.pick(KINDS) : 'compiled'))
    const clients = await this.subscribe(tables, contexts), inserted = new Map(), updated = new Map()
    try {
      for (const t of tables) await this.write(t, (n) => this.insertSql(t, n))
      await this.settle(clients, contexts)
      for (const t of tables) inserted.set(t, await this.selected(t, contexts))
      for (const t of tables) this.assertDelivered(clients, t, contexts, 'INSERT', inserted.get(t))
      for (const t of tables) await this.write(t, (n) => this.updateSql(t, n))
      await this.settle(clients, contexts)
      for (const t of tables) updated.set(t, await this.selected(t, contexts, inserted.get(t)))
      for (const t of tables) this.assertDelivered(clients, t, contexts, 'UPDATE', updated.get(t))
      for (const t of tables) {
        const before = inserted.get(t), after = updated.get(t)
        this.assertJudged(clients, t, contexts, new Map(), (c) => [...before.get(c).rows].filter((n) => !after.get(c).rows.has(n)), 'removals')
      }
      const removals = new Map(tables.map((t) => [t, this.deletes(clients, t, contexts)]))
      for (const t of tables) await this.session.query(`delete from ${t.name}`)
      await this.settle(clients, contexts)
      for (const t of tables) this.assertJudged(clients, t, contexts, removals.get(t), (c) => updated.get(t).get(c).rows, 'DELETE')
      for (const t of tables.filter((t) => t.key)) this.assertOldRecords(clients, t, contexts, inserted.get(t))
    } finally {
      for (const client of Object.values(clients)) client.close()
    }
    await this.world.sql(`drop table ${tables.map((t) => t.name).join(', ')}`)
  }
}
