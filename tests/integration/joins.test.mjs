// What one connection may make the server keep with its joins.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { sharedWorld } from './lib/world.mjs'

const world = sharedWorld({ sql: 'create table t (id int primary key, v text)', publish: ['t'] })
const BINDING = { event: '*', schema: 'public', table: 't' }

test('channels of one connection are refused when they are too large together', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  const large = { ...BINDING, more: 'x'.repeat(4_500_000) }
  assert.equal((await client.join('one', { postgres_changes: [large] })).status, 'ok')
  const refused = await client.join('two', { postgres_changes: [large] })
  assert.equal(refused.status, 'error')
  assert.match(refused.response.reason, /too large together/)
  assert.equal((await client.join('small', { postgres_changes: [BINDING] })).status, 'ok', 'there is room for a small one')

  const joinRef = client.find((m) => m.event === 'phx_reply' && m.topic === 'realtime:one').joinRef
  await client.reply(client.send('realtime:one', 'phx_leave', {}, { joinRef }))
  assert.equal((await client.join('two', { postgres_changes: [large] })).status, 'ok', 'what left made room')
  assert.equal((await client.join('two', { postgres_changes: [large] })).status, 'ok', 'a rejoin replaces')
})
