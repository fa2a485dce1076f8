// walcast under measurement, and the programs that load it.
'use strict'
const crypto = require('node:crypto')
const path = require('node:path')
const { run, serve, freePort } = require('./processes.js')
const { startProfile } = require('./profile.js')

/** Starts walcast with these settings on a free port, waits until it listens. */
async function startWalcast(bench, settings = {}) {
  const port = await freePort()
  const server = await serve(bench.walcast, ['serve'], {
    env: { ...bench.env, ...settings, JWT_SECRET: bench.secret, PORT: String(port), BIND_ADDRESS: '127.0.0.1' },
    log: path.join(bench.dir, 'walcast.log'),
    ports: [port],
  })
  const profile = bench.options.profile ? await startProfile(bench, server.pid) : null
  return {
    port, pid: server.pid,
    stop: async () => { await profile?.stop(); await server.stop() },
  }
}

const program = (bench, name) => path.join(bench.options.build, 'benchmarks', `bench_${name}`)

/** Runs a benchmark program; its answer is one JSON object. */
async function load(bench, name, args, env = {}) {
  return JSON.parse(await run(program(bench, name), args.map(String), env))
}

/** A walcast of its own for one measurement, ended whatever happens. */
async function withWalcast(bench, settings, measure) {
  const walcast = await startWalcast(bench, settings)
  try {
    return await measure(walcast)
  } finally {
    await walcast.stop()
  }
}

// Signed as `walcast token` does; it makes no tokens with a `sub`.
function userToken(bench, user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const sub = `00000000-0000-4000-8000-${user.toString(16).padStart(12, '0')}`
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ role: 'authenticated', sub, exp: Math.floor(Date.now() / 1000) + 86400 })}`
  return `${text}.${crypto.createHmac('sha256', bench.secret).update(text).digest('base64url')}`
}

module.exports = { startWalcast, withWalcast, program, load, userToken }
