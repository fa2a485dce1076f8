// A server in control-store mode: the tenants stand in a database of their own, and are made over
// HTTP. One cluster holds that database and those of the tenants.
import { after, before } from 'node:test'
import assert from 'node:assert/strict'
import { Cluster } from './cluster.mjs'
import { Server } from './server.mjs'
import { mint, secondsFromNow } from './token.mjs'

export const API_SECRET = 'api-secret-api-secret-api-secret-api'
export const ENC_KEY = 'a-key-of-thirty-two-bytes-------'
export const STORE = 'control'

export const apiToken = (claims = {}, secret = API_SECRET) => mint(claims, { secret })

/** What makes a server of these settings keep its tenants in database STORE of the cluster. */
export const controlEnv = (cluster) => ({ ...cluster.serverEnv, DB_NAME: STORE, JWT_SECRET: '', DB_ENC_KEY_GCM: ENC_KEY, API_JWT_SECRET: API_SECRET })

/** A request to the API: { status, headers, text, json }. `token` null: none. */
export async function api(server, method, path, { json, body = json === undefined ? undefined : JSON.stringify(json), token = apiToken(), headers = {} } = {}) {
  const sent = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers }
  const response = await server.get(`/api${path}`, { method, body, headers: sent })
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').startsWith('application/json')
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
}

/** The extension that leads to a database of the cluster. */
export function databaseOf(cluster, settings = {}) {
  const { DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD } = cluster.env
  return {
    type: 'postgres_cdc_rls',
    settings: { region: 'us-east-1', db_host: DB_HOST, db_port: DB_PORT, db_name: DB_NAME, db_user: DB_USER, db_password: DB_PASSWORD, ssl_enforced: false, ...settings },
  }
}

export const secretOf = (id) => `secret-of-${id}-secret-of-${id}-secret`

/** A token that tenant `id`, made by createTenant, accepts. */
export const tenantToken = (id, role = 'anon', claims = {}) => mint({ role, exp: secondsFromNow(3600), ...claims }, { secret: secretOf(id) })

export async function createTenant(world, id, { settings, ...fields } = {}) {
  const tenant = { external_id: id, jwt_secret: secretOf(id), extensions: [databaseOf(world.cluster, settings)], ...fields }
  const { status, json, text } = await api(world.server, 'POST', '/tenants', { json: { tenant } })
  assert.equal(status, 201, text)
  return json.data
}

/** For all tests of a file; call it at the top level. `env`, `conf`, `prepare`: see world.mjs. `sql` runs in the database of the tenants. */
export function sharedControl({ env = {}, conf, sql = '' } = {}, prepare = async () => {}) {
  const world = {}
  before(async () => {
    world.cluster = await Cluster.start({ conf })
    world.sql = world.cluster.sql.bind(world.cluster)
    await world.sql(`create database ${STORE}`)
    if (sql) await world.sql(sql)
    world.server = await Server.start({ ...controlEnv(world.cluster), ...env })
    await prepare(world)
  })
  after(async () => {
    try {
      await world.server?.stop()
    } finally {
      await world.cluster?.remove()
    }
  })
  return world
}
