// Columns of every type that can be compared, with values that meet the corners of its order.
import { MAJOR } from './major.mjs'

/** What the columns need. ICU and citext only where this build of Postgres has them. */
export const TYPES_SQL = `
  create type mood as enum ('sad', 'ok', 'Very, happy', 'happy', 'a');
  create type pair as (a int4, b text);
  create domain positive as int4 check (value > 0);
  create domain amount as numeric(12,3);
  create domain label as text;
  create domain labels as label;`
export const ICU_SQL = `
  create collation blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create collation german (provider = icu, locale = 'de');
  create domain blind_label as text collate blind;`
export const CITEXT_SQL = 'create extension citext'

const TEXTS = ['', 'a', 'A', 'b', 'B', 'ab', 'aB', 'abc', 'a b', ' a', 'a ', 'é', 'e\u0301', 'É', 'ä', 'ß', 'ss', 'z', '10', '9', '100%',
  'a_c', 'a\\c', 'he said "hi"', "it's", '{a,b}', '(x)', 'x,y', 'a.b', 'line\nbreak', 'tab\there', '😀', 'null', 'NULL', '"', '\\',
  'i', 'I', 'ı', 'İ', '\u0001', 'eq.a', 'a=b', 'ab  c', 'Ab', 'abcdefghij']
const SHORT = TEXTS.filter((t) => [...t].length <= 5)
const PATTERNS = ['%', '', '_', 'a%', '%b', '%a%', 'A_', '_b%', '\\%%', '100\\%', 'a\\_c', '%"%', '%\\\\%', 'É%', '%😀', 'ı', '%,%', '(%)', '% %']
const REGEXES = ['^a', 'b$', 'a.?b', '[[:upper:]]', '^$', '.', '\\d+', '(a|é)', '^[ab]+$', '[^a]', '\\(', 'x,y', '\\\\', '"', '^İ$']
const INTS = ['0', '1', '-1', '2', '7', '9', '10', '-32768', '32767']
const INTS4 = [...INTS, '2147483647', '-2147483648', '40000']
const INTS8 = [...INTS4, '9007199254740993', '9007199254740992', '-9223372036854775808', '9223372036854775807']
const FLOATS = ['0', '-0', '1', '1.5', '-1.5', '0.1', '1e-7', '1e20', '16777216', '16777217', '3.4e38', '-1e-30', 'NaN', 'Infinity', '-Infinity']
const NUMERICS = ['0', '-0.00', '1', '1.0', '1.000', '-1', '1.5', '1e-10', '1e30', '0.1', '0.10', '10', '9', '99999999999999999999',
  '123456789012345678901234567890.5', '-0.0001', 'NaN', ...(MAJOR >= 14 ? ['Infinity', '-Infinity'] : [])]
const UUIDS = ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12']
const DATES = ['2024-02-29', '2024-03-01', '0044-03-15 BC', '0043-03-15 BC', '10000-01-01', '0001-01-01', 'infinity', '-infinity']
const TIMES = ['00:00', '13:14:15.123456', '13:14:15.1', '24:00', '13:14:15']
const STAMPS = [...DATES, '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15', '2024-02-29 13:14:15.9', '0044-03-15 01:02:03 BC']
const ZONED = [...DATES, '2024-02-29 13:14:15.123456+05:30', '2024-02-29 07:44:15.123456+00', '2024-02-29 08:44:15.123456+01', '0044-03-15 01:02:03+00 BC']

const ORDERED = ['eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'in', 'isdistinct', 'is']
const EQUAL = ['eq', 'neq', 'in', 'isdistinct', 'is']
const WITHOUT_IN = ORDERED.filter((op) => op !== 'in')

/**
 * `decl`: as in CREATE TABLE. `base`: what values are cast to, without the column's modifier. `values`: of rows
 * and of filters; `spellings`: of filters only, other ways to write values. `ops`: what a filter may ask;
 * like, ilike, match and imatch beside them when `patterns` and `regexes` are there. `needs`: icu, citext.
 */
const column = (decl, values, { base = decl, ops = ORDERED, ...more } = {}) => ({ decl, base, values, ops, spellings: [], ...more })
const LIKE = { patterns: PATTERNS }
const MATCH = { patterns: PATTERNS, regexes: REGEXES }
const blind = { base: 'text', needs: 'icu' } // patterns under such a collation: an error before 18

export const COLUMNS = [
  column('bool', ['t', 'f'], { spellings: ['true', 'no', '1', 'off'] }),
  column('int2', INTS, { spellings: [' 7 ', '+7', '007'] }),
  column('int4', INTS4, { spellings: [' 7 ', '+7'] }),
  column('int8', INTS8),
  column('oid', ['0', '1', '9', '10', '4294967295', '2147483648']),
  column('xid', ['0', '789', '4294967295'], { ops: EQUAL }),
  column('float4', FLOATS, { spellings: ['1.50', '0.1000'] }),
  column('float8', [...FLOATS, '1.7976931348623157e308', '5e-324', '0.30000000000000004', '0.3'], { spellings: ['1.50', '15e-1'] }),
  column('numeric', NUMERICS, { spellings: ['1.50', '15e-1', '+1'] }),
  column('numeric(10,2)', ['12.5', '0', '-0.01', '12.345', 'NaN'], { base: 'numeric', spellings: ['12.50', '12.35', '12.345'] }),
  column('money', ['0', '1234.50', '-0.01', '12']),
  column('text', TEXTS, MATCH),
  column('text collate "C"', TEXTS, { base: 'text', ...MATCH }),
  column('text collate "en-x-icu"', TEXTS, { base: 'text', needs: 'icu', ...MATCH }),
  column('text collate german', TEXTS, { base: 'text', needs: 'icu', ...MATCH }),
  column('text collate blind', TEXTS, blind),
  column('varchar', TEXTS),
  column('varchar(5)', SHORT, { base: 'varchar', spellings: ['abcdefghij', 'abc   '] }),
  column('varchar collate blind', TEXTS, { ...blind, base: 'varchar' }),
  column('char(5)', SHORT, { base: 'bpchar', spellings: ['a   ', 'ab   '], ...LIKE }),
  column('bpchar', SHORT, LIKE),
  column('char(5) collate blind', SHORT, { ...blind, base: 'bpchar' }),
  column('"char"', ['a', 'b', 'A', '1', ',']),
  column('name', SHORT, LIKE),
  column('citext', TEXTS, { needs: 'citext', ops: ORDERED }),
  column('uuid', UUIDS, { spellings: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'] }),
  column('bytea', ['\\x', '\\x00', '\\x61', '\\x6162', '\\xdeadbeef', '\\xDE'], { patterns: ['%', 'a%', '_'], ops: [...ORDERED, "only like"] }),
  column('date', DATES, { spellings: ['20240229', 'February 29, 2024'] }),
  column('time', TIMES, { spellings: ['1:14:15 PM'] }),
  column('time(3)', TIMES, { base: 'time' }),
  column('timetz', ['13:14:15+00', '14:14:15+01', '13:14:15.123+05:30', '00:00-12', '24:00+00']),
  column('timestamp', STAMPS, { spellings: ['2024-02-29T13:14:15', '29 Feb 2024 13:14:15'] }),
  column('timestamp(0)', STAMPS, { base: 'timestamp' }),
  column('timestamptz', ZONED, { spellings: ['2024-02-29T13:14:15.123456+05:30', '2024-02-29 07:44:15.123456Z'] }),
  column('interval', ['0', '1 year', '12 mons', '30 days', '1 mon', '24:00', '1 day', '-1 days +02:03', '1 year 2 mons 3 days 04:05:06.789']),
  column('inet', ['192.168.1.5/24', '192.168.1.5', '::1', '10.0.0.0/8', '192.168.1.5/32']),
  column('cidr', ['192.168.1.0/24', '10.0.0.0/8', '::/0']),
  column('macaddr', ['08:00:2b:01:02:03', '00:00:00:00:00:00'], { spellings: ['0800.2b01.0203'] }),
  column('bit(4)', ['1010', '0000', '1111'], { base: '"bit"', spellings: ['101', '10100'] }),
  column('varbit', ['', '1', '10', '1010', '01']),
  column('pg_lsn', ['0/0', '16/B374D848', '1/0']),
  column('tsvector', ["'a' 'b'", "'a':1", '']),
  column('jsonb', ['{}', '[]', 'null', '1', '1.0', '"a"', '{"a": 1, "b": 2}', '{"b": 2, "a": 1.00}', '[1, 2]', 'true', '{"a": "x,y (z) \\"q\\""}']),
  column('int4range', ['empty', '[1,5)', '(,)', '(,5)', '[1,1]'], { spellings: ['[1,4]', '(0,5)', '[3,3)'] }),
  column('numrange', ['[1.10,2.2)', '[1.1,2.20)', 'empty']),
  column('tstzrange', ['[2024-01-01,)', '(,2024-01-01 00:00:00.5+02]', 'empty']),
  ...(MAJOR >= 14 ? [column('int4multirange', ['{}', '{[1,3),[5,7)}', '{[1,7)}'])] : []),
  column('mood', ['sad', 'ok', 'Very, happy', 'happy', 'a']),
  // without `is`: SQL asks it of a row's fields, a filter of the column
  column('pair', ['(1,a)', '(,)', '(1,"b c")', '(2,)', '(,a)', '(1,"")', '(10,a)'], { ops: ORDERED.filter((op) => op !== 'is') }),
  column('positive', ['1', '7', '9', '10', '2147483647']),
  column('amount', ['12.5', '0', '12.345', '1000'], { spellings: ['12.500'] }),
  column('labels', TEXTS),
  column('blind_label', TEXTS, { needs: 'icu' }),
  column('int4[]', ['{}', '{1}', '{1,2}', '{NULL}', '{{1,2},{3,4}}', '[0:1]={1,2}', '{10}', '{9}'], { ops: WITHOUT_IN }),
  column('text[]', ['{}', '{a}', '{A}', '{"a,b"}', '{"",NULL}', '{a,b}', '{"q\\"uote"}'], { ops: WITHOUT_IN }),
  column('text[] collate blind', ['{}', '{a}', '{A}', '{a,B}', '{A,b}'], { base: 'text[]', needs: 'icu', ops: WITHOUT_IN }),
  column('numeric[]', ['{1.0}', '{1.00}', '{NaN}', '{}'], { ops: WITHOUT_IN }),
  column('date[]', ['{2024-02-29}', '{infinity}', '{}'], { ops: WITHOUT_IN }),
  column('pair[]', ['{"(1,a)"}', '{"(1,b)","(2,)"}', '{}'], { ops: WITHOUT_IN }),
].map(withPatternOperators)

function withPatternOperators(c) {
  const ops = c.ops.filter((op) => op !== 'only like')
  if (c.patterns) ops.push(...(ops.length < c.ops.length ? ['like'] : ['like', 'ilike']))
  if (c.regexes) ops.push('match', 'imatch')
  return { ...c, ops }
}
