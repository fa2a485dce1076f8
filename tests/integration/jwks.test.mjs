// Tokens verified with the keys of API_JWT_JWKS, and claims bound by JWT_CLAIM_VALIDATORS.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import crypto from 'node:crypto'
import { test } from 'node:test'
import { BINARY } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { childEnv } from './lib/server.mjs'
import { mint, secondsFromNow, SECRET } from './lib/token.mjs'
import { sharedWorld } from './lib/world.mjs'

const generated = { rsa: crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }), ec: crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }), ed: crypto.generateKeyPairSync('ed25519') }
const keys = Object.entries(generated).map(([kid, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), kid }))
const SIGN = {
  RS256: (text, key) => crypto.sign('sha256', text, key),
  ES256: (text, key) => crypto.sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (text, key) => crypto.sign(null, text, key),
}
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function sign(alg, kid, claims = {}, key = generated[kid].privateKey) {
  const text = `${base64url({ alg, kid })}.${base64url({ role: 'anon', exp: secondsFromNow(3600), ...claims })}`
  return `${text}.${SIGN[alg](Buffer.from(text), key).toString('base64url')}`
}

const world = sharedWorld({
  sql: 'create table notes (id int primary key, body text)',
  publish: ['notes'],
  env: { API_JWT_JWKS: JSON.stringify({ keys }), JWT_CLAIM_VALIDATORS: '{"iss":"us"}' },
})
const refusal = (token) => Client.open(world.server, { token }).then(() => assert.fail('was let in'), ({ status, body }) => [status, JSON.parse(body).error])

for (const [alg, kid] of [['RS256', 'rsa'], ['ES256', 'ec'], ['EdDSA', 'ed']]) {
  test(`a client with a ${alg} token gets changes, and keeps its channel with another`, async () => {
    const client = await Client.open(world.server, { token: sign(alg, kid) })
    await client.subscribe(alg, [{ event: 'INSERT', schema: 'public', table: 'notes' }])
    client.send(`realtime:${alg}`, 'access_token', { access_token: sign(alg, kid, { sub: 'again' }) })
    await client.wait(() => client.messages.filter((m) => m.event === 'system' && m.payload.status === 'ok').length === 2, 'the second "Subscribed"')
    const id = crypto.randomInt(2 ** 31 - 1)
    await world.sql(`insert into notes values (${id}, 'x')`)
    await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === id, 'the change')
    client.close()
  })
}

test('the secret still serves tokens that name no key', async () => {
  const client = await Client.open(world.server, { token: mint({ role: 'anon', exp: secondsFromNow(60), iss: 'us' }) })
  assert.equal((await client.heartbeat()).status, 'ok')
  client.close()
})

test('a kid that the set does not have is named to who connects, joins or refreshes', async () => {
  const stranger = sign('RS256', 'gone', {}, generated.rsa.privateKey)
  const text = 'Failed to generate JWT signer for key ID (kid) "gone", check your JWT secret or JWKS configuration'
  assert.deepEqual(await refusal(stranger), [401, text])
  const client = await Client.open(world.server, { token: sign('EdDSA', 'ed') })
  assert.equal((await client.join('stranger', {}, { access_token: stranger })).response.reason, `JwtSignerError: ${text}`)
  await client.join('known')
  client.send('realtime:known', 'access_token', { access_token: stranger })
  assert.equal((await client.wait((m) => m.event === 'system', 'the reason')).payload.message, text)
  client.close()
})

test('a public key is no secret, and another key no substitute', async () => {
  const confused = `${base64url({ alg: 'HS256', kid: 'rsa' })}.${base64url({ role: 'service_role', exp: secondsFromNow(60) })}`
  const pem = generated.rsa.publicKey.export({ type: 'spki', format: 'pem' })
  for (const secret of [pem, Buffer.from(keys[0].n, 'base64url')])
    assert.deepEqual(await refusal(`${confused}.${crypto.createHmac('sha256', secret).update(confused).digest('base64url')}`), [401, 'Failed to validate JWT signature'])
  assert.deepEqual(await refusal(sign('RS256', 'rsa', {}, crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)), [401, 'Failed to validate JWT signature'])
})

test('a claim that a validator names must have its value where it is present', async () => {
  for (const iss of ['them', null, ['us']]) assert.equal((await refusal(sign('ES256', 'ec', { iss })))[0], 500)
  const client = await Client.open(world.server, { token: sign('ES256', 'ec', { iss: 'us' }) })
  client.close()
})

for (const [name, value, says] of [['API_JWT_JWKS', '{"keys":7}', /JWKS.*array `keys`/], ['JWT_CLAIM_VALIDATORS', '[]', /validators are not a JSON object/]]) {
  test(`${name} that cannot be read ends the start with a reason`, () => {
    const { status, stderr } = spawnSync(BINARY, ['serve'], { encoding: 'utf8', timeout: 30_000, env: childEnv({ ...world.cluster.serverEnv, JWT_SECRET: SECRET, [name]: value }) })
    assert.notEqual(status, 0)
    assert.match(stderr, says)
    assert.match(stderr, new RegExp(name))
  })
}
