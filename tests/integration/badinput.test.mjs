// What clients get wrong, by accident or on purpose. The server answers, survives, and goes on
// serving the others.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import net from 'node:net'
import { after, afterEach, test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { mint, secondsFromNow, tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

let bystander
const world = sharedWorld({ sql: 'create table t (id int primary key)', publish: ['t'] }, async ({ server }) => {
  bystander = await Client.open(server)
  await bystander.join('bystander')
})
after(() => bystander?.close())
afterEach(async () => assert.deepEqual(await bystander.heartbeat(), { status: 'ok', response: {} }, 'another client is served'))

const exp = secondsFromNow(3600)
const refusals = [
  ['no token', null, 401, 'API key is missing'],
  ['not a token', 'potato', 401, 'The token provided is not a valid JWT'],
  ['two parts only', 'eyJhbGciOiJIUzI1NiJ9.e30', 401, 'The token provided is not a valid JWT'],
  ['a signature by another secret', mint({ role: 'anon', exp }, { secret: 'another-secret-another-secret-an' }), 401, 'Failed to validate JWT signature'],
  ['an expired token', mint({ role: 'anon', exp: secondsFromNow(-100) }), 401, 'Token has expired'],
  ['a token without role', mint({ exp }), 401, 'Fields `role` and `exp` are required in JWT'],
  ['a token without exp', mint({ role: 'anon' }), 401, 'Fields `role` and `exp` are required in JWT'],
  ['alg none', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ role: 'anon', exp })).toString('base64url')}.`, 401, /JWT/],
  ['a token of 3 KB of noise', crypto.randomBytes(2300).toString('base64url'), 401, 'The token provided is not a valid JWT'],
]
for (const [name, token, status, message] of refusals) {
  test(`connecting with ${name} is refused`, async () => {
    const error = await Client.open(world.server, { token }).then(() => assert.fail('was let in'), (e) => e)
    assert.equal(error.status, status, error.message)
    assert.match(error.type, /^application\/json/)
    const body = JSON.parse(error.body)
    assert.deepEqual(Object.keys(body), ['error'])
    if (message instanceof RegExp) assert.match(body.error, message)
    else assert.equal(body.error, message)
  })
}

test('an unknown serializer version is refused with 403', async () => {
  const error = await Client.open(world.server, { vsn: '3.0.0' }).then(() => assert.fail('was let in'), (e) => e)
  assert.equal(error.status, 403)
})

test('joining with a bad token is answered with the reason', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  const reason = async (room, token) => {
    const { status, response } = await client.join(room, {}, { access_token: token })
    assert.equal(status, 'error')
    return response.reason
  }
  assert.equal(await reason('a', 'potato'), 'MalformedJWT: The token provided is not a valid JWT')
  assert.match(await reason('b', mint({ role: 'anon', exp: secondsFromNow(-100) })), /^InvalidJWTToken: Token has expired 10\d seconds ago$/)
  assert.equal(await reason('c', mint({ exp })), 'InvalidJWTToken: Fields `role` and `exp` are required in JWT')
  assert.equal(await reason('d', mint({ role: 'anon', exp }, { secret: 'x'.repeat(32) })), 'JwtSignatureError: Failed to validate JWT signature')
})

const garbage = [
  ['binary noise', '2.0.0', crypto.randomBytes(200)],
  ['an empty binary frame', '2.0.0', Buffer.alloc(0)],
  ['a binary frame cut short', '2.0.0', Buffer.from([3, 255, 1])],
  ['binary noise to version 1', '1.0.0', crypto.randomBytes(200)],
  ['empty text', '2.0.0', ''],
  ['text that is no JSON', '2.0.0', 'not json'],
  ['an object to version 2', '2.0.0', '{}'],
  ['an array to version 1', '1.0.0', '[]'],
  ['a string', '1.0.0', '"text"'],
  ['a number', '2.0.0', '42'],
  ['null', '1.0.0', 'null'],
  ['an array too short', '2.0.0', '[null,"1","phoenix"]'],
  ['an object without event', '1.0.0', '{"topic":"realtime:x","payload":{},"ref":"1"}'],
  ['fields of the wrong types', '2.0.0', '[{}, [], 7, null, "x"]'],
  ['deeply nested arrays', '2.0.0', '['.repeat(100_000)],
  ['deeply nested objects in a payload', '1.0.0', `{"topic":"realtime:x","event":"phx_join","ref":"1","payload":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`],
  ['a lone surrogate escape', '2.0.0', '["1","x","realtime:\\ud800","phx_join",{}]'],
  ['bytes that are no UTF-8', '1.0.0', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  ['a number of 100,000 digits', '2.0.0', `["1","x","realtime:x","noevent",{"n":${'9'.repeat(100_000)}}]`],
]
for (const [name, vsn, data] of garbage) {
  test(`${name}: the connection survives`, async (t) => {
    const client = await Client.open(world.server, { vsn })
    t.after(() => client.close())
    client.raw(data)
    assert.deepEqual(await client.heartbeat(), { status: 'ok', response: {} })
  })
}

test('undecodable messages are counted', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  const name = 'walcast_malformed_messages_total'
  const earlier = await world.server.metric(name)
  for (const text of ['not json', '{}', '[1,2]']) client.raw(text)
  await client.heartbeat()
  await until(async () => await world.server.metric(name) === earlier + 3, '3 more malformed messages')
})

test('a message of 6 MB closes its connection with 1009', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  client.send('realtime:big', 'phx_join', { config: {}, filler: 'x'.repeat(6_000_000) })
  assert.equal((await client.untilClosed()).code, 1009)
})

test('a message of 6 MB in fragments closes its connection with 1009', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  for (let i = 0; i < 6 && !client.closed; i++) client.ws.send('x'.repeat(1_000_000), { fin: false }, () => {})
  assert.equal((await client.untilClosed()).code, 1009)
})

test('a message just below the limit is read', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  assert.equal((await client.join('large', {}, { filler: 'x'.repeat(4_900_000) })).status, 'ok')
})

const bindingCases = [
  ['an unknown table', { event: '*', schema: 'public', table: 'nope' }, /^Unable to subscribe to changes with given parameters\. Please check Realtime is enabled for the given connect parameters: \[event: \*, schema: public, table: nope, filters: \[\], select: nil\]$/],
  ['an unknown schema', { event: '*', schema: 'nope', table: 't' }, /Please check Realtime is enabled/],
  ['a name made for SQL injection', { event: '*', schema: 'public', table: `t'; drop table t; --` }, /Unable to subscribe/],
  ['an unknown column', { event: '*', schema: 'public', table: 't', filter: 'nocol=eq.1' }, /invalid column for filter nocol/],
  ['a value that is no integer', { event: '*', schema: 'public', table: 't', filter: 'id=eq.abc' }, /invalid input syntax for type integer: "abc"/],
  ['an unknown operator', { event: '*', schema: 'public', table: 't', filter: 'id=zz.1' }, /^Error parsing `filter` params/],
  ['a filter without operator', { event: '*', schema: 'public', table: 't', filter: 'id' }, /^Error parsing `filter` params/],
]
for (const [name, binding, expected] of bindingCases) {
  test(`joining with ${name} succeeds and reports the error`, async (t) => {
    const client = await Client.open(world.server)
    t.after(() => client.close())
    const { reply, system } = await client.subscribe('bad', [binding])
    assert.equal(reply.status, 'ok')
    assert.equal(system.status, 'error')
    assert.equal(system.extension, 'postgres_changes')
    assert.match(system.message, expected)
  })
}

test('the table is still there', async () => {
  assert.deepEqual(await world.sql('select count(*)::int as n from t'), [{ n: 0 }])
})

test('odd join payloads are answered', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  for (const payload of [{}, { config: null }, { config: { postgres_changes: null } }, { config: { postgres_changes: [null] } }, { config: { postgres_changes: 'x' } }, { config: [] }, { config: 'x' }, { config: { postgres_changes: [7] } }]) {
    const ref = client.send(`realtime:odd-${Math.random()}`, 'phx_join', payload)
    assert.match((await client.reply(ref)).status, /^(ok|error)$/)
  }
})

for (const [name, bytes] of [
  ['noise', crypto.randomBytes(4096)],
  ['an endless request line', Buffer.from(`GET /${'a'.repeat(100_000)}`)],
  ['an endless header', Buffer.from(`GET /socket/websocket HTTP/1.1\r\nhost: x\r\nx-a: ${'b'.repeat(100_000)}`)],
  ['a POST to the socket', Buffer.from('POST /socket/websocket HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')],
  ['a TLS greeting', Buffer.from('16030100a5010000a10303', 'hex')],
]) {
  test(`on the bare port: ${name} ends that connection at most`, async (t) => {
    const socket = net.connect(world.server.port, '127.0.0.1')
    t.after(() => socket.destroy())
    let answered = false
    socket.on('error', () => {}).on('data', () => { answered = true }).on('close', () => { answered = true })
    socket.write(bytes)
    socket.end()
    await until(() => answered, 'an answer or the end of the connection', 30_000)
  })
}

for (const [name, bytes] of [
  ['a reserved opcode', [0x83, 0x80, 1, 2, 3, 4]],
  ['a reserved bit', [0xc1, 0x80, 1, 2, 3, 4]],
  ['a control frame of 200 bytes', [0x89, 0xfe, 0, 200, 1, 2, 3, 4, ...new Array(200).fill(0)]],
]) {
  test(`${name}, which RFC 6455 forbids, closes the connection`, async (t) => {
    const client = await Client.open(world.server)
    t.after(() => client.close())
    client.ws._socket.write(Buffer.from(bytes))
    assert.notEqual((await client.untilClosed()).code, 1000)
  })
}

test('a token of a role that does not exist gets no rows', async (t) => {
  const client = await Client.open(world.server, { token: tokenFor('ghost') })
  t.after(() => client.close())
  const { system } = await client.subscribe('ghost', [{ event: '*', schema: 'public', table: 't' }])
  assert.equal(system.status, 'error')
  const seer = await Client.open(world.server)
  t.after(() => seer.close())
  await seer.subscribe('seer', [{ event: '*', schema: 'public', table: 't' }])
  await world.sql('insert into t values (1); delete from t')
  await seer.untilChanges(2)
  await client.heartbeat()
  assert.deepEqual(client.changes(), [])
})
