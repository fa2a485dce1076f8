// Event access_token: a new token for a joined channel (protocol: never replied to).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, subscribe } from './lib/realtime.mjs'
import { Client } from './lib/phoenix.mjs'
import { mint, secondsFromNow, tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const world = sharedWorld({
  sql: `create table notes (id int primary key, body text, secret text);`,
  publish: ['notes'],
}, async ({ sql }) => {
  await sql('revoke select on notes from anon; grant select (id, body) on notes to anon')
})

const BINDING = { event: '*', schema: 'public', table: 'notes' }
const refresh = (client, room, token) => client.send(`realtime:${room}`, 'access_token', { access_token: token })
const systems = (client, room) => client.messages.filter((m) => m.event === 'system' && m.topic === `realtime:${room}`)
const closes = (client) => client.messages.filter((m) => m.event === 'phx_close')

const REFUSED = {
  'no JWT': ['potato', 'The token provided is not a valid JWT'],
  'an empty one': ['', 'The token provided is not a valid JWT'],
  'one with a wrong signature': [mint({ role: 'anon', exp: secondsFromNow(100) }, { secret: 'some other secret of 32 bytes ....' }), ':signature_error'],
  'one without role': [mint({ exp: secondsFromNow(100) }), 'Fields `role` and `exp` are required in JWT'],
  'one without exp': [mint({ role: 'anon' }), 'Fields `role` and `exp` are required in JWT'],
  'an expired one': [mint({ role: 'anon', exp: secondsFromNow(-30) }), /^Token has expired 3\d seconds ago$/],
}

for (const [what, [token, text]] of Object.entries(REFUSED)) {
  test(`${what} shuts the channel and not its neighbour`, async () => {
    const client = await Client.open(world.server)
    await client.join('shut')
    await client.join('neighbour')
    refresh(client, 'shut', token)
    await client.wait((m) => m.event === 'phx_close', 'the end of the channel')
    const [{ payload, joinRef, ref }] = systems(client, 'shut')
    assert.deepEqual({ ...payload, message: '' }, { extension: 'system', status: 'error', message: '', channel: 'shut' })
    if (text instanceof RegExp) assert.match(payload.message, text)
    else assert.equal(payload.message, text)
    assert.deepEqual([joinRef, ref], ['1', null])
    assert.deepEqual(closes(client).map((m) => [m.topic, m.joinRef, m.ref]), [['realtime:shut', '1', '1']])
    assert.equal((await client.reply(client.send('realtime:shut', 'broadcast', {}))).response.reason, 'unmatched topic')
    assert.equal((await client.heartbeat()).status, 'ok')
    assert.equal(systems(client, 'neighbour').length, 0)
    client.close()
  })
}

const IGNORED = {
  'null': { access_token: null },
  'no string': { access_token: 7 },
  'nothing': {},
  'an API key': { access_token: 'sb_publishable_x' },
}
for (const [what, payload] of Object.entries(IGNORED)) {
  test(`${what} changes nothing`, async () => {
    const client = await Client.open(world.server)
    await client.subscribe('same', [BINDING])
    const before = client.messages.length
    client.send('realtime:same', 'access_token', payload)
    assert.equal((await client.heartbeat()).status, 'ok')
    assert.equal(client.messages.length, before + 1)
    client.close()
  })
}

test('the token the channel has already, of its join or of the connection, changes nothing', async () => {
  const own = tokenFor('anon', { sub: 'own' }), mine = tokenFor('anon', { sub: 'mine' })
  const client = await Client.open(world.server, { token: own })
  await client.subscribe('a', [BINDING])
  await client.subscribe('b', [BINDING], { access_token: mine })
  refresh(client, 'a', own)
  refresh(client, 'b', mine)
  assert.equal((await client.heartbeat()).status, 'ok')
  await world.sql("insert into notes values (90, 'still')")
  await client.untilChanges(2)
  assert.equal(systems(client, 'a').length + systems(client, 'b').length, 2)
  await world.sql('delete from notes')
  client.close()
})

test('new claims: subscribed again, and what follows is for the new role only', async () => {
  const client = await Client.open(world.server)
  await client.subscribe('roles', [BINDING])
  await world.sql("insert into notes values (1, 'one', 'hidden')")
  assert.deepEqual((await client.untilChanges(1))[0].data.record, { id: 1, body: 'one' })
  refresh(client, 'roles', tokenFor('authenticated'))
  await until(() => systems(client, 'roles').length === 2, 'the second verdict')
  assert.deepEqual(systems(client, 'roles')[1].payload, { extension: 'postgres_changes', status: 'ok', message: 'Subscribed to PostgreSQL', channel: 'roles' })
  await world.sql("insert into notes values (2, 'two', 'shown')")
  const changes = await client.untilChanges(2)
  assert.deepEqual(changes[1].data.record, { id: 2, body: 'two', secret: 'shown' })
  assert.deepEqual(changes[1].ids, changes[0].ids)
  await world.sql('delete from notes')
  assert.equal(changes.length, 2)
  client.close()
})

test('a role that cannot subscribe is told, and a later token subscribes after all', async () => {
  const client = await Client.open(world.server)
  await client.subscribe('later', [BINDING])
  refresh(client, 'later', tokenFor('no_such_role'))
  await until(() => systems(client, 'later').length === 2, 'the refusal')
  assert.match(systems(client, 'later')[1].payload.message, /role "no_such_role" does not exist/)
  await world.sql("insert into notes values (1, 'for nobody')")
  refresh(client, 'later', tokenFor('service_role'))
  await until(() => systems(client, 'later').length === 3, 'the third verdict')
  assert.equal(systems(client, 'later')[2].payload.status, 'ok')
  await world.sql("insert into notes values (2, 'for the service')")
  const changes = await client.untilChanges(1)
  assert.deepEqual(changes.map((c) => c.data.record.id), [2])
  await world.sql('delete from notes')
  client.close()
})

test('many tokens in a row end in one subscription', async () => {
  const client = await Client.open(world.server)
  await client.subscribe('many', [BINDING])
  for (let i = 0; i < 50; i++) refresh(client, 'many', tokenFor('anon', { n: i }))
  refresh(client, 'many', tokenFor('service_role'))
  await client.heartbeat()
  await until(async () => {
    await world.sql("insert into notes values (1, 'x', 'y'); delete from notes")
    return client.changes().some((c) => c.data.record?.secret === 'y')
  }, 'a change for the last token')
  const from = client.messages.length
  await world.sql("insert into notes values (3, 'three', 'y')")
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record?.id === 3, 'the row')
  await world.sql('delete from notes where id = 3')
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.type === 'DELETE' && m.payload.data.old_record.id === 3, 'its end')
  const rows = client.messages.slice(from).filter((m) => m.payload?.data?.record?.id === 3)
  assert.equal(rows.length, 1)
  client.close()
})

test('the expiry is that of the newest token', async () => {
  const client = await Client.open(world.server)
  await client.join('short', {}, { access_token: tokenFor('anon', { exp: secondsFromNow(2) }) })
  await client.join('long', {}, { access_token: tokenFor('anon', { exp: secondsFromNow(2) }) })
  refresh(client, 'long', tokenFor('anon', { exp: secondsFromNow(600) }))
  refresh(client, 'short', 'sb_publishable_x')
  await client.wait((m) => m.event === 'phx_close', 'the end of the short one')
  assert.match(systems(client, 'short')[0].payload.message, /^Token has expired \d seconds ago$/)
  assert.equal(systems(client, 'long').length, 0)
  assert.deepEqual(closes(client).map((m) => m.topic), ['realtime:short'])
  refresh(client, 'long', tokenFor('anon', { exp: secondsFromNow(1) }))
  await until(() => systems(client, 'long').length, 'the end of the other')
  assert.match(systems(client, 'long')[0].payload.message, /^Token has expired \d seconds ago$/)
  client.close()
})

test('realtime-js setAuth moves its channels to the new role', async () => {
  const client = connect(world.server)
  try {
    const s = await subscribe(client, 'js', [BINDING])
    await client.setAuth(tokenFor('service_role'))
    assert.equal((await s.verdict(2)).status, 'ok')
    await world.sql("insert into notes values (5, 'five', 'all')")
    const [payload] = await s.untilPayloads(1)
    assert.deepEqual(payload.new, { id: 5, body: 'five', secret: 'all' })
  } finally {
    await client.disconnect()
    await world.sql('delete from notes')
  }
})
