// Private rooms: what the policies of realtime.messages permit a token, asked of a real Postgres.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { Authz } from './lib/authz.mjs'
import { Cluster } from './lib/cluster.mjs'
import { BINARY } from './lib/env.mjs'
import { childEnv } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

const ANN = '0000000a-0000-4000-8000-00000000000a', BOB = '0000000b-0000-4000-8000-00000000000b'
let cluster, sql

before(async () => {
  cluster = await Cluster.start({ conf: { max_connections: '20' } })
  sql = cluster.sql.bind(cluster)
  const { status, stdout } = spawnSync(BINARY, ['migrate'], { encoding: 'utf8', env: childEnv(cluster.serverEnv) })
  assert.equal(status, 0, stdout)
})
after(() => cluster?.remove())

/** Policies of a test alone; each a text after "create policy x on realtime.messages". */
async function policies(t, ...texts) {
  for (const [i, text] of texts.entries()) await sql(`create policy test_${i} on realtime.messages ${text}`)
  t.after(async () => {
    for (const i of texts.keys()) await sql(`drop policy test_${i} on realtime.messages`)
  })
}

test('without a policy a role may do nothing, and one that bypasses row security everything', async (t) => {
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { role: 'anon' }), '')
  assert.equal(await authz.may('rpwq', { role: 'service_role' }), 'rpwq')
})

test('each permission is asked for by itself', async (t) => {
  await policies(t, `for select using (extension = 'broadcast' and topic = 'a' or extension = 'presence' and topic = 'b')`,
    `for insert with check (extension = 'broadcast' and topic = 'b' or extension = 'presence' and topic = 'a')`)
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { topic: 'a' }), 'rq')
  assert.equal(await authz.may('rpwq', { topic: 'b' }), 'pw')
  assert.equal(await authz.may('rpwq', { topic: 'c' }), '')
  assert.equal(await authz.may('rw', { topic: 'b' }), 'w', 'presence was not asked for')
  assert.equal(await authz.may('q', { topic: 'a' }), 'q')
  assert.equal(await authz.may('p', { topic: 'b' }), 'p')
  assert.equal(await authz.may('', { topic: 'b' }), '')
})
