// The servers that fan-out is measured on, beside walcast: from Debian's packages, on loopback, with
// a configuration of their own in the run's folder, in the foreground, ended by their process id.
// benchmarks/README.md explains each setting; none of them is there to slow anybody down.
'use strict'
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { serve, freePort, childrenOf, pause } = require('./processes.js')
const { startWalcast, program } = require('./walcast.js')

const WORKERS = os.cpus().length // walcast's default, one socket thread per core, as for all that have any
const DESCRIPTORS = 16384

const NGINX = ({ port, dir }) => `
load_module modules/ngx_nchan_module.so;
daemon off;
worker_processes ${WORKERS};
worker_rlimit_nofile ${DESCRIPTORS};
pid ${dir}/pid;
error_log stderr warn;
events { worker_connections ${DESCRIPTORS}; }
http {
  access_log off;
  tcp_nodelay on;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port};
    location = /subscribe { nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location = /publish { nchan_publisher websocket; nchan_channel_id bench; nchan_store_messages off; }
  }
}
`

// It does not start with nothing but a WebSocket listener: the plain one is never used.
const MOSQUITTO = ({ port, plain }) => `
persistence false
set_tcp_nodelay true
log_dest stderr
log_type error
listener ${plain} 127.0.0.1
listener ${port} 127.0.0.1
protocol websockets
allow_anonymous true
`

const NATS = ({ port, plain }) => `
listen: "127.0.0.1:${plain}"
websocket { listen: "127.0.0.1:${port}", no_tls: true, compression: false }
`

async function startPeer(bench, name, program, text, args, settings = {}) {
  const dir = path.join(bench.dir, `peer-${name}`)
  fs.mkdirSync(dir)
  const port = await freePort(), plain = await freePort()
  const file = path.join(dir, 'conf')
  fs.writeFileSync(file, text({ port, plain, dir }))
  const remove = () => fs.rmSync(dir, { recursive: true, force: true })
  try {
    const server = await serve(program, args(file, dir), { env: settings, log: path.join(dir, 'log'), ports: [port] })
    return { ...server, port, token: '-', stop: async () => { await server.stop(); remove() } }
  } catch (error) {
    remove()
    throw error
  }
}

async function startNginx(bench) {
  const modules = '/usr/share/nginx/' // where Debian's nginx looks for modules/
  const server = await startPeer(bench, 'nginx', 'nginx', NGINX, (file) => ['-p', modules, '-c', file])
  for (const deadline = Date.now() + 5000; childrenOf(server.pid).length < WORKERS; await pause(10)) {
    if (Date.now() > deadline) throw new Error('nginx has no workers')
  }
  return { ...server, pids: childrenOf(server.pid) }
}

const startMosquitto = async (bench) => {
  const server = await startPeer(bench, 'mosquitto', 'mosquitto', MOSQUITTO, (file) => ['-c', file])
  return { ...server, pids: [server.pid] }
}

const startNats = async (bench) => {
  const server = await startPeer(bench, 'nats', 'nats-server', NATS, (file) => ['-c', file], { GOMAXPROCS: String(WORKERS) })
  return { ...server, pids: [server.pid] }
}

async function startWalcastAsPeer(bench) {
  const server = await startWalcast(bench, { SOCKET_THREADS: String(WORKERS) })
  return { ...server, pids: [server.pid], token: bench.token }
}

// It wants to know how many connections are receivers.
async function startSendloop(bench, receivers) {
  const port = await freePort()
  const server = await serve(program(bench, 'sendloop'), [String(port), String(receivers)], { log: path.join(bench.dir, 'sendloop.log'), ports: [port] })
  return { ...server, port, pids: [server.pid], token: '-' }
}

function firstLine(program, argument) {
  const { error, stdout, stderr } = spawnSync(program, [argument], { encoding: 'utf8' })
  return error ? 'not installed' : (stdout || stderr).split('\n')[0]
}

/** In the order in which they take their turns. wire: how bench_fanout speaks to it. */
const CONTESTANTS = {
  walcast: { wire: 'walcast', label: 'walcast', start: startWalcastAsPeer },
  sendloop: { wire: 'sendloop', label: 'bare `send` loop', start: startSendloop },
  nchan: { wire: 'nchan', label: 'nginx with nchan', start: startNginx, version: () => firstLine('nginx', '-v') },
  mosquitto: { wire: 'mqtt', label: 'mosquitto', start: startMosquitto, version: () => firstLine('mosquitto', '-h') },
  nats: { wire: 'nats', label: 'nats-server', start: startNats, version: () => firstLine('nats-server', '--version') },
}

const versions = () => Object.fromEntries(Object.entries(CONTESTANTS).filter(([, c]) => c.version).map(([name, c]) => [name, c.version()]))

module.exports = { CONTESTANTS, WORKERS, versions }
