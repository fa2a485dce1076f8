// RFC 6455 as a client sees it, with frames made by hand.
import assert from 'node:assert/strict'
import { after, afterEach, test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { OP, RawConnection, closeFrame, frame, heartbeatText } from './lib/raw.mjs'
import { sharedWorld } from './lib/world.mjs'

let bystander
const world = sharedWorld({}, async ({ server }) => {
  bystander = await Client.open(server)
})
after(() => bystander?.close())
afterEach(async () => assert.deepEqual(await bystander.heartbeat(), { status: 'ok', response: {} }, 'another client is served'))

async function open(t, options) {
  const raw = await RawConnection.open(world.server, options)
  t.after(() => raw.close())
  return raw
}

const ALIVE = (ref) => [null, ref, 'phoenix', 'phx_reply', { status: 'ok', response: {} }]

// ── handshake (section 4.2) ──────────────────────────────────────────────────────────────────

test('the handshake answers 101 with the accept key and no extension or sub-protocol', async (t) => {
  const raw = await open(t, { headers: { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' } })
  assert.equal(raw.status, 101)
  const headers = Object.fromEntries(raw.response.split('\r\n').slice(1).map((line) => line.toLowerCase().split(': ')[0]).map((name) => [name, raw.response.match(new RegExp(`^${name}: (.*)$`, 'im'))[1].trim()]))
  assert.equal(headers['sec-websocket-accept'], raw.expectedAccept)
  assert.equal(headers.upgrade.toLowerCase(), 'websocket')
  assert.match(headers.connection, /upgrade/i)
  assert.ok(!('sec-websocket-extensions' in headers) && !('sec-websocket-protocol' in headers), raw.response)
})

test('a frame that comes in one packet with the handshake is answered', async (t) => {
  const raw = await open(t, { behind: frame(OP.TEXT, heartbeatText('early')) })
  assert.equal(raw.status, 101)
  assert.deepEqual(await raw.reply('early'), ALIVE('early'))
})

for (const [name, headers] of [
  ['without a key', { 'sec-websocket-key': '' }],
  ['of version 8', { 'sec-websocket-version': '8' }],
  ['without connection: upgrade', { connection: 'keep-alive' }],
]) {
  test(`a handshake ${name} is refused with 400`, async (t) => {
    const raw = await open(t, { headers })
    assert.equal(raw.status, 400, raw.response)
  })
}

// ── frames (section 5.2) ─────────────────────────────────────────────────────────────────────

test('frames of the server are final, unmasked, without reserved bits', async (t) => {
  const raw = await open(t)
  await raw.isAlive()
  for (const { fin, rsv, masked } of raw.frames) assert.deepEqual({ fin, rsv, masked }, { fin: true, rsv: 0, masked: false })
})

for (const mask of ['00000000', 'ffffffff', '01020304', 'deadbeef']) {
  test(`the masking key ${mask} is undone`, async (t) => {
    const raw = await open(t)
    await raw.text(heartbeatText('m'), { mask: Buffer.from(mask, 'hex') })
    assert.deepEqual(await raw.reply('m'), ALIVE('m'))
  })
}

for (const length of [125, 126, 127, 65535, 65536, 70000]) {
  test(`a text message of ${length} bytes is read whole`, async (t) => {
    const raw = await open(t)
    const text = heartbeatText('n')
    await raw.text(text + ' '.repeat(length - text.length))
    assert.deepEqual(await raw.reply('n'), ALIVE('n'))
  })
}

test('a message that arrives byte by byte is read whole', async (t) => {
  const raw = await open(t)
  raw.socket.setNoDelay(true)
  for (const byte of frame(OP.TEXT, heartbeatText('slow'))) await raw.write(Buffer.from([byte]))
  assert.deepEqual(await raw.reply('slow'), ALIVE('slow'))
})

test('many frames in one packet are answered in order', async (t) => {
  const raw = await open(t)
  const refs = Array.from({ length: 200 }, (_, i) => `r${i}`)
  await raw.write(Buffer.concat(refs.map((ref) => frame(OP.TEXT, heartbeatText(ref)))))
  await raw.reply(refs.at(-1))
  assert.deepEqual(raw.frames.map((f) => JSON.parse(f.payload)[1]), refs)
})

for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  test(`the reserved opcode ${opcode} closes the connection with 1002`, async (t) => {
    const raw = await open(t)
    await raw.send(opcode, 'x')
    assert.equal((await raw.end())?.code, 1002)
  })
}

for (const rsv of [1, 2, 4]) {
  test(`the reserved bits ${rsv} close the connection with 1002`, async (t) => {
    const raw = await open(t)
    await raw.text(heartbeatText('rsv'), { rsv })
    assert.equal((await raw.end())?.code, 1002)
    assert.ok(!raw.frames.some((f) => f.opcode === OP.TEXT), 'the message must not be answered')
  })
}

// RFC 6455 wants the connection closed (5.1). libwebsockets 4.1.6 takes the frame and shows the mask
// bit to nobody (fanout/README.md); masks protect the proxies before us, not us.
test('an unmasked frame is read like a masked one', async (t) => {
  const raw = await open(t)
  await raw.text(heartbeatText('bare'), { mask: null })
  assert.deepEqual(await raw.reply('bare'), ALIVE('bare'))
  assert.deepEqual(await raw.isAlive('after'), ALIVE('after'))
})

test('a 64-bit length with its highest bit set closes the connection', async (t) => {
  const raw = await open(t)
  const bytes = frame(OP.TEXT, 'x', { lengthBits: 64 })
  bytes[2] = 0x80
  await raw.write(bytes)
  await raw.end()
})

test('a frame that announces 5 GB is closed with 1009 before its bytes come', async (t) => {
  const raw = await open(t)
  await raw.text('["', { claim: 5e9, lengthBits: 64 })
  assert.equal((await raw.end()).code, 1009)
})

// ── fragments (section 5.4) ──────────────────────────────────────────────────────────────────

const split = (text, ...at) => [0, ...at].map((from, i) => text.slice(from, at[i]))

async function sendFragments(raw, parts, { between = [], opcode = OP.TEXT } = {}) {
  for (const [i, part] of parts.entries()) {
    await raw.send(i ? OP.CONTINUATION : opcode, part, { fin: i === parts.length - 1 })
    if (i < parts.length - 1) for (const bytes of between) await raw.write(bytes)
  }
}

for (const [name, parts] of [
  ['two fragments', split(heartbeatText('f'), 10)],
  ['one byte per fragment', [...heartbeatText('f')]],
  ['an empty first fragment', ['', heartbeatText('f')]],
  ['an empty last fragment', [heartbeatText('f'), '']],
  ['empty fragments in the middle', [heartbeatText('f').slice(0, 3), '', '', heartbeatText('f').slice(3)]],
]) {
  test(`a message in ${name} is read whole`, async (t) => {
    const raw = await open(t)
    await sendFragments(raw, parts)
    assert.deepEqual(await raw.reply('f'), ALIVE('f'))
  })
}

// One pong may answer several pings, and it may come after the message (RFC 6455, 5.5.2 and 5.5.3).
test('pings between fragments are answered, and the message is whole', async (t) => {
  const raw = await open(t)
  await sendFragments(raw, split(heartbeatText('p'), 5, 9), { between: [frame(OP.PING, 'are you there')] })
  assert.deepEqual(await raw.reply('p'), ALIVE('p'))
  const pong = await raw.frame((f) => f.opcode === OP.PONG, 'a pong')
  assert.equal(pong.payload.toString(), 'are you there')
})

test('a pong between fragments is ignored', async (t) => {
  const raw = await open(t)
  await sendFragments(raw, split(heartbeatText('p'), 7), { between: [frame(OP.PONG, 'unasked')] })
  assert.deepEqual(await raw.reply('p'), ALIVE('p'))
})

test('a close between fragments is echoed and the half message is never answered', async (t) => {
  const raw = await open(t)
  await raw.text(heartbeatText('half'), { fin: false })
  await raw.write(closeFrame(1000))
  assert.equal((await raw.end()).code, 1000)
  assert.ok(!raw.frames.some((f) => f.opcode === OP.TEXT))
})

test('a fragmented control frame closes the connection with 1002', async (t) => {
  const raw = await open(t)
  await raw.send(OP.PING, 'half', { fin: false })
  assert.equal((await raw.end())?.code, 1002)
})

test('a continuation of nothing closes the connection with 1002', async (t) => {
  const raw = await open(t)
  await raw.send(OP.CONTINUATION, heartbeatText('c'))
  assert.equal((await raw.end())?.code, 1002)
})

test('a new message within an unfinished one closes the connection with 1002', async (t) => {
  const raw = await open(t)
  await raw.text('["', { fin: false })
  await raw.text(heartbeatText('new'))
  assert.equal((await raw.end())?.code, 1002)
})

// ── control frames (section 5.5) ─────────────────────────────────────────────────────────────

for (const payload of ['', 'x', 'y'.repeat(125), Buffer.from([0, 255, 254, 128])]) {
  test(`a ping with ${payload.length} bytes gets them back`, async (t) => {
    const raw = await open(t)
    await raw.send(OP.PING, payload)
    const pong = await raw.frame((f) => f.opcode === OP.PONG, 'a pong')
    assert.deepEqual(pong.payload, Buffer.from(payload))
    assert.deepEqual(await raw.isAlive('after'), ALIVE('after'))
  })
}

test('an unasked pong is ignored', async (t) => {
  const raw = await open(t)
  await raw.send(OP.PONG, 'unasked')
  assert.deepEqual(await raw.isAlive('after'), ALIVE('after'))
})

for (const opcode of [OP.PING, OP.PONG, OP.CLOSE]) {
  test(`a control frame ${opcode} of 126 bytes ends the connection`, async (t) => {
    const raw = await open(t)
    await raw.send(opcode, Buffer.alloc(126, 3))
    await raw.end() // without a close frame: RFC 6455, 7.1.7, lets a server drop the connection
    assert.ok(!raw.frames.some((f) => f.opcode === OP.PONG))
  })
}

// ── closing (sections 5.5.1 and 7) ───────────────────────────────────────────────────────────

for (const code of [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
  test(`a close with ${code} is echoed`, async (t) => {
    const raw = await open(t)
    await raw.write(closeFrame(code, 'bye'))
    assert.equal((await raw.end()).code, code)
  })
}

test('a close without a code is answered with a close', async (t) => {
  const raw = await open(t)
  await raw.send(OP.CLOSE)
  const end = await raw.end()
  assert.ok(end, 'no close frame')
  assert.ok([null, 1000].includes(end.code), `code ${end.code}`)
})

for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999]) {
  test(`a close with ${code}, which no frame may carry, is answered with 1002`, async (t) => {
    const raw = await open(t)
    await raw.write(closeFrame(code))
    assert.equal((await raw.end())?.code, 1002)
  })
}

test('a close of one byte ends the connection', async (t) => {
  const raw = await open(t)
  await raw.send(OP.CLOSE, 'x')
  assert.ok([null, 1002].includes((await raw.end()).code))
})

test('nothing after a close is read', async (t) => {
  const raw = await open(t)
  await raw.write(Buffer.concat([closeFrame(1000), frame(OP.TEXT, heartbeatText('late')), frame(OP.PING, 'late')]))
  assert.equal((await raw.end()).code, 1000)
  assert.deepEqual(raw.frames.map((f) => f.opcode), [OP.CLOSE])
})

test('a client that ends its side without a close is let go', async (t) => {
  const raw = await open(t)
  await raw.isAlive()
  raw.socket.end()
  await raw.end()
})

// ── text that is no text (protocol reference, section 1.4: dropped, not closed) ──────────────

for (const [name, bytes] of [
  ['a lone continuation byte', [0x80]],
  ['an overlong slash', [0xc0, 0xaf]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['a code point above 10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a sequence cut short', [0xe2, 0x82]],
  ['0xFE and 0xFF', [0xfe, 0xff]],
]) {
  test(`text with ${name} is dropped and the connection goes on`, async (t) => {
    const raw = await open(t)
    const [start, end] = heartbeatText('bad|').split('|')
    await raw.text(Buffer.concat([Buffer.from(start), Buffer.from(bytes), Buffer.from(end)]))
    assert.deepEqual(await raw.isAlive('after'), ALIVE('after'))
    assert.equal(raw.frames.length, 1, 'only the second heartbeat is answered')
  })
}

test('a character split over two fragments is whole again', async (t) => {
  const raw = await open(t)
  const bytes = Buffer.from(heartbeatText('é'))
  const at = bytes.indexOf(0xc3) + 1
  await sendFragments(raw, [bytes.subarray(0, at), bytes.subarray(at)])
  assert.deepEqual(await raw.reply('é'), ALIVE('é'))
})
