// Keys (bridge/match/key.h) compare as Postgres compares the values they were made of: random values
// of each type, all pairs of them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { BINARY } from './lib/env.mjs'
import { MAJOR } from './lib/major.mjs'
import { Random, seedFrom } from './lib/random.mjs'

const SEED = seedFrom('DIFFERENTIAL_SEED')
const COMPARISONS = Number(process.env.DIFFERENTIAL_COMPARISONS ?? 5_000)
const PRINT_KEYS = path.join(path.dirname(BINARY), 'tests/unit/bridge/match/print_keys')
const PINNED = `set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set bytea_output = 'hex'; set extra_float_digits = 1`

const random = new Random(SEED)
const digits = (n, base = 10) => random.times(n, () => random.below(base)).join('')
const sign = () => (random.chance(0.4) ? '-' : '')
const two = (n) => String(n).padStart(2, '0')

const integer = (bits) => () => {
  const size = BigInt(1 + random.below(bits - 1)), edge = 1n << size
  const n = random.chance(0.3) ? edge - BigInt(random.below(2)) : BigInt(`0x${random.times(16, () => random.below(16).toString(16)).join('')}`) % edge
  const limit = 1n << BigInt(bits - 1)
  return String(random.chance(0.4) ? -n : n >= limit ? limit - 1n : n)
}
const oid = () => String(Math.floor(random.next() * 2 ** (1 + random.below(32))))

function numeric() {
  if (random.chance(0.06)) return random.pick(MAJOR >= 14 ? ['NaN', 'Infinity', '-Infinity'] : ['NaN'])
  if (random.chance(0.06)) return `${sign()}${1 + random.below(9)}e${random.pick([-16383, -40, 40, 1000, 131071])}`
  const most = random.chance(0.3) ? 40 : 3, base = random.chance(0.5) ? 2 : 10
  return `${sign()}${digits(1 + random.below(most), base)}${random.chance(0.7) ? `.${digits(1 + random.below(most), base)}` : ''}`
}
/** A neighbour of a numeric: one digit more, which may be 0. */
const longer = (n) => (/^-?\d+$/.test(n) ? `${n}.${random.below(2)}` : /^-?\d+\.\d+$/.test(n) ? n + random.below(2) : n)
const float = (edges, exponent) => () => {
  if (random.chance(0.25)) return random.pick(['NaN', 'Infinity', '-Infinity', '-0', '0'])
  if (random.chance(0.2)) return sign() + random.pick(edges)
  return `${sign()}${digits(1, 10)}.${digits(random.below(18))}1e${random.below(2 * exponent) - exponent}`
}

const day = (years) => {
  const isBc = random.chance(0.25)
  const year = 1 + random.below(random.chance(0.5) ? 3 : isBc ? 4712 : years)
  return { text: `${String(year).padStart(4, '0')}-${two(1 + random.below(12))}-${two(1 + random.below(28))}`, era: isBc ? ' BC' : '' }
}
const clock = () => {
  const fraction = random.chance(0.5) ? `.${digits(1 + random.below(6))}` : ''
  return `${two(random.below(24))}:${two(random.below(60))}:${two(random.chance(0.5) ? random.below(3) : random.below(60))}${fraction}`
}
const infinite = (make) => () => (random.chance(0.06) ? random.pick(['infinity', '-infinity']) : make())
const date = infinite(() => { const d = day(5874896); return d.text + d.era })
const timestamp = infinite(() => { const d = day(294275); return `${d.text} ${clock()}${d.era}` })
const timestamptz = infinite(() => { const d = day(294275); return `${d.text} ${clock()}${random.pick(['+00', '+05:30', '-11', '+14'])}${d.era}` })
/** The same second with another fraction. */
const sameSecond = (t) => (t.startsWith('24') ? t : t.replace(/(\d\d:\d\d:\d\d)(\.\d+)?/, `$1.${digits(1 + random.below(6), 2)}`))
const time = () => (random.chance(0.1) ? '24:00:00' : clock())

const WORDS = ['', ' ', 'a', 'A', 'b', 'B', 'ä', 'Ä', 'ab', 'a b', 'a  ', 'aa', 'z', 'ß', 'ss', 'é', 'e\u0301', '😀', '\u0001', '\t', '-', '_', '~', '1', '10', '2']
const text = () => random.times(random.below(4), () => random.pick(WORDS)).join('')
const bytea = () => `\\x${random.times(random.below(5), () => (random.chance(0.5) ? '00' : two(random.below(256).toString(16)))).join('')}`
const hex = (n) => random.times(n, () => (random.chance(0.5) ? random.pick(['0', 'f']) : random.below(16).toString(16))).join('')
const uuid = () => (random.chance(0.5) ? '00000000-0000-0000-0000-0000000000' + hex(2) : [8, 4, 4, 4, 12].map(hex).join('-')).toUpperCase()

/** Declaration of the column -> how a value is drawn; `order`: `<` is decided by keys too; `always`:
 *  values that are there every time; `vary` makes a value's neighbour. */
const TYPES = [
  { decl: 'bool', order: true, draw: () => random.pick(['true', 'false']) },
  { decl: 'int2', order: true, draw: integer(16) },
  { decl: 'int4', order: true, draw: integer(32) },
  { decl: 'int8', order: true, draw: integer(64) },
  { decl: 'oid', order: true, draw: oid },
  { decl: 'numeric', order: true, draw: numeric, vary: longer },
  { decl: 'numeric(10,3)', order: true, draw: () => `${sign()}${digits(1 + random.below(6))}.${digits(4)}` },
  { decl: 'float4', order: true, always: ['0', '-0'], draw: float(['3.4028235e38', '1.1754944e-38', '1e-45', '16777216', '16777217', '0.1', '0.1000000015'], 37) },
  { decl: 'float8', order: true, always: ['0', '-0'], draw: float(['1.7976931348623157e308', '2.2250738585072014e-308', '5e-324', '9007199254740993', '0.1', '0.1000000000000000055'], 300) },
  { decl: 'date', order: true, draw: date },
  { decl: 'time', order: true, draw: time, vary: sameSecond },
  { decl: 'time(2)', order: true, draw: time },
  { decl: 'timestamp', order: true, draw: timestamp, vary: sameSecond },
  { decl: 'timestamp(0)', order: true, draw: timestamp },
  { decl: 'timestamptz', order: true, draw: timestamptz, vary: sameSecond },
  { decl: 'uuid', order: true, draw: uuid },
  { decl: 'bytea', order: true, draw: bytea, vary: (b) => `${b}00` },
  { decl: 'name', order: true, isC: true, draw: text },
  { decl: '"char"', order: true, cast: 'literal::int4::"char"', draw: () => String(random.below(256) - 128) },
  { decl: 'text collate "C"', order: true, isC: true, draw: text, vary: (t) => t + random.pick([' ', '\u0001', 'a']) },
  { decl: 'text collate "POSIX"', order: true, isC: true, draw: text },
  { decl: 'text', order: false, draw: text },
  { decl: 'varchar', order: false, draw: text },
  { decl: 'varchar(3) collate "C"', order: true, isC: true, draw: () => [...text()].slice(0, 3).join('') },
  { decl: 'bpchar collate "C"', order: true, isC: true, draw: text, vary: (t) => t + random.pick([' ', '\u0001', 'a']) },
  { decl: 'char(8)', order: false, draw: () => [...text()].slice(0, 8).join('') },
  { decl: 'text collate "und-x-icu"', order: false, needs: 'und-x-icu', draw: text },
  { decl: 'bpchar collate "und-x-icu"', order: false, needs: 'und-x-icu', draw: text },
  { decl: 'mood', order: false, isEnum: true, draw: () => random.pick(['sad', 'very happy', 'Ä', '']) },
  { decl: 'small', base: 'int4', order: true, draw: integer(16) },
  { decl: 'address', base: 'text', order: false, draw: text },
]
const OWN_TYPES = `create type mood as enum ('very happy', 'sad', '', 'Ä'); create domain small as int4; create domain address as text;`
const VALUES = Math.max(8, Math.ceil(Math.sqrt(COMPARISONS / TYPES.length)))

/** What print_keys says of each text: { kind, ordered, key }. */
async function keysOf(type, oid, texts) {
  const child = spawn(PRINT_KEYS, { stdio: ['pipe', 'pipe', 'inherit'] })
  const chunks = []
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stdin.end(texts.map((t) => `${oid} ${Number(type.isEnum ?? 0)} 1 ${Number(type.isC ?? 0)} ${t.toString('hex')}\n`).join(''))
  assert.equal(await ended, 0)
  const lines = Buffer.concat(chunks).toString().split('\n').slice(0, -1)
  assert.equal(lines.length, texts.length)
  return lines.map((line) => {
    const [kind, ordered, key] = line.split(' ')
    return { kind: Number(kind), ordered: ordered === '1', key: key === '!' ? null : Buffer.from(key, 'hex') }
  })
}

/** Values of the type in a table, as Postgres prints them; some stand there twice or beside a neighbour. */
async function makeValues(db, type) {
  const literals = [...(type.always ?? []), type.draw()]
  const another = type.vary ?? ((literal) => literal)
  while (literals.length < VALUES) literals.push(random.chance(type.vary ? 0.5 : 0.1) ? another(random.pick(literals)) : type.draw())
  await db.query(`drop table if exists v; create temp table v (n int, v ${type.decl})`)
  const cast = type.cast ?? `literal::${type.decl.replace(/ collate .*/, '')}`
  await db.query(`insert into v select n, ${cast} from unnest($1::text[]) with ordinality as l (literal, n)`, [literals])
  return (await db.query(`select textsend(format('%s', v)) as text from v order by n`)).rows.map((row) => row.text)
}

/** The pairs that keys and Postgres see differently. */
async function differences(db, keys, texts) {
  const wrong = []
  const { rows } = await db.query(`select a.n - 1 as a, b.n - 1 as b, a.v = b.v as equal, a.v < b.v as less from v a, v b`)
  for (const { a, b, equal, less } of rows) {
    const order = Buffer.compare(keys[a].key, keys[b].key)
    if ((order === 0) !== equal || (keys[a].ordered && (order < 0) !== less)) wrong.push(`${texts[a]} | ${texts[b]}: ${order}, not ${equal ? '=' : less ? '<' : '>'}`)
  }
  return { wrong, compared: rows.length, equal: rows.filter((row) => row.equal && row.a !== row.b).length }
}

test(`keys compare as the values do, ${COMPARISONS} pairs (DIFFERENTIAL_SEED=${SEED})`, async (t) => {
  const cluster = await Cluster.start()
  t.after(() => cluster.remove())
  const db = await cluster.connect()
  await db.query(`${OWN_TYPES} ${PINNED}`)
  let compared = 0, equal = 0 // equal: of different rows
  for (const type of TYPES) {
    const collation = await db.query('select from pg_collation where collname = $1', [type.needs])
    if (type.needs && collation.rowCount === 0) {
      t.diagnostic(`${type.decl}: this Postgres has no such collation`)
      continue
    }
    const texts = await makeValues(db, type)
    const [{ oid }] = (await db.query('select $1::regtype::oid as oid', [type.base ?? type.decl.replace(/[ (].*/, '')])).rows
    const keys = await keysOf(type, oid, texts)
    const without = keys.findIndex((k) => k.key === null)
    assert.equal(without, -1, `${type.decl}: ${texts[without]} has no key; DIFFERENTIAL_SEED=${SEED}`)
    assert.equal(keys[0].ordered, type.order, type.decl)
    const result = await differences(db, keys, texts)
    assert.deepEqual(result.wrong.slice(0, 10), [], `${type.decl}, DIFFERENTIAL_SEED=${SEED}`)
    compared += result.compared
    equal += result.equal
  }
  assert.ok(compared >= COMPARISONS / 2 && equal >= TYPES.length)
  t.diagnostic(`seed ${SEED}: ${compared} pairs of ${TYPES.length} types, ${equal} equal ones in different rows`)
})
