// Broadcasts that a database sends: rows of realtime.messages reach the rooms they name.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrated } from './lib/migrate.mjs'
import { since } from './lib/major.mjs'
import { Client } from './lib/phoenix.mjs'
import { connect } from './lib/realtime.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld, startWorld } from './lib/world.mjs'

const FUNCTIONS = since(13, 'gen_random_uuid()')
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const DROPPED = (reason) => `walcast_broadcasts_dropped_total{reason="${reason}"}`

const world = sharedWorld({
  migrate: true,
  env: { TENANT_MAX_PAYLOAD_SIZE_IN_KB: '100' },
  sql: `create table public.item (id int primary key, name text)`,
  publish: ['public.item'],
})

/** Waits until the stream brings broadcasts. */
const broadcasting = (server) => server.untilLog(/repl streaming .*messages=1/)

/** Members of one room, of both versions. */
async function members(t, room, server = world.server) {
  const [v1, v2] = await Promise.all(['1.0.0', '2.0.0'].map((vsn) => Client.open(server, { vsn })))
  t.after(() => [v1, v2].map((c) => c.close()))
  for (const c of [v1, v2]) assert.equal((await c.join(room)).status, 'ok')
  return { v1, v2 }
}

const send = (payload, event, room, isPrivate = false) => world.sql('select realtime.send($1::jsonb, $2, $3, $4)', [JSON.stringify(payload), event, room, isPrivate])
const sendBinary = (bytes, event, room) => world.sql('select realtime.send_binary($1, $2, $3, false)', [bytes, event, room])

test('realtime.send reaches both versions with the id of the row', FUNCTIONS, async (t) => {
  const { v1, v2 } = await members(t, 'send')
  await send({ a: 1 }, 'greet', 'send')
  const text = await v1.nth('broadcast')
  assert.deepEqual(Object.keys(text).sort(), ['event', 'meta', 'payload', 'type'])
  assert.equal(text.event, 'greet')
  assert.equal(text.payload.a, 1)
  assert.match(text.meta.id, UUID)
  assert.equal(text.payload.id, text.meta.id, 'a payload without id gets that of the row')
  const frame = await v2.nth('binary')
  assert.deepEqual({ ...frame, payload: JSON.parse(frame.payload), meta: JSON.parse(frame.meta) }, { kind: 4, enc: 1, topic: 'realtime:send', event: 'greet', meta: { id: text.meta.id }, payload: text.payload })
  const [{ id }] = await world.sql(`select id from realtime.messages where topic = 'send'`)
  assert.equal(text.meta.id, id)
})

test('a payload keeps its own id, and its text as Postgres prints it', FUNCTIONS, async (t) => {
  const { v1, v2 } = await members(t, 'verbatim')
  await world.sql(`select realtime.send('{"id": "mine", "n": 12345678901234567890.10, "s": "\\u00e4\\"</script>"}', 'e"v', 'verbatim', false)`)
  const text = '{"n": 12345678901234567890.10, "s": "ä\\"</script>", "id": "mine"}'
  assert.equal((await v2.nth('binary')).payload.toString(), text)
  await v1.nth('broadcast')
  assert.ok(v1.find((m) => m.event === 'broadcast').text.includes(`"payload":${text}`))
  assert.notEqual((await v1.nth('broadcast')).meta.id, 'mine')
  assert.equal((await v1.nth('broadcast')).event, 'e"v')
})

test('realtime.send_binary: the exact bytes for version 2, nothing for version 1', FUNCTIONS, async (t) => {
  const { v1, v2 } = await members(t, 'bytes')
  const bodies = [Buffer.from([0, 255, 1, 92, 120]), Buffer.alloc(0), Buffer.from(Array.from({ length: 16 }, (_, i) => i))]
  for (const [i, body] of bodies.entries()) await sendBinary(body, `b${i}`, 'bytes')
  await send({}, 'last', 'bytes')
  await v1.nth('broadcast')
  for (const [i, body] of bodies.entries()) {
    const frame = await v2.nth('binary', i + 1)
    assert.deepEqual([frame.event, frame.enc, frame.payload.equals(body)], [`b${i}`, 0, true])
    assert.match(JSON.parse(frame.meta).id, UUID)
  }
  assert.equal(v1.all('broadcast').length, 1)
})

test('private and public rooms of one name are two', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'two')
  await send({}, 'secret', 'two', true)
  await send({}, 'open', 'two', false)
  assert.equal((await v2.nth('binary')).event, 'open')
})

test('a trigger with broadcast_changes', FUNCTIONS, async (t) => {
  const { v1 } = await members(t, 'item')
  await world.sql(`
    create table public.watched (id int primary key, name text);
    create function public.tell() returns trigger language plpgsql as $$
    begin
      perform realtime.broadcast_changes('item', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
      return null;
    end $$;
    create trigger tell after insert or update or delete on public.watched for each row execute function public.tell()`)
  await world.sql(`insert into public.watched values (1, 'a')`)
  await world.sql(`update realtime.messages set private = false where topic = 'item'`)
  const rows = await world.sql(`select event, payload, private from realtime.messages where topic = 'item'`)
  assert.deepEqual(rows.map(({ event, payload: { id, ...rest } }) => ({ event, rest })), [{ event: 'INSERT', rest: { old_record: null, record: { id: 1, name: 'a' }, operation: 'INSERT', table: 'watched', schema: 'public' } }])
  await send({}, 'end', 'item')
  assert.equal((await v1.nth('broadcast')).event, 'end', 'rows are private, and an update of one is no broadcast')
})

test('private rooms get what triggers send, and supabase-js and a version 1 client understand it', FUNCTIONS, async (t) => {
  await world.sql(`
    create policy all_of_them on realtime.messages for select using (true);
    create function public.tell_all() returns trigger language plpgsql as $$
    begin
      perform realtime.broadcast_changes('room:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
      return null;
    end $$;
    create table public.told (id int primary key, name text);
    create trigger tell after insert or update or delete on public.told for each row execute function public.tell_all()`)
  t.after(() => world.sql('drop policy all_of_them on realtime.messages'))
  const token = tokenFor('authenticated')
  const v1 = await Client.open(world.server, { vsn: '1.0.0', token })
  t.after(() => v1.close())
  assert.equal((await v1.join('room:1', { private: true })).status, 'ok')
  const js = connect(world.server, { token })
  t.after(() => js.disconnect())
  const heard = []
  await js.setAuth(token)
  const channel = js.channel('room:1', { config: { private: true } }).on('broadcast', { event: '*' }, (m) => heard.push(m))
  await new Promise((resolve, reject) => channel.subscribe((status, error) => (status === 'SUBSCRIBED' ? resolve() : error && reject(error))))
  await world.sql(`insert into public.told values (1, 'a')`)
  await world.sql(`update public.told set name = 'b'`)
  await world.sql('delete from public.told')
  await until(() => heard.length === 3, () => JSON.stringify(heard))
  await v1.nth('broadcast', 3)
  const common = { table: 'told', schema: 'public' }
  const expected = [
    ['INSERT', { ...common, operation: 'INSERT', record: { id: 1, name: 'a' }, old_record: null }],
    ['UPDATE', { ...common, operation: 'UPDATE', record: { id: 1, name: 'b' }, old_record: { id: 1, name: 'a' } }],
    ['DELETE', { ...common, operation: 'DELETE', record: null, old_record: { id: 1, name: 'b' } }],
  ]
  for (const got of [heard, v1.all('broadcast')]) {
    assert.deepEqual(got.map(({ event, payload: { id, ...rest } }) => [event, rest]), expected)
    for (const { payload, meta } of got) assert.equal(payload.id, meta.id)
  }
})

test('rows that lack something are named in the log and counted', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'lacking')
  const before = await world.server.metric(DROPPED('incomplete'))
  await world.sql(`insert into realtime.messages (topic, extension, event, payload, private) values ('lacking', 'broadcast', null, '{}', false), ('lacking', 'broadcast', 'e', null, false), ('lacking', 'broadcast', 'e', '{}', null)`)
  await world.sql(`insert into realtime.messages (topic, extension, event, payload, private) values ('lacking', 'presence', 'any extension', '{}', false)`)
  assert.equal((await v2.nth('binary')).event, 'any extension')
  assert.equal(await world.server.metric(DROPPED('incomplete')), before + 3)
  await world.server.untilLog(/UnableToBroadcastChanges.*why=event_missing/)
  await assert.rejects(world.sql(`insert into realtime.messages (topic, extension, payload, binary_payload) values ('x', 'broadcast', '{}', '')`), /messages_payload_exclusive/)
})

test('too large a payload and too long a topic are dropped, and what follows is not', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'large')
  const [large, header] = [await world.server.metric(DROPPED('payload_size')), await world.server.metric(DROPPED('header_size'))]
  await sendBinary(Buffer.alloc(100_495), 'too large', 'large')
  await world.sql(`select realtime.send(jsonb_build_object('id', 1, 'x', repeat('x', 110000)), 'too large', 'large', false)`)
  await send({}, 'e'.repeat(256), 'large')
  await send({}, 'e', 'r'.repeat(247))
  await sendBinary(Buffer.alloc(100_494), 'just', 'large')
  assert.deepEqual([(await v2.nth('binary')).event, (await v2.nth('binary')).payload.length], ['just', 100_494])
  assert.equal(await world.server.metric(DROPPED('payload_size')), large + 2)
  assert.equal(await world.server.metric(DROPPED('header_size')), header + 2)
})

test('what is rolled back is not sent, and 1,000 rows arrive once, in order, between changes', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'many')
  await v2.subscribe('changes', [{ event: 'INSERT', schema: 'public', table: 'item' }])
  const db = await world.cluster.connect()
  await db.query('begin')
  await db.query(`select realtime.send('{}', 'gone', 'many', false)`)
  await db.query('rollback')
  await world.sql(`do $$ begin for i in 1..1000 loop
    insert into public.item values (i, 'x');
    perform realtime.send(jsonb_build_object('id', i), 'n', 'many', false);
    if i % 100 = 0 then commit; end if;
  end loop; end $$`)
  await v2.nth('binary', 1000)
  await v2.untilChanges(1000)
  await send({ id: 'end' }, 'n', 'many')
  await v2.nth('binary', 1001)
  assert.deepEqual(v2.all('binary', 'many').map((m) => JSON.parse(m.payload).id), [...Array.from({ length: 1000 }, (_, i) => i + 1), 'end'])
  assert.equal(v2.changes().length, 1000)
})

test('who subscribes to every table gets no rows of realtime.messages, unless the application publishes them', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'every')
  assert.equal((await v2.subscribe('all', [{ event: '*', schema: '*' }], {})).system.status, 'ok')
  await send({ id: 1 }, 'hidden', 'every')
  await world.sql(`insert into public.item values (5000, 'seen')`)
  await v2.untilChanges(1)
  assert.deepEqual(v2.changes().map((c) => c.data.table), ['item'])
  await world.sql(`alter publication supabase_realtime add table realtime.messages; create policy all_of_them on realtime.messages for select using (true); grant select on all tables in schema realtime to anon`)
  t.after(() => world.sql(`alter publication supabase_realtime drop table realtime.messages; drop policy all_of_them on realtime.messages`))
  await until(async () => {
    await send({ id: 2 }, 'shown', 'every')
    return v2.changes().length > 1
  }, 'the row as a change')
  assert.match(v2.changes().at(-1).data.table, /^messages_/)
  assert.equal(v2.changes().at(-1).data.record.event, 'shown')
})

test('Postgres is restarted: broadcasts go on, none comes twice', FUNCTIONS, async (t) => {
  const { v2 } = await members(t, 'again')
  await send({ id: 1 }, 'n', 'again')
  await v2.nth('binary')
  await world.cluster.restart()
  await until(async () => {
    await send({ id: 2 }, 'n', 'again').catch(() => {})
    return v2.all('binary', 'again').length > 1
  }, 'a broadcast after the restart')
  const ids = v2.all('binary', 'again').map((m) => JSON.parse(m.meta).id)
  assert.equal(new Set(ids).size, ids.length)
})

test('who asks for it is told once that broadcasts of the database arrive', FUNCTIONS, async (t) => {
  const { v1, v2 } = await members(t, 'quiet')
  for (const c of [v1, v2]) {
    assert.equal((await c.join('ready', { broadcast: { replication_ready: true } })).status, 'ok')
    assert.deepEqual(await c.nth('system'), { extension: 'system', status: 'ok', message: 'Replication connection established', channel: 'ready' })
  }
  await send({}, 'e', 'ready')
  await v2.nth('binary')
  assert.equal(v2.all('system').length, 1)
})

test('without the publication changes flow and the log says what is missing; it joins when it is there', FUNCTIONS, async (t) => {
  const late = await startWorld(t, { sql: 'create table public.item (id int primary key)', publish: ['public.item'] })
  await late.server.untilLog(/repl messages_publication_missing .*walcast migrate/)
  const { v2 } = await members(t, 'late', late.server)
  assert.equal((await v2.join('ready', { broadcast: { replication_ready: true } })).status, 'ok')
  await v2.subscribe('changes', [{ event: 'INSERT', schema: 'public', table: 'item' }])
  let n = 0
  const writing = setInterval(() => late.sql('insert into public.item values ($1)', [++n]).catch(() => {}), 10)
  try {
    await until(() => n > 10)
    migrated(late.cluster)
    await broadcasting(late.server)
  } finally {
    clearInterval(writing)
  }
  const systems = () => v2.all('system').map((m) => m.message)
  await until(() => systems().includes('Replication connection established'), () => systems().join())
  await late.sql(`insert into public.item values (0)`)
  await late.sql(`select realtime.send('{}', 'joined', 'late', false)`)
  assert.equal((await v2.nth('binary')).event, 'joined')
  await until(() => v2.changes().at(-1)?.data.record.id === 0, 'the last change')
  const rows = await late.sql(`select id from public.item where id > 0 order by id`)
  assert.deepEqual(v2.changes().map((c) => c.data.record.id), [...rows.map((r) => r.id), 0], 'the stream was begun anew without a loss')
  assert.equal((late.server.log.match(/new_epoch=1/g) ?? []).length, 1)
})

test('a publication that holds other tables is left out until it is mended', FUNCTIONS, async (t) => {
  const other = await startWorld(t, {
    migrate: true,
    sql: `create table public.item (id int primary key, secret text);
          alter publication supabase_realtime_messages_publication add table public.item`,
    publish: ['public.item'],
  })
  await other.server.untilLog(/repl messages_publication_foreign .*drop table/)
  const { v2 } = await members(t, 'mended', other.server)
  await v2.subscribe('changes', [{ event: 'INSERT', schema: 'public', table: 'item' }])
  await other.sql(`insert into public.item values (1, 'x')`)
  await v2.untilChanges(1)
  await other.sql(`alter publication supabase_realtime_messages_publication drop table public.item`)
  await broadcasting(other.server)
  await other.sql(`select realtime.send('{}', 'mended', 'mended', false)`)
  assert.equal((await v2.nth('binary')).event, 'mended')
})
