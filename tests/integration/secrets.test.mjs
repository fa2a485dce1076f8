// Secrets appear nowhere: not in the log at its most talkative, not in what is answered, not in what
// is said about settings that are wrong. Every one of them holds the word MARK, plain or encoded.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { databaseOf, STORE } from './lib/control.mjs'
import { BINARY, ROOT } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { childEnv, Server } from './lib/server.mjs'
import { mint, secondsFromNow } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const MARK = 'hushhush'
const secret = (what) => `${MARK}-${what}-0123456789abcdef0123456789`
const base64url = (text) => Buffer.from(text).toString('base64url')

/** A value for each setting that is a secret. */
const SECRETS = {
  DB_PASSWORD: secret('db'),
  DB_ENC_KEY: `${MARK}-aes-12345678`.slice(0, 16),
  DB_ENC_KEY_GCM: secret('gcm').slice(0, 32),
  DB_RLS_PASSWORD: secret('rls'),
  JWT_SECRET: secret('jwt'),
  API_JWT_JWKS: JSON.stringify({ keys: [{ kty: 'oct', kid: 'k', k: base64url(secret('jwk')) }, { kty: 'oct', kid: 'broken', k: `*${MARK}*` }] }),
  API_JWT_SECRET: secret('api'),
  API_JWT_SECRET_NEXT: secret('api-next'),
  API_TOKEN_BLOCKLIST: mint({ blocked: MARK }, { secret: secret('api') }),
  METRICS_JWT_SECRET: secret('metrics'),
  METRICS_TOKEN_BLOCKLIST: mint({ blocked: MARK }, { secret: secret('metrics') }),
  METRICS_PUSHER_URL: `http://${MARK}-user:${MARK}-password@127.0.0.1:1/${MARK}-path`,
  METRICS_PUSHER_AUTH: secret('push'),
}
/** Which of them a server of environment mode uses; the others are set all the same. */
const SETTINGS = { ...SECRETS, METRICS_PUSHER_ENABLED: 'true', METRICS_PUSHER_INTERVAL_MS: '200', LOG_LEVEL: 'debug' }

/** How the mark looks when it is written in another way: in hex, and in base64 behind 0, 1 or 2 other bytes; without the letters that depend on its neighbours. */
const IN_BASE64 = [0, 1, 2].map((n) => Buffer.from(`${'.'.repeat(n)}${MARK}`).toString('base64').slice(n && n + 1).replace(/.=*$/, ''))
const IN_HEX = Buffer.from(MARK).toString('hex')

function assertHushed(text, where) {
  const lower = text.toLowerCase()
  const at = Math.max(lower.indexOf(MARK), lower.indexOf(IN_HEX), ...IN_BASE64.map((needle) => text.indexOf(needle)))
  assert.ok(at < 0, `${where} tells a secret: …${text.slice(Math.max(0, at - 200), at + 100)}…`)
}

const world = sharedWorld({ sql: 'create table t (id int primary key, v text)', publish: ['t'] }, async ({ cluster }) => {
  await cluster.sql(`alter role postgres password '${SECRETS.DB_PASSWORD}'`)
  cluster.env.DB_PASSWORD = SECRETS.DB_PASSWORD
  await cluster.sql(`create role checker login password '${SECRETS.DB_RLS_PASSWORD}'; grant anon, authenticated, service_role to checker`)
})

const claims = { role: 'anon', exp: secondsFromNow(3600) }
/** Tokens that are good, and tokens that are not, in every way; each part of them is to be kept. */
const TOKENS = {
  good: mint({ ...claims, secret: MARK }, { secret: SECRETS.JWT_SECRET }),
  expired: mint({ ...claims, secret: MARK, exp: 1 }, { secret: SECRETS.JWT_SECRET }),
  forged: mint({ ...claims, secret: MARK }, { secret: `${MARK}-wrong` }),
  incomplete: mint({ secret: MARK }, { secret: SECRETS.JWT_SECRET }),
  'no token': `${MARK}-no-token`,
  'not an object': `${base64url(`"${MARK}"`)}.${base64url(`"${MARK}"`)}.${base64url(MARK)}`,
  'no algorithm': `${base64url('{"alg":"none"}')}.${base64url(JSON.stringify({ ...claims, secret: MARK }))}.`,
  'a time as text': mint({ ...claims, secret: MARK, exp: String(claims.exp) }, { secret: SECRETS.JWT_SECRET }),
}

/** Everything the server answers, in one text. */
function recorder(server) {
  const answers = []
  return {
    answers,
    async get(url, options) {
      const response = await server.get(url, options)
      answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`)
      return response.status
    },
    async socket(token, query = {}) {
      const client = await Client.open(server, { token, query }).catch((error) => error)
      if (client instanceof Error) answers.push(`${client.status} ${client.body}`)
      return client instanceof Error ? null : client
    },
  }
}

test('every setting that is a secret is in this test', () => {
  const table = fs.readFileSync(path.join(ROOT, 'bridge/config/settings.def'), 'utf8')
  const names = [...table.matchAll(/^WC_SETTING\(\w+, "(\w+)".*, SECRET, "/gm)].map(([, name]) => name)
  assert.deepEqual(names.sort(), Object.keys(SECRETS).sort())
})

test('what tells a secret would be noticed', () => {
  const expectNoticed = (text) => assert.throws(() => assertHushed(`before ${text} after`, 'this'), /tells a secret/, text)
  for (const value of [...Object.values(SECRETS), ...Object.values(TOKENS)]) {
    expectNoticed(value)
    if (!value.includes(MARK)) continue // a token, which is base64 already
    for (const before of ['', 'a', 'ab']) expectNoticed(Buffer.from(before + value).toString('base64'))
    expectNoticed(Buffer.from(value).toString('hex'))
    expectNoticed(value.toUpperCase())
  }
})

/** What a client can do wrong with a token, and a few things it can do right. */
async function misbehave(server) {
  const { answers, ...to } = recorder(server)
  const good = await to.socket(TOKENS.good)
  for (const [what, token] of Object.entries(TOKENS)) {
    const client = await to.socket(token)
    assert.equal(client !== null, what === 'good', what)
    client?.close()
    const room = encodeURIComponent(what)
    await good.join(room, {}, { access_token: token })
    if (what !== 'good') await good.join(`${room}-refresh`)
    good.send(`realtime:${room}${what === 'good' ? '' : '-refresh'}`, 'access_token', { access_token: token })
    for (const headers of [{ authorization: `Bearer ${token}` }, { apikey: token }]) {
      const json = { ...headers, 'content-type': 'application/json' }
      await Promise.all([
        ...['/api/broadcast', '/realtime/v1/api/broadcast/a/events/b?private=true'].map((url) => to.get(url, { method: 'POST', headers: json, body: '{"messages":[]}' })),
        ...['/metrics', '/api/tenants', '/api/tenants/realtime-dev', '/api/tenants/realtime-dev/health', '/api/openapi', '/health', '/healthcheck', '/health/ready', `/nowhere?apikey=${token}`].map((url) => to.get(url, { headers })),
        to.get('/api/tenants/realtime-dev', { method: 'PUT', headers: json, body: JSON.stringify({ tenant: { jwt_secret: secret('tenant'), extensions: [{ settings: { db_password: secret('tenant-db') } }] } }) }),
      ])
    }
  }
  for (const kid of ['k', 'broken', 'unknown', `../../${MARK}`.slice(0, 6)]) {
    const header = base64url(JSON.stringify({ alg: 'HS256', kid }))
    await good.join(`kid-${kid.length}`, {}, { access_token: `${header}.${base64url(JSON.stringify(claims))}.${base64url(MARK)}` })
  }
  await good.join('private', { private: true })
  await good.subscribe('changes', [{ event: '*', schema: 'public', table: 't' }])
  await good.subscribe('nonsense', [{ event: '*', schema: 'public', table: 'nowhere', filter: 'id=eq.x' }])
  good.raw('not a message')
  await good.heartbeat()
  answers.push(good.messages.map((m) => m.text).join('\n'))
  good.close()
  return answers
}

test('a server and its clients, with every kind of bad token, at log level debug', async (t) => {
  const server = await Server.start({ ...world.cluster.serverEnv, ...SETTINGS, DB_RLS_USER: 'checker' })
  t.after(() => server.stop())
  const answers = await misbehave(server)
  for (const answer of answers) assertHushed(answer, 'an answer')
  for (const token of [mint({}, { secret: SECRETS.METRICS_JWT_SECRET }), SECRETS.METRICS_TOKEN_BLOCKLIST]) {
    const response = await server.get('/metrics', { headers: { authorization: `Bearer ${token}` } })
    assert.equal(response.status, token === SECRETS.METRICS_TOKEN_BLOCKLIST ? 403 : 200)
    assertHushed(await response.text(), '/metrics')
  }
  await server.untilLog(/MetricsPusherFailed/)
  process.kill(server.child.pid, 'SIGHUP')
  await server.untilLog(/app reload/)
  await server.stop()
  assertHushed(server.log, 'the log')
})

/** A tenant whose secrets hold the mark, in a form that may be shown in no answer either. */
const tenantOf = (id, settings = {}, fields = {}) => ({
  external_id: id, jwt_secret: secret('tenant-jwt'), jwt_jwks: { keys: [{ kty: 'oct', kid: 't', k: base64url(secret('tenant-jwk')) }] },
  extensions: [databaseOf(world.cluster, settings)], ...fields,
})

test('control-store mode: tenants over HTTP, with every kind of error', async (t) => {
  await world.sql(`create database ${STORE}`)
  const env = { ...world.cluster.serverEnv, ...SETTINGS, DB_NAME: STORE, JWT_SECRET: '' }
  const server = await Server.start(env, { wait: 'up' })
  t.after(() => server.stop())
  await until(async () => (await server.get('/health/ready')).status === 200, 'the control store')
  const { answers, get, socket } = recorder(server)
  const tokens = { good: mint({}, { secret: SECRETS.API_JWT_SECRET }), next: mint({}, { secret: SECRETS.API_JWT_SECRET_NEXT }), blocked: SECRETS.API_TOKEN_BLOCKLIST, forged: mint({ secret: MARK }, { secret: `${MARK}-wrong` }), nonsense: MARK }
  const call = (method, url, json, token = tokens.good) => get(`/api${url}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: json === undefined ? undefined : typeof json === 'string' ? json : JSON.stringify(json) })
  for (const [what, token] of Object.entries(tokens)) assert.equal(await call('GET', '/tenants', undefined, token), ['good', 'next'].includes(what) ? 200 : 403, what)
  assert.equal(await call('POST', '/tenants', { tenant: tenantOf('one') }), 201)
  for (const json of [
    { tenant: tenantOf('one') }, { tenant: tenantOf('two', { db_password: '' }) }, { tenant: tenantOf('two', {}, { jwt_secret: 7, jwt_jwks: MARK }) },
    { tenant: tenantOf('two', {}, { jwt_jwks: { keys: MARK } }) }, { tenant: tenantOf('two', { db_port: secret('port') }) }, `{"tenant":{"jwt_secret":"${MARK}"`, { tenant: { ...tenantOf('two'), extensions: MARK } },
  ]) await call('POST', '/tenants', json)
  for (const [id, settings] of [['wrong', { db_password: secret('tenant-wrong') }], ['nowhere', { db_host: '127.0.0.1', db_port: '1', db_password: secret('tenant-nowhere') }]])
    await call('PUT', `/tenants/${id}`, { tenant: tenantOf(id, settings) })
  for (const id of ['one', 'wrong', 'nowhere', 'unknown', MARK.slice(0, 3)])
    for (const url of [`/tenants/${id}`, `/tenants/${id}/health`]) await call('GET', url)
  for (const id of ['one', 'wrong', 'nowhere']) {
    const token = mint({ ...claims, secret: MARK }, { secret: secret('tenant-jwt') })
    const client = await Client.open(server, { token, headers: { host: `${id}.localhost` } })
    await client.join('public')
    await client.join('private', { private: true })
    await get(`/api/broadcast/a/events/b?private=true`, { method: 'POST', headers: { host: `${id}.localhost`, 'x-tenant': id, authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: '{}' })
    answers.push(client.messages.map((m) => m.text).join('\n'))
    client.close()
    await call('POST', `/tenants/${id}/reload`)
    await call('POST', `/tenants/${id}/shutdown`)
  }
  await socket(TOKENS.good)
  for (const url of ['/health', '/api/openapi', '/metrics']) await get(url, { headers: { authorization: `Bearer ${mint({}, { secret: SECRETS.METRICS_JWT_SECRET })}` } })
  await call('DELETE', '/tenants/one')
  for (const answer of answers) assertHushed(answer, 'an answer')
  await server.stop()
  assertHushed(server.log, 'the log')
  for (const wrong of [{ DB_ENC_KEY_GCM: secret('other').slice(0, 32) }, { DB_ENC_KEY_GCM: `${MARK}-short` }, { DB_ENC_KEY: `${MARK}-short`, DB_ENC_KEY_GCM: '' }, { DB_PASSWORD: secret('wrong') }, { SEED_SELF_HOST: 'true', API_JWT_JWKS: MARK }]) {
    const other = await Server.start({ ...env, ...wrong }, { wait: 'no' })
    await until(async () => other.exited ?? (/ (?:warn|error) (?!push)/.test(other.log) || (await other.get('/health/ready').catch(() => null))?.status === 200), `what comes of ${Object.keys(wrong)}`)
    const health = await other.get('/health').then((r) => r.text()).catch(() => '')
    await other.kill() // it may be about to give up
    assertHushed(other.log + health, `a server with another ${Object.keys(wrong)}`)
  }
})

test('databases that refuse', async () => {
  for (const env of [{ DB_PASSWORD: secret('wrong') }, { DB_RLS_USER: 'checker', DB_RLS_PASSWORD: secret('wrong') }, { DB_NAME: 'nowhere' }, { DB_PORT: '1' }]) {
    const server = await Server.start({ ...world.cluster.serverEnv, ...SETTINGS, ...env }, { wait: 'up' })
    const client = await Client.open(server, { token: TOKENS.good })
    client.send('realtime:t', 'phx_join', { config: { postgres_changes: [{ event: '*', schema: 'public', table: 't' }] } })
    await world.sql('insert into t select coalesce(max(id), 0) + 1 from t')
    await server.untilLog(env.DB_RLS_USER ? / subs | repl | rls /i : / repl /)
    const health = await (await server.get('/health')).text()
    await server.stop()
    client.close()
    assertHushed(server.log + health + JSON.stringify(client.messages), `the log with ${Object.keys(env)}`)
  }
})

const run = (args, env) => {
  const { stdout, stderr, signal } = spawnSync(BINARY, args, { encoding: 'utf8', env: childEnv(env), timeout: 30_000 })
  assert.equal(signal, null, stderr)
  return stdout + stderr
}

test('help, check, and settings that are wrong', () => {
  const env = { ...world.cluster.serverEnv, ...SETTINGS }
  for (const args of [['--help'], ['serve', '--help'], ['check', '--help'], ['check'], ['migrate', '--help']]) assertHushed(run(args, env), `walcast ${args.join(' ')}`)
  assertHushed(run(['check'], { ...env, DB_PASSWORD: secret('wrong') }), 'walcast check with another password')
  for (const name of Object.keys(SECRETS)) {
    assertHushed(run(['serve'], { ...env, [name]: `${MARK}-`.repeat(60_000 / (name === 'API_JWT_JWKS' ? 0.2 : 1)).slice(0, 120_000) }), `a ${name} that is too long`)
    assertHushed(run(['serve', `--${name.toLowerCase().replaceAll('_', '-')}s=${MARK}`], env), `an option like ${name}`)
    assertHushed(run(['serve', `--${name.toLowerCase()}`, MARK], env), `an option like ${name}`)
  }
  const wrong = { API_JWT_JWKS: [`{"keys":"${MARK}"}`, `{"keys":[${MARK}]}`, MARK, `{"keys":[{"kty":"oct","k":"${MARK}"},]}`], METRICS_PUSHER_URL: [MARK, `ftp://${MARK}:${MARK}@h/`], JWT_SECRET: [''] }
  for (const [name, values] of Object.entries(wrong))
    for (const value of values) assertHushed(run(['serve'], { ...env, [name]: value, SOCKET_THREADS: 'x' }), `${name} with another value`)
})

test('a settings file that is wrong', (t) => {
  const file = path.join(world.cluster.home, 'settings')
  for (const line of [`DB_PASSWORD ${MARK}`, `DB_PASWORD=${MARK}`, `=${MARK}`, MARK, `DB_PASSWORD=${MARK}\0`, `PORT=x\nDB_PASSWORD="${MARK}`]) {
    fs.writeFileSync(file, `${line}\n`)
    const { DB_PASSWORD: _, ...env } = { ...world.cluster.serverEnv, JWT_SECRET: SECRETS.JWT_SECRET, SETTINGS_FILE: file, SOCKET_THREADS: 'x' }
    assertHushed(run(['serve'], env), `a line ${JSON.stringify(line)}`)
  }
  t.after(() => fs.rmSync(file))
})

test('the other commands', () => {
  const url = `ws://127.0.0.1:1/socket?apikey=${TOKENS.good}`
  // tries again until it is ended
  const { stdout, stderr } = spawnSync(BINARY, ['listen', '--url', url, '--token', TOKENS.good, '--table', 't'], { encoding: 'utf8', env: childEnv({}), timeout: 1000 })
  assert.notEqual(stdout + stderr, '')
  assertHushed(stdout + stderr, 'walcast listen')
  assertHushed(run(['token', '--claims', `{"x":${MARK}}`], { JWT_SECRET: SECRETS.JWT_SECRET }), 'walcast token')
})
