// Filters, operator by operator and type by type: each against the WHERE clause it stands for, on
// INSERT, UPDATE and DELETE.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { DEADLINE_MS, until } from './lib/wait.mjs'
import { publishTable, sharedWorld, startWorld } from './lib/world.mjs'

const world = sharedWorld({}, async () => {
  await sql('create table done (id int primary key)')
  await publishTable(world, 'done')
})

const sql = (...args) => world.sql(...args)
const quoted = (name) => `"${name.replaceAll('"', '""')}"`

let made = 0

/** A table with these columns beside `id`, with replica identity FULL and a column that updates touch. */
async function table(columns, rows) {
  const name = `filtered${++made}`
  await sql(`create table ${name} (id int primary key, touched int default 0, ${columns})`)
  await sql(`alter table ${name} replica identity full`)
  await publishTable(world, name)
  return { name, rows }
}

/** Subscribes with each filter as a binding of one channel, and says which of them change after change matched. */
class Watcher {
  static async open(t, name, filters, more = {}) {
    const w = new Watcher()
    w.client = await Client.open(world.server, more)
    t.after(() => w.client.close())
    const bindings = filters.map((filter) => ({ event: '*', schema: 'public', table: name, ...(filter === null ? {} : { filter }) }))
    const { reply, system } = await w.client.subscribe('filters', [...bindings, { event: 'INSERT', schema: 'public', table: 'done' }])
    assert.equal(system.status, 'ok', system.message)
    w.filterOf = new Map(reply.response.postgres_changes.map(({ id }, i) => [id, filters[i]]))
    return w
  }

  /** The changes up to now: [{ type, key, filters }]. */
  async seen() {
    const [{ max }] = await sql('insert into done select coalesce(max(id), 0) + 1 from done returning id as max')
    const isEnd = ({ data }) => data.table === 'done' && data.record.id === max
    await this.client.wait((m) => m.event === 'postgres_changes' && isEnd(m.payload), 'the end of the changes')
    return this.client.changes().filter(({ data }) => data.table !== 'done').map(({ ids, data }) => ({
      type: data.type, key: (data.record ?? data.old_record).id, filters: ids.map((id) => this.filterOf.get(id)) }))
  }
}

/**
 * filters: [[filter, the WHERE clause it stands for]]. Every row is inserted, updated without a
 * change of what filters see, and deleted: each time exactly those filters match that Postgres says.
 */
async function expectAsPostgres(t, { name, rows }, filters) {
  assert.equal(new Set(filters.map(([filter]) => filter)).size, filters.length, 'a filter is there twice')
  const watcher = await Watcher.open(t, name, filters.map(([filter]) => filter))
  await sql(`insert into ${name} values ${rows.map((r, i) => `(${i + 1}, 0, ${r})`).join(', ')}`)
  const expected = {}
  for (const [filter, where] of filters) expected[filter] = (await sql(`select id from ${name} where ${where} order by id`)).map(({ id }) => id)
  await sql(`update ${name} set touched = touched + 1`)
  await sql(`delete from ${name}`)
  const seen = await watcher.seen()
  for (const type of ['INSERT', 'UPDATE', 'DELETE']) {
    const actual = {}
    for (const [filter] of filters) actual[filter] = seen.filter((c) => c.type === type && c.filters.includes(filter)).map(({ key }) => key).sort((a, b) => a - b)
    assert.deepEqual(actual, expected, type)
  }
}

/** All comparisons of a column with a value, and their negations; `ordered`: decided by keys for < and > too. */
function comparisons(column, value, literal, { ordered = true } = {}) {
  const operators = { eq: '=', neq: '<>', isdistinct: 'is distinct from', ...(ordered ? { lt: '<', lte: '<=', gt: '>', gte: '>=' } : {}) }
  return Object.entries(operators).flatMap(([op, text]) => [
    [`${column}=${op}.${value}`, `${column} ${text} ${literal}`],
    [`${column}=not.${op}.${value}`, `not (${column} ${text} ${literal})`],
  ])
}

test('every operator on int, on insert, update and delete', async (t) => {
  const f = await table('n int', ['-5', '0', '7', '8', 'null', '2147483647'])
  await expectAsPostgres(t, f, [
    ...comparisons('n', '7', '7'),
    ['n=in.(7,-5)', 'n in (7, -5)'], ['n=not.in.(7,-5)', 'n not in (7, -5)'],
    ['n=in.()', 'false'], ['n=not.in.()', 'true'],
    ['n=in.(7,NULL)', 'n in (7, null)'], ['n=not.in.(7,NULL)', 'n not in (7, null)'],
    ['n=in.( 7 , 8 )', 'n in (7, 8)'], ['n=in.("7")', 'n = 7'],
    ['n=is.null', 'n is null'], ['n=not.is.null', 'n is not null'],
    ['n=eq. 7', 'n = 7'], ['n=eq.+7', 'n = 7'], ['n=eq.007', 'n = 7'],
  ])
})

test('numbers compare by value, not by text', async (t) => {
  const f = await table('num numeric, f8 float8, f4 float4, i8 bigint', [
    "1.50, 1.5, 1.5, 9007199254740993", "1.5, 1.5000000000000002, 0.1, 9007199254740992", "-0.0, '-0', '-0', 0",
    "'NaN', 'NaN', 'NaN', -1", 'null, null, null, null', "1e30, 'Infinity', '-Infinity', 9223372036854775807", '150, 1e-300, 3, 1'])
  await expectAsPostgres(t, f, [
    ...comparisons('num', '1.5', '1.5'), ['num=eq.1.500', 'num = 1.500'], ['num=eq.15e-1', 'num = 1.5'], ['num=gt.NaN', "num > 'NaN'"], ['num=eq.NaN', "num = 'NaN'"],
    ['num=eq.0', 'num = 0'], ['num=in.(0,150.00)', 'num in (0, 150)'],
    ...comparisons('f8', '1.5', "float8 '1.5'"), ['f8=eq.0', 'f8 = 0'], ['f8=lt.1e-299', "f8 < float8 '1e-299'"], ['f8=eq.Infinity', "f8 = float8 'infinity'"],
    ['f4=eq.0.1', "f4 = float4 '0.1'"], ['f4=gte.NaN', "f4 >= float4 'NaN'"], ['f4=lt.0', "f4 < float4 '0'"],
    ['i8=eq.9007199254740993', 'i8 = 9007199254740993'], ['i8=gt.9007199254740992', 'i8 > 9007199254740992'],
  ])
})

test('texts compare byte by byte under a collation that does', async (t) => {
  const f = await table('t text collate "C", v varchar(5) collate "C", c char(5) collate "C"', [
    "'a', 'a', 'a'", "'b,c', 'b,c', 'b,c'", "'', '', ''", 'null, null, null', "'Äh', 'Äh', 'Äh'", "'a ', 'a ', 'a '", "'A', 'A', 'A'", "'😀', '😀', '😀'"])
  await expectAsPostgres(t, f, [
    ...comparisons('t', 'a', "'a'"), ...comparisons('v', 'a', "'a'"), ...comparisons('c', 'a', "'a'"),
    ['t=eq."b,c"', "t = 'b,c'"], ['t=in.("a","b,c")', "t in ('a', 'b,c')"], ['t=eq.', "t = ''"], ['t=eq.""', "t = ''"],
    ['t=eq.a ', "t = 'a'"], ['t=eq."a "', "t = 'a '"], ['t=gt.😀', "t > '😀'"], ['t=eq.😀', "t = '😀'"],
    ['v=eq.longer than it can be', "v = 'longer than it can be'"], ['c=eq.a   ', "c = 'a'"], ['c=in.(a,A)', "c in ('a', 'A')"],
  ])
})

test('dates, times, uuids, bytes, booleans and enums', async (t) => {
  await sql(`create type mood as enum ('sad', 'ok', 'Very "ok"')`)
  const f = await table('d date, ts timestamp, tz timestamptz, ti time, u uuid, by bytea, b bool, m mood', [
    `'2024-02-29', '2024-02-29 13:14:15.5', '2024-02-29 13:14:15+02', '13:14:15', '3f2504e0-4f89-41d3-9a0c-0305e82c3301', '\\xdead', true, 'ok'`,
    `'infinity', 'infinity', '-infinity', '24:00:00', '00000000-0000-0000-0000-000000000000', '\\x', false, 'sad'`,
    `'0044-03-15 BC', '0044-03-15 01:02:03 BC', '1900-01-01 00:00:00+00', '00:00:00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\\xdeadbe', null, 'Very "ok"'`,
    'null, null, null, null, null, null, null, null'])
  await expectAsPostgres(t, f, [
    ...comparisons('d', '2024-02-29', "date '2024-02-29'"), ['d=eq.29 Feb 2024', "d = '29 Feb 2024'"], ['d=gt.0044-03-14 BC', "d > '0044-03-14 BC'"],
    ['ts=eq.2024-02-29T13:14:15.50', "ts = '2024-02-29T13:14:15.50'"], ['ts=lt.2000-01-01', "ts < '2000-01-01'"],
    ['tz=eq.2024-02-29T11:14:15Z', "tz = '2024-02-29T11:14:15Z'"], ['tz=gte.2024-02-29 06:14:15-05', "tz >= '2024-02-29 06:14:15-05'"],
    ['ti=gt.13:00', "ti > '13:00'"], ['u=eq.{3F2504E0-4F89-41D3-9A0C-0305E82C3301}', "u = '3f2504e0-4f89-41d3-9a0c-0305e82c3301'"],
    ['u=in.(3f2504e04f8941d39a0c0305e82c3301,00000000-0000-0000-0000-000000000000)', "u in ('3f2504e0-4f89-41d3-9a0c-0305e82c3301', '00000000-0000-0000-0000-000000000000')"],
    ['u=lt.f0000000-0000-0000-0000-000000000000', "u < 'f0000000-0000-0000-0000-000000000000'"],
    ['by=eq.\\xDEAD', "by = '\\xdead'"], ['by=gt.\\xdead', "by > '\\xdead'"], ['by=eq.', "by = ''"],
    ...comparisons('b', 'true', 'true'), ['b=is.true', 'b is true'], ['b=is.false', 'b is false'], ['b=is.unknown', 'b is unknown'], ['b=not.is.true', 'b is not true'], ['b=eq.yes', 'b'],
    ...comparisons('m', 'ok', "'ok'", { ordered: false }), ['m=in.(sad,"Very \\"ok\\"")', `m in ('sad', 'Very "ok"')`],
  ])
})

test('domains compare as what they are made of', async (t) => {
  await sql(`create domain positive as int check (value > 0); create domain small as positive check (value < 10); create domain label as text collate "C"`)
  const f = await table('p small, l label', ["1, 'a'", "9, 'b'", 'null, null'])
  await expectAsPostgres(t, f, [
    ...comparisons('p', '1', '1'), ...comparisons('l', 'a', "'a'"), ['p=in.(1,2)', 'p in (1, 2)'],
    ['p=eq.-5', 'false'], // what the domain could not hold matches nothing
  ])
})

test('the truth table of NULLs', async (t) => {
  const f = await table('t text, b bool', ["'a', true", 'null, null', "'b', false"])
  const expected = {
    't=is.null': [2], 't=not.is.null': [1, 3], 't=not.eq.a': [3], 't=neq.a': [3], 't=isdistinct.a': [2, 3], 't=not.isdistinct.a': [1],
    't=in.(a,NULL)': [1], 't=in.(b,NULL)': [3], 't=not.in.(b)': [1], 't=not.in.(b,NULL)': [], 'b=is.unknown': [2], 'b=not.is.unknown': [1, 3],
    'b=is.true': [1], 'b=not.is.true': [2, 3], 't=eq.NULL': [], 't=eq.null': [],
  }
  const watcher = await Watcher.open(t, f.name, Object.keys(expected))
  await sql(`insert into ${f.name} values ${f.rows.map((r, i) => `(${i + 1}, 0, ${r})`).join(', ')}`)
  const seen = await watcher.seen()
  for (const [filter, ids] of Object.entries(expected)) assert.deepEqual(seen.filter((c) => c.filters.includes(filter)).map(({ key }) => key), ids, filter)
})

test('the same pattern on two columns is asked of each', async (t) => {
  const f = await table('a text, b text', ["'ab', 'x'", "'x', 'ab'", "'ab', 'ab'", "'x', 'x'"])
  await expectAsPostgres(t, f, [['a=like.a%', "a like 'a%'"], ['b=like.a%', "b like 'a%'"], ['a=like.a%,b=not.like.a%', "a like 'a%' and b not like 'a%'"]])
})

test('several conditions, negations and groups', async (t) => {
  const f = await table('a int, b int, t text', ["1, 1, 'x'", "1, 2, 'y,z'", "2, null, 'x'", "null, 2, null", "3, 3, 'p)'"])
  await expectAsPostgres(t, f, [
    ['a=eq.1,b=eq.2', 'a = 1 and b = 2'], ['a=gte.1,a=lt.3', 'a >= 1 and a < 3'], ['a=eq.1,b=not.eq.1,t=in.("y,z",x)', "a = 1 and b <> 1 and t in ('y,z', 'x')"],
    ['t=eq.p),a=eq.3', "t = 'p)' and a = 3"],
    ['or(a.eq.1,b.eq.2)', 'a = 1 or b = 2'], ['or=(a.eq.2,b.eq.2)', 'a = 2 or b = 2'], ['and=(a.eq.1,b.eq.1)', 'a = 1 and b = 1'],
    ['not.or=(a.eq.1,b.eq.2)', 'not (a = 1 or b = 2)'], ['not.and(a.eq.1,b.eq.2)', 'not (a = 1 and b = 2)'],
    ['or(a.is.null,b.is.null)', 'a is null or b is null'], ['or(a.not.eq.1,t.eq."y,z")', "a <> 1 or t = 'y,z'"],
    ['a=eq.1,or=(b.eq.1,t.eq."y,z")', "a = 1 and (b = 1 or t = 'y,z')"],
    ['or=(and(a.eq.1,b.eq.1),and(a.eq.3,not.or(b.lt.3,b.gt.3)))', '(a = 1 and b = 1) or (a = 3 and not (b < 3 or b > 3))'],
    ['or(a.in.(2,3),b.isdistinct.2)', 'a in (2, 3) or b is distinct from 2'], ['or("a".eq.1)', 'a = 1'],
    ['or(or(or(or(a.eq.1))))', 'a = 1'], ['not.or(not.and(not.or(a.eq.1)))', 'not (not (not (a = 1)))'],
  ])
})

test('values are never more than values', async (t) => {
  const text = [`'; drop table done; --`, `it's`, 'back\\slash', 'a"b', '{a,b}', '$1', '%s', ' lead', 'tab\there', 'NULL', '(x)', 'ünï😀']
  const literal = (s) => `'${s.replaceAll("'", "''")}'`
  const quote = (s) => `"${s.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const f = await table('t text', text.map(literal))
  await expectAsPostgres(t, f, text.flatMap((s) => [[`t=eq.${quote(s)}`, `t = ${literal(s)}`], [`t=in.(${quote(s)},x)`, `t in (${literal(s)}, 'x')`], [`or(t.eq.${quote(s)})`, `t = ${literal(s)}`]]))
})

test('a DELETE is filtered by what the replica identity gives', async (t) => {
  await sql('create table keyed (id int, sub text, n int, primary key (id, sub))')
  await publishTable(world, 'keyed')
  const filters = [null, 'id=eq.1', 'sub=eq.b', 'n=eq.5', 'n=not.eq.5', 'n=is.null', 'n=not.is.null', 'or(n.eq.5,id.eq.2)', 'not.or(n.eq.5,id.eq.2)', 'id=gte.1,sub=in.(a,b)']
  const watcher = await Watcher.open(t, 'keyed', filters)
  await sql(`insert into keyed values (1, 'a', 5), (2, 'b', null)`)
  await sql('delete from keyed')
  const deleted = (await watcher.seen()).filter(({ type }) => type === 'DELETE').map(({ key, filters: f }) => [key, new Set(f)])
  assert.deepEqual(deleted, [
    [1, new Set([null, 'id=eq.1', 'id=gte.1,sub=in.(a,b)'])],
    [2, new Set([null, 'sub=eq.b', 'or(n.eq.5,id.eq.2)', 'id=gte.1,sub=in.(a,b)'])],
  ])
})

test('an UPDATE is filtered by the new row, with unchanged TOAST values from the old one', async (t) => {
  const big = 'repeat(md5(id::text), 100)'
  await sql(`create table toasted (id int primary key, n int, big text); alter table toasted alter big set storage external; alter table toasted replica identity full`)
  await publishTable(world, 'toasted')
  const [{ value }] = await sql(`select repeat(md5('1'), 100) as value`)
  const watcher = await Watcher.open(t, 'toasted', ['n=eq.1', 'n=eq.2', `big=eq.${value}`])
  await sql(`insert into toasted select id, 1, ${big} from (values (1)) v (id)`)
  await sql('update toasted set n = 2')
  assert.deepEqual((await watcher.seen()).map(({ type, filters }) => [type, new Set(filters)]), [
    ['INSERT', new Set(['n=eq.1', `big=eq.${value}`])],
    ['UPDATE', new Set(['n=eq.2', `big=eq.${value}`])],
  ])
})

test('odd names of columns and tables are found by their exact name', async (t) => {
  const names = ['two words', 'a,b', 'a.b', 'tab\there', 'say "hi"', 'back\\slash', 'emoji 😀', "it's", '(paren)', 'Upper']
  for (const name of names) {
    await sql(`create table ${quoted(name)} (id int primary key, ${quoted(name)} text)`)
    await sql(`grant select on ${quoted(name)} to anon; alter publication supabase_realtime add table ${quoted(name)}`)
    const inGroup = `or("${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}".eq.x)`
    const watcher = await Watcher.open(t, name, [null, inGroup])
    await sql(`insert into ${quoted(name)} values (1, 'x'), (2, 'y')`)
    assert.deepEqual((await watcher.seen()).map(({ key, filters }) => [key, filters]), [[1, [inGroup, null]], [2, [null]]], name)
    watcher.client.close()
  }
})

test('_ and % in a table name stand for themselves', async (t) => {
  await sql('create table my_tab (id int primary key); create table myxtab (id int primary key); create table "my%" (id int primary key)')
  for (const name of ['my_tab', 'myxtab', '"my%"']) await publishTable(world, name)
  for (const name of ['my_tab', 'my%']) {
    const watcher = await Watcher.open(t, name, [null])
    await sql('insert into my_tab values (1) on conflict do nothing; delete from my_tab; insert into myxtab values (2); delete from myxtab; insert into "my%" values (3); delete from "my%"')
    assert.deepEqual((await watcher.seen()).map(({ key }) => key), Array(2).fill(name === 'my_tab' ? 1 : 3), name)
    watcher.client.close()
  }
})

test('the tables of a wildcard are compared each by its own type', async (t) => {
  await sql(`create schema mixed; grant usage on schema mixed to anon;
    create table mixed.ints (id int primary key, k int); create table mixed.longs (id int primary key, k bigint);
    create table mixed.texts (id int primary key, k text); create table mixed.more (id int primary key, k int)`)
  for (const name of ['ints', 'longs', 'texts', 'more']) await publishTable(world, `mixed.${name}`, 'anon')
  const client = await Client.open(world.server)
  t.after(() => client.close())
  const { system } = await client.subscribe('mixed', [{ event: 'INSERT', schema: 'mixed', table: '*', filter: 'k=eq.07' }])
  assert.equal(system.status, 'ok', system.message)
  await sql(`insert into mixed.ints values (1, 7), (2, 8); insert into mixed.longs values (3, 7); insert into mixed.texts values (4, '7'), (5, '07'); insert into mixed.more values (6, 7)`)
  const changes = await client.untilChanges(4)
  assert.deepEqual(changes.map(({ data }) => data.record.id), [1, 3, 5, 6])
})

test('leaves of a partitioned table', since(13, 'partitioned tables in publications'), async (t) => {
  await sql(`create table parted (id int primary key, n int) partition by range (id);
    create table parted_low partition of parted for values from (0) to (100); create table parted_high partition of parted for values from (100) to (200)`)
  await sql('grant select on parted, parted_low, parted_high to anon')
  await sql('alter publication supabase_realtime add table parted')
  const leaf = await Watcher.open(t, 'parted_high', ['n=gte.5'])
  await sql('insert into parted values (1, 5), (100, 5), (101, 4)')
  assert.deepEqual((await leaf.seen()).map(({ key }) => key), [100])
})

test('the root of a partitioned table, where the publication publishes by it', since(13, 'partitioned tables in publications'), async (t) => {
  const other = await startWorld(t, { sql: `create table rooted (id int primary key, n int) partition by range (id); create table rooted_low partition of rooted for values from (0) to (100);
    create table rooted_high partition of rooted for values from (100) to (200); grant select on rooted, rooted_low, rooted_high to anon;
    alter publication supabase_realtime add table rooted; alter publication supabase_realtime set (publish_via_partition_root = true)` })
  const client = await Client.open(other.server)
  t.after(() => client.close())
  const root = { schema: 'public', table: 'rooted' }
  const { system } = await client.subscribe('root', [{ ...root, event: '*', filter: 'n=gte.5', select: ['n'] }, { ...root, event: 'DELETE' }])
  assert.equal(system.status, 'ok', system.message)
  await other.sql('insert into rooted values (1, 5), (100, 4), (101, 6); update rooted set id = 150 where id = 1')
  const changes = (await client.untilChanges(4)).map(({ data }) => [data.type, data.table, data.record ?? data.old_record])
  assert.deepEqual(changes, [['INSERT', 'rooted', { id: 1, n: 5 }], ['INSERT', 'rooted', { id: 101, n: 6 }], // the update moves the row
    ['DELETE', 'rooted', { id: 1 }], ['INSERT', 'rooted', { id: 150, n: 5 }]])
})

/** What Postgres decides: the same tables of filters and WHERE clauses. */
test('patterns on every type that has them', async (t) => {
  await sql('create domain slogan as text')
  const f = await table('t text, v varchar(9), c char(5), n name, by bytea, s slogan', [
    "'abc', 'abc', 'abc', 'abc', 'abc', 'abc'", "'ABC', 'ABC', 'ABC', 'ABC', 'ABC', 'ABC'", "'a%c', 'a%c', 'a%c', 'a%c', 'a%c', 'a%c'",
    "'b,c', 'b,c', 'b,c', 'b,c', 'b,c', 'b,c'", "'', '', '', '', '', ''", 'null, null, null, null, null, null', "'äbc', 'äbc', 'äbc', 'äbc', 'äbc', 'äbc'"])
  const patterns = ['t', 'v', 'c', 'n', 's'].flatMap((column) => [
    [`${column}=like.a%`, `${column} like 'a%'`], [`${column}=ilike.A%`, `${column} ilike 'A%'`], [`${column}=not.like.a%`, `${column} not like 'a%'`],
    [`${column}=match.^[ab]`, `${column} ~ '^[ab]'`], [`${column}=imatch.^[AB]`, `${column} ~* '^[AB]'`], [`${column}=not.imatch.B`, `not (${column} ~* 'B')`]])
  await expectAsPostgres(t, f, [...patterns,
    ['t=like.a\\%c', "t like 'a\\%c'"], ['t=like."b,%"', "t like 'b,%'"], ['t=like._bc', "t like '_bc'"], ['t=like.', "t like ''"], ['c=like.abc', "c like 'abc'"],
    ['by=like.a%', "by like 'a%'"], ['by=not.like.a%', "by not like 'a%'"], ['t=match."b,c"', "t ~ 'b,c'"], ['t=match.(a|b)', "t ~ '(a|b)'"],
    ['or(t.like.a%,t.like.b%)', "t like 'a%' or t like 'b%'"], ['t=like.a%,t=not.match.b', "t like 'a%' and t !~ 'b'"]])
})

test('texts are ordered, and found equal, by the collation of their column', async (t) => {
  await sql(`create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
  const f = await table('t text collate "en-x-icu", ci text collate caseless, v varchar(3) collate "en-x-icu"', [
    "'a', 'a', 'a'", "'B', 'B', 'B'", "'ä', 'ä', 'ä'", "'z', 'A', 'z'", "'', '', ''", 'null, null, null'])
  await expectAsPostgres(t, f, [...comparisons('t', 'b', "'b'"), ...comparisons('ci', 'A', "'A'"), ...comparisons('v', 'a', "'a'"),
    ['ci=in.(A,Z)', "ci in ('A', 'Z')"], ['ci=not.in.(A,Z)', "ci not in ('A', 'Z')"], ['ci=in.(A,NULL)', "ci in ('A', null)"]])
})

test('types that only Postgres compares', async (t) => {
  await sql(`create extension citext; create type size as enum ('s', 'm', 'l'); create type pair as (x int, y text)`)
  const f = await table('jb jsonb, iv interval, ai int[], at text[], r int4range, ip inet, m money, bits bit(4), z timetz, e size, p pair, ci citext, bx box, ad date[]', [
    `'{"a": 1}', '1 day', '{1,2}', '{a,"b c",NULL}', '[1,5)', '10.0.0.1/24', '12.34', '1010', '13:00+02', 's', '(1,a)', 'Hello', '(1,1),(0,0)', '{2024-01-01}'`,
    `'{"a": 1.0}', '24 hours', '{1,3}', '{}', 'empty', '10.0.0.2', '-1', '1111', '11:00+00', 'l', '(1,)', 'hello', '(2,2),(0,0)', '{infinity}'`,
    `'[1, null]', '1 month', '{}', '{a}', '[2,)', '::1', '0', '0000', '12:00+00', 'm', '(,)', 'bye', '(3,1),(2,0)', '{}'`,
    'null, null, null, null, null, null, null, null, null, null, null, null, null, null'])
  await expectAsPostgres(t, f, [
    ...comparisons('jb', '{"a":1}', `'{"a": 1}'`), ...comparisons('iv', '1 day', "'1 day'"), ...comparisons('ai', '"{1,2}"', "'{1,2}'"),
    ['at=eq."{a,\\"b c\\",NULL}"', `at = '{a,"b c",NULL}'`], ['r=eq."[1,5)"', "r = '[1,5)'"], ['r=gt.empty', "r > 'empty'"], ['ip=lt.10.0.0.2', "ip < '10.0.0.2'"],
    ['m=gte.0', "m >= '0'"], ['bits=gt.1010', "bits > '1010'"], ['z=eq.11:00+00', "z = '11:00+00'"], ...comparisons('e', 'm', "'m'"), ['e=in.(s,l)', "e in ('s', 'l')"],
    ...comparisons('p', '"(1,a)"', "'(1,a)'::pair"), ['ci=eq.HELLO', "ci = 'HELLO'"], ['ci=like.HE%', "ci like 'HE%'"], ['ci=match.^H', "ci ~ '^H'"], ['ci=in.(BYE,x)', "ci in ('BYE', 'x')"],
    ['bx=eq."(3,1),(2,0)"', "bx = '(3,1),(2,0)'"], ['bx=in.((1,1),(0,0))', "bx = '(1,1),(0,0)'"], ['ad=eq.{2024-01-01}', "ad = '{2024-01-01}'"],
    ['jb=in.("{\\"a\\":1}","[1,null]")', `jb in ('{"a":1}', '[1,null]')`],
  ])
})

test('conditions decided here and by Postgres stand together', async (t) => {
  const f = await table('a int, t text', ["1, 'abc'", "2, 'abc'", "1, 'xyz'", 'null, null', "3, null", "null, 'abc'"])
  await expectAsPostgres(t, f, [
    ['a=eq.1,t=like.a%', "a = 1 and t like 'a%'"], ['or(a.eq.2,t.like.x%)', "a = 2 or t like 'x%'"], ['not.and(a.eq.1,t.like.a%)', "not (a = 1 and t like 'a%')"],
    ['not.or=(a.eq.1,t.not.like.a%)', "not (a = 1 or t not like 'a%')"], ['or(a.is.null,and(t.match.b,a.lt.2))', "a is null or (t ~ 'b' and a < 2)"]])
})

test('patterns that take Postgres too long match nothing, and hold nobody else up', async (t) => {
  // The pattern has to be tried in all ways its parts can share this text: without an end.
  const evil = '^(.+)(.+)(.+)(.+)\\4\\3\\2\\1$', text = `repeat('a', 60) || repeat('cab', 40)`
  const { name } = await table('t text', [])
  await sql(`create table calm_${name} (id int primary key)`)
  await publishTable(world, `calm_${name}`)
  const calm = await Client.open(world.server)
  t.after(() => calm.close())
  await calm.subscribe('calm', [{ event: '*', schema: 'public', table: `calm_${name}` }])
  const slow = await Watcher.open(t, name, [...Array.from({ length: 20 }, (_, i) => `t=match.${evil}|${i}`), 't=match.^a+c'])
  const suspended = () => world.server.metric('walcast_comparisons_suspended_total')
  const before = await suspended()
  let rows = 0
  // Each row finds out some of them; when all are known rows pass without waiting for any.
  await until(async () => {
    await sql(`insert into ${name} values (${++rows}, 0, ${text}); insert into calm_${name} values (${rows})`)
    await calm.wait(() => calm.changes().length === rows, 'the row of another table')
    return await suspended() - before >= 20
  }, async () => `20 patterns are left alone; ${await suspended() - before} are`, 6 * DEADLINE_MS)
  await until(async () => {
    await sql(`insert into ${name} values (${++rows}, 0, ${text}); insert into calm_${name} values (${rows})`)
    await calm.wait(() => calm.changes().length === rows, 'the row of another table')
    return (await slow.seen()).some(({ filters }) => filters.join() === 't=match.^a+c')
  }, 'a quick pattern goes on matching', 6 * DEADLINE_MS)
  assert.match(world.server.log, /filter_too_slow/)
})
