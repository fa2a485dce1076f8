// Runs one scenario against a server and records what each connection receives, and the answers of
// its HTTP requests under the name `http`.
import http from 'node:http'
import WebSocket from 'ws'
import { ENCODING, decode, userPush } from '../integration/lib/binary.mjs'
import { tokenFor } from '../integration/lib/token.mjs'
import { until } from '../integration/lib/wait.mjs'
import { normaliser } from './normalise.mjs'

const BARRIER = 'barrier'

/** A binary frame as reference.jsonl shows it. */
function describe(data, normalise) {
  const { kind, enc, topic, event, meta, payload } = decode(data)
  if (enc === undefined) return { kind, hex: data.toString('hex') }
  const shown = enc === ENCODING.JSON ? normalise(JSON.parse(payload.toString())) : payload.toString('hex')
  return { kind, enc, topic, event, meta: meta && normalise(JSON.parse(meta)), payload: shown }
}

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
    this.ws.on('message', (data, isBinary) => isBinary ? this.#recordBinary(data) : this.#record(this.parse(data.toString())))
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

  #recordBinary(data) {
    this.received.push({ d: '<', bin: describe(data, this.normalise) })
    this.#arrived++
  }

  raw(data) {
    this.ws.send(data)
  }

  /** As version 2 clients broadcast. */
  push(room, event, payload, options) {
    this.raw(userPush(`realtime:${room}`, event, payload, { ref: '9', joinRef: '1', ...options }))
  }

  send(topic, event, payload, ref, joinRef = '1') {
    this.raw(JSON.stringify(this.v2 ? [joinRef, ref, topic, event, payload] : { topic, event, payload, ref, join_ref: joinRef }))
  }

  join(room, config = {}, extra = {}, ref = '1') {
    this.send(`realtime:${room}`, 'phx_join', { config, ...extra }, ref, ref)
  }

  /** Until n messages of this event (`binary`: binary frames) have arrived since the connection was opened. */
  until(event, n = 1) {
    const is = ({ m, bin }) => m ? (this.v2 ? m[3] : m.event) === event : bin && event === 'binary'
    const count = () => this.received.filter(is).length
    return until(() => count() >= n, () => `${n} of ${event}; got ${JSON.stringify(this.received)}`)
  }

  /** As a browser that is gone. */
  end() {
    this.ws.terminate()
  }

  /** A heartbeat's reply comes after everything the server had to say to what was sent before it. */
  async settle() {
    if (this.ws.readyState !== WebSocket.OPEN) return
    this.#pastBarrier = false
    this.send('phoenix', 'heartbeat', {}, BARRIER, null)
    await until(() => this.#pastBarrier, () => `the reply to a heartbeat; got ${JSON.stringify(this.received)}`)
  }
}

/** One request; `json` or `body` is sent. Resolves with the answer as it stands in reference.jsonl. */
function request({ port, host }, normalise, method, path, { headers = {}, json, body = json === undefined ? '' : JSON.stringify(json), ...options } = {}) {
  return new Promise((resolve, reject) => {
    const sent = { host: options.host ?? host, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }
    const req = http.request({ host: '127.0.0.1', port, method, path, headers: sent }, (res) => {
      let text = ''
      res.on('data', (d) => { text += d }).on('end', () => {
        const type = (res.headers['content-type'] ?? '').split(';')[0]
        const answer = type === 'application/json' ? normalise(JSON.parse(text)) : text
        resolve({ d: 'http', req: `${method} ${path}`, ...(json === undefined ? {} : { body: normalise(json) }), status: res.statusCode, type, res: answer })
      })
    })
    req.on('error', reject).end(body)
  })
}

/**
 * Frames that answer (replies, closes) and frames that are fanned out come from different places in
 * the recorded server: their interleaving differs from run to run. Each kind keeps its own order, and
 * nothing crosses a join's reply or the end of a channel.
 */
export function canonical(events) {
  const out = []
  let answers = [], others = []
  const flush = () => { out.push(...answers, ...others); answers = []; others = [] }
  for (const event of events) {
    const [name, payload] = Array.isArray(event.m) ? event.m.slice(3) : [event.m?.event, event.m?.payload]
    const isJoinReply = name === 'phx_reply' && payload.response?.postgres_changes !== undefined
    if (event.d !== '<' || isJoinReply || name === 'phx_close' || name === 'phx_error') { flush(); out.push(event) }
    else (name === 'phx_reply' ? answers : others).push(event)
  }
  flush()
  return out
}

/** `target`: { port, host, sql, apiToken }; `parse`: of a frame's text. Returns {connection name: events}. */
export async function play(scenario, target, parse = JSON.parse) {
  const normalise = normaliser()
  const connections = new Map()
  const answers = []
  const call = async (...args) => { answers.push(await request(target, normalise, ...args)) }
  const open = async (name, options = {}) => {
    const connection = new Connection(parse, normalise)
    connections.set(name, connection)
    await connection.open({ ...target, host: options.host ?? target.host }, options)
    return connection
  }
  try {
    await scenario({ open, call, sql: target.sql, apiToken: target.apiToken })
    for (const connection of connections.values()) await connection.settle()
    const received = [...connections].map(([name, c]) => [name, [...c.received]])
    return Object.fromEntries(answers.length ? [...received, ['http', answers]] : received)
  } finally {
    for (const { ws } of connections.values()) ws.terminate()
  }
}
