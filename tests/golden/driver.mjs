// Runs one scenario against a server and records what each connection receives.
import WebSocket from 'ws'
import { tokenFor } from '../integration/lib/token.mjs'
import { until } from '../integration/lib/wait.mjs'
import { normaliser } from './normalise.mjs'

const BARRIER = 'barrier'

class Connection {
  received = [] // as they stand in reference.jsonl, without scenario and connection
  #arrived = 0
  #pastBarrier = false

  constructor(parse, normalise) {
    this.parse = parse
    this.normalise = normalise
  }

  open({ port, host }, { vsn = '1.0.0', token = tokenFor('anon'), headers = {} }) {
    this.v2 = vsn.startsWith('2')
    const query = new URLSearchParams({ vsn, ...(token === null ? {} : { apikey: token }) })
    this.ws = new WebSocket(`ws://127.0.0.1:${port}/socket/websocket?${query}`, { headers: { host, ...headers } })
    this.ws.on('message', (data) => this.#record(this.parse(data.toString())))
    return new Promise((resolve, reject) => {
      this.ws.on('open', resolve).on('error', reject)
      this.ws.on('close', (code) => { this.received.push({ d: 'close', code }) })
      this.ws.on('unexpected-response', (request, response) => {
        let body = ''
        response.on('data', (d) => { body += d }).on('end', () => {
          this.received.push({ d: 'refused', status: response.statusCode, type: response.headers['content-type'] ?? null, body })
          resolve()
        })
      })
    })
  }

  #record(message) {
    const ref = this.v2 ? message[1] : message.ref
    if (ref === BARRIER) this.#pastBarrier = true
    else this.received.push({ d: '<', m: this.normalise(message) })
    this.#arrived++
  }

  raw(data) {
    this.ws.send(data)
  }

  send(topic, event, payload, ref, joinRef = '1') {
    this.raw(JSON.stringify(this.v2 ? [joinRef, ref, topic, event, payload] : { topic, event, payload, ref, join_ref: joinRef }))
  }

  join(room, config = {}, extra = {}, ref = '1') {
    this.send(`realtime:${room}`, 'phx_join', { config, ...extra }, ref, ref)
  }

  /** Until n messages of this event have arrived since the connection was opened. */
  until(event, n = 1) {
    const count = () => this.received.filter(({ m }) => m && (this.v2 ? m[3] : m.event) === event).length
    return until(() => count() >= n, () => `${n} of ${event}; got ${JSON.stringify(this.received)}`)
  }

  /** A heartbeat's reply comes after everything the server had to say to what was sent before it. */
  async settle() {
    if (this.ws.readyState !== WebSocket.OPEN) return
    this.#pastBarrier = false
    this.send('phoenix', 'heartbeat', {}, BARRIER, null)
    await until(() => this.#pastBarrier, () => `the reply to a heartbeat; got ${JSON.stringify(this.received)}`)
  }
}

/** `target`: { port, host, sql }; `parse`: of a frame's text. Returns {connection name: events}. */
export async function play(scenario, target, parse = JSON.parse) {
  const normalise = normaliser()
  const connections = new Map()
  const open = async (name, options = {}) => {
    const connection = new Connection(parse, normalise)
    connections.set(name, connection)
    await connection.open({ ...target, host: options.host ?? target.host }, options)
    return connection
  }
  try {
    await scenario({ open, sql: target.sql })
    for (const connection of connections.values()) await connection.settle()
    return Object.fromEntries([...connections].map(([name, c]) => [name, [...c.received]]))
  } finally {
    for (const { ws } of connections.values()) ws.terminate()
  }
}
