// A database that answers, but late.
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'

/** A port that leads to another, and whose answers take their time, in order. */
async function slowDoor(target, delayMs) {
  const door = net.createServer((near) => {
    const far = net.connect(target, '127.0.0.1')
    near.on('data', (data) => far.write(data)).on('close', () => far.destroy()).on('error', () => far.destroy())
    far.on('data', (data) => setTimeout(() => near.write(data), delayMs)).on('close', () => near.destroy()).on('error', () => near.destroy())
  })
  await new Promise((done) => door.listen(0, '127.0.0.1', done))
  return door
}

test('a catalog that takes longer than POLICY_FRESHNESS_MS slows the stream down and does not stop it', async (t) => {
  const cluster = await Cluster.start()
  await cluster.sql('create table t (id int primary key); alter publication supabase_realtime add table t; grant select on t to anon')
  const door = await slowDoor(Number(cluster.env.DB_PORT), 60)
  const server = await Server.start({ ...cluster.serverEnv, DB_PORT: String(door.address().port), POLICY_FRESHNESS_MS: '10' })
  const client = await Client.open(server)
  t.after(async () => {
    client.close()
    await server.stop()
    door.close()
    await cluster.remove()
  })
  await client.subscribe('l', [{ event: '*', schema: 'public', table: 't' }])
  for (let id = 1; id <= 5; id++) {
    await cluster.sql('insert into t values ($1)', [id])
    await client.untilChanges(id)
  }
  assert.deepEqual(client.changes().map((c) => c.data.record), [1, 2, 3, 4, 5].map((id) => ({ id })))
})
