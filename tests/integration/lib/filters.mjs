// Random filters over columns.mjs: as a binding spells them, and as the WHERE clause that Postgres decides.
// A condition is { column, op, negate, value | elements } or { join: 'and' | 'or', negate, members }.
import pg from 'pg'

const SQL_OPS = { eq: '=', neq: '<>', lt: '<', lte: '<=', gt: '>', gte: '>=', like: 'LIKE', ilike: 'ILIKE', match: '~', imatch: '~*' }
const NEEDS_QUOTES = /^$|[\s,()"\\{}]/

const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`
const identifier = (name) => pg.escapeIdentifier(name)

function randomValue(random, column, op) {
  if (op === 'like' || op === 'ilike') return random.pick(column.patterns)
  if (op === 'match' || op === 'imatch') return random.pick(column.regexes)
  if (op === 'is') return random.pick(column.base === 'bool' ? ['null', 'true', 'false', 'unknown'] : ['null'])
  return random.pick([...column.values, ...column.spellings])
}

function randomLeaf(random, columns) {
  const column = random.pick(columns), op = random.pick(column.ops), negate = random.chance(0.25)
  if (op !== 'in') return { column, op, negate, value: randomValue(random, column, op), spareQuotes: random.chance(0.3) }
  const elements = random.times(random.below(5), () => (random.chance(0.15) ? null : randomValue(random, column, op)))
  return { column, op, negate, elements }
}

function randomGroup(random, columns, depth) {
  const member = () => (depth < 3 && random.chance(0.3) ? randomGroup(random, columns, depth + 1) : randomLeaf(random, columns))
  return { join: random.pick(['and', 'or']), negate: random.chance(0.2), members: random.times(1 + random.below(3), member) }
}

/** One to three conditions, of which all must hold. */
export function randomFilter(random, columns) {
  const count = random.chance(0.6) ? 1 : 2 + random.below(2)
  return random.times(count, () => (random.chance(0.2) ? randomGroup(random, columns, 0) : randomLeaf(random, columns)))
}

function valueText({ op, value, elements, spareQuotes }) {
  if (op === 'in') return `(${elements.map((e) => (e === null ? 'NULL' : NEEDS_QUOTES.test(e) || /^null$/i.test(e) ? quoted(e) : e)).join(',')})`
  if (op === 'is') return value
  return spareQuotes || NEEDS_QUOTES.test(value) ? quoted(value) : value
}

const testText = (leaf) => `${leaf.negate ? 'not.' : ''}${leaf.op}.${valueText(leaf)}`
const memberText = (c) => (c.join ? groupText(c) : `${/[.,"()]/.test(c.column.name) ? quoted(c.column.name) : c.column.name}.${testText(c)}`)
const groupText = ({ join, negate, members }) => `${negate ? 'not.' : ''}${join}(${members.map(memberText).join(',')})`

/** A name with a comma or a parenthesis can be written in a group only. */
function segmentText(c) {
  if (c.join) return groupText(c)
  return /[,()]/.test(c.column.name) ? `and(${memberText(c)})` : `${c.column.name}=${testText(c)}`
}

/** The text of the binding's `filter`. */
export const filterText = (conditions) => conditions.map(segmentText).join(',')

function comparisonSql({ column, op, value, elements }) {
  const left = identifier(column.name), cast = (text) => `${pg.escapeLiteral(text)}::${column.base}`
  if (op === 'in') {
    const array = `{${elements.map((e) => (e === null ? 'NULL' : quoted(e))).join(',')}}`
    return `${left} = ANY (${pg.escapeLiteral(array)}::${column.base}[])`
  }
  if (op === 'is') return `${left} IS ${value.toUpperCase()}`
  if (op === 'isdistinct') return `${left} IS DISTINCT FROM ${cast(value)}`
  return `${left} ${SQL_OPS[op]} ${cast(value)}`
}

function conditionSql(c, carried) {
  const plain = c.join ? c.members.map((m) => conditionSql(m, carried)).join(c.join === 'and' ? ' AND ' : ' OR ')
    : `CASE WHEN ${carried(c.column)} THEN ${comparisonSql(c)} END`
  return c.negate ? `(NOT (${plain}))` : `(${plain})`
}

/** `carried`: SQL, is the column's value in the change? A comparison without its value is NULL, whatever it is. */
export const filterSql = (conditions, carried = () => 'true') => conditions.map((c) => conditionSql(c, carried)).join(' AND ')
