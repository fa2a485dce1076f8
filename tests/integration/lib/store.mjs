// The control store beside a real Postgres: store_driver, and rows in the form of the reference.
import { spawn } from 'node:child_process'
import crypto from 'node:crypto'
import path from 'node:path'
import readline from 'node:readline'
import { BINARY, SANITIZER_ENV, SLOWNESS } from './env.mjs'
import { DEADLINE_MS, deadline, until } from './wait.mjs'

const DRIVER = path.join(path.dirname(BINARY), 'tests/store_driver')

export const KEY_GCM = 'walcast-test-key-of-32-bytes-gcm', KEY = 'walcast-16-bytes'

/** What the reference stores: AES-128-ECB, and since it has a key for that, AES-256-GCM. */
export function sealLegacy(text, key = KEY) {
  const cipher = crypto.createCipheriv('aes-128-ecb', key, null)
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('base64')
}

export function seal(text, key = KEY_GCM) {
  const iv = crypto.randomBytes(12), cipher = crypto.createCipheriv('aes-256-gcm', key, iv)
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return 'g1:' + Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')
}

/** The settings of an extension as the reference stores them. */
export function settingsOf({ db_host = 'db.example.com', db_port = '5432', db_name = 'postgres', db_user = 'supabase_admin', db_password = 'postgres', ...others } = {}, sealing = sealLegacy) {
  const secrets = Object.fromEntries(Object.entries({ db_host, db_port, db_name, db_user, db_password }).map(([key, text]) => [key, sealing(text)]))
  return { region: 'us-east-1', poll_interval_ms: 100, poll_max_record_bytes: 1048576, ssl_enforced: false, ...secrets, ...others }
}

/** Adds a tenant as the reference would. */
export async function insertTenant(sql, id, { secret = 'secret', sealing = sealLegacy, settings = {} } = {}) {
  await sql(`insert into _realtime.tenants (id, external_id, name, jwt_secret, inserted_at, updated_at) values ($1, $2, $2, $3, now(), now())`, [crypto.randomUUID(), id, sealing(secret)])
  await sql(`insert into _realtime.extensions (id, type, settings, tenant_external_id, inserted_at, updated_at) values ($1, 'postgres_cdc_rls', $2, $3, now(), now())`, [crypto.randomUUID(), settingsOf(settings, sealing), id])
}

export class Store {
  events = []
  stderr = ''
  #read = 0

  /** `env`: of store_driver. Ended with the test. */
  static start(t, cluster, env = {}) {
    const store = new Store()
    store.child = spawn(DRIVER, { env: { ...process.env, ...SANITIZER_ENV, ...cluster.env, ENC_KEY_GCM: KEY_GCM, ENC_KEY: KEY, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    store.child.stderr.on('data', (data) => { store.stderr += data })
    store.exited = new Promise((resolve) => store.child.once('close', resolve))
    readline.createInterface({ input: store.child.stdout }).on('line', (line) => store.events.push(JSON.parse(line)))
    t.after(() => store.end())
    return store
  }

  static async loaded(t, cluster, env) {
    const store = Store.start(t, cluster, env)
    await store.next('loaded')
    return store
  }

  async end() {
    if (this.child.exitCode !== null) return
    this.child.stdin.end()
    const status = await deadline(this.exited, 20000 * SLOWNESS, 'the end of store_driver')
    if (status !== 0) throw new Error(`store_driver ended with ${status}: ${this.stderr}`)
  }

  say(...fields) {
    this.child.stdin.write(fields.join('\t') + '\n')
  }

  /** The next event of that name, and what else is asked of it; those before it are skipped. */
  async next(name, matches = () => true, deadlineMs = DEADLINE_MS) {
    return until(() => {
      if (this.child.exitCode) throw new Error(`store_driver ended with ${this.child.exitCode}: ${this.stderr}`)
      while (this.#read < this.events.length) {
        const event = this.events[this.#read++]
        if (event.event === name && matches(event)) return event
      }
    }, () => `${name}; got ${JSON.stringify(this.events.slice(-5)).slice(0, 2000)}\n${this.stderr}`, deadlineMs)
  }

  put(id, fields = {}) {
    this.say('put', id, ...Object.entries(fields).map(([name, value]) => `${name}=${value}`))
    return this.next('done')
  }

  remove(id) {
    this.say('remove', id)
    return this.next('done')
  }

  async find(id) {
    this.say('find', id)
    return (await this.next('found')).record
  }

  async names() {
    this.say('each')
    return (await this.next('each')).names
  }
}
