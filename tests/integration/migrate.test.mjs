// walcast migrate: what private channels and broadcasts from SQL need, made where it is missing.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { BINARY, ROOT } from './lib/env.mjs'
import { MAJOR, since } from './lib/major.mjs'
import { migrate as migrateOf } from './lib/migrate.mjs'
import { childEnv, Server } from './lib/server.mjs'
import { until } from './lib/wait.mjs'

let cluster
before(async () => { cluster = await Cluster.start({ bare: true }) })
after(() => cluster?.remove())

const migrate = (args, env) => migrateOf(cluster, args, env)

/** Resolves with the exit status. */
const migrateLater = (env = {}) => new Promise((resolve) => {
  spawn(BINARY, ['migrate'], { env: childEnv({ ...cluster.serverEnv, ...env }), stdio: 'ignore' }).once('close', resolve)
})

async function notices(text) {
  const client = await cluster.connect()
  const heard = []
  client.on('notice', ({ message }) => heard.push(message))
  await client.query(text)
  return heard
}

const messages = () => cluster.sql('select topic, event, payload, binary_payload, private, extension, id from realtime.messages order by inserted_at, topic')
const BEFORE_14 = 'info  changes of rules in stream order: left out: Postgres 14 or later can show them; they count within POLICY_FRESHNESS_MS'
const FUNCTIONS = since(13, 'gen_random_uuid()')

test('a login that may not create anything is told what to grant', FUNCTIONS, async () => {
  await cluster.sql('create role small login password \'small\'')
  const { status, lines } = migrate([], { DB_USER: 'small', DB_PASSWORD: 'small' })
  assert.equal(status, 1)
  assert.match(lines.at(-1), /^fail {2}realtime\.messages: permission denied for database \w+ \(42501\): .*grant create on database/)
})

test('an empty database gets everything, and a second run changes nothing', FUNCTIONS, async () => {
  for (const run of [1, 2]) {
    const { status, lines, stderr } = migrate(['--roles'])
    assert.equal(status, 0, `run ${run}: ${lines.join('\n')}${stderr}`)
    assert.ok(lines.every((line) => line.startsWith('ok ') || (MAJOR < 14 && line === BEFORE_14)), lines.join('\n'))
  }
  const [{ partitions }] = await cluster.sql(`select count(*)::int as partitions from pg_inherits where inhparent = 'realtime.messages'::regclass`)
  assert.equal(partitions, 9, 'yesterday, today and seven days ahead')
  const [{ published }] = await cluster.sql(`select bool_and(schemaname = 'realtime') as published from pg_publication_tables where pubname = 'supabase_realtime_messages_publication'`)
  assert.equal(published, true)
})

test('a login that owns nothing but its database and schema needs no superuser', FUNCTIONS, async () => {
  await cluster.sql('create role app login password \'app\'')
  await cluster.sql('create database app owner app')
  const { status, lines } = migrate([], { DB_USER: 'app', DB_PASSWORD: 'app', DB_NAME: 'app' })
  assert.equal(status, 0, lines.join('\n'))
  const why = MAJOR < 14 ? BEFORE_14 : 'info  changes of rules in stream order: left out: run it once as a superuser, who may make event triggers; they count within POLICY_FRESHNESS_MS'
  assert.equal(lines.at(-1), why)
})

/** What our event triggers write into the log of a database of their own, by statement. */
async function rulesTriggers(name) {
  await cluster.sql(`create database ${name}`)
  const admin = await cluster.connect({ database: name })
  assert.equal(migrate([], { DB_NAME: name }).status, 0)
  await admin.query(`select pg_create_logical_replication_slot('${name}', 'test_decoding')`)
  const messages = async () => (await admin.query(`select data from pg_logical_slot_get_changes('${name}', null, null) where data like 'message:%walcast.rules%'`)).rows
  const told = async (statement) => {
    await messages() // of before
    await admin.query(statement)
    const ours = await messages()
    const kinds = [...new Set(ours.map((r) => /^message: transactional: (\d)/.exec(r.data)[1]))].sort()
    assert.deepEqual(kinds, ours.length ? ['0', '1'] : [], statement) // one that announces the other
    return ours.length > 0
  }
  const drop = () => admin.query(`select pg_drop_replication_slot('${name}')`)
  return { admin, told, drop }
}

test('DDL that may change who sees what shows in the log, and temporary tables do not', since(14, 'logical messages in pgoutput'), async () => {
  const { admin, told, drop } = await rulesTriggers('ddl')
  await admin.query(`create role reader; create table t (id int primary key, a int, mood text);
    create function f() returns int language sql as 'select 1'; create type mood as enum ('good', 'bad'); create view v as select 1 as one`)
  for (const statement of [
    'create policy p on t using (true)', 'alter policy p on t using (false)', 'drop policy p on t', 'alter table t enable row level security',
    'alter table t force row level security', 'grant select on t to reader', 'revoke select on t from reader', 'grant select (a) on t to reader',
    'grant usage on schema public to reader', 'create or replace function f() returns int language sql as \'select 2\'', 'alter function f() stable',
    'alter type mood rename value \'bad\' to \'worse\'', 'alter type mood add value \'fine\'', 'alter table t rename a to b', 'alter table t owner to reader',
    'create cast (mood as int) with inout as implicit', 'drop cast (mood as int)', 'create operator === (leftarg = int, rightarg = int, function = int4eq)',
    'drop operator === (int, int)', 'create table part (x int) inherits (t)', 'drop table part', 'alter table t owner to current_user', 'grant select on t to reader',
    'drop owned by reader', 'alter view v owner to reader', 'drop view v', 'drop function f()', 'create index on t (b)', 'create unlogged table u ()', 'drop type mood',
    `do 'begin revoke all on t from public; drop table u; end'`, 'create collation c from "C"', 'create schema away', 'alter table t set schema away',
  ]) assert.equal(await told(statement), true, statement)
  for (const statement of [
    `comment on table away.t is 'x'`, 'create temp table x (a int primary key)', 'alter table x add b text', 'create index on x (b)', 'drop table x',
    'create temp view y as select 1', 'insert into away.t values (1)', 'analyze',
  ]) assert.equal(await told(statement), false, statement)
  await admin.query('set session_replication_role = replica')
  assert.equal(await told('create table z ()'), true, 'also where other triggers are off')
  await drop()
})

test('what an earlier version made is replaced, and what was broken is mended', since(14, 'logical messages in pgoutput'), async () => {
  const { admin, told, drop } = await rulesTriggers('again')
  const definitions = async () => (await admin.query(`select evtname, evtevent, evtenabled, evttags, e.oid, p.xmin, prosrc, prosecdef from pg_event_trigger e join pg_proc p on p.oid = evtfoid order by evtname`)).rows
  const first = await definitions()
  assert.deepEqual(first.map((d) => [d.evtname, d.evtenabled, d.prosecdef]), [['walcast_rules_ddl_command_end', 'A', true], ['walcast_rules_sql_drop', 'A', true]])
  assert.equal(migrate([], { DB_NAME: 'again' }).status, 0)
  assert.deepEqual(await definitions(), first)
  await admin.query(`create or replace function walcast.rules_changed() returns event_trigger language plpgsql as 'begin end'`)
  await admin.query('alter event trigger walcast_rules_sql_drop disable')
  await admin.query(`drop event trigger walcast_rules_ddl_command_end; create event trigger walcast_rules_ddl_command_end on ddl_command_end when tag in ('GRANT') execute function walcast.rules_changed()`)
  assert.equal(await told('create table x ()'), false)
  assert.equal(migrate([], { DB_NAME: 'again' }).status, 0)
  const plain = (all) => all.map(({ oid, xmin, ...d }) => d)
  assert.deepEqual(plain(await definitions()), plain(first))
  assert.equal(await told('drop table x'), true)
  await drop()
})

test('DDL of anybody succeeds, whatever becomes of the message', since(14, 'logical messages in pgoutput'), async () => {
  const { admin, told, drop } = await rulesTriggers('whatever')
  const emitters = async (change) => {
    const { rows } = await admin.query(`select format('alter function %s', oid::regprocedure) as alter, oid::regprocedure as name from pg_proc where proname = 'pg_logical_emit_message'`)
    for (const emitter of rows) await admin.query(change(emitter))
  }
  await admin.query('create role plain; grant create on schema public to plain')
  await emitters(({ name }) => `revoke execute on function ${name} from public`)
  assert.equal(await told('set role plain; create table mine (); reset role'), true)
  await emitters(({ alter }) => `${alter} rename to elsewhere`)
  const warnings = [], other = await cluster.connect({ database: 'whatever' })
  other.on('notice', ({ message }) => warnings.push(message))
  await other.query('drop table mine')
  assert.match(warnings.at(-1), /^walcast does not see this change of rules at once: function .* does not exist$/)
  await drop()
})

test('a function that somebody made under our name does not become a superuser\'s', since(14, 'logical messages in pgoutput'), async () => {
  await cluster.sql(`create role sly login password 'sly'`)
  await cluster.sql('create database trap owner sly')
  const admin = await cluster.connect({ database: 'trap' })
  assert.equal(migrate([], { DB_NAME: 'trap', DB_USER: 'sly', DB_PASSWORD: 'sly' }).status, 0)
  const body = fs.readFileSync(path.join(ROOT, 'sql/m_rules.sql'), 'utf8').split('$fn$')[1]
  await admin.query(`set role sly; create function walcast.rules_changed() returns event_trigger language plpgsql as $trap$${body}$trap$; reset role`)
  const { status, lines } = migrate([], { DB_NAME: 'trap' })
  assert.equal(status, 0)
  assert.match(lines.at(-1), /^info .*function walcast\.rules_changed, or its schema, is somebody else's/)
  assert.deepEqual((await admin.query('select from pg_event_trigger')).rows, [])
  await admin.query('drop function walcast.rules_changed()')
  assert.match(migrate([], { DB_NAME: 'trap' }).lines.at(-1), /^ok {4}changes of rules/)
})

test('in the database of a control store, whose schema walcast is there, every role can send', since(14, 'logical messages in pgoutput'), async () => {
  await cluster.sql('create database seeded')
  const admin = await cluster.connect({ database: 'seeded' })
  await admin.query('create schema walcast') // as sql/m_store_triggers.sql makes it
  assert.equal(migrate([], { DB_NAME: 'seeded' }).status, 0)
  const { rows: [{ may }] } = await admin.query(`select has_schema_privilege('public', 'walcast', 'USAGE') as may`)
  assert.equal(may, true)
})

test('two that migrate at the same time do not disturb each other', FUNCTIONS, async () => {
  await cluster.sql('create database twice')
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => migrateLater({ DB_NAME: 'twice' }))), [0, 0, 0])
})

test('send adds an id to an object that has none', FUNCTIONS, async () => {
  await cluster.sql('truncate realtime.messages')
  await cluster.sql(`select realtime.send('{"a": 1}', 'e', 'one'); select realtime.send('{"id": "mine"}', 'e', 'two', false)`)
  const [one, two] = await messages()
  assert.deepEqual(one.payload, { a: 1, id: one.id })
  assert.deepEqual([one.event, one.topic, one.private, one.extension], ['e', 'one', true, 'broadcast'])
  assert.deepEqual([two.payload, two.private], [{ id: 'mine' }, false])
})

test('what cannot be sent is a warning, and the transaction goes on', FUNCTIONS, async () => {
  await cluster.sql('truncate realtime.messages; create table if not exists kept (id int)')
  for (const bad of [`'[1]'::jsonb, 'e', 't'`, `'7'::jsonb, 'e', 't'`, `'{}'::jsonb, 'e', null`]) {
    const heard = await notices(`begin; insert into kept values (1); select realtime.send(${bad}); commit`)
    assert.equal(heard.length, 1)
    assert.match(heard[0], /^WarnSendingBroadcastMessage: /)
  }
  assert.equal((await cluster.sql('select from kept')).length, 3)
  assert.deepEqual(await messages(), [])
})

test('send_binary keeps the bytes, and a row cannot have both payloads', FUNCTIONS, async () => {
  await cluster.sql('truncate realtime.messages')
  await cluster.sql(`select realtime.send_binary('\\x0001ff', 'e', 't')`)
  assert.deepEqual((await messages())[0].binary_payload, Buffer.from([0, 1, 255]))
  await assert.rejects(cluster.sql(`insert into realtime.messages (topic, extension, payload, binary_payload) values ('t', 'broadcast', '{}', '')`), { code: '23514' })
})

test('broadcast_changes sends a row trigger\'s rows, and refuses what is none', FUNCTIONS, async () => {
  await cluster.sql('truncate realtime.messages')
  await cluster.sql(`
    create table notes (id int primary key, body text);
    create function told() returns trigger language plpgsql as $$ begin
      perform realtime.broadcast_changes('notes', tg_op, tg_op, tg_table_name, tg_table_schema, new, old, tg_level); return null; end $$;
    create trigger t after insert or update or delete on notes for each row execute function told()`)
  await cluster.sql(`insert into notes values (1, 'a')`)
  await cluster.sql(`update notes set body = 'b'`)
  await cluster.sql('delete from notes')
  const sent = (await messages()).map(({ event, payload: { id, ...payload } }) => [event, payload])
  const common = { table: 'notes', schema: 'public' }
  assert.deepEqual(sent, [
    ['INSERT', { ...common, operation: 'INSERT', record: { id: 1, body: 'a' }, old_record: null }],
    ['UPDATE', { ...common, operation: 'UPDATE', record: { id: 1, body: 'b' }, old_record: { id: 1, body: 'a' } }],
    ['DELETE', { ...common, operation: 'DELETE', record: null, old_record: { id: 1, body: 'b' } }],
  ])
  await cluster.sql('create trigger s after truncate on notes for each statement execute function told()')
  await assert.rejects(cluster.sql('truncate notes'), /function can only be triggered for each row, not for each statement/)
})

test('send obeys the policies of the caller, who is seen with the topic', FUNCTIONS, async () => {
  await cluster.sql(`truncate realtime.messages; create policy w on realtime.messages for insert to authenticated with check (realtime.topic() = 'mine')`)
  const asClient = (topic) => notices(`begin; set local role authenticated; select realtime.send('{}', 'e', '${topic}'); commit`)
  assert.deepEqual(await asClient('mine'), [])
  assert.match((await asClient('other'))[0], /row-level security/)
  assert.deepEqual((await messages()).map((m) => m.topic), ['mine'])
})

test('partitions follow the days, and nobody waits while one cannot be detached yet', since(14, 'DETACH CONCURRENTLY'), async () => {
  const inTwoDays = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '_')
  await cluster.sql(`create table realtime.messages_2020_02_03 partition of realtime.messages for values from ('2020-02-03') to ('2020-02-04')`)
  await cluster.sql(`drop table realtime.messages_${inTwoDays}`)
  const reader = await cluster.connect()
  await reader.query('begin; select from realtime.messages')
  const first = migrateLater()
  const waiting = `select from pg_stat_activity where application_name = 'walcast_migrate' and wait_event_type = 'Lock'`
  await until(async () => (await cluster.sql(waiting)).length === 1, 'the detaching to wait for the reader')
  assert.deepEqual(await notices(`set lock_timeout = 1000; select realtime.send('{}', 'e', 'mine')`), [])
  await reader.query('commit')
  assert.equal(await first, 0)
  const parts = (await cluster.sql(`select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'realtime.messages'::regclass`)).map((r) => r.relname)
  assert.ok(parts.includes(`messages_${inTwoDays}`))
  assert.equal(parts.length, 9)
  assert.deepEqual(await cluster.sql(`select from pg_class where relname = 'messages_2020_02_03'`), [])
})

test('a partition whose detaching was cut short is detached by the next run', since(14, 'DETACH CONCURRENTLY'), async () => {
  await cluster.sql(`create table realtime.messages_2020_02_03 partition of realtime.messages for values from ('2020-02-03') to ('2020-02-04')`)
  const reader = await cluster.connect()
  await reader.query('begin; select from realtime.messages')
  const first = migrateLater()
  const waiting = `select pid from pg_stat_activity where application_name = 'walcast_migrate' and wait_event_type = 'Lock'`
  await until(async () => (await cluster.sql(waiting)).length === 1, 'the detaching to wait for the reader')
  await cluster.sql(`select pg_cancel_backend(pid) from (${waiting}) w`)
  assert.equal(await first, 1)
  await reader.query('commit')
  assert.equal(migrate().status, 0)
  assert.deepEqual(await cluster.sql(`select from pg_class where relname = 'messages_2020_02_03'`), [])
})

test('a server keeps the partitions without a client, and only these unless told otherwise', FUNCTIONS, async (t) => {
  const serve = async (env) => {
    const server = await Server.start({ ...cluster.serverEnv, ...env })
    t.after(() => server.stop())
    return server
  }
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10).replaceAll('-', '_')
  const isThere = async () => (await cluster.sql(`select from pg_inherits where inhrelid = to_regclass('realtime.messages_${tomorrow}')`)).length === 1
  await cluster.sql(`drop table realtime.messages_${tomorrow}; drop function realtime.send_binary`)
  const idle = await serve({})
  await until(isThere, 'the partition of tomorrow')
  await idle.stop()
  assert.deepEqual(await cluster.sql(`select from pg_proc where proname = 'send_binary'`), [])
  await serve({ AUTO_MIGRATE: 'on' })
  await until(async () => (await cluster.sql(`select from pg_proc where proname = 'send_binary'`)).length === 1, 'what was missing')
})

test('a server whose login may not alter realtime.messages says so once, with a remedy', FUNCTIONS, async (t) => {
  await cluster.sql(`create role streamer login replication password 'streamer'; drop table realtime.messages_${new Date().toISOString().slice(0, 10).replaceAll('-', '_')}`)
  const server = await Server.start({ ...cluster.serverEnv, DB_USER: 'streamer', DB_PASSWORD: 'streamer' }, { wait: 'up' })
  t.after(() => server.stop())
  await server.ready('streaming')
  await server.untilLog(/migrate not_migrated .*partitions of realtime\.messages.*sqlstate=42501 .*hint="run it as the owner/)
})

test('a superuser may run it behind the owner, for the roles', since(14, 'signed messages'), async (t) => {
  await cluster.sql('create database owned')
  t.after(() => cluster.sql('drop database owned'))
  await cluster.sql(`create role keeper login password 'keeper'; grant create on database owned to keeper`)
  t.after(() => cluster.sql('drop role keeper'))
  const run = (args, env) => migrate(args, { DB_NAME: 'owned', ...env })
  assert.equal(run([], { DB_USER: 'keeper', DB_PASSWORD: 'keeper' }).status, 0)
  const behind = run(['--roles'])
  assert.equal(behind.status, 0, behind.lines.join('\n'))
  const db = await cluster.connect({ database: 'owned' })
  assert.deepEqual((await db.query(`select distinct pg_get_userbyid(relowner) as owner from pg_class where relnamespace in ('realtime'::regnamespace, 'walcast'::regnamespace)`)).rows, [{ owner: 'keeper' }])
  await db.end()
})

test('what does not belong into the publication of messages is taken out, by its owner', FUNCTIONS, async () => {
  const held = async () => (await cluster.sql(`select tablename from pg_publication_tables where pubname = 'supabase_realtime_messages_publication' order by 1`)).map((r) => r.tablename)
  assert.equal(migrate().status, 0)
  const right = await held()
  await cluster.sql(`create table strange (id int primary key); alter publication supabase_realtime_messages_publication add table strange`)
  assert.equal(migrate().status, 0)
  assert.deepEqual(await held(), right)
  await cluster.sql(`alter publication supabase_realtime_messages_publication drop table realtime.messages`)
  assert.equal(migrate().status, 0)
  assert.deepEqual(await held(), right)
  await cluster.sql(`drop publication supabase_realtime_messages_publication; create publication supabase_realtime_messages_publication for all tables`)
  assert.equal(migrate().status, 0)
  assert.deepEqual(await held(), right)
  await cluster.sql('create database guest')
  await cluster.sql('grant create on database guest to small')
  const asGuest = { DB_NAME: 'guest', DB_USER: 'small', DB_PASSWORD: 'small' }
  const admin = await cluster.connect({ database: 'guest' })
  await admin.query(`create table strange (id int primary key); create publication supabase_realtime_messages_publication for table strange`)
  const { status, lines } = migrate([], asGuest)
  assert.equal(status, 1)
  assert.match(lines.at(-1), /^fail {2}publications: .*nothing else, and belongs to \w+ \(42501\): .*run it as that owner/)
  assert.ok(lines.some((line) => line.startsWith('ok    partitions')), 'everything else is done')
})

test('an option that does not exist is refused', () => {
  const { status, stderr } = migrate(['--role'])
  assert.equal(status, 2)
  assert.match(stderr, /--role/)
})
