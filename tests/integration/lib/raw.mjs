// A WebSocket connection made by hand, for what no client library sends (RFC 6455): frames are built
// bit by bit, and everything that comes back is kept as it was framed.
import crypto from 'node:crypto'
import net from 'node:net'
import { tokenFor } from './token.mjs'
import { until } from './wait.mjs'

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 }

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** `lengthBits`: 7, 16 or 64 forces that form of the length; `mask`: null leaves the frame unmasked. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = crypto.randomBytes(4), lengthBits, claim } = {}) {
  const data = Buffer.from(payload)
  const length = claim ?? data.length
  const bits = lengthBits ?? (length < 126 ? 7 : length < 65536 ? 16 : 64)
  const head = Buffer.alloc({ 7: 2, 16: 4, 64: 10 }[bits])
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  head[1] = (mask ? 0x80 : 0) | (bits === 7 ? length : bits === 16 ? 126 : 127)
  if (bits === 16) head.writeUInt16BE(length, 2)
  if (bits === 64) head.writeBigUInt64BE(BigInt(length), 2)
  if (!mask) return Buffer.concat([head, data])
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])])
}

export const closeFrame = (code, reason = '', options) => {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  return frame(OP.CLOSE, payload, options)
}

/** The heartbeat of a version 2 client, as JSON text. */
export const heartbeatText = (ref) => JSON.stringify([null, ref, 'phoenix', 'heartbeat', {}])

export class RawConnection {
  frames = [] // { fin, rsv, opcode, masked, payload }
  ended = false // the server closed its side, or the connection broke
  #bytes = Buffer.alloc(0)
  response = null // status line and headers of the upgrade

  /** Connects and upgrades; `behind` goes out in the same write as the request. */
  static async open(server, { vsn = '2.0.0', behind = Buffer.alloc(0), headers = {} } = {}) {
    const raw = await RawConnection.connect(server)
    const key = crypto.randomBytes(16).toString('base64')
    raw.expectedAccept = crypto.createHash('sha1').update(key + GUID).digest('base64')
    const fields = { host: '127.0.0.1', connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': key, ...headers }
    const request = [`GET /socket/websocket?vsn=${vsn}&apikey=${tokenFor('anon')} HTTP/1.1`, ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n')
    raw.write(Buffer.concat([Buffer.from(request), behind]))
    await until(() => raw.response || raw.ended, 'the answer to the upgrade')
    return raw
  }

  /** A bare TCP connection. */
  static async connect(server, options = {}) {
    const raw = new RawConnection()
    raw.socket = net.connect({ port: server.port, host: '127.0.0.1', ...options })
    raw.socket.on('data', (data) => raw.#take(data)).on('end', () => { raw.ended = true })
    raw.socket.on('error', () => { raw.ended = true }).on('close', () => { raw.ended = true })
    await new Promise((resolve, reject) => raw.socket.once('connect', resolve).once('error', reject))
    return raw
  }

  #take(data) {
    this.#bytes = Buffer.concat([this.#bytes, data])
    if (!this.response && !this.#takeResponse()) return
    while (this.#takeFrame());
  }

  #takeResponse() {
    const end = this.#bytes.indexOf('\r\n\r\n')
    if (end < 0) return false
    this.response = this.#bytes.subarray(0, end).toString()
    this.#bytes = this.#bytes.subarray(end + 4)
    return true
  }

  #takeFrame() {
    const bytes = this.#bytes
    if (bytes.length < 2) return false
    const short = bytes[1] & 0x7f
    const head = short === 127 ? 10 : short === 126 ? 4 : 2
    if (bytes.length < head) return false
    const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
    if (bytes.length < head + length) return false
    this.frames.push({ fin: bytes[0] >> 7 === 1, rsv: (bytes[0] >> 4) & 7, opcode: bytes[0] & 15, masked: bytes[1] >> 7 === 1, payload: bytes.subarray(head, head + length) })
    this.#bytes = bytes.subarray(head + length)
    return true
  }

  get status() {
    return Number(this.response?.split(' ')[1])
  }

  write(bytes) {
    return new Promise((done) => this.socket.write(bytes, done))
  }

  send(opcode, payload, options) {
    return this.write(frame(opcode, payload, options))
  }

  text(text, options) {
    return this.send(OP.TEXT, text, options)
  }

  async frame(test, what) {
    return until(() => {
      const found = this.frames.find(test)
      if (!found && this.ended) throw new Error(`the connection ended before ${what}`)
      return found
    }, () => `${what}; got ${JSON.stringify(this.frames.map((f) => [f.opcode, f.payload.toString('latin1').slice(0, 200)]))}`)
  }

  /** The reply to a message with this ref. */
  async reply(ref) {
    const found = await this.frame((f) => f.opcode === OP.TEXT && JSON.parse(f.payload)[1] === ref, `the reply to ${ref}`)
    return JSON.parse(found.payload)
  }

  /** Proof that the connection goes on: a heartbeat and its reply. */
  async isAlive(ref = `alive-${this.frames.length}`) {
    await this.text(heartbeatText(ref))
    return this.reply(ref)
  }

  /** How the server ended the connection: { code, reason } of its close frame, or null for none. */
  async end() {
    const close = () => this.frames.find((f) => f.opcode === OP.CLOSE)
    const seen = () => JSON.stringify(this.frames.map((f) => [f.opcode, f.payload.toString('latin1').slice(0, 200)]))
    await until(() => this.ended || close(), () => `a close; got ${seen()}`)
    this.socket.end() // nobody waits for our answer to the close
    await until(() => this.ended, () => `the end of the connection; got ${seen()}`)
    return close() ? { code: close().payload.length >= 2 ? close().payload.readUInt16BE() : null, reason: close().payload.subarray(2).toString() } : null
  }

  close() {
    this.socket.destroy()
  }
}
