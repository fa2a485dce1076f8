// Presence in rooms that are large, over real sockets and several threads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { connect } from './lib/realtime.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const MEMBERS = 300 // above 200 diffs are merged over 50 ms; the state has more than 16 KiB
const world = sharedWorld({ env: { SOCKET_THREADS: '2' } })
const track = (payload) => ({ type: 'presence', event: 'track', payload })

async function fill(t, room) {
  const members = await Promise.all(Array.from({ length: MEMBERS }, (_, i) => Client.open(world.server, { vsn: i % 2 ? '1.0.0' : '2.0.0' })))
  t.after(() => members.forEach((c) => c.close()))
  await Promise.all(members.map((c, i) => c.join(room, { presence: { enabled: true, key: `k${i}` } })))
  await Promise.all(members.map((c) => c.nth('presence_state')))
  return members
}

/** What a client knows that adds up its state and the diffs after it. */
function known(client) {
  const refs = new Set()
  const each = (presences, f) => Object.values(presences).forEach((p) => p.metas.forEach((m) => f(m.phx_ref)))
  for (const { event, payload } of client.messages) {
    if (event === 'presence_state') each(payload, (ref) => refs.add(ref))
    if (event !== 'presence_diff') continue
    each(payload.joins, (ref) => { assert(!refs.has(ref), 'told twice'); refs.add(ref) })
    each(payload.leaves, (ref) => assert(refs.delete(ref), 'left without having been there'))
  }
  return refs.size
}

test(`${MEMBERS} members learn of each other in a few diffs, and who comes later at once`, async (t) => {
  const members = await fill(t, 'crowd')
  members.forEach((c, i) => c.send('realtime:crowd', 'presence', track({ name: `member ${i}`, pad: 'x'.repeat(100) })))
  await until(() => members.every((c) => known(c) === MEMBERS), 'everybody to know everybody', 20000)
  const diffs = members.map((c) => c.all('presence_diff').length)
  assert(Math.max(...diffs) < MEMBERS / 4, `${Math.max(...diffs)} diffs`)
  for (const vsn of ['1.0.0', '2.0.0']) {
    const late = await Client.open(world.server, { vsn })
    await late.join('crowd', { presence: { enabled: true } })
    const state = await late.nth('presence_state')
    assert.deepEqual(Object.keys(state).sort(), members.map((_, i) => `k${i}`).sort())
    assert.equal(state.k7.metas[0].name, 'member 7')
    assert.equal((await late.heartbeat()).status, 'ok') // the fragments were one message
    late.close()
  }
  const client = connect(world.server)
  const channel = client.channel('crowd', { config: { presence: { key: 'js' } } }).on('presence', { event: 'sync' }, () => {}).subscribe()
  await until(() => Object.keys(channel.presenceState()).length === MEMBERS, 'the state in realtime-js')
  await channel.track({ name: 'js' })
  await until(() => channel.presenceState().js?.[0].name === 'js', 'its own presence')
  await until(() => members.every((c) => known(c) === MEMBERS + 1), 'the others to know it')
  await client.disconnect()
  members.slice(0, MEMBERS / 2).forEach((c) => c.close())
  await until(() => members.slice(MEMBERS / 2).every((c) => known(c) === MEMBERS / 2), 'half of them to be gone', 20000)
})
