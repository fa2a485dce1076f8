// Replaces what differs from run to run by placeholders, as in reference.jsonl.

const REFS = new Set(['phx_ref', 'phx_ref_prev'])
// What differs from key to key and from machine to machine.
const PLACEHOLDERS = new Map([...['db_host', 'db_name', 'db_port', 'db_user'].map((name) => [name, '<sealed>']), ['node', '<node>']])
const TIMES = new Set(['commit_timestamp', 'inserted_at', 'updated_at'])
// Binding ids are integers from 2^20 on; no other number in the scenarios is that large.
const FIRST_BINDING_ID = 1_000_000

/** Users that stand under their name in reference.jsonl, <u1> and <u2>: name -> `sub` of the token. */
export const USERS = { u1: '11111111-1111-4111-8111-111111111111', u2: '22222222-2222-4222-8222-222222222222' }
const NAMES = new Map(Object.entries(USERS).map(([name, sub]) => [sub, `<${name}>`]))

/** One per scenario: binding ids become <id1>, <id2>, ... in order of appearance. */
export function normaliser() {
  const ids = new Map()

  function id(n) {
    if (!ids.has(n)) ids.set(n, `<id${ids.size + 1}>`)
    return ids.get(n)
  }

  function text(value) {
    return value
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (uuid) => NAMES.get(uuid) ?? '<uuid>')
      .replace(/expired \d+ seconds/, 'expired <n> seconds')
      .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<jwt>')
  }

  return function normalise(value, key) {
    if (Array.isArray(value)) return value.map((v) => normalise(v, key === 'ids' ? 'id' : undefined))
    if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, normalise(v, k)]))
    const number = typeof value === 'string' && /^#\d+$/.test(value) ? Number(value.slice(1)) : value
    if (typeof number === 'number' && key === 'id' && number >= FIRST_BINDING_ID) return id(number)
    if (typeof value === 'string' && REFS.has(key)) return '<phx_ref>'
    if (typeof value === 'string' && PLACEHOLDERS.has(key)) return PLACEHOLDERS.get(key)
    if (typeof value === 'string') return TIMES.has(key) ? '<time>' : text(value)
    return value
  }
}
