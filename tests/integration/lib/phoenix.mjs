// A bare Phoenix client over `ws`, for what realtime-js hides: raw frames, refusals, close codes,
// a socket that is not read.
import WebSocket from 'ws'
import { decode } from './binary.mjs'
import { tokenFor } from './token.mjs'
import { until } from './wait.mjs'

export class Client {
  messages = [] // { joinRef, ref, topic, event, payload } or { binary }, decoded (binary.mjs)
  closed = null // { code, reason }
  #ref = 0

  /** Resolves when the connection is open; rejects with { status, body } when it is refused. */
  static open(server, { token = tokenFor('anon'), vsn = '2.0.0', query = {}, headers = {}, ...wsOptions } = {}) {
    const client = new Client()
    client.v2 = vsn.startsWith('2')
    const params = new URLSearchParams({ vsn, ...(token === null ? {} : { apikey: token }), ...query })
    const ws = client.ws = new WebSocket(`${server.socketUrl}/websocket?${params}`, { headers, ...wsOptions })
    ws.on('message', (data, isBinary) => client.messages.push(isBinary ? { binary: decode(data) } : client.#decode(data.toString())))
    ws.on('close', (code, reason) => { client.closed = { code, reason: reason.toString() } })
    return new Promise((resolve, reject) => {
      ws.on('open', () => resolve(client))
      ws.on('error', (error) => reject(error))
      ws.on('unexpected-response', (request, response) => {
        let body = ''
        response.on('data', (d) => { body += d }).on('end', () => reject(Object.assign(new Error(`refused: ${response.statusCode} ${body}`), { status: response.statusCode, type: response.headers['content-type'], body })))
      })
    })
  }

  #decode(text) {
    const m = JSON.parse(text)
    if (!this.v2) return { ...m, text }
    const [joinRef, ref, topic, event, payload] = m
    return { joinRef, ref, topic, event, payload, text }
  }

  raw(data) {
    this.ws.send(data)
  }

  send(topic, event, payload, { ref = String(++this.#ref), joinRef = null } = {}) {
    this.raw(JSON.stringify(this.v2 ? [joinRef, ref, topic, event, payload] : { topic, event, payload, ref, join_ref: joinRef }))
    return ref
  }

  /** Of one event, in order; `binary` for binary frames. */
  all(event, room) {
    const isHere = (topic) => !room || topic === `realtime:${room}`
    return event === 'binary' ? this.messages.filter((m) => m.binary && isHere(m.binary.topic)).map((m) => m.binary)
      : this.messages.filter((m) => m.event === event && isHere(m.topic)).map((m) => m.payload)
  }

  /** The n-th payload of an event, once it is there. */
  async nth(event, n = 1, room) {
    await this.wait(() => this.all(event, room).length >= n, `${event} number ${n}`)
    return this.all(event, room)[n - 1]
  }

  find(test) {
    return this.messages.find(test)
  }

  async wait(test, what = 'a message', deadlineMs) {
    return until(() => {
      const found = this.find(test)
      if (!found && this.closed) throw new Error(`closed (${JSON.stringify(this.closed)}) before ${what}`)
      return found
    }, () => `${what}; got ${JSON.stringify(this.messages.slice(-10).map((m) => m.text ?? m))}`, deadlineMs)
  }

  async reply(ref) {
    return (await this.wait((m) => m.event === 'phx_reply' && m.ref === ref, `the reply to ${ref}`)).payload
  }

  async heartbeat() {
    return this.reply(this.send('phoenix', 'heartbeat', {}))
  }

  /** Joins and returns the reply's payload; `room` is the topic without "realtime:". */
  async join(room, config = {}, extra = {}) {
    const ref = String(++this.#ref)
    this.send(`realtime:${room}`, 'phx_join', { config, ...extra }, { ref, joinRef: ref })
    return this.reply(ref)
  }

  /** Joins with bindings, waits for the verdict, and returns both. */
  async subscribe(room, bindings, extra) {
    const reply = await this.join(room, { postgres_changes: bindings }, extra)
    const system = await this.wait((m) => m.event === 'system' && m.topic === `realtime:${room}`, `the verdict for ${room}`)
    return { reply, system: system.payload }
  }

  changes(room) {
    return this.messages.filter((m) => m.event === 'postgres_changes' && (!room || m.topic === `realtime:${room}`)).map((m) => m.payload)
  }

  async untilChanges(n, deadlineMs) {
    await until(() => this.changes().length >= n, () => `${n} changes; got ${JSON.stringify(this.changes().slice(-5))} of ${this.changes().length}`, deadlineMs)
    return this.changes()
  }

  async untilClosed(deadlineMs) {
    return until(() => this.closed, 'the end of the connection', deadlineMs)
  }

  /** Stops reading from the socket: the kernel's buffers fill, then the server's queue. */
  pause() {
    this.ws.pause()
  }

  close() {
    this.ws.terminate()
  }
}
