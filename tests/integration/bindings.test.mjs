// What a binding may say: refusals in the words of the reference, selections, exact numbers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLossless } from './lib/lossless.mjs'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const world = sharedWorld({}, async () => {
  await sql(`create type mood as enum ('sad', 'ok'); create type "Mood" as enum ('x');
    create domain positive as int check (value > 0); create domain label as text;
    create type point2 as (x int, y int); create type guarded as (x positive); create type documented as (d json);
    create table test (id int primary key, t text, v varchar(5), c char(5), n name, i2 int2, i8 bigint, num numeric, b bool, u uuid, d date,
      ts timestamp, j json, jb jsonb, x xml, p point, by bytea, bits bit(4), m mood, m2 "Mood", dom positive, lab label, ai int[], ad positive[], am mood[],
      co point2, cg guarded, cd documented, iv interval, r int4range, hidden text);
    create table other (id int primary key, t text)`)
  await publishTable(world, 'test', null)
  await publishTable(world, 'other', 'anon')
  const columns = (await sql(`select string_agg(quote_ident(column_name), ', ') as list from information_schema.columns where table_name = 'test' and column_name <> 'hidden'`))[0].list
  await sql(`grant select (${columns}) on test to anon; grant select on test to service_role`)
})

const sql = (...args) => world.sql(...args)
const on = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })

/** What the bindings are answered with. */
async function verdict(bindings, { token } = {}) {
  const client = await Client.open(world.server, { token })
  const { reply, system } = await client.subscribe('verdict', bindings)
  client.close()
  assert.equal(reply.status, 'ok', 'a join succeeds whatever its bindings say')
  assert.equal(system.extension, 'postgres_changes')
  return system.status === 'ok' ? 'ok' : system.message
}

const parameters = ({ event = '*', schema = 'public', table = 'test', filters = [], select }) =>
  `[event: ${event}, schema: ${schema}, table: ${table}, filters: [${filters.join(', ')}], select: ${select ? JSON.stringify(select).replaceAll(',', ', ') : 'nil'}]`
const exception = (p, error) => `Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ${parameters(p)}. Exception: ERROR ${error}`
const tuple = (column, op, value, negate = false) => `{${JSON.stringify(column)}, "${op}", ${JSON.stringify(value)}, ${negate}}`

test('a filter that cannot be is refused with the text of the reference', async () => {
  const raised = (text) => `P0001 (raise_exception) ${text}`
  const invalid = (text) => `22P02 (invalid_text_representation) ${text}`
  const textual = (op, type) => raised(`operator ${op} requires a text-compatible column type, got ${type}`)
  for (const [column, op, value, error] of [
    ['nope', 'eq', '1', raised('invalid column for filter nope')],
    ['hidden', 'eq', '1', raised('invalid column for filter hidden')],
    ['ctid', 'eq', '1', raised('invalid column for filter ctid')],
    ['a"b', 'is', 'null', raised('invalid column for filter a"b')],
    ['id', 'eq', 'hey', invalid('invalid input syntax for type integer: "hey"')],
    ['id', 'eq', '', invalid('invalid input syntax for type integer: ""')],
    ['i8', 'lt', 'abc', invalid('invalid input syntax for type bigint: "abc"')],
    ['i2', 'eq', '40000', '22003 (numeric_value_out_of_range) value "40000" is out of range for type smallint'],
    ['u', 'neq', 'x', invalid('invalid input syntax for type uuid: "x"')],
    ['d', 'gt', 'someday', '22007 (invalid_datetime_format) invalid input syntax for type date: "someday"'],
    ['d', 'eq', '2024-02-30', '22008 (datetime_field_overflow) date/time field value out of range: "2024-02-30"'],
    ['b', 'eq', 'maybe', invalid('invalid input syntax for type boolean: "maybe"')],
    ['m', 'eq', 'nope', invalid('invalid input value for enum mood: "nope"')],
    ['m2', 'eq', 'y', invalid('invalid input value for enum "Mood": "y"')],
    ['dom', 'isdistinct', 'x', invalid('invalid input syntax for type integer: "x"')],
    ['id', 'in', '{1,x}', invalid('invalid input syntax for type integer: "x"')],
    ['id', 'in', '{1,{2}', invalid('malformed array literal: "{1,{2}"')],
    ['id', 'in', `{${Array.from({ length: 101 }, (_, i) => i)}}`, raised('too many values for `in` filter. Maximum 100')],
    ['id', 'in', `{${Array.from({ length: 101 }, () => 'x')}}`, invalid('invalid input syntax for type integer: "x"')],
    ['t', 'is', 'NULL', raised('invalid value for is filter: must be null, true, false, or unknown')],
    ['t', 'is', 'null ', undefined],
    ['t', 'is', 'nil', raised('invalid value for is filter: must be null, true, false, or unknown')],
    ['t', 'is', 'true', raised('is true filter requires a boolean column, got text')],
    ['id', 'is', 'unknown', raised('is unknown filter requires a boolean column, got integer')],
    ['v', 'is', 'false', raised('is false filter requires a boolean column, got character varying')],
    ['id', 'like', '1%', textual('like', 'integer')],
    ['u', 'ilike', '1%', textual('ilike', 'uuid')],
    ['m', 'like', 'o%', textual('like', 'mood')],
    ['by', 'ilike', 'o%', textual('ilike', 'bytea')],
    ['by', 'match', 'o', textual('match', 'bytea')],
    ['jb', 'imatch', 'o', textual('imatch', 'jsonb')],
    ['t', 'match', '(', raised('invalid regular expression for match filter: invalid regular expression: parentheses () not balanced')],
    ['t', 'imatch', '[', raised('invalid regular expression for imatch filter: invalid regular expression: brackets [] not balanced')],
  ]) {
    const filter = op === 'in' ? `${column}=in.(${value.slice(1, -1)})` : `${column}=${op}.${value}`
    const expected = error ? exception({ filters: [tuple(column, op, value)] }, error) : 'ok'
    assert.equal(await verdict([on('test', { filter })]), expected, filter)
  }
})

test('what would fail with every change is refused, in the words of Postgres', async () => {
  const missing = (text) => `42883 (undefined_function) ${text}`
  for (const [column, op, value, error] of [
    ['j', 'eq', '{}', missing('operator does not exist: json = json')],
    ['j', 'in', '{1}', missing('operator does not exist: json = json')],
    ['j', 'lt', '{}', missing('operator does not exist: json < json')],
    ['x', 'eq', '<a/>', missing('operator does not exist: xml = xml')],
    ['p', 'eq', '(1,2)', missing('operator does not exist: point = point')],
    ['p', 'gt', '(1,2)', missing('operator does not exist: point > point')],
    ['p', 'isdistinct', '(1,2)', missing('operator does not exist: point = point')],
    ['ai', 'in', '{1,2}', missing('operator does not exist: integer[] = integer')],
    ['cd', 'eq', '("{}")', missing('could not identify an equality operator for type json')],
    ['cg', 'eq', '(1)', '0A000 (feature_not_supported) values of type guarded are not compared: it holds domains'],
    ['t', 'like', 'a\\', '22025 (invalid_escape_sequence) LIKE pattern must not end with escape character'],
    ['t', 'ilike', 'a\\\\\\', '22025 (invalid_escape_sequence) LIKE pattern must not end with escape character'],
  ]) {
    const filter = op === 'in' ? `${column}=in.(${value.slice(1, -1)})` : `${column}=${op}.${value}`
    assert.equal(await verdict([on('test', { filter })]), exception({ filters: [tuple(column, op, value)] }, error), filter)
  }
})

test('a regular expression that takes long to compile is refused soon, and holds up nobody', async () => {
  const slow = (i) => `(x*){1,255}(y*){1,25${i}}` // seconds
  const refusal = (i, error) => exception({ filters: [tuple('t', 'match', slow(i))] }, error)
  const timeout = 'P0001 (raise_exception) invalid regular expression for match filter: canceling statement due to statement timeout'
  const attempts = [0, 1, 2, 3].map(async (i) => assert.equal(await verdict([on('test', { filter: `t=match."${slow(i)}"` })]), refusal(i, timeout)))
  assert.equal(await verdict([on('test', { filter: 'id=eq.1' })]), 'ok')
  await Promise.all(attempts)
})

test('what Postgres can compare is accepted', async () => {
  for (const filter of [
    'v=like.a%', 'v=ilike.a%', 'v=match.^a', 'v=imatch.^A', 'c=like.a%', 'c=match.^a', 'lab=like.a%', 'lab=match.a', 'n=like.a%', 'n=match.a', 'by=like.a%', 't=like.a\\\\',
    'jb=eq.{"a":1}', 'jb=gt.{}', 'bits=eq.1010', 'ai=eq."{1,2}"', 'ai=lt.{1}', 'ad=eq.{1}', 'am=eq.{ok}', 'co=eq."(1,2)"', 'co=in.("(1,2)","(,)")', 'iv=eq.1 day', 'r=eq."[1,5)"', 'm=lt.ok', 'm=gte.sad',
    't=eq.', 't=in.()', 'j=is.null', 'p=not.is.null', 'cg=is.null', `id=in.(${Array.from({ length: 100 }, (_, i) => i)})`,
    ...(['id', 'i2', 'i8', 'num', 'dom'].map((c) => `${c}=not.lte.5`)),
  ]) assert.equal(await verdict([on('test', { filter })]), 'ok', filter)
})

test('a filter of many conditions is refused for the first that is wrong', async () => {
  const a = tuple('id', 'eq', '1'), b = tuple('t', 'is', 'x'), c = tuple('nope', 'eq', '1'), d = tuple('id', 'eq', 'y')
  const is = 'P0001 (raise_exception) invalid value for is filter: must be null, true, false, or unknown'
  const column = 'P0001 (raise_exception) invalid column for filter nope'
  const cast = '22P02 (invalid_text_representation) invalid input syntax for type integer: "y"'
  for (const [filter, filters, error] of [
    ['id=eq.1,t=is.x,nope=eq.1', [a, b, c], is],
    ['id=eq.1,nope=eq.1,t=is.x', [a, c, b], column],
    ['id=eq.y,nope=eq.1', [d, c], cast],
    ['nope=eq.1,id=eq.y', [c, d], column],
    ['or(id.eq.1,and(t.is.x,nope.eq.1))', [`{"or", [${a}, {"and", [${b}, ${c}], false}], false}`], is],
    ['not.and=(nope.eq.1)', [`{"and", [${c}], true}`], column],
  ]) assert.equal(await verdict([on('test', { filter })]), exception({ filters }, error), filter)
  assert.equal(await verdict([on('test', { filter: 'id=eq.y', select: ['nope'] })]), exception({ filters: [d], select: ['nope'] }, cast))
})

test('of several wrong bindings the last speaks, but the first where it is not understood', async () => {
  const column = on('test', { filter: 'nope=eq.1' }), value = on('test', { filter: 'id=eq.x' }), missing = on('missing'), fine = on('other')
  const unpublished = `Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: ${parameters({ table: 'missing' })}`
  const noColumn = exception({ filters: [tuple('nope', 'eq', '1')] }, 'P0001 (raise_exception) invalid column for filter nope')
  const noValue = exception({ filters: [tuple('id', 'eq', 'x')] }, '22P02 (invalid_text_representation) invalid input syntax for type integer: "x"')
  assert.equal(await verdict([column, value, fine]), noValue)
  assert.equal(await verdict([value, fine, column]), noColumn)
  assert.equal(await verdict([value, missing]), unpublished)
  assert.equal(await verdict([missing, column, fine, fine]), noColumn)
  assert.equal(await verdict([on('test', { filter: 'id=zz.1' }), column, on('test', { filter: 'wrong' })]), 'Error parsing `filter` params: ["zz", "1"]')
  assert.equal(await verdict([column, fine, on('test', { filter: 'id=in.1' })]), 'Error parsing `filter` params: `in` filter value must be wrapped by parentheses')
})

test('a refused request delivers nothing of its good bindings', async (t) => {
  const client = await Client.open(world.server)
  t.after(() => client.close())
  const { system } = await client.subscribe('partly', [on('other'), on('test', { filter: 'nope=eq.1' })])
  assert.equal(system.status, 'error')
  const watcher = await Client.open(world.server)
  t.after(() => watcher.close())
  await watcher.subscribe('whole', [on('other')])
  await sql(`insert into other values (1, 'a'); delete from other`)
  await watcher.untilChanges(2)
  await client.heartbeat()
  assert.deepEqual(client.changes(), [])
})

test('selections: which are refused, and how', async () => {
  const wildcard = 'Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.'
  const notAList = 'Error parsing `select` params: expected a list of column name strings, e.g. select: ["col1", "col2"]'
  const invalid = (column, select) => exception({ select }, `P0001 (raise_exception) invalid column for select ${column}`)
  assert.equal(await verdict([on('test', { select: ['id', 'nope'] })]), invalid('nope', ['id', 'nope']))
  assert.equal(await verdict([on('test', { select: ['hidden'] })]), invalid('hidden', ['hidden']))
  assert.equal(await verdict([on('test', { select: ['*'] })]), invalid('*', ['*']))
  assert.equal(await verdict([on('test', { select: ['t', 'hidden', 'nope'] })]), invalid('hidden', ['t', 'hidden', 'nope']))
  assert.equal(await verdict([on('test', { select: ['hidden'] })], { token: tokenFor('service_role') }), 'ok')
  assert.equal(await verdict([on('test', { select: 'id' })]), notAList)
  assert.equal(await verdict([on('*', { select: ['id'] })]), wildcard)
  assert.equal(await verdict([{ event: '*', schema: 'public', select: ['id'] }]), wildcard)
  for (const select of [[], ['id', 'id'], [1, null, 't'], ['t', 'id'], null, {}]) assert.equal(await verdict([on('test', { select })]), 'ok', JSON.stringify(select))
})

/** A table with rows of FULL identity, and what a channel with these bindings gets of an insert, update and delete. */
async function selected(t, name, bindings, { token, before = async () => {} } = {}) {
  const client = await Client.open(world.server, { token })
  t.after(() => client.close())
  const { reply, system } = await client.subscribe('select', bindings)
  assert.equal(system.status, 'ok', system.message)
  await before()
  await sql(`insert into ${name} values (1, 'a', 'b', 'c'); update ${name} set x = 'a2', z = 'c2'; delete from ${name}`)
  const ids = reply.response.postgres_changes.map(({ id }) => id)
  return { client, ids }
}

async function selectable(name, identity) {
  await sql(`create table ${name} (id int primary key, x text, y text, z text); alter table ${name} replica identity ${identity}`)
  await publishTable(world, name)
}

const names = ({ columns }) => columns.map(({ name }) => name)

test('a selection and the primary key are all that is sent, on insert, update and full delete', async (t) => {
  await selectable('chosen', 'full')
  const { client } = await selected(t, 'chosen', [on('chosen', { select: ['x'] })])
  const changes = (await client.untilChanges(3)).map(({ data }) => data)
  assert.deepEqual(changes.map(names), Array(3).fill(['id', 'x']))
  assert.deepEqual(changes.map(({ record, old_record }) => ({ record, old_record })), [
    { record: { id: 1, x: 'a' }, old_record: undefined },
    { record: { id: 1, x: 'a2' }, old_record: { id: 1, x: 'a' } },
    { record: undefined, old_record: { id: 1, x: 'a2' } }])
  assert.deepEqual(changes.map(({ errors }) => errors), [null, null, null])
})

test('a selection under the default identity: old_record is the key, and nothing is missing', async (t) => {
  await selectable('defaulted', 'default')
  const { client } = await selected(t, 'defaulted', [on('defaulted', { select: ['z'] })])
  const changes = (await client.untilChanges(3)).map(({ data }) => data)
  assert.deepEqual(changes.map(({ record, old_record, errors }) => ({ record, old_record, errors })), [
    { record: { id: 1, z: 'c' }, old_record: undefined, errors: null },
    { record: { id: 1, z: 'c2' }, old_record: { id: 1 }, errors: null },
    { record: undefined, old_record: { id: 1 }, errors: null }])
})

test('a filter sees columns that are not selected', async (t) => {
  await selectable('filtered', 'full')
  const { client, ids } = await selected(t, 'filtered', [on('filtered', { select: ['x'], filter: 'z=eq.c' }), on('filtered', { select: ['x'], filter: 'z=eq.nope' })])
  await sql(`insert into filtered values (2, 'a', 'b', 'c')`)
  const changes = await client.untilChanges(2)
  assert.deepEqual(changes.map((c) => [c.data.record, c.ids]), [[{ id: 1, x: 'a' }, [ids[0]]], [{ id: 2, x: 'a' }, [ids[0]]]])
})

test('different selections come in messages of their own, equal ones in one: all columns first, then by name', async (t) => {
  await selectable('several', 'full')
  const { client, ids } = await selected(t, 'several', [
    on('several', { select: ['z'] }), on('several'), on('several', { select: ['x', 'y'] }), on('several', { select: ['y', 'x', 'x'] }), on('several', { select: [] })])
  const inserts = (await client.untilChanges(9)).filter(({ data }) => data.type === 'INSERT')
  assert.deepEqual(inserts.map(({ ids: to, data }) => [to, data.record]), [
    [[ids[4], ids[1]], { id: 1, x: 'a', y: 'b', z: 'c' }],
    [[ids[3], ids[2]], { id: 1, x: 'a', y: 'b' }],
    [[ids[0]], { id: 1, z: 'c' }]])
})

test('two clients with equal selections get the same, others their own', async (t) => {
  await selectable('shared', 'default')
  const [a, b, c] = await Promise.all([['x'], ['x'], ['y']].map(async (select) => {
    const client = await Client.open(world.server)
    t.after(() => client.close())
    await client.subscribe('shared', [on('shared', { select })])
    return client
  }))
  await sql(`insert into shared values (1, 'a', 'b', 'c')`)
  const records = await Promise.all([a, b, c].map(async (client) => (await client.untilChanges(1))[0].data.record))
  assert.deepEqual(records, [{ id: 1, x: 'a' }, { id: 1, x: 'a' }, { id: 1, y: 'b' }])
})

test('a selected column that becomes unreadable vanishes', async (t) => {
  await selectable('revoked', 'full')
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('revoked', [on('revoked', { select: ['x', 'y'] })])
  await sql('revoke select on revoked from anon; grant select (id, y) on revoked to anon')
  let id = 0
  const change = async () => {
    await sql(`insert into revoked values (${++id}, 'a', 'b', 'c')`)
    return (await client.untilChanges(id)).at(-1).data
  }
  const data = await until(async () => {
    const d = await change()
    return 'x' in d.record ? null : d
  }, 'a change without the column')
  assert.deepEqual([names(data), data.record, data.errors], [['id', 'y'], { id, y: 'b' }, null])
})

test('a composite key is part of every selection, and so it is after it changed', async (t) => {
  await sql(`create table twofold (a int, b text, x text, y text, primary key (b, a)); alter table twofold replica identity full`)
  await publishTable(world, 'twofold')
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('twofold', [on('twofold', { select: ['y'] })])
  await sql(`insert into twofold values (1, 'k', 'x', 'y'); update twofold set a = 2`)
  const [insert, update] = (await client.untilChanges(2)).map(({ data }) => data)
  assert.deepEqual(insert.record, { a: 1, b: 'k', y: 'y' })
  assert.deepEqual([update.record, update.old_record], [{ a: 2, b: 'k', y: 'y' }, { a: 1, b: 'k', y: 'y' }])
})

test('bigint and numeric come as strings where a binding asks for it', async (t) => {
  await sql(`create type priced as (what text, price numeric); create domain amount as numeric(20,2);
    create table exact (id bigint primary key, n numeric, i int, f float8, a bigint[], c priced, d amount, j jsonb)`)
  await publishTable(world, 'exact')
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('exact', [on('exact', { numbers: 'string' }), on('exact', { numbers: 'number' }), on('exact'), on('exact', { numbers: 'string', select: ['n'] })])
  await sql(`insert into exact values (9007199254740993, 12345678901234567890.10, 7, 1.5, '{9007199254740993,null}', '(a,1.10)', 12.30, '{"n": 9007199254740993}')`)
  const changes = await client.untilChanges(3)
  assert.deepEqual(changes.map(({ ids }) => ids.length), [2, 1, 1])
  const [plain, exact, one] = client.messages.filter((m) => m.event === 'postgres_changes').map((m) => parseLossless(m.text)[4].data.record)
  const rest = { i: '#7', f: '#1.5', j: { n: '#9007199254740993' } }
  assert.deepEqual(plain, { id: '#9007199254740993', n: '#12345678901234567890.10', a: ['#9007199254740993', null], c: { what: 'a', price: '#1.10' }, d: '#12.30', ...rest })
  assert.deepEqual(exact, { id: '9007199254740993', n: '12345678901234567890.10', a: ['9007199254740993', null], c: { what: 'a', price: '1.10' }, d: '12.30', ...rest })
  assert.deepEqual(one, { id: '9007199254740993', n: '12345678901234567890.10' })
  assert.equal(await verdict([on('exact', { numbers: 'text' })]), 'Error parsing `numbers` params: expected "number" or "string"')
})

test('a generated column that the log does not carry is left out, of columns too', async (t) => {
  await sql('create table computed (id int primary key, a int, twice int generated always as (a * 2) stored)')
  await publishTable(world, 'computed')
  const client = await Client.open(world.server)
  t.after(() => client.close())
  await client.subscribe('computed', [on('computed')])
  await sql('insert into computed values (1, 2)')
  const [{ data }] = await client.untilChanges(1)
  assert.deepEqual([names(data), data.record], [['id', 'a'], { id: 1, a: 2 }])
})

test('a role that may not use the schema may subscribe', async () => {
  await sql('create schema closed; create table closed.t (id int primary key, x text); grant select on closed.t to anon; alter publication supabase_realtime add table closed.t')
  assert.equal(await verdict([{ event: '*', schema: 'closed', table: 't', filter: 'x=eq.1', select: ['x'] }]), 'ok')
})

test('the checks of a domain are not run by a filter', async () => {
  await sql(`create table ran (id serial); create function spy(int) returns bool language plpgsql security definer as $$ begin insert into ran default values; return true; end $$;
    create domain spied as int check (spy(value)); create type holder as (x spied); create table spied_on (id int primary key, s spied, a spied[], h holder, ha holder[]); truncate ran`)
  await publishTable(world, 'spied_on')
  for (const filter of ['s=eq.1', 's=in.(1,2)', 'a=eq.{1}', 's=isdistinct.1']) assert.equal(await verdict([on('spied_on', { filter })]), 'ok', filter)
  for (const filter of ['h=eq."(1)"', 'ha=eq."{(1)}"', 'h=in.("(1)")']) assert.match(await verdict([on('spied_on', { filter })]), /0A000 \(feature_not_supported\) values of type holder(\[\])? are not compared: it holds domains$/, filter)
  assert.deepEqual(await sql('select * from ran'), [])
})

test("an operator that anybody could have made is not run by a filter", async () => {
  await sql(`create type forged as (x int); create function forged_eq(forged, forged) returns bool language plpgsql as $$ begin raise 'forged'; end $$;
    create operator = (leftarg = forged, rightarg = forged, function = forged_eq); create table forgery (id int primary key, f forged)`)
  await publishTable(world, 'forgery')
  assert.equal(await verdict([on('forgery', { filter: 'f=eq."(1)"' })]), 'ok')
})
