// walcast answers the scripted scenarios as the recorded server did (tests/golden/README.md).
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { differences } from '../golden/differences.mjs'
import { canonical, play } from '../golden/driver.mjs'
import { adminScenarios, scenarios } from '../golden/scenarios.mjs'
import { API_SECRET, api, apiToken, sharedControl } from './lib/control.mjs'
import { parseLossless } from './lib/lossless.mjs'
import { Client } from './lib/phoenix.mjs'
import { mint, secondsFromNow } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const HOST = 'realtime-dev.localhost'
const data = (name) => fs.readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8')

/** Only this one was recorded with the digits of its numbers. */
const parserOf = (scenario) => (scenario === 'types' ? parseLossless : JSON.parse)

/** scenario -> connection -> what it received */
const reference = {}
for (const line of data('reference.jsonl').trim().split('\n')) {
  const { s, c = 'http', ...event } = JSON.parse(line)
  const received = (reference[s] ??= {})[c] ??= []
  if (event.d === '>') continue
  if (event.m) {
    event.m = parserOf(s)(line).m
    differences[s]?.(event.m, c)
  }
  received.push(event)
}

const world = sharedWorld({ sql: data('schema.sql'), migrate: true, env: { TENANT_HOST: 'strict' } },
  ({ server }) => server.untilLog(/repl streaming .*messages=1/))

const inOrder = (received) => Object.fromEntries(Object.entries(received).map(([name, events]) => [name, canonical(events)]))

test('every recorded scenario is played and every played one is recorded', () => {
  assert.deepEqual(Object.keys({ ...scenarios, ...adminScenarios }).sort(), Object.keys(reference).sort())
})

/** Both versions of a scenario use the same rooms: nobody may be left in them from before. */
async function untilAlone() {
  const isZero = async (name) => await world.server.metric(name) === 0
  await until(async () => await isZero('walcast_connections') && await isZero('walcast_presences'), 'the end of the connections of the scenario before')
}

for (const [name, scenario] of Object.entries(scenarios)) {
  test(`${name} is answered alike`, async () => {
    await untilAlone()
    const received = await play(scenario, { port: world.server.port, host: HOST, sql: world.sql }, parserOf(name))
    assert.deepEqual(inOrder(received), inOrder(reference[name]))
  })
}

// As the recorded server was set up.
const control = sharedControl({
  env: {
    DB_NAME: 'postgres', SEED_SELF_HOST: 'true', REGION: 'us-east-1', TENANT_MAX_CONCURRENT_USERS: '1000000', TENANT_MAX_CHANNELS_PER_CLIENT: '100000',
    TENANT_MAX_EVENTS_PER_SECOND: '100000000', TENANT_MAX_JOINS_PER_SECOND: '1000000',
  },
})

/** The recorded server had been used before. */
async function openDatabase() {
  const token = mint({ role: 'anon', exp: secondsFromNow(600) }, { secret: API_SECRET })
  const client = await Client.open(control.server, { token, headers: { host: HOST } })
  await client.join('room')
  client.close()
  const health = async () => (await api(control.server, 'GET', '/tenants/realtime-dev/health')).json.data
  await until(async () => { const h = await health(); return h.replication_connected && h.connected_cluster === 0 }, 'the stream')
}

for (const [name, scenario] of Object.entries(adminScenarios)) {
  test(`${name} is answered alike`, async () => {
    await openDatabase()
    const received = await play(scenario, { port: control.server.port, host: HOST, sql: control.sql, apiToken: apiToken() })
    assert.deepEqual(received, reference[name])
  })
}
