// Subscriptions while tables join and leave the publication, are dropped, made anew and renamed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLOWNESS } from './lib/env.mjs'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { never, until } from './lib/wait.mjs'
import { publishTable, sharedWorld, startWorld } from './lib/world.mjs'

const world = sharedWorld()
const sql = (...args) => world.sql(...args)
let tables = 0
const SUBSCRIBED = 'Subscribed to PostgreSQL'
const NOT_PUBLISHED = /^Unable to subscribe to changes with given parameters\. Please check Realtime is enabled/
const binding = (table, more = {}) => ({ event: '*', schema: 'public', table, ...more })
const systems = (client, room) => client.all('system', room).map((p) => [p.status, p.message])
const ids = (client, room) => client.changes(room).map((c) => (c.data.record ?? c.data.old_record).id)

async function open(t, token) {
  const client = await Client.open(world.server, { token })
  t.after(() => client.close())
  return client
}

/** What is committed from here on comes after the point from which these clients get changes: a later join has its own. */
async function fenced(...clients) {
  await create(`fenced_${++tables}`)
  for (const client of clients) await client.subscribe(`fenced_${tables}`, [binding(`fenced_${tables}`)])
}

/** Until the n-th system message of a room says what `expected` matches. */
async function untilSystem(client, room, n, expected) {
  const { message } = await client.nth('system', n, room)
  if (expected instanceof RegExp) assert.match(message, expected)
  else assert.equal(message, expected)
}

const create = (name) => sql(`create table ${name} (id int primary key, v text); grant select on ${name} to anon, authenticated, service_role; alter publication supabase_realtime add table ${name}`)

test('a table dropped and made anew under its name delivers again, from its first row on', async (t) => {
  await create('anew')
  const client = await open(t)
  await client.subscribe('anew', [binding('anew')])
  await client.subscribe('filtered', [binding('anew', { filter: 'id=gte.0' })])
  await sql(`insert into anew values (1, 'x')`)
  await client.untilChanges(2)
  await sql(`begin; drop table anew; create table anew (id int primary key, v text); grant select on anew to anon; alter publication supabase_realtime add table anew; insert into anew values (2, 'x'); commit`)
  await sql(`insert into anew values (3, 'x')`)
  await client.untilChanges(6)
  for (const room of ['anew', 'filtered']) {
    assert.deepEqual(ids(client, room), [1, 2, 3])
    assert.deepEqual(systems(client, room), [['ok', SUBSCRIBED], ['ok', SUBSCRIBED]])
  }
  // told before the first row of the new table
  const order = client.messages.filter((m) => m.topic === 'realtime:anew' && (m.event === 'system' || m.event === 'postgres_changes')).map((m) => m.event)
  assert.deepEqual(order, ['system', 'postgres_changes', 'system', 'postgres_changes', 'postgres_changes'])
})

test('an equal join after a table was made anew gets its changes', async (t) => {
  await create('equal')
  const first = await open(t), second = await open(t)
  await first.subscribe('equal', [binding('equal')])
  await sql('drop table equal')
  await create('equal')
  assert.equal((await second.subscribe('equal', [binding('equal')])).system.message, SUBSCRIBED)
  await sql('insert into equal values (1)')
  await second.untilChanges(1)
  await first.untilChanges(1)
})

test('a table that leaves the publication: its channel is told once, stays, and comes back with it', async (t) => {
  await create('leaves')
  await create('stays')
  const client = await open(t)
  await client.subscribe('leaves', [binding('leaves')])
  await client.subscribe('stays', [binding('stays')])
  await sql('insert into leaves values (1)')
  await client.untilChanges(1)
  await sql('alter publication supabase_realtime drop table leaves')
  await untilSystem(client, 'leaves', 2, NOT_PUBLISHED)
  await sql('insert into leaves values (2)')
  await sql('alter publication supabase_realtime add table leaves')
  await untilSystem(client, 'leaves', 3, SUBSCRIBED)
  await sql('insert into leaves values (3)')
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === 3, 'the row after the return')
  assert.deepEqual(ids(client, 'leaves'), [1, 3])
  assert.deepEqual(systems(client, 'leaves').map(([status]) => status), ['ok', 'error', 'ok'])
  assert.deepEqual(systems(client, 'stays'), [['ok', SUBSCRIBED]])
})

test('a table that comes back with another number is delivered from its first row on', async (t) => {
  await create('another')
  const client = await open(t)
  await client.subscribe('another', [binding('another')])
  await sql('drop table another')
  await untilSystem(client, 'another', 2, NOT_PUBLISHED)
  await create('another')
  await sql('insert into another values (1)')
  await client.untilChanges(1)
  await untilSystem(client, 'another', 3, SUBSCRIBED)
  assert.equal(systems(client, 'another').length, 3)
})

test('a binding on a table that is not published yet begins when it is', async (t) => {
  await sql('create table later (id int primary key); grant select on later to anon')
  const client = await open(t)
  const { reply, system } = await client.subscribe('later', [binding('later')])
  assert.equal(reply.status, 'ok')
  assert.match(system.message, NOT_PUBLISHED)
  const second = await open(t)
  assert.match((await second.subscribe('later', [binding('later')])).system.message, NOT_PUBLISHED)
  assert.equal(systems(client, 'later').length, 1, 'told once')
  await fenced(client, second)
  await sql('alter publication supabase_realtime add table later')
  await sql('insert into later values (1)')
  for (const c of [client, second]) {
    await c.untilChanges(1)
    await untilSystem(c, 'later', 2, SUBSCRIBED)
  }
})

test('a channel that left while its table was away hears nothing more', async (t) => {
  await create('gone')
  const client = await open(t)
  await client.subscribe('gone', [binding('gone')])
  await sql('alter publication supabase_realtime drop table gone')
  await untilSystem(client, 'gone', 2, NOT_PUBLISHED)
  const ref = client.send('realtime:gone', 'phx_leave', {}, { joinRef: '1' })
  await client.reply(ref)
  await create('gone_marker')
  await sql('alter publication supabase_realtime add table gone')
  await client.subscribe('gone_marker', [binding('gone_marker')])
  await sql('insert into gone values (1); insert into gone_marker values (1)')
  await client.untilChanges(1)
  assert.deepEqual(client.changes('gone'), [])
  assert.equal(systems(client, 'gone').length, 2)
})

test('a wildcard takes in a table at once, and its channel hears so', async (t) => {
  await sql('create schema wild; grant usage on schema wild to anon; create table wild.a (id int primary key); grant select on all tables in schema wild to anon; alter publication supabase_realtime add table wild.a')
  const client = await open(t)
  await client.subscribe('wild', [{ event: '*', schema: 'wild' }])
  await sql('create table wild.b (id int primary key); grant select on wild.b to anon; alter publication supabase_realtime add table wild.b; insert into wild.b values (1)')
  await client.untilChanges(1)
  await untilSystem(client, 'wild', 2, SUBSCRIBED)
  await sql('alter publication supabase_realtime drop table wild.a')
  await untilSystem(client, 'wild', 3, SUBSCRIBED)
  await sql('alter publication supabase_realtime drop table wild.b')
  await untilSystem(client, 'wild', 4, NOT_PUBLISHED)
  await sql('alter publication supabase_realtime add table wild.a')
  await untilSystem(client, 'wild', 5, SUBSCRIBED)
  await sql('insert into wild.a values (2)')
  assert.deepEqual((await client.untilChanges(2)).map((c) => c.data.table), ['b', 'a'])
})

test('a name in any schema takes in a second table of that name', async (t) => {
  await sql('create schema other; grant usage on schema other to anon')
  await create('twin')
  const client = await open(t)
  await client.subscribe('twin', [{ event: '*', schema: '*', table: 'twin' }])
  await create('other.twin')
  await sql('insert into other.twin values (1); insert into twin values (2)')
  assert.deepEqual((await client.untilChanges(2)).map((c) => [c.data.schema, c.data.record.id]), [['other', 1], ['public', 2]])
})

test('a renamed table delivers under its old name what was made under it, and nothing after', async (t) => {
  await create('name_a')
  const client = await open(t)
  await client.subscribe('name_a', [binding('name_a')])
  const other = await open(t)
  const { system } = await other.subscribe('name_b', [binding('name_b')])
  assert.match(system.message, NOT_PUBLISHED)
  await fenced(other)
  await sql('begin; insert into name_a values (1); alter table name_a rename to name_b; insert into name_b values (2); commit')
  await sql('insert into name_b values (3)')
  await other.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === 3, 'the row under the new name')
  await untilSystem(client, 'name_a', 2, NOT_PUBLISHED)
  assert.deepEqual(ids(client), [1])
  assert.deepEqual(other.changes().map((c) => [c.data.table, c.data.record.id]), [['name_b', 2], ['name_b', 3]])
  await create('name_a')
  await sql('insert into name_a values (4)')
  assert.deepEqual((await client.untilChanges(2)).map((c) => [c.data.table, c.data.record.id]), [['name_a', 1], ['name_a', 4]])
})

test('a filter follows the type of its column', async (t) => {
  await create('typed')
  const client = await open(t)
  await client.subscribe('typed', [binding('typed', { filter: 'v=eq.10' })])
  await sql(`insert into typed values (1, '10'), (2, '10.0')`)
  await client.untilChanges(1)
  await sql(`begin; alter table typed alter v type numeric using v::numeric; insert into typed values (3, 10.00), (4, 11); commit`)
  await sql('insert into typed values (5, 10)')
  await client.untilChanges(3)
  assert.deepEqual(ids(client), [1, 3, 5])
})

test('a filter whose column is dropped: its channel is told, and comes back with the column', async (t) => {
  await create('columned')
  const client = await open(t)
  await client.subscribe('columned', [binding('columned', { filter: 'v=eq.a' })])
  await sql(`insert into columned values (1, 'a')`)
  await client.untilChanges(1)
  await sql(`alter table columned drop v; insert into columned values (2)`)
  await untilSystem(client, 'columned', 2, /invalid column for filter v$/)
  await sql(`alter table columned add v text; insert into columned values (3, 'a')`)
  await untilSystem(client, 'columned', 3, SUBSCRIBED)
  await sql(`insert into columned values (4, 'a')`)
  await client.untilChanges(3)
  assert.deepEqual(ids(client), [1, 3, 4])
})

test('a join that waits for its changes is refused when its table is not published', async (t) => {
  const client = await open(t)
  const reply = await client.join('never', { postgres_changes: [binding('never')], postgres_changes_options: { wait: true } })
  assert.equal(reply.status, 'error')
  await create('never')
  await sql('insert into never values (1)')
  await client.subscribe('never_after', [binding('never')])
  await sql('insert into never values (2)')
  await client.untilChanges(1)
  assert.deepEqual(ids(client), [2])
  assert.deepEqual(client.all('system', 'never'), [])
})

test('the catalog cannot be asked: that is no change', async (t) => {
  await create('asked')
  const client = await open(t)
  await client.subscribe('asked', [binding('asked')])
  await sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walcast_catalog'`)
  await sql('insert into asked values (1)')
  await client.untilChanges(1)
  await create('asked_marker')
  await client.subscribe('asked_marker', [binding('asked_marker')])
  await never(() => systems(client, 'asked').length > 1, 'a second message')
})

test('a publication dropped and made anew in mid-stream: everybody is told, and comes back', async (t) => {
  const own = await startWorld(t, { sql: 'create table t (id int primary key)', publish: ['t'] })
  const client = await Client.open(own.server)
  t.after(() => client.close())
  await client.subscribe('t', [binding('t')])
  await own.sql('insert into t values (1)')
  await client.untilChanges(1)
  await own.sql('drop publication supabase_realtime')
  await untilSystem(client, 't', 2, NOT_PUBLISHED)
  await own.sql('create publication supabase_realtime for table t')
  await untilSystem(client, 't', 3, SUBSCRIBED)
  await own.sql('insert into t values (2)')
  await client.untilChanges(2)
  assert.deepEqual(ids(client), [1, 2])
})

test('a publication is missing when a row is made: changes may have been missed, and the rest arrives', async (t) => {
  const own = await startWorld(t, { sql: 'create table t (id int primary key)', publish: ['t'] })
  const client = await Client.open(own.server)
  t.after(() => client.close())
  await client.subscribe('t', [binding('t')])
  await own.sql('drop publication supabase_realtime; insert into t values (1)')
  await until(async () => (await own.server.health()).status === 503, 'the end of the stream')
  await own.sql('create publication supabase_realtime for table t')
  await client.wait((m) => m.event === 'system' && /^Changes may have been missed/.test(m.payload.message), 'that changes may have been missed', 60_000)
  await until(() => systems(client, 't').at(-1)[1] === SUBSCRIBED, 'the next "Subscribed"')
  await own.sql('insert into t values (2)')
  await client.untilChanges(1)
  assert.deepEqual(ids(client), [2])
})

test('a slot that waits for an old transaction: whoever waits for "Subscribed" is told for which, then "Subscribed"', async (t) => {
  const own = await startWorld(t, { sql: 'create table t (id int primary key)', publish: ['t'] })
  await own.server.stop()
  const session = await own.cluster.connect()
  await session.query('begin; insert into t values (1)')
  const [{ pid }] = (await session.query('select pg_backend_pid() as pid')).rows
  await own.server.again({ wait: 'up' })
  const client = await Client.open(own.server)
  t.after(() => client.close())
  const { system } = await client.subscribe('t', [binding('t')])
  assert.equal(system.status, 'error')
  assert.match(system.message, new RegExp(`^Not subscribed to PostgreSQL yet: the new slot waits for transaction \\d+ of process ${pid}, \\d+ s old; `))
  await session.query('commit')
  await untilSystem(client, 't', 2, SUBSCRIBED)
  await own.sql('insert into t values (2)')
  await client.untilChanges(1)
  assert.deepEqual(ids(client), [2])
})

const WRITERS = 4, WRITES_EACH = 300

/** One session that inserts single rows, and remembers which were committed when. */
async function write(cluster, index, log) {
  const session = await cluster.connect()
  for (let n = 0; n < WRITES_EACH; n++) {
    const id = index * 100_000 + n
    const began = performance.now()
    await session.query(`insert into busy values ($1, 'x')`, [id])
    log.push({ id, began })
  }
}

test(`tables come and go under ${WRITERS} writers: nothing made after "Subscribed" is missing, nothing comes twice`, async (t) => {
  await create('busy')
  const clients = []
  for (const token of ['anon', 'authenticated', 'service_role'].map((role) => tokenFor(role))) {
    const client = await open(t, token)
    client.subscribedAt = []
    await client.subscribe('busy', [binding('busy')])
    await client.subscribe('busy_filtered', [binding('busy', { filter: 'id=gte.0' })])
    clients.push(client)
  }
  const log = []
  const writers = Array.from({ length: WRITERS }, (_, i) => write(world.cluster, i, log))
  await until(() => log.length > WRITERS * WRITES_EACH / 4, 'a quarter of the writes', 30_000 * SLOWNESS)
  await sql('alter publication supabase_realtime drop table busy')
  for (const client of clients) await untilSystem(client, 'busy', 2, NOT_PUBLISHED)
  await sql('alter publication supabase_realtime add table busy')
  const back = []
  for (const client of clients) for (const room of ['busy', 'busy_filtered']) {
    await untilSystem(client, room, 3, SUBSCRIBED)
    back.push(performance.now())
  }
  const since = Math.max(...back)
  await Promise.all(writers)
  await sql(`insert into busy values (-1, 'x')`)
  await sql(`insert into busy values (999999, 'x')`)
  for (const client of clients) {
    for (const room of ['busy', 'busy_filtered']) {
      await until(() => ids(client, room).includes(999999), `the last row in ${room}`, 30_000 * SLOWNESS)
      const got = ids(client, room)
      assert.equal(new Set(got).size, got.length, 'nothing twice')
      const missing = log.filter(({ id, began }) => began > since && !got.includes(id))
      assert.deepEqual(missing, [], 'nothing made after "Subscribed" is missing')
      assert.ok(got.length < log.length, 'the table was away for a while')
    }
  }
})

test(`a table made anew under ${WRITERS} writers loses none of its rows`, async (t) => {
  await create('remade')
  const client = await open(t)
  await client.subscribe('remade', [binding('remade')])
  const insert = async (index) => {
    const session = await world.cluster.connect()
    for (let n = 0; n < WRITES_EACH; n++) await session.query('insert into remade values ($1)', [index * 100_000 + n])
  }
  const writers = Array.from({ length: WRITERS }, (_, i) => insert(i))
  for (let n = 0; n < 3; n++) {
    await until(() => client.changes().length > (n + 1) * WRITES_EACH / 2, 'some rows', 30_000 * SLOWNESS)
    await sql('begin; lock table remade; alter table remade rename to remade_old; create table remade (like remade_old including all); grant select on remade to anon; alter publication supabase_realtime add table remade; drop table remade_old; commit')
  }
  await Promise.all(writers)
  await sql('insert into remade values (999999)')
  await until(() => ids(client).includes(999999), 'the last row', 30_000 * SLOWNESS)
  const got = ids(client)
  assert.equal(new Set(got).size, got.length, 'nothing twice')
  const kept = (await sql('select id from remade')).map((r) => r.id)
  assert.deepEqual(kept.filter((id) => !got.includes(id)), [], 'every row of the last table')
})

test('a table made anew faster than it is looked at: the stream goes on', async (t) => {
  await create('hasty')
  const client = await open(t)
  await client.subscribe('hasty', [binding('hasty')])
  await sql(`do $$ begin for n in 0..19 loop
    drop table hasty; create table hasty (id int primary key, v text); grant select on hasty to anon; alter publication supabase_realtime add table hasty;
    execute format('insert into hasty values (%s)', n); commit; end loop; end $$`)
  await client.wait((m) => m.event === 'postgres_changes' && m.payload.data.record.id === 19, 'the row of the last table')
  const got = ids(client)
  assert.deepEqual(got, [...got].sort((a, b) => a - b))
})

test('the temporary slot is lost: each channel is told once that changes may have been missed, then "Subscribed" again', async (t) => {
  const own = await startWorld(t, { sql: 'create table t (id int primary key)', publish: ['t'] })
  const clients = [await Client.open(own.server), await Client.open(own.server, { vsn: '1.0.0' })]
  t.after(() => clients.forEach((c) => c.close()))
  for (const client of clients) for (const room of ['one', 'two']) await client.subscribe(room, [binding('t')])
  await clients[0].subscribe('away', [binding('nowhere')])
  await own.sql(`select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'`)
  for (const client of clients) for (const room of ['one', 'two']) {
    await client.nth('system', 3, room)
    assert.deepEqual(systems(client, room).map(([status, message]) => [status, message.split(':')[0]]), [['ok', SUBSCRIBED], ['error', 'Changes may have been missed'], ['ok', SUBSCRIBED]])
  }
  await own.sql('insert into t values (1)')
  for (const client of clients) await client.untilChanges(2)
  for (const client of clients) for (const room of ['one', 'two']) assert.equal(systems(client, room).length, 3)
  assert.equal(systems(clients[0], 'away').length, 1, 'a channel that got nothing missed nothing')
})

test('a binding that asks to be explained is told why it may get nothing, by stable reasons; others are not', async (t) => {
  await sql(`create table dim (id numeric primary key, v text, hidden text); grant select (id, v) on dim to anon; alter table dim enable row level security;
    alter publication supabase_realtime add table dim; create table flat (a int); grant select on flat to anon; alter publication supabase_realtime add table flat`)
  const client = await open(t)
  const explained = async (room, n, bindings) => {
    await client.subscribe(room, bindings.map((b) => ({ ...b, explain: true })))
    await client.nth('system', n + 1, room)
    return systems(client, room).slice(1).map(([status, message]) => `${status} ${message.split(': ')[0]}`)
  }
  assert.deepEqual(await explained('dim', 4, [binding('dim', { filter: 'v=eq.a' })]), ['error column_not_granted', 'error identity_too_small', 'error key_not_leakproof', 'error no_policy'])
  assert.deepEqual(await explained('both', 2, [binding('flat'), binding('nowhere')]), ['error no_primary_key', 'error table_not_published'])
  await sql(`create domain short as text; create domain shorter as short; create table stem (id shorter primary key); create table twig (primary key (id)) inherits (stem);
    alter table stem enable row level security; grant select on twig to anon; create table forced (id int primary key);
    alter table forced enable row level security, force row level security, owner to anon; alter publication supabase_realtime add table twig, forced`)
  assert.deepEqual(await explained('twig', 1, [binding('twig')]), ['error no_policy'], 'of the table above it, and its key is text')
  assert.deepEqual(await explained('forced', 1, [binding('forced')]), ['error no_policy'], 'its owner is not spared')
  await create('plain')
  for (const room of ['dim2', 'flat2']) await client.subscribe(room, [binding(room.slice(0, -1))])
  await client.subscribe('plain', [binding('plain', { explain: true })])
  await sql('insert into plain values (1)')
  await client.wait((m) => m.topic === 'realtime:plain' && m.event === 'postgres_changes', 'the row')
  for (const room of ['dim2', 'flat2', 'plain']) assert.deepEqual(systems(client, room), [['ok', SUBSCRIBED]])
})
