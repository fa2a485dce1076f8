// realtime.send by signed logical messages: what counts, and what does not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { since } from './lib/major.mjs'
import { migrate, migrated } from './lib/migrate.mjs'
import { Client } from './lib/phoenix.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld, startWorld } from './lib/world.mjs'

const MESSAGES = since(14, 'logical messages in pgoutput')
const DROPPED = (reason) => `walcast_broadcasts_dropped_total{reason="${reason}"}`

const world = sharedWorld({
  migrate: true,
  env: { TENANT_MAX_PAYLOAD_SIZE_IN_KB: '100' },
  publish: ['edges'],
  sql: `create policy own_rooms on realtime.messages for insert to authenticated with check (realtime.topic() like 'open%' and payload ->> 'say' is distinct from 'no');
        create table edges (id int primary key);
        create role stranger nologin;
        grant usage on schema realtime to stranger`,
}, async () => {
  await world.sql(`alter database ${world.cluster.env.DB_NAME} set realtime.send_via = 'message'`)
})

/** A connection with the database's setting; `role`: whose rights it has. */
async function session({ role, via } = {}) {
  const db = await world.cluster.connect()
  db.heard = []
  db.on('notice', (n) => db.heard.push(n.message))
  if (via) await db.query(`set realtime.send_via = '${via}'`)
  if (role) await db.query(`set role ${role}`)
  return db
}

async function members(t, room, { server } = world) {
  const [v1, v2] = await Promise.all(['1.0.0', '2.0.0'].map((vsn) => Client.open(server, { vsn })))
  t.after(() => [v1, v2].map((c) => c.close()))
  for (const c of [v1, v2]) assert.equal((await c.join(room)).status, 'ok')
  return { v1, v2 }
}

/** What came before this has arrived, or never will. */
async function flush(v2, room) {
  const db = await session()
  await db.query(`select realtime.send('{}', 'flush', $1, false)`, [room])
  await v2.wait((m) => m.binary?.event === 'flush', 'the flush')
  return v2.all('binary', room).map((m) => m.event).filter((e) => e !== 'flush')
}

const stored = async (room) => Number((await world.sql('select count(*) from realtime.messages where topic = $1', [room]))[0].count)


test('the same wire as a row, without a row', MESSAGES, async (t) => {
  const { v1, v2 } = await members(t, 'open')
  const db = await session()
  await db.query(`select realtime.send('{"a": 1.50}', 'greet', 'open', false)`)
  await db.query(`select realtime.send_binary('\\x00ff', 'bytes', 'open', false)`)
  const text = await v1.nth('broadcast')
  assert.deepEqual([text.event, text.type, text.payload.a, text.payload.id], ['greet', 'broadcast', 1.5, text.meta.id])
  const json = await v2.nth('binary'), bytes = await v2.nth('binary', 2)
  assert.deepEqual([json.kind, json.enc, JSON.parse(json.meta).id], [4, 1, text.meta.id])
  assert.equal(json.payload.toString(), `{"a": 1.50, "id": "${text.meta.id}"}`)
  assert.deepEqual([bytes.enc, bytes.payload.equals(Buffer.from([0, 255]))], [0, true])
  assert.equal(v1.all('broadcast').length, 1)
  assert.equal(await stored('open'), 0)
})

test('a role sends what its policies permit, and nothing else', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-roles')
  const db = await session({ role: 'authenticated' })
  await db.query(`select realtime.send('{"say": "yes"}', 'permitted', 'open-roles', false)`)
  assert.deepEqual(db.heard, [])
  await db.query(`select realtime.send('{"say": "no"}', 'refused', 'open-roles', false)`)
  await db.query(`select realtime.send('{}', 'refused', 'closed', false)`)
  assert.equal(db.heard.length, 2)
  for (const warning of db.heard) assert.match(warning, /WarnSendingBroadcastMessage: new row violates row-level security/)
  const stranger = await session({ role: 'stranger' })
  await stranger.query(`select realtime.send('{}', 'refused', 'open-roles', false)`)
  assert.match(stranger.heard[0], /permission denied for table messages/)
  assert.deepEqual(await flush(v2, 'open-roles'), ['permitted'])
  assert.equal(await stored('open-roles'), 0)
})

test('the secret and who signs with it are out of reach', MESSAGES, async () => {
  const db = await session({ role: 'authenticated' })
  for (const attempt of [
    'select * from walcast.secret',
    `select walcast.seal(false, false, gen_random_uuid(), 'closed', 'e', '{}', null)`,
    'create temp table mine (like realtime.messages); create trigger t after insert on mine for each row execute function walcast.prove()',
    `alter function walcast.seal set search_path = public`,
    'create function walcast.mine() returns int language sql as $$ select 1 $$',
  ]) await assert.rejects(db.query(attempt), { code: '42501' }, attempt)
})

test('who may read every table finds no secret, who was granted this one does', MESSAGES, async () => {
  await world.sql('create role reads_all in role pg_read_all_data; create role was_granted; grant select on walcast.secret to was_granted')
  for (const [role, rows] of [['reads_all', 0], ['was_granted', 1]]) {
    const db = await session({ role })
    assert.equal((await db.query('select value from walcast.secret')).rowCount, rows, role)
  }
})

test('a message is forged, altered, used again, or none at all', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-forged')
  const count = async () => Object.fromEntries(await Promise.all(['forged', 'replayed', 'malformed'].map(async (r) => [r, await world.server.metric(DROPPED(r))])))
  const before = await count()
  const db = await session({ role: 'authenticated' })
  const emit = (bytes, transactional = true) => db.query(`select pg_logical_emit_message($1, 'walcast.broadcast', $2::bytea)`, [transactional, bytes])
  // what its policies permit it may have signed, as realtime.send does
  const sign = async (via) => {
    await db.query('savepoint probe')
    await db.query(`select set_config('walcast.probe', $1, true)`, [via])
    const refused = await db.query(`insert into realtime.messages (payload, event, topic, private, extension) values ('{}', 'signed', 'open-forged', false, 'broadcast')`).then(() => null, (e) => e)
    await db.query('rollback to probe')
    assert.equal(refused.code, 'WCPRF')
    return Buffer.from(refused.detail, 'base64')
  }
  await db.query('begin')
  await db.query(`select set_config('realtime.topic', 'open-forged', true)`)
  const recorded = await sign('message')
  await emit(recorded)
  await emit(recorded) // again in its transaction: replayed
  const altered = Buffer.from(recorded)
  altered[altered.length - 1] ^= 1
  await emit(altered) // forged
  await emit(Buffer.concat([Buffer.alloc(32), recorded.subarray(32)])) // forged
  await emit(Buffer.from('anything')) // malformed
  await emit(recorded.subarray(0, 60)) // malformed
  await emit(recorded, false) // replayed: not of the kind that was signed
  const immediate = await sign('message_immediate')
  await emit(immediate, true) // replayed, likewise
  await db.query('commit')
  await emit(recorded) // in another transaction: replayed
  await emit(immediate, false)
  await emit(immediate, false) // replayed
  assert.deepEqual(await flush(v2, 'open-forged'), ['signed', 'signed'])
  const after = await count()
  assert.deepEqual(Object.fromEntries(Object.keys(after).map((r) => [r, after[r] - before[r]])), { forged: 2, replayed: 5, malformed: 2 })
})

test('what is rolled back is not sent, unless it is immediate', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-rollback')
  for (const [via, event] of [['message', 'gone'], ['message_immediate', 'stays']]) {
    const db = await session({ role: 'authenticated', via })
    await db.query('begin')
    await db.query(`select realtime.send('{}', $1, 'open-rollback', false)`, [event])
    await db.query('rollback')
  }
  assert.deepEqual(await flush(v2, 'open-rollback'), ['stays'])
})

test('an immediate message does not wait for the commit', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-now')
  const db = await session({ via: 'message_immediate' })
  await db.query('begin')
  await db.query(`select realtime.send('{}', 'now', 'open-now', false)`)
  await world.sql('create table if not exists public.flushes (id int); insert into public.flushes values (1)') // its commit brings the log to the disk
  assert.equal((await v2.nth('binary')).event, 'now')
  await db.query('rollback')
})

test('an immediate message that ends where a commit begins hides nothing of that transaction', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-edge')
  await v2.subscribe('open-edge-rows', [{ event: '*', schema: 'public', table: 'edges' }])
  const db = await session({ via: 'message_immediate' })
  await db.query(`begin; insert into realtime.messages (payload, event, topic, private, extension) values ('{}', 'row', 'open-edge', false, 'broadcast');
    select realtime.send('{}', 'now', 'open-edge', false); commit`)
  // nobody's prefix, and any role may write it
  await db.query(`begin; insert into edges values (1), (2); select pg_logical_emit_message(false, 'somebody', 'else'); commit`)
  assert.deepEqual((await v2.untilChanges(2)).map((c) => c.data.record.id), [1, 2])
  assert.deepEqual(await flush(v2, 'open-edge'), ['now', 'row'])
})

test('a message of another database does not count, even of a copy with the same secret', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-copy')
  const before = await world.server.metric(DROPPED('forged'))
  const [{ value, inner_pad, outer_pad }] = await world.sql('select value, inner_pad, outer_pad from walcast.secret')
  await world.sql('create database copy')
  const other = await world.cluster.connect({ database: 'copy' })
  await other.query('create schema walcast')
  await other.query('create table walcast.secret (inner_pad bytea, outer_pad bytea, value bytea)')
  await other.query('insert into walcast.secret values ($1, $2, $3)', [inner_pad, outer_pad, value])
  const [{ definition }] = await world.sql(`select pg_get_functiondef('walcast.seal(boolean,boolean,uuid,text,text,jsonb,bytea)'::regprocedure) as definition`)
  await other.query(definition)
  const { rows: [{ sealed }] } = await other.query(`select walcast.seal(true, false, gen_random_uuid(), 'open-copy', 'copied', '{}', null) as sealed`)
  await world.sql(`select pg_logical_emit_message(false, 'walcast.broadcast', $1::bytea)`, [sealed])
  assert.deepEqual(await flush(v2, 'open-copy'), [])
  assert.equal(await world.server.metric(DROPPED('forged')), before + 1)
})

test('1,000 messages arrive once and in order, too large ones not at all, other prefixes are nobody\'s', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-many')
  const large = await world.server.metric(DROPPED('payload_size'))
  const db = await session()
  await db.query(`select pg_logical_emit_message(true, 'somebody', 'else'), realtime.send_binary(decode(repeat('00', 100495), 'hex'), 'large', 'open-many', false)`)
  await db.query(`do $$ begin for i in 1..1000 loop
    perform realtime.send(jsonb_build_object('id', i), 'n', 'open-many', false);
    if i % 100 = 0 then commit; end if; end loop; end $$`)
  await v2.nth('binary', 1000)
  await flush(v2, 'open-many')
  assert.deepEqual(v2.all('binary', 'open-many').filter((m) => m.event === 'n').map((m) => JSON.parse(m.payload).id), Array.from({ length: 1000 }, (_, i) => i + 1))
  assert.equal(await world.server.metric(DROPPED('payload_size')), large + 1)
})

test('an old immediate message does not count before the first commit either', MESSAGES, async (t) => {
  const other = await startWorld(t, { migrate: true, env: { SLOT_NAME: 'kept' } })
  const seal = (age) => other.sql(`with m as (select '\\x0101'::bytea || oidsend((select oid from pg_database where datname = current_database())) || int8send(0)
      || timestamptz_send(clock_timestamp() - $1::interval) || uuid_send(gen_random_uuid()) || int4send(4) || 'room'::bytea || int4send(1) || 'e'::bytea || '{}'::bytea as content)
    select pg_logical_emit_message(false, 'walcast.broadcast', sha256(outer_pad || sha256(inner_pad || 'walcast.broadcast\\000'::bytea || content)) || content) from m, walcast.secret`, [age])
  const { v2 } = await members(t, 'room', other)
  await seal('11 minutes')
  await seal('9 minutes')
  await other.sql('create table flushes (id int); insert into flushes values (1)') // its commit brings the log to the disk
  await v2.nth('binary')
  assert.equal(await other.server.metric(DROPPED('replayed')), 1)
})

test('a new secret is taken up, and nobody else may make one', MESSAGES, async (t) => {
  const { v2 } = await members(t, 'open-new')
  await world.sql('drop schema walcast cascade; create role squatter; create schema walcast authorization squatter')
  const { status, lines } = migrate(world.cluster)
  assert.equal(status, 1)
  assert.match(lines.at(-1), /^fail {2}signed messages: schema walcast belongs to squatter/)
  await world.sql('drop schema walcast')
  migrated(world.cluster)
  const db = await session()
  await until(async () => {
    await db.query(`select realtime.send('{}', 'new', 'open-new', false)`)
    return v2.all('binary', 'open-new').length > 0
  }, 'a message with the new secret', 30_000)
})
