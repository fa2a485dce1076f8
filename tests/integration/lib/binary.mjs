// The binary frames of serializer version 2 that clients send (kinds 0 and 3) and get (2 and 4).
const KIND = { PUSH: 0, BROADCAST: 2, USER_PUSH: 3, USER_BROADCAST: 4 }
export const ENCODING = { BYTES: 0, JSON: 1 }

const pack = (head, fields, tail, payload) => {
  const bytes = fields.map((text) => Buffer.from(text))
  return Buffer.concat([Buffer.from([head, ...bytes.map((b) => b.length), ...tail]), ...bytes, Buffer.from(payload)])
}

/** Kind 3, how version 2 clients broadcast. `topic` is the whole one. */
export const userPush = (topic, event, payload, { ref = '', joinRef = '', encoding = ENCODING.JSON, meta = '' } = {}) =>
  pack(KIND.USER_PUSH, [joinRef, ref, topic, event, meta], [encoding], payload)

/** Kind 0. */
export const push = (topic, event, payload, { ref = '', joinRef = '' } = {}) => pack(KIND.PUSH, [joinRef, ref, topic, event], [], payload)

/** { kind, topic, event, payload } and for kind 4 { enc, meta } too; payload and meta are bytes and text. */
export function decode(data) {
  const kind = data[0]
  const isUser = kind === KIND.USER_BROADCAST
  if (!isUser && kind !== KIND.BROADCAST) return { kind, bytes: data }
  const lengths = [...data.subarray(1, isUser ? 4 : 3)]
  let at = isUser ? 5 : 3
  const [topic, event, meta] = lengths.map((length) => data.toString('utf8', at, at += length))
  const payload = data.subarray(at)
  return isUser ? { kind, enc: data[4], topic, event, meta, payload } : { kind, topic, event, payload }
}
