// Every type, in insert, update and delete, compared with what to_jsonb of the same server prints.
// PG_BIN names the programs of another major.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLossless } from './lib/lossless.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

/** Settings of the server that must not show in what clients get; PINNED is what must. */
const HOSTILE = { timezone: 'Asia/Tokyo', datestyle: 'SQL, DMY', intervalstyle: 'iso_8601', bytea_output: 'escape', extra_float_digits: '-5' }
const PINNED = `set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set bytea_output = 'hex'; set extra_float_digits = 1`

const OWN_TYPES = `
  create type mood as enum ('sad', 'very happy', 'Ö "q" \\');
  create type "Upper Mood" as enum ('A', 'b');
  create type address as (street text, num int4);
  create type nothing as ();
  create type shrunk as (a int4, gone text, "B ""b""" numeric);
  alter type shrunk drop attribute gone;
  create domain positive as int4 check (value > 0);
  create domain email as text;
  create domain email2 as email;
  create domain email3 as email2;
  create domain home as address;
  create domain numbers as numeric[];
  create table rowtype (id int4, note text, at timestamptz[], where_ home);
  create type deep as (place address, places address[], tags text[], row rowtype, mood mood, mail email3, homes home[]);
  create type deeper as (d deep, ds deep[], b bytea, j jsonb, n float8);`

const DEEP = `row('("a ""b""",1)', array['(c,2)', null, '("\\\\",)']::address[], array['x', 'y "z"', null, ''], row(1, 'n', '{infinity}', '(h,)'), 'very happy', 'e@x', array['("q r",3)']::home[])::deep`

/** type -> what it needs ({ since: major, why; extension }), values as texts or SQL expressions. */
const TYPES = [
  ['bool', 'true', 'false'],
  ['int2', '-32768', '32767'],
  ['int4', '2147483647', '-2147483648'],
  ['int8', '9007199254740993', '-9223372036854775808'],
  ['float4', '1.5', '16777216', '3.4028235e38', '1e-7', '0.1', 'NaN', '-Infinity'],
  ['float8', '0.1', '1e-7', '1e20', '123456789.123456789', '1.7976931348623157e308', '5e-324', '-0', 'NaN', 'Infinity', '-Infinity'],
  ['numeric', '123456789012345678901234567890.1234500', '1e-10', '1e30', '0.00', '-0.5', 'NaN'],
  ['numeric(10,2)', '12.5', '-0.01'],
  ['text', 'he said "hi"\n\ttab \\ é 😀', '', 'NULL', '{a,"b"}', '(x,"y")', ' blank ', '\u0001\u007f'],
  ['varchar', 'ab', 'with, comma'],
  ['varchar(5)', 'ab', 'abcde'],
  ['char(5)', 'ab', 'a b'],
  ['bpchar', 'ab  ', ''],
  ['"char"', 'x', ','],
  ['name', 'nm', 'Na "me"'],
  ['bytea', '\\xdeadbeef', '', '\\x00ff'],
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  ['date', '2024-02-29', 'infinity', '0044-03-15 BC', '10000-01-01'],
  ['time', '13:14:15.123456', '24:00'],
  ['time(3)', '13:14:15.123456'],
  ['timetz', '13:14:15.123+05:30', '00:00-12'],
  ['timestamp', '2024-02-29 13:14:15.123456', '-infinity', '10000-01-01 00:00:00', '0044-03-15 01:02:03 BC'],
  ['timestamp(0)', '2024-02-29 13:14:15.6'],
  ['timestamptz', '2024-02-29 13:14:15.123456+05:30', 'infinity', '0044-03-15 01:02:03+00 BC'],
  ['interval', '1 year 2 mons 3 days 04:05:06.789', '-1 days +02:03', '0'],
  ['json', '{"b": 1, "a": [1, 2.50, null], "b": 2}', 'null', '"x"', ' [ 1 , "\\u00e9" ] '],
  ['jsonb', '{"b": 1, "a": [1, 2.50, null], "b": 2}', 'null', '"x"', '1e400', '{"\\"": "\\\\"}'],
  ['int4range', '[1,5)', 'empty', '(,)'],
  ['tstzrange', '[2024-01-01,)', '(,2024-01-01 00:00:00.5+02]'],
  ['daterange', '[2024-01-01,2024-01-03]'],
  ['numrange', '[1.10,2.2)'],
  ['int4multirange', { since: 14 }, '{[1,3),[5,7)}', '{}'],
  ['tsmultirange', { since: 14 }, '{[2024-01-01,2024-01-02)}'],
  ['inet', '192.168.1.5/24', '::1'],
  ['cidr', '192.168.1.0/24'],
  ['macaddr', '08:00:2b:01:02:03'],
  ['macaddr8', '08:00:2b:01:02:03:04:05'],
  ['bit(1)', '1', '0'],
  ['bit(4)', '1010', '0001'],
  ['bit varying', '10101', ''],
  ['money', '1234.50', '-0.01'],
  ['xml', '<a b="c">x</a>', '<a/>'],
  ['tsvector', `'fat':1 'cats':2 'ate':3A`],
  ['tsquery', 'fat & cat'],
  ['point', '(1.5,2)', '(0,-1e-20)'],
  ['box', '(1,1),(0,0)'],
  ['path', '((1,2),(3,4))', '[(1,2),(3,4)]'],
  ['polygon', '((0,0),(1,1),(2,0))'],
  ['circle', '<(0,0),5>'],
  ['line', '{1,2,3}'],
  ['lseg', '[(1,2),(3,4)]'],
  ['oid', '12345'],
  ['xid', '789'],
  ['tid', '(0,1)'],
  ['pg_lsn', '16/B374D848'],
  ['regclass', 'pg_class'],
  ['regtype', 'integer', 'text[]'],
  ['regrole', 'anon'],
  ['jsonpath', '$."a"[*]'],
  ['txid_snapshot', '10:20:10,14'],
  ['int2vector', { since: 13, why: 'ARRAY[] of vectors makes another type' }, '1 -2 3', ''],
  ['oidvector', { since: 13, why: 'ARRAY[] of vectors makes another type' }, '1 2'],
  ['mood', 'very happy', 'Ö "q" \\'],
  ['"Upper Mood"', 'A'],
  ['positive', '7'],
  ['email', 'e@x', '"e"@x'],
  ['email3', 'e@x', ''],
  ['numbers', '{1.10,NaN}', '{}'],
  ['address', '("1 Main St",5)', '(,)', '("a ""b"" \\\\,)",-1)', '("",0)'],
  ['home', '("1 Main St",5)'],
  ['nothing', '()'],
  ['shrunk', '(1,2.50)'],
  ['rowtype', '(1,"a ""b""","{2024-02-29 13:14:15+00,infinity}","(x,1)")', '(,,,)'],
  ['deep', { sql: DEEP }, '(,,,,,,)'],
  ['deeper', { sql: `row(${DEEP}, array[${DEEP}, null], '\\xdead', '{"k": [1, 2.50], "q\\"": "\\\\"}', 'NaN')::deeper` }, '(,,,,)'],
  ['information_schema.cardinal_number', '7'],
  ['information_schema.yes_or_no', 'YES'],
  ['hstore', { extension: 'hstore' }, 'a=>1, b=>NULL', '', '"k \\"q\\""=>"v, \\\\"'],
  ['citext', { extension: 'citext' }, 'AbC'],
]

let session, major, client

// a schema can be subscribed to once something in it is published
const world = sharedWorld({ conf: HOSTILE, sql: 'create table first (id int4 primary key)', publish: ['first'] }, async (world) => {
  session = await world.cluster.connect()
  await session.query(PINNED)
  major = Math.floor(Number((await session.query('show server_version_num')).rows[0].server_version_num) / 10000)
  await session.query(OWN_TYPES)
  client = await Client.open(world.server, { maxPayload: 1 << 28 })
  const { system } = await client.subscribe('types', [{ event: '*', schema: 'public' }])
  assert.equal(system.status, 'ok')
})

/** The rows as the server itself prints them, by id. */
async function printed(table) {
  const { rows } = await session.query(`select id, to_jsonb(t)::text as json from ${table} t order by id`)
  return new Map(rows.map(({ id, json }) => [id, parseLossless(json)]))
}

/** What a column's own value is where it is not as to_jsonb says: bytea without \x, no NaN. */
function asTopLevel(row, plain) {
  const out = { ...row }
  for (const column of plain) {
    if (typeof out[column] !== 'string') continue
    if (/^(float4|float8|numeric)/.test(row.kind) && /^(NaN|-?Infinity)$/.test(out[column])) out[column] = null
    if (row.kind === 'bytea') out[column] = out[column].replace(/^\\x/, '')
  }
  return out
}

const changesOf = (table) => client.messages.filter((m) => m.event === 'postgres_changes' && m.payload.data.table === table).map((m) => parseLossless(m.text)[4].data)

async function untilChangesOf(table, n) {
  await until(() => changesOf(table).length >= n, () => `${n} changes of ${table}; got ${JSON.stringify(changesOf(table).at(-1))} as number ${changesOf(table).length}\n${world.server.log.slice(-2000)}`)
  return changesOf(table)
}

async function isSupported(type, { since = 0, extension }) {
  if (major < since) return false
  try {
    if (extension) await session.query(`create extension if not exists ${extension}`)
    if (type === 'xml') await session.query(`select '<a/>'::xml`)
    return true
  } catch (e) {
    if (e.code === '0A000' || e.code === '58P01' || e.code === '42704') return false // built without it
    throw e
  }
}

/** A table with the type alone, in arrays, in composites, under domains and all of that at once. */
async function makeTable(name, type) {
  await session.query(`create domain ${name}_d as ${type}; create domain ${name}_dd as ${name}_d; create type ${name}_c as (x ${type}, y ${type}[], z ${name}_dd)`)
  await session.query(`create table ${name} (id int4 primary key, kind text, v ${type}, d ${name}_dd, a ${type}[], aa ${type}[], da ${name}_dd[], c ${name}_c, ca ${name}_c[])`)
  await session.query(`alter table ${name} replica identity full`)
  await publishTable(world, name)
}

for (const [i, [type, ...rest]] of TYPES.entries()) {
  const needs = rest[0].since || rest[0].extension ? rest.shift() : {}
  test(`${type} arrives as to_jsonb prints it`, async (t) => {
    if (!await isSupported(type, needs)) return t.skip(needs.why && major < needs.since ? `${needs.why} before Postgres ${needs.since}` : `not in this Postgres ${major}`)
    const name = `t${i}`
    await makeTable(name, type)
    const values = [null]
    for (const value of rest) values.push(value.sql ? (await session.query(`select (${value.sql})::text as text`)).rows[0].text : value)
    for (const [id, value] of values.entries()) {
      const row = `row(v, array[v, null::${type}], v)::${name}_c`
      await session.query(`insert into ${name} select $1, $2, v, v, array[v, null::${type}], array[array[v], array[null::${type}]], array[v::${name}_dd], ${row}, array[${row}, null]
        from (select $3::text::${type} as v) given`, [id, type, value])
    }
    const inserted = await printed(name)
    await session.query(`update ${name} t set v = o.v, d = o.d, a = '{}', aa = null, da = o.da, c = null, ca = array[o.c, o.c] from ${name} o where o.id = (t.id + 1) % $1`, [values.length])
    const updated = await printed(name)
    await session.query(`delete from ${name}`)
    const changes = await untilChangesOf(name, values.length * 3)
    const [ins, upd, del] = ['INSERT', 'UPDATE', 'DELETE'].map((k) => changes.filter((c) => c.type === k))
    for (const list of [ins, upd, del]) assert.equal(list.length, values.length)
    const id = (c) => Number((c.record ?? c.old_record).id.slice(1))
    const plain = ['v', 'd']
    for (const c of changes) assert.equal(c.errors, null)
    for (const c of ins) assert.deepEqual(c.record, asTopLevel(inserted.get(id(c)), plain))
    for (const c of upd) {
      assert.deepEqual(c.record, asTopLevel(updated.get(id(c)), plain))
      assert.deepEqual(c.old_record, asTopLevel(inserted.get(id(c)), plain))
    }
    for (const c of del) assert.deepEqual(c.old_record, asTopLevel(updated.get(id(c)), plain))
    const { rows } = await session.query(`select a.attname as name, t.typname as type from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = $1::regclass and a.attnum > 0 order by a.attnum`, [name])
    assert.deepEqual(ins[0].columns, rows.map((r) => ({ ...r })))
  })
}

test('char(n) and bit(n) arrive with all their characters and bits', async () => {
  await session.query('create table uncut (id char(8) primary key, b bit(4))')
  await publishTable(world, 'uncut')
  await session.query(`insert into uncut values ('ab c', '1010')`)
  const [c] = await untilChangesOf('uncut', 1)
  assert.deepEqual(c.record, { id: 'ab c    ', b: '1010' })
})

test('arrays of any bounds and dimensions, and types as keys', async () => {
  await session.query('create table shapes (k address, n int4[], primary key (k, n), m text[], o int4[][][])')
  await publishTable(world, 'shapes')
  await session.query(`insert into shapes values ('(a,1)', '[0:1]={5,6}', '[-1:0][2:3]={{a,b},{"c d",NULL}}', '{{{1,2},{3,4}},{{5,6},{7,8}}}')`)
  const row = parseLossless((await session.query('select to_jsonb(s)::text as json from shapes s')).rows[0].json)
  await session.query(`update shapes set m = null`)
  await session.query('delete from shapes')
  const [ins, upd, del] = await untilChangesOf('shapes', 3)
  const key = { k: { street: 'a', num: '#1' }, n: ['#5', '#6'] }
  assert.deepEqual(ins.record, row)
  assert.deepEqual(upd.old_record, key)
  assert.deepEqual(del.old_record, key)
})

test('a type made in the transaction that first uses it', async () => {
  await session.query(`begin; create type fresh_mood as enum ('ok'); create type fresh as (m fresh_mood, n int4[]);
    create table fresh_table (id int4 primary key, f fresh, fs fresh[]); grant select on fresh_table to anon;
    alter publication supabase_realtime add table fresh_table;
    insert into fresh_table values (1, '(ok,"{1,2}")', '{"(ok,{3})"}'); commit`)
  const [c] = await untilChangesOf('fresh_table', 1)
  assert.deepEqual(c.record, { id: '#1', f: { m: 'ok', n: ['#1', '#2'] }, fs: [{ m: 'ok', n: ['#3'] }] })
})

test('a type that is altered is known by its new shape within a second', async () => {
  await session.query(`create type growing as (a int4); create table grows (id int4 primary key, g growing); grant select on grows to anon;
    alter publication supabase_realtime add table grows`)
  await session.query(`insert into grows values (0, '(7)')`)
  assert.deepEqual((await untilChangesOf('grows', 1))[0].record, { id: '#0', g: { a: '#7' } })
  await session.query('alter type growing add attribute b text')
  for (let n = 1; ; n++) {
    await session.query(`insert into grows values (${n}, '(7,x)')`)
    const { record, errors } = (await untilChangesOf('grows', n + 1)).at(-1)
    if (record.g) {
      assert.deepEqual({ record, errors }, { record: { id: `#${n}`, g: { a: '#7', b: 'x' } }, errors: null })
      break
    }
    assert.deepEqual({ record, errors }, { record: { id: `#${n}` }, errors: ['Error 206: Partial Content, columns that could not be rendered: g'] })
    assert.ok(n < 5000, 'the new attribute is never known')
  }
})

test('a type that is altered together with its table is never seen in its old shape', async () => {
  await session.query(`create type paired as (a int4); create table pairs (id int4 primary key, p paired); grant select on pairs to anon;
    alter publication supabase_realtime add table pairs`)
  for (let n = 0; n < 20; n++) {
    await session.query(`insert into pairs (id) values (${2 * n})`) // so that the old shape is known just now
    await untilChangesOf('pairs', 2 * n + 1)
    await session.query(`begin; alter type paired add attribute b${n} text; alter table pairs add column c${n} int4;
      insert into pairs (id, p.b${n}) values (${2 * n + 1}, 'x'); commit`)
    const { record, errors } = (await untilChangesOf('pairs', 2 * n + 2)).at(-1)
    assert.equal(errors, null)
    assert.equal(record.p[`b${n}`], 'x')
  }
})

test('a column whose type was changed and dropped before its rows are looked at', async () => {
  await session.query(`create type passing as (a int4); create table passes (id int4 primary key, p passing, t text); grant select on passes to anon;
    alter publication supabase_realtime add table passes`)
  await session.query(`begin; insert into passes values (1, '(7)', 'x'); alter table passes alter p type text using (p).a::text; drop type passing; insert into passes values (2, '(8)', 'y'); commit`)
  const [first, second] = await untilChangesOf('passes', 2)
  assert.deepEqual(first.record, { id: '#1', t: 'x' })
  assert.deepEqual(first.errors, ['Error 206: Partial Content, columns that could not be rendered: p'])
  assert.deepEqual(second.record, { id: '#2', p: '(8)', t: 'y' })
  assert.equal(second.errors, null)
})

test('unchanged TOAST values that nobody has are named, the others arrive', async () => {
  await session.query(`create table wide (id int4 primary key, body text, "no ""tes""" text, secret text, n int4);
    alter table wide alter body set storage external, alter "no ""tes""" set storage external, alter secret set storage external;
    grant select (id, body, "no ""tes""", n) on wide to anon; alter publication supabase_realtime add table wide`)
  await session.query(`insert into wide values (1, repeat('b', 5000), repeat('n', 5000), repeat('s', 5000), 1)`)
  await session.query('update wide set n = 2')
  await session.query(`update wide set body = 'short', n = 3`)
  await session.query('alter table wide replica identity full')
  await session.query('update wide set n = 4')
  const [, both, one, none] = await untilChangesOf('wide', 4)
  const error = 'Error 206: Partial Content, unchanged TOAST columns not available: '
  assert.deepEqual([both.record, both.errors], [{ id: '#1', n: '#2' }, [`${error}body, no "tes"`]])
  assert.deepEqual([one.record, one.errors], [{ id: '#1', body: 'short', n: '#3' }, [`${error}no "tes"`]])
  assert.deepEqual([none.record, none.errors], [{ id: '#1', body: 'short', 'no "tes"': 'n'.repeat(5000), n: '#4' }, null])
})
