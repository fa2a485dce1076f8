// Metrics sent to a URL: what arrives, and what happens when it does not.
import assert from 'node:assert/strict'
import http from 'node:http'
import { after, test } from 'node:test'
import zlib from 'node:zlib'
import { Page } from './lib/metrics.mjs'
import { Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const world = sharedWorld({})
const PASSWORD = 'hush-push-password'

/** Keeps what comes; `answer` says what to do with it, by default 204. */
async function startReceiver(answer = (response) => response.writeHead(204).end()) {
  const receiver = { pushes: [], answer }
  const server = http.createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    receiver.pushes.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(parts) })
    receiver.answer(response)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  receiver.url = `http://127.0.0.1:${server.address().port}`
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  return receiver
}

async function startPusher(t, url, env = {}) {
  const server = await Server.start({
    ...world.cluster.serverEnv, METRICS_PUSHER_ENABLED: 'true', METRICS_PUSHER_URL: url, METRICS_PUSHER_AUTH: PASSWORD, METRICS_PUSHER_INTERVAL_MS: '100', ...env,
  })
  t.after(() => server.stop())
  return server
}

test('the page of /metrics arrives, packed, with a login and the labels to be added', async (t) => {
  const receiver = await startReceiver()
  const server = await startPusher(t, `${receiver.url}/api/import?x=1`, { METRICS_PUSHER_EXTRA_LABELS: 'env=prod,team=a b', REGION: 'eu-1' })
  await until(() => receiver.pushes.length >= 2, 'two pushes')
  const { method, url, headers, body } = receiver.pushes.at(-1)
  assert.equal(method, 'POST')
  const query = new URL(url, receiver.url)
  assert.equal(query.pathname, '/api/import')
  assert.deepEqual(query.searchParams.getAll('extra_label'), ['env=prod', 'team=a b'])
  assert.equal(query.searchParams.get('x'), '1')
  assert.equal(headers.authorization, `Basic ${Buffer.from(`realtime:${PASSWORD}`).toString('base64')}`)
  assert.match(headers['content-type'], /^text\/plain/)
  assert.equal(headers['content-encoding'], 'gzip')
  const page = new Page(zlib.gunzipSync(body).toString())
  assert.ok(page.get('phoenix_connections_max') > 0)
  for (const { node } of page.samples) assert.deepEqual([node.region, node.id], ['eu-1', String(server.port)])
  assert.deepEqual([...new Set(page.samples.map(({ name }) => name))], [...new Set((await server.metrics()).samples.map(({ name }) => name))])
  assert.ok(await server.metric('walcast_metrics_pushes_total{result="ok"}') >= 2)
})

test('plain and without a login when so told', async (t) => {
  const receiver = await startReceiver()
  await startPusher(t, receiver.url, { METRICS_PUSHER_COMPRESS: 'false', METRICS_PUSHER_AUTH: '' })
  await until(() => receiver.pushes.length > 0, 'a push')
  const { headers, body } = receiver.pushes[0]
  assert.equal(headers.authorization, undefined)
  assert.equal(headers['content-encoding'], undefined)
  assert.ok(new Page(body.toString()).samples.length > 50)
})

test('refusals are counted and logged once, without URL or login, and pushing goes on', async (t) => {
  const receiver = await startReceiver((response) => response.writeHead(503).end('hush-answer'))
  const server = await startPusher(t, `${receiver.url.replace('//', '//login:hush-url@')}/hush-path`)
  await until(() => receiver.pushes.length >= 5, 'five pushes')
  assert.equal(server.log.match(/MetricsPusherFailed/g).length, 1)
  assert.match(server.log, /MetricsPusherFailed status=503/)
  assert.ok(await server.metric('walcast_metrics_pushes_total{result="failed"}') >= 4)
  receiver.answer = (response) => response.writeHead(200).end()
  await server.untilLog(/push recovered/)
  assert.doesNotMatch(server.log, /hush/)
})

test('a receiver that does not answer costs the timeout; nobody waits for it at the end', async (t) => {
  const receiver = await startReceiver(() => {})
  const server = await startPusher(t, receiver.url, { METRICS_PUSHER_TIMEOUT_MS: '200' })
  await server.untilLog(/MetricsPusherTimeout/)
  assert.ok(await server.metric('walcast_metrics_pushes_total{result="timeout"}') > 0)
  const patient = await startPusher(t, receiver.url, { METRICS_PUSHER_TIMEOUT_MS: '600000' })
  const seen = receiver.pushes.length
  await until(() => receiver.pushes.length > seen + 1, 'one that hangs')
  await patient.stop()
})

test('a receiver that is not there, and redirects, are failures', async (t) => {
  const elsewhere = await startReceiver()
  const receiver = await startReceiver((response) => response.writeHead(302, { location: elsewhere.url }).end())
  const server = await startPusher(t, receiver.url)
  await server.untilLog(/MetricsPusherFailed status=302/)
  assert.equal(elsewhere.pushes.length, 0)
  const alone = await startPusher(t, 'http://127.0.0.1:1/')
  await alone.untilLog(/MetricsPusherFailed status=0 error="[^"]+"/)
})

test('settings that cannot be used end the start and are named', async () => {
  for (const [env, name] of [[{ METRICS_PUSHER_URL: '' }, 'METRICS_PUSHER_URL'], [{ METRICS_PUSHER_URL: 'http://h/', METRICS_PUSHER_EXTRA_LABELS: 'hush' }, 'METRICS_PUSHER_EXTRA_LABELS']]) {
    const server = await Server.start({ ...world.cluster.serverEnv, METRICS_PUSHER_ENABLED: 'true', ...env }, { wait: 'no' })
    assert.ok((await server.ended()).code > 0)
    assert.match(server.log, new RegExp(name))
    assert.doesNotMatch(server.log, /hush/)
    server.assertClean()
  }
})
