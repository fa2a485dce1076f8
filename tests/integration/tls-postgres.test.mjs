// TLS towards Postgres: what is encrypted, what is verified, and what is said when it is not right.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

let cluster, authority, stranger

const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' })

/** A self-signed certificate that may sign others; returns the paths without their endings. */
function makeAuthority(name) {
  const at = path.join(cluster.home, name)
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', `${at}.key`, '-out', `${at}.crt`)
  return at
}

/** Gives the server a certificate for these names and turns TLS on. */
async function serveWith(names) {
  const data = path.join(cluster.dir, 'data'), at = path.join(data, 'server'), csr = path.join(cluster.home, 'server.csr'), ext = path.join(cluster.home, 'ext')
  fs.writeFileSync(ext, `subjectAltName=${names}\n`)
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=postgres', '-keyout', `${at}.key`, '-out', csr)
  openssl('x509', '-req', '-in', csr, '-CA', `${authority}.crt`, '-CAkey', `${authority}.key`, '-CAcreateserial', '-days', '2', '-extfile', ext, '-out', `${at}.crt`)
  const { uid, gid } = fs.statSync(data)
  for (const file of [`${at}.key`, `${at}.crt`]) fs.chownSync(file, uid, gid)
  fs.chmodSync(`${at}.key`, 0o600)
  await cluster.restart('fast', { ssl: 'on' })
}

before(async () => {
  cluster = await Cluster.start({ conf: { password_encryption: 'scram-sha-256' } })
  authority = makeAuthority('authority')
  stranger = makeAuthority('stranger')
  await cluster.sql(`create table t (id int primary key); grant select on t to anon; alter publication supabase_realtime add table t;
    create role scram login replication superuser password 'a scram password'`)
})
after(() => cluster?.remove())

async function serve(t, env, options) {
  const server = await Server.start({ ...cluster.serverEnv, DB_CONNECT_TIMEOUT_MS: '3000', ...env }, options)
  t.after(() => server.stop())
  return server
}

const connections = () => cluster.sql(`select a.application_name, s.ssl from pg_stat_activity a join pg_stat_ssl s using (pid)
  where a.application_name like 'walcast%'`)

/** Changes arrive, and every connection of ours is (or is not) encrypted. */
async function assertWorks(t, env, isEncrypted) {
  const server = await serve(t, env)
  const client = await Client.open(server)
  t.after(() => client.close())
  await client.subscribe('s', [{ event: '*', schema: 'public', table: 't' }])
  const [{ id }] = await cluster.sql('insert into t select coalesce(max(id), 0) + 1 from t returning id')
  assert.deepEqual((await client.untilChanges(1)).map((c) => c.data.record.id), [id])
  const ours = await connections()
  assert.ok(ours.length >= 2, JSON.stringify(ours))
  assert.deepEqual(ours.filter((c) => c.ssl !== isEncrypted), [])
  client.close()
  await server.stop()
}

async function assertRefused(t, env, reason, text) {
  const server = await serve(t, env, { wait: 'up' })
  const tenant = await until(async () => {
    const { tenant } = await server.health()
    return tenant?.reason ? tenant : null
  }, 'a reason in /health')
  assert.equal(tenant.reason, reason)
  assert.match(`${tenant.error} ${tenant.hint}`, text)
  assert.equal((await server.health()).status, 503)
  await until(async () => (await connections()).length === 0, 'no connection of ours') // an earlier server's may be ending
}

test('a server without TLS is refused when it is asked for, and served when not', async (t) => {
  await assertWorks(t, { DB_SSL: 'false' }, false)
  await assertRefused(t, { DB_SSL: 'true' }, 'tls_unavailable', /ssl = on/)
})

test('DB_SSL encrypts every connection; without an authority nothing is verified', async (t) => {
  await serveWith('DNS:somewhere.else')
  await assertWorks(t, { DB_SSL: 'true' }, true)
})

test('with an authority the name of the host must be in the certificate', async (t) => {
  await assertRefused(t, { DB_SSL: 'true', DB_SSL_CA_CERT: `${authority}.crt` }, 'certificate_refused', /DB_SSL_CA_CERT/)
  await serveWith('IP:127.0.0.1,DNS:localhost')
  await assertWorks(t, { DB_SSL: 'true', DB_SSL_CA_CERT: `${authority}.crt` }, true)
})

test('a certificate of another authority is refused', (t) =>
  assertRefused(t, { DB_SSL: 'true', DB_SSL_CA_CERT: `${stranger}.crt` }, 'certificate_refused', /DB_SSL_CA_CERT/))

test('an authority that is not there is named', (t) =>
  assertRefused(t, { DB_SSL: 'true', DB_SSL_CA_CERT: '/nowhere/authority.crt' }, 'certificate_refused', /nowhere/))

test('SCRAM over TLS: the password counts', async (t) => {
  const tls = { DB_SSL: 'true', DB_SSL_CA_CERT: `${authority}.crt`, DB_USER: 'scram' }
  await assertWorks(t, { ...tls, DB_PASSWORD: 'a scram password' }, true)
  await assertRefused(t, { ...tls, DB_PASSWORD: 'another' }, 'password_refused', /DB_PASSWORD/)
})
