// A throwaway Postgres, made by tools/cluster like the demo's.
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { ROOT } from './env.mjs'
import { freePort } from './server.mjs'

const run = promisify(execFile)
const TOOL = path.join(ROOT, 'tools/cluster')

/** What every tenant database has: the roles that tokens name, what policies call, and the publication. */
const BASE_SQL = `
  create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
  create schema auth; grant usage on schema auth to public;
  create function auth.jwt() returns jsonb stable language sql as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
  create function auth.uid() returns uuid stable language sql as
    $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
  create function auth.role() returns text stable language sql as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;
  create publication supabase_realtime;`

export class Cluster {
  #clients = new Set()

  /** `conf`: lines of postgresql.conf by name; `bin`: another major's programs. */
  static async start({ conf = {}, bin, bare = false } = {}) {
    const cluster = new Cluster()
    cluster.home = fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-it-'))
    fs.chmodSync(cluster.home, 0o711) // the cluster may belong to another user
    cluster.dir = path.join(cluster.home, 'pg')
    cluster.toolEnv = { ...process.env, ...(bin ? { PG_BIN: bin } : {}) }
    cluster.onExit = () => cluster.removeNow()
    process.once('exit', cluster.onExit)
    await cluster.boot(conf)
    if (!bare) await cluster.sql(BASE_SQL)
    return cluster
  }

  /** A streaming standby; the primary is stopped meanwhile, since its files are copied. */
  static async standbyOf(primary, { conf = {} } = {}) {
    const standby = new Cluster()
    standby.home = fs.mkdtempSync(path.join(os.tmpdir(), 'walcast-it-'))
    fs.chmodSync(standby.home, 0o711)
    standby.dir = path.join(standby.home, 'pg')
    standby.toolEnv = primary.toolEnv
    standby.onExit = () => standby.removeNow()
    process.once('exit', standby.onExit)
    await primary.sql(`select pg_create_physical_replication_slot('standby')`)
    await primary.stop()
    await run('cp', ['-a', primary.dir, standby.dir]) // keeps its owner
    await primary.boot()
    fs.writeFileSync(path.join(standby.dir, 'port'), `${await freePort()}\n`)
    const data = path.join(standby.dir, 'data'), signal = path.join(data, 'standby.signal'), slots = path.join(data, 'pg_replslot')
    for (const slot of fs.readdirSync(slots)) fs.rmSync(path.join(slots, slot), { recursive: true }) // a base backup has none
    const { uid, gid } = fs.statSync(data)
    fs.writeFileSync(signal, '')
    fs.chownSync(signal, uid, gid)
    const { host, port, user, password, database } = primary.connection()
    await standby.boot({ primary_conninfo: `host=${host} port=${port} user=${user} password=${password} dbname=${database}`, primary_slot_name: 'standby', hot_standby_feedback: 'on', ...conf })
    return standby
  }

  async boot(conf = {}) {
    const settings = Object.entries(conf).map(([name, value]) => `${name}=${value}`)
    const { stdout } = await run(TOOL, ['start', this.dir, ...settings], { env: this.toolEnv })
    this.env = Object.fromEntries(stdout.trim().split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2)))
  }

  /** The environment that points walcast at this cluster, straight from tools/cluster. */
  get serverEnv() {
    return { ...this.env }
  }

  connection(overrides = {}) {
    return { host: this.env.DB_HOST, port: Number(this.env.DB_PORT), database: this.env.DB_NAME, user: this.env.DB_USER, password: this.env.DB_PASSWORD, ...overrides }
  }

  /** A connection of its own, closed with the cluster. */
  async connect(overrides) {
    const client = new pg.Client(this.connection(overrides))
    client.on('error', () => {}) // the tests stop the server on purpose
    await client.connect()
    this.#clients.add(client)
    return client
  }

  async sql(text, values) {
    if (!this.main) this.main = await this.connect()
    return (await this.main.query(text, values)).rows
  }

  /** Closes our connections, as when the server is gone. */
  async forget() {
    for (const client of this.#clients) await client.end().catch(() => {})
    this.#clients.clear()
    this.main = null
  }

  async stop(mode = 'fast') {
    await this.forget()
    await run(TOOL, ['stop', this.dir, mode], { env: this.toolEnv })
  }

  async restart(mode = 'fast', conf = {}) {
    await this.stop(mode)
    await this.boot(conf)
  }

  async remove() {
    process.removeListener('exit', this.onExit)
    for (const client of this.#clients) await client.end().catch(() => {})
    this.removeNow()
  }

  removeNow() {
    spawnSync(TOOL, ['remove', this.dir], { env: this.toolEnv })
    fs.rmSync(this.home, { recursive: true, force: true })
  }
}
