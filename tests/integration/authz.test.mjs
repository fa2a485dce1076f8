// Private rooms: what the policies of realtime.messages permit a token, asked of a real Postgres.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { Authz } from './lib/authz.mjs'
import { Cluster } from './lib/cluster.mjs'
import { Client } from './lib/phoenix.mjs'
import { BINARY, SLOWNESS } from './lib/env.mjs'
import { since } from './lib/major.mjs'
import { childEnv, Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'

const ANN = '0000000a-0000-4000-8000-00000000000a', BOB = '0000000b-0000-4000-8000-00000000000b'
const OPTIONS = since(13, 'gen_random_uuid()')
let cluster, sql

before(async () => {
  cluster = await Cluster.start({ conf: { max_connections: '20' } })
  sql = cluster.sql.bind(cluster)
  const { status, stdout } = spawnSync(BINARY, ['migrate'], { encoding: 'utf8', env: childEnv(cluster.serverEnv) })
  assert.equal(status, 0, stdout)
})
after(() => cluster?.remove())

/** For one test; each text is what follows "create policy x on realtime.messages". */
async function policies(t, ...texts) {
  t.after(async () => {
    for (const i of texts.keys()) await sql(`drop policy if exists test_${i} on realtime.messages`)
  })
  for (const [i, text] of texts.entries()) await sql(`create policy test_${i} on realtime.messages ${text}`)
}

const cancelAll = () => until(async () => (await sql(`select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'walcast_authorization' and wait_event = 'PgSleep'`)).length, 'the statement runs')

/** Resolves with what undoes it. */
async function detachAll() {
  const partitions = await sql(`select inhrelid::regclass::text as name, pg_get_expr(relpartbound, oid) as bound from pg_inherits, pg_class where inhparent = 'realtime.messages'::regclass and oid = inhrelid`)
  for (const { name } of partitions) await sql(`alter table realtime.messages detach partition ${name}`)
  return async () => {
    for (const { name, bound } of partitions) await sql(`alter table realtime.messages attach partition ${name} ${bound}`)
  }
}

const sessions = async () => (await sql(`select count(*)::int as n from pg_stat_activity where application_name = 'walcast_authorization'`))[0].n
const rows = async () => (await sql('select count(*)::int as n from realtime.messages'))[0].n

// ---- verdicts ----

test('without a policy a role may do nothing, and one that bypasses row security everything', OPTIONS, async (t) => {
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { role: 'anon' }), '')
  assert.equal(await authz.may('rpwq', { role: 'service_role' }), 'rpwq')
})

test('a function that says it is immutable, and reads the claims, answers each token for itself', OPTIONS, async (t) => {
  await sql(`create function public.me() returns text language plpgsql immutable as $$ begin return current_setting('request.jwt.claims', true)::json ->> 'sub'; end $$`)
  t.after(() => sql('drop function public.me() cascade'))
  await policies(t, `for select using (public.me() = '${ANN}')`, `for insert with check (public.me() = '${ANN}')`)
  const authz = Authz.start(t, cluster)
  for (const [sub, may] of [[ANN, 'rw'], [BOB, ''], [ANN, 'rw'], [BOB, '']]) assert.equal(await authz.may('rw', { claims: { sub } }), may, sub)
})

test('each permission is asked for by itself, and only when it is asked for', OPTIONS, async (t) => {
  await policies(t, `for select using (extension = 'broadcast' and topic = 'a' or extension = 'presence' and topic = 'b')`,
    `for insert with check (extension = 'broadcast' and topic = 'b' or extension = 'presence' and topic = 'a')`)
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { topic: 'a' }), 'rq')
  assert.equal(await authz.may('rpwq', { topic: 'b' }), 'pw')
  assert.equal(await authz.may('rpwq', { topic: 'c' }), '')
  assert.equal(await authz.may('rw', { topic: 'b' }), 'w', 'presence is not enabled')
  assert.equal(await authz.may('q', { topic: 'a' }), 'q')
  assert.equal(await authz.may('p', { topic: 'b' }), 'p')
  assert.equal(await authz.may('', { topic: 'b' }), '')
})

test('policies see the topic, the claims, the headers and the role of who asks', OPTIONS, async (t) => {
  const cases = [
    [`realtime.topic() = 'room'`, {}, { topic: 'other' }],
    [`topic = 'ro''om,{}"\\'`, { topic: `ro'om,{}"\\` }, {}],
    [`realtime.topic() = topic`, { topic: 'a:b:c' }, null],
    [`auth.uid() = '${ANN}'`, { claims: { sub: ANN } }, { claims: { sub: BOB } }],
    [`auth.uid() is null and current_setting('request.jwt.claim.sub') = ''`, { claims: { sub: null } }, { claims: { sub: ANN } }],
    [`current_setting('request.jwt.claim.sub') = '7'`, { claims: { sub: 7 } }, {}],
    [`current_setting('request.jwt.claim.sub') = 'ö"x'`, { claims: '{"role":"authenticated","sub":"x","sub":"\\u00f6\\"x"}' }, {}],
    [`auth.role() = 'authenticated' and current_setting('request.jwt.claim.role') = 'authenticated'`, {}, { role: 'anon' }],
    [`current_user = 'anon' and auth.jwt() ->> 'role' = 'anon'`, { role: 'anon' }, {}],
    [`auth.jwt() -> 'app' ->> 'team' = 'red'`, { claims: { app: { team: 'red' } } }, { claims: { app: { team: 'blue' } } }],
    [`current_setting('request.headers')::jsonb ->> 'x-forwarded-for' = '10.0.0.1'`, { headers: { 'x-forwarded-for': '10.0.0.1' } }, {}],
    [`current_setting('request.cookies') = '' and current_setting('request.jwt.claim.email') = '' and current_setting('request.method') = ''`, {}, null],
    [`extension in ('broadcast', 'presence') and private = false and event is null and payload is null and binary_payload is null`, {}, null],
    [`inserted_at = updated_at and inserted_at between (now() at time zone 'utc') - interval '1 hour' and (now() at time zone 'utc') + interval '1 hour'`, {}, null],
  ]
  const authz = Authz.start(t, cluster)
  for (const [expression, granted, denied] of cases) {
    await policies(t, `for select using (${expression})`, `for insert with check (${expression})`)
    assert.equal(await authz.may('rpwq', granted), 'rpwq', expression)
    if (denied) assert.equal(await authz.may('rpwq', denied), '', expression)
    for (const i of [0, 1]) await sql(`drop policy test_${i} on realtime.messages`)
  }
})

test('a policy TO a role counts for that role only', OPTIONS, async (t) => {
  await policies(t, 'for select to authenticated using (true)', 'for insert to anon with check (true)')
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq'), 'rp')
  assert.equal(await authz.may('rpwq', { role: 'anon' }), 'wq')
})

test('questions of other roles and claims in between change no answer', OPTIONS, async (t) => {
  await policies(t, `for select to authenticated using (auth.uid() = topic::uuid)`, `for insert to anon with check (current_setting('request.headers')::jsonb ->> 'x-id' = topic)`)
  const authz = Authz.start(t, cluster, { POOL: '2' })
  const asked = []
  for (let i = 0; i < 60; i++)
    for (const topic of [ANN, BOB])
      asked.push(
        authz.may('rpwq', { topic, claims: { sub: ANN } }).then((may) => [may, topic === ANN ? 'rp' : '']),
        authz.may('rpwq', { topic, role: 'anon', headers: { 'x-id': BOB } }).then((may) => [may, topic === BOB ? 'wq' : '']),
        authz.may('rpwq', { topic, role: 'nobody' }).then((may) => [may, 'error: policy']))
  for (const [actual, expected] of await Promise.all(asked)) assert.equal(actual, expected)
})

test('the login need be no more than the owner of the table, and a member of the roles', OPTIONS, async (t) => {
  await policies(t, 'for select to authenticated using (true)', 'for insert to anon with check (true)')
  await sql(`create role keeper login noinherit password 'k'; grant anon, authenticated to keeper; grant usage on schema realtime to keeper`)
  t.after(() => sql('alter table realtime.messages owner to postgres; drop owned by keeper; drop role keeper'))
  const as = { DB_USER: 'keeper', DB_PASSWORD: 'k' }
  const authz = Authz.start(t, cluster, as)
  assert.equal(await authz.may('r'), 'error: policy', 'it may not insert probes')
  await sql('grant insert on realtime.messages to keeper')
  assert.equal(await authz.may('r'), 'error: policy', 'nor beyond row security')
  await sql('alter table realtime.messages owner to keeper')
  assert.equal(await authz.may('rpwq'), 'rp')
  assert.equal(await authz.may('rpwq', { role: 'anon' }), 'wq')
  assert.equal(await authz.may('rpwq', { role: 'service_role' }), 'error: policy', 'it is no member of that')
})

test('no probe stays, or reaches anybody who reads the table', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)', 'for insert with check (true)')
  await sql(`select pg_create_logical_replication_slot('watch', 'test_decoding')`)
  t.after(() => sql(`select pg_drop_replication_slot('watch')`))
  const before = await rows()
  assert.equal(await Authz.start(t, cluster).may('rpwq'), 'rpwq')
  assert.equal(await rows(), before)
  const changes = await sql(`select data from pg_logical_slot_get_changes('watch', null, null) where data ~ 'messages'`)
  assert.deepEqual(changes, [])
})

// ---- replay ----

const replayed = ({ rows }) => rows.map(({ event, payload }) => `${event} ${Buffer.isBuffer(payload) ? payload : payload.n}`)
const send = (event, values = '{}', { topic = 'room', at = 'now()', isPrivate = true, extension = 'broadcast', column = 'payload' } = {}) =>
  sql(`insert into realtime.messages (topic, extension, event, ${column}, private, inserted_at) values ($1, $2, $3, $4, $5, (${at}) at time zone 'utc') returning id`,
    [topic, extension, event, values, isPrivate])

test('what was sent to a room is replayed, oldest first, to who may read broadcasts', OPTIONS, async (t) => {
  await policies(t, `for select using (topic <> 'presence only' or extension = 'presence')`)
  t.after(() => sql('truncate realtime.messages'))
  const [{ id }] = await send('first', '{"n":1}', { at: `now() - interval '3 minutes'` })
  await send('second', '\\x00ff', { at: `now() - interval '2 minutes'`, column: 'binary_payload' })
  await send('third', '{"n":3}', { at: `now() - interval '1 minute'` })
  await send('public', '{"n":4}', { isPrivate: false })
  await send('other', '{"n":5}', { topic: 'other' })
  await send('presence', '{"n":6}', { extension: 'presence' })
  await send('future', '{"n":7}', { at: `now() + interval '2 minutes'` })
  await send(null, '{"n":8}')
  const authz = Authz.start(t, cluster), hourAgo = Date.now() - 3_600_000
  const all = await authz.ask('rp', { replay: { since: hourAgo } })
  assert.deepEqual({ may: all.may, error: all.error }, { may: 'rp', error: 'ok' })
  assert.deepEqual(replayed(all), ['first 1', 'second \u0000\ufffd', 'third 3'])
  assert.equal(all.rows[0].id, id.replaceAll('-', ''))
  assert.deepEqual(replayed(await authz.ask('r', { replay: { since: hourAgo, limit: 1 } })), ['third 3'], 'the newest')
  assert.deepEqual(replayed(await authz.ask('r', { replay: { since: Date.now() - 90_000 } })), ['third 3'])
  assert.deepEqual((await authz.ask('r', { topic: 'empty', replay: { since: hourAgo } })), { may: 'r', error: 'ok', rows: [] })
  const member = await authz.ask('rp', { topic: 'presence only', replay: { since: hourAgo } })
  assert.deepEqual(member, { may: 'p', error: 'ok', rows: [] })
})

test('a replay is as large as may be sent', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  t.after(() => sql('truncate realtime.messages'))
  for (let n = 0; n < 8; n++) await send(`e${n}`, JSON.stringify({ n, text: 'x'.repeat(n === 6 ? 1_100_000 : 900_000) }), { at: `now() - interval '${8 - n} seconds'` })
  const authz = Authz.start(t, cluster, { MAX_PAYLOAD_KB: '1000' })
  const answer = await authz.ask('r', { replay: { since: 0 } })
  assert.deepEqual(replayed(answer), ['e2 2', 'e3 3', 'e4 4', 'e5 5', 'e7 7'], 'the newest that fit, without the one that may not be sent')
})

test('a replay that fails leaves the permission', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  await sql('alter table realtime.messages rename column event to eventually')
  t.after(() => sql('alter table realtime.messages rename column eventually to event'))
  const authz = Authz.start(t, cluster)
  assert.deepEqual(await authz.ask('rp', { replay: { since: 0 } }), { may: 'rp', error: 'replay', rows: [] })
  assert.deepEqual(await authz.ask('r', { replay: { since: '9223372036854775807' } }), { may: 'r', error: 'replay', rows: [] })
  assert.equal(await authz.may('rp'), 'rp')
})

/** A session whose transaction has inserted a row and not committed: { session, xid }, of which the stream names 32 bits. */
async function uncommitted(t) {
  const session = await cluster.connect()
  t.after(() => session.end())
  await session.query('begin')
  await session.query(`insert into realtime.messages (topic, extension, event, payload, private) values ('room', 'broadcast', 'open', '{"n":1}', true)`)
  const { rows: [{ xid }] } = await session.query('select (txid_current() & 4294967295)::text as xid')
  return { session, xid }
}

test('a replay sees every transaction that was streamed before it, whatever order they become visible in', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  t.after(() => sql('truncate realtime.messages'))
  const authz = Authz.start(t, cluster)
  const { session, xid } = await uncommitted(t)
  await send('later', '{"n":2}')
  const [{ later }] = await sql(`select xmin::text as later from realtime.messages where event = 'later'`)
  for (const streamed of ['3', xid, later, later]) authz.streamed(streamed)
  const waits = authz.ask('r', { replay: { since: 0 } })
  for (let i = 0; i < 50; i++) assert.equal(await authz.may('r'), 'r', 'others are not in its way')
  assert.equal(await Promise.race([waits, 'still asked']), 'still asked')
  await session.query('commit')
  assert.deepEqual(replayed(await waits), ['open 1', 'later 2'])
})

test('what is streamed after a question, or was before the stream began anew, is not waited for', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  t.after(() => sql('truncate realtime.messages'))
  const authz = Authz.start(t, cluster), ask = () => authz.ask('r', { replay: { since: 0 } })
  const { session, xid } = await uncommitted(t)
  const before = ask()
  authz.streamed(xid)
  assert.equal((await before).error, 'ok')
  const waits = ask()
  assert.equal(await authz.may('r'), 'r')
  authz.anew()
  for (const asked of [waits, ask()]) assert.deepEqual(await asked, { may: 'r', error: 'ok', rows: [] })
  await session.query('rollback')
})

test('a replay waits for what is not visible as long as a replay may take', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  t.after(() => sql('truncate realtime.messages'))
  const authz = Authz.start(t, cluster, { REPLAY_MS: '300', QUEUE_MS: '200' })
  const { session, xid } = await uncommitted(t)
  for (let i = 0; i < 1000; i++) authz.streamed(i % 2 ? xid : '3') // more than are remembered
  assert.deepEqual(await authz.ask('r', { replay: { since: 0 } }), { may: 'r', error: 'replay', rows: [] })
  assert.equal(await authz.may('r'), 'r', 'the pool is not taken for exhausted')
  await session.query('commit')
  assert.deepEqual(replayed(await authz.ask('r', { replay: { since: 0 } })), ['open 1'])
})

test('a question that waits for what is not visible ends with its owner', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  const authz = Authz.start(t, cluster)
  const { session, xid } = await uncommitted(t)
  authz.streamed(xid)
  authz.abandon('r', { replay: { since: 0 } })
  for (let i = 0; i < 10; i++) assert.equal(await authz.may('r'), 'r')
  await authz.end()
  await session.query('rollback')
})

// ---- errors ----

test('what cannot be decided permits nothing, and says why', OPTIONS, async (t) => {
  await sql(`create function boom() returns bool language plpgsql as $$ begin raise exception 'boom'; end $$`)
  await sql('create role stranger')
  t.after(() => sql('drop function boom() cascade; drop role stranger'))
  await policies(t, `for select using (topic = 'open' or boom())`, `for insert with check (topic = 'open' or extension = 'broadcast' and boom())`)
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { topic: 'open' }), 'rpwq')
  assert.equal(await authz.may('rp'), 'error: policy', 'a policy raises')
  assert.equal(await authz.may('w'), 'error: policy')
  assert.equal(await authz.may('wq'), 'error: policy', 'no permission without the other')
  assert.equal(await authz.may('rw', { role: 'nobody' }), 'error: policy', 'the role does not exist')
  assert.equal(await authz.may('r', { role: 'stranger', topic: 'open' }), 'error: policy', 'the role may not use the schema')
  assert.equal(await authz.may('w', { role: 'stranger', topic: 'open' }), '')
  assert.equal(await authz.may('rpwq', { role: 'none', topic: 'open' }), 'error: policy', 'none would be the login')
  assert.equal(await authz.may('rpwq', { role: '', topic: 'open' }), 'error: policy')
  assert.equal(await authz.may('rpwq', { claims: '{"role":"authenticated","sub":"a\\u0000b"}', topic: 'open' }), 'error: policy', 'a text cannot hold NUL')
  assert.equal(await authz.may('rpwq', { topic: 'open' }), 'rpwq', 'and the next is asked as before')
})

test('write without read, and read without write, are answers and no errors', OPTIONS, async (t) => {
  await policies(t, `for insert to anon with check (true)`, 'for select to authenticated using (true)')
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rpwq', { role: 'anon' }), 'wq')
  assert.equal(await authz.may('rpwq'), 'rp')
})

test('a statement that takes too long, or is canceled, is told as canceled', OPTIONS, async (t) => {
  await policies(t, `for select using (topic <> 'slow' or pg_sleep(60) is not null)`, `for insert with check (topic <> 'slow' or pg_sleep(60) is not null)`)
  const quick = Authz.start(t, cluster, { STATEMENT_MS: '200' })
  assert.equal(await quick.may('r', { topic: 'slow' }), 'error: canceled')
  assert.equal(await quick.may('w', { topic: 'slow' }), 'error: canceled')
  assert.equal(await quick.may('rw', { topic: 'fast' }), 'rw')
  const patient = Authz.start(t, cluster)
  const asked = patient.may('r', { topic: 'slow' })
  await cancelAll()
  assert.equal(await asked, 'error: canceled')
})

test('without a partition for today the question says so', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)', 'for insert with check (true)')
  t.after(await detachAll())
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('rp'), 'error: no_partition')
  assert.equal(await authz.may('wq'), 'error: no_partition')
})

test('a database without realtime.messages permits nothing', OPTIONS, async (t) => {
  await sql('create database bare')
  t.after(() => sql('drop database bare'))
  const authz = Authz.start(t, cluster, { DB_NAME: 'bare' })
  assert.equal(await authz.may('rw'), 'error: policy')
  await authz.end()
})

test('the log says what a login or a role lacks, each in its own line', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  await sql(`create role asker login replication password 'asker'; grant anon to asker`)
  t.after(() => sql('drop owned by asker; drop role asker'))
  const server = await Server.start({ ...cluster.serverEnv, DB_USER: 'asker', DB_PASSWORD: 'asker' }, { wait: 'up' })
  t.after(() => server.stop())
  const client = await Client.open(server, { token: tokenFor('authenticated') })
  t.after(() => client.close())
  const lacks = async (hint, remedy) => {
    await until(async () => {
      const { status } = await client.join('room', { private: true })
      return status === 'error' && hint.test(server.log)
    }, () => `${hint} in ${server.log}`)
    await sql(remedy)
  }
  await lacks(/authz not_answered .*sqlstate=42501 .*hint="DB_USER must insert into realtime\.messages/,
    'grant usage on schema realtime to asker; grant select, insert on realtime.messages to asker; alter role asker bypassrls')
  await lacks(/hint="DB_USER must be a member of the role/, 'grant authenticated to asker; revoke select on realtime.messages from authenticated')
  t.after(() => sql('grant select on realtime.messages to authenticated'))
  await lacks(/hint="the role needs USAGE on schema realtime, SELECT/, 'grant select on realtime.messages to authenticated')
  assert.equal((await client.join('room', { private: true })).status, 'ok')
})

test('a client is told why in the words of the reference', OPTIONS, async (t) => {
  await sql(`create function raises() returns bool language plpgsql as $$ begin raise exception 'boom'; end $$`)
  t.after(() => sql('drop function raises() cascade'))
  await policies(t, `for select using (case topic when 'slow' then pg_sleep(60) is not null when 'raises' then raises() else topic = 'open' end)`)
  const server = await Server.start(cluster.serverEnv)
  t.after(() => server.stop())
  const client = await Client.open(server, { token: tokenFor('authenticated') })
  t.after(() => client.close())
  const reason = async (room) => (await client.join(room, { private: true })).response.reason
  assert.equal(await reason('open'), undefined)
  assert.equal(await reason('closed'), 'Unauthorized: You do not have permissions to read from this Channel topic: closed')
  assert.equal(await reason('raises'), 'Unauthorized: You do not have permissions to read from this Channel topic: raises')
  const slow = reason('slow')
  await cancelAll()
  assert.match(await slow, /^QueryCanceled: /)
  const attach = await detachAll()
  t.after(attach)
  assert.equal(await reason('elsewhere'), 'MissingPartition: Realtime was unable to find the expected messages partition')
})

// ---- connections ----

test('a connection is opened by the first question and closed when none came for a while', OPTIONS, async (t) => {
  const authz = Authz.start(t, cluster, { IDLE_MS: '50', POOL: '3' })
  await until(async () => await sessions() === 0, 'earlier ones are gone')
  assert.equal(await authz.may('r', { role: 'service_role' }), 'r')
  await until(async () => await sessions() === 0, 'it is closed')
  await Promise.all(Array.from({ length: 200 }, () => authz.may('rw', { role: 'service_role' })))
  assert.ok(await sessions() <= 3)
})

test('a session that is ended is replaced, and its questions are answered', OPTIONS, async (t) => {
  await policies(t, `for select using (topic <> 'slow' or pg_sleep(60) is not null)`)
  const authz = Authz.start(t, cluster)
  assert.equal(await authz.may('r'), 'r')
  const killed = [0]
  const kill = () => until(async () => {
    const [{ pid } = {}] = await sql(`select pid from pg_stat_activity where application_name = 'walcast_authorization' and wait_event = 'PgSleep' and pid <> all ($1)`, [killed])
    if (pid) await sql('select pg_terminate_backend($1)', [pid])
    return pid && killed.push(pid)
  }, 'a session is busy')
  const slow = authz.may('r', { topic: 'slow' }), behind = authz.may('r')
  await kill() // asked once more
  await kill()
  assert.equal(await slow, 'error: unavailable')
  assert.equal(await behind, 'r')
})

test('only a question that ends its session every time is left unanswered', OPTIONS, async (t) => {
  await sql(`create function ends() returns bool security definer language sql as 'select pg_terminate_backend(pg_backend_pid())'`)
  await policies(t, `for select using (case topic when 'end' then ends() else true end)`)
  t.after(() => sql('drop function ends() cascade'))
  for (const POOL of ['1', '3']) {
    const authz = Authz.start(t, cluster, { POOL })
    const wanted = Array.from({ length: 40 }, (_, i) => i % 4 === 2)
    const answers = await Promise.all(wanted.map((ends) => authz.may('rp', { topic: ends ? 'end' : 'room' })))
    assert.deepEqual(answers, wanted.map((ends) => ends ? 'error: unavailable' : 'rp'), `a pool of ${POOL}`)
  }
})

test('a database that ends every session answers nobody, and nobody waits for it longer than the deadline', OPTIONS, async (t) => {
  await sql(`create function ends() returns bool security definer language sql as 'select pg_terminate_backend(pg_backend_pid())'`)
  await policies(t, 'for select using (ends())')
  t.after(() => sql('drop function ends() cascade'))
  const authz = Authz.start(t, cluster, { ANSWER_MS: '1500' }), asked = Date.now()
  const answers = await Promise.all(Array.from({ length: 2000 }, () => authz.may('r')))
  assert.deepEqual(new Set(answers), new Set(['error: unavailable']))
  assert.ok(Date.now() - asked < 10000 * SLOWNESS, 'all of them at the deadline')
})

test('a database that is full is told, and asked again when it has room', OPTIONS, async (t) => {
  const [{ free }] = await sql(`select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - count(*)::int + 1 as free from pg_stat_activity where backend_type = 'client backend'`)
  await sql(`create role login_full login password 'x'; grant anon to login_full`)
  t.after(() => sql('drop role login_full'))
  const guests = []
  t.after(() => Promise.all(guests.map((guest) => guest.end())))
  for (let i = 0; i < free; i++) guests.push(await cluster.connect({ user: 'login_full', password: 'x' }).catch(() => null))
  const authz = Authz.start(t, cluster, { DB_USER: 'login_full', DB_PASSWORD: 'x' })
  assert.equal(await authz.may('r', { role: 'anon' }), 'error: connections')
  for (const guest of guests.splice(0)) await guest?.end()
  await until(async () => await authz.may('r', { role: 'anon' }) === 'error: policy', 'it has room again; the login may not insert')
})

test('after three failures to connect nothing is tried for a while', OPTIONS, async (t) => {
  const tried = []
  const refusing = net.createServer((socket) => { tried.push(Date.now()); socket.destroy() }).listen(0, '127.0.0.1')
  t.after(() => refusing.close())
  await until(() => refusing.address(), 'it listens')
  const authz = Authz.start(t, cluster, { DB_PORT: String(refusing.address().port), DB_HOST: '127.0.0.1', RETRY_MS: '1500' })
  for (let i = 0; i < 3; i++) assert.equal(await authz.may('r'), 'error: unavailable')
  const before = tried.length
  for (let i = 0; i < 10; i++) assert.equal(await authz.may('r'), 'error: connect_rate')
  assert.equal(tried.length, before)
  await until(async () => await authz.may('r') === 'error: unavailable', 'it is tried again')
})

test('a server that accepts and never answers fails its questions in time', OPTIONS, async (t) => {
  const sockets = [], silent = net.createServer((socket) => { sockets.push(socket); socket.on('error', () => {}) }).listen(0, '127.0.0.1')
  t.after(() => { silent.close(); for (const socket of sockets) socket.destroy() })
  await until(() => silent.address(), 'it listens')
  const env = { DB_PORT: String(silent.address().port), DB_HOST: '127.0.0.1' }
  assert.equal(await Authz.start(t, cluster, { ...env, CONNECT_MS: '200' }).may('r'), 'error: unavailable')
  const patient = Authz.start(t, cluster, { ...env, CONNECT_MS: '60000', ANSWER_MS: '300', QUEUE_MS: '100' })
  assert.deepEqual(await Promise.all([patient.may('r'), patient.may('w')]), ['error: unavailable', 'error: unavailable'])
})

test('a connection that falls silent in the middle is replaced', OPTIONS, async (t) => {
  let deaf = false
  const pairs = []
  const proxy = net.createServer((client) => {
    const server = net.connect({ host: cluster.env.DB_HOST, port: Number(cluster.env.DB_PORT) })
    pairs.push(client, server)
    for (const [from, to] of [[client, server], [server, client]]) from.on('error', () => {}).on('close', () => to.destroy()).on('data', (data) => { if (!deaf) to.write(data) })
  }).listen(0, '127.0.0.1')
  t.after(() => { proxy.close(); for (const socket of pairs) socket.destroy() })
  await until(() => proxy.address(), 'it listens')
  const authz = Authz.start(t, cluster, { DB_PORT: String(proxy.address().port), DB_HOST: '127.0.0.1', ANSWER_MS: '600', QUEUE_MS: '300' })
  assert.equal(await authz.may('r', { role: 'service_role' }), 'r')
  deaf = true
  const asked = [authz.may('r', { role: 'service_role' }), authz.may('r', { role: 'service_role' })]
  assert.deepEqual(await Promise.all(asked), ['error: unavailable', 'error: pool'])
  deaf = false
  await until(async () => await authz.may('r', { role: 'service_role' }) === 'r', 'it answers again')
})

test('whose turn does not come in time is told that the pool is exhausted, and so is who comes then', OPTIONS, async (t) => {
  await policies(t, `for select using (topic <> 'slow' or pg_sleep(60) is not null)`)
  const authz = Authz.start(t, cluster, { QUEUE_MS: '200', STATEMENT_MS: '60000', ANSWER_MS: '60000' })
  const slow = authz.may('r', { topic: 'slow' })
  assert.equal(await authz.may('r'), 'error: pool')
  const asked = Date.now()
  assert.equal(await authz.may('r'), 'error: pool')
  assert.ok(Date.now() - asked < 200, 'at once')
  await cancelAll()
  assert.equal(await slow, 'error: canceled')
  assert.equal(await authz.may('r'), 'r', 'as soon as there is an answer again')
})

test('other connections of the pool go on beside a slow policy', OPTIONS, async (t) => {
  await policies(t, `for select using (topic <> 'slow' or pg_sleep(60) is not null)`)
  const authz = Authz.start(t, cluster, { POOL: '2', STATEMENT_MS: '1500' })
  await Promise.all([authz.may('r'), authz.may('r')])
  await until(async () => await sessions() === 2, 'both are open')
  const slow = authz.may('r', { topic: 'slow' })
  for (let i = 0; i < 20; i++) assert.equal(await authz.may('r'), 'r')
  assert.equal(await Promise.race([slow, 'still asked']), 'still asked')
  assert.equal(await slow, 'error: canceled')
})

test('a flood of questions is answered, up to what may wait', OPTIONS, async (t) => {
  await policies(t, 'for select using (true)')
  const authz = Authz.start(t, cluster, { QUEUE_MS: '60000', ANSWER_MS: '60000' })
  assert.equal((await authz.flood(1000, 'rw')).granted, 1000)
  assert.equal((await authz.flood(5000, 'r')).granted, 4096 + 16, 'those that wait, and those on their way')
})

// ---- other people's code in our session ----

/** What functions of policies and triggers do in the session, in plpgsql, before they say yes. */
const ATTACKS = {
  'switches the role to the login': `perform set_config('role', 'none', false)`,
  'becomes another role for the session': `execute 'set session role service_role'`,
  'takes the session over': `perform set_config('role', 'none', false); execute 'set session authorization postgres'`,
  'resets everything': `execute 'reset role'; execute 'reset all'`,
  'alters roles and policies as the login': `perform set_config('role', 'none', false); execute 'alter role authenticated bypassrls'; execute 'alter table realtime.messages disable row level security'`,
  'deallocates and prepares statements': `execute 'deallocate all'; execute 'prepare begin as select 1'`,
  'replaces every statement by one that grants everything': `for s in select name, statement, parameter_types from pg_prepared_statements loop
      execute format('deallocate %I', s.name);
      execute format('prepare %I (%s) as %s', s.name, array_to_string(s.parameter_types::text[], ','), case when s.statement ~ 'any' then 'select unnest($1)' else 'select 1' end); end loop`,
  'sets what others are judged by': `perform set_config('request.jwt.claims', '{"sub": "${ANN}", "role": "authenticated"}', false); perform set_config('realtime.topic', '${ANN}', false); perform set_config('request.headers', '{"x-id": "${ANN}"}', false)`,
  'changes search_path, row_security, timeouts': `perform set_config('search_path', 'evil, pg_catalog', false); perform set_config('row_security', 'off', false); perform set_config('statement_timeout', '1', false)`,
  'changes how texts are read': `perform set_config('datestyle', 'German', false); perform set_config('timezone', 'Asia/Tokyo', false); perform set_config('client_encoding', 'LATIN1', false)`,
  'makes later transactions read only': `perform set_config('default_transaction_read_only', 'on', false); perform set_config('default_transaction_isolation', 'serializable', false)`,
  'makes temporary tables': `execute 'create temp table teams as select ''${BOB}''::uuid as sub'`,
  'writes rows': `perform set_config('role', 'none', false); insert into public.teams values ('${BOB}'); insert into realtime.messages (topic, extension) values ('${BOB}', 'broadcast')`,
  commits: `commit`,
  'rolls back': `rollback`,
  raises: `raise exception 'no' using errcode = '23514'`,
  'looks like a lost connection': `raise exception 'no' using errcode = '08006'`,
  'warns as if there were no transaction': `raise warning 'there is no transaction in progress' using errcode = '25P01'`,
  'cancels itself': `perform set_config('role', 'none', false); perform pg_cancel_backend(pg_backend_pid())`,
  'ends the session': `perform set_config('role', 'none', false); perform pg_terminate_backend(pg_backend_pid())`,
}

const attack = (body, guard) => sql(`create or replace function evil.attack() returns bool volatile language plpgsql as $attack$
  declare s record;
  begin
    ${guard ? `begin ${body}; exception when others then null; end;` : `${body};`}
    return true;
  end $attack$`)

const state = async () => JSON.stringify([await sql('select rolname, rolsuper, rolbypassrls from pg_roles order by 1'),
  await sql(`select relrowsecurity from pg_class where oid = 'realtime.messages'::regclass`), await sql('select * from public.teams'), await rows()])

for (const where of ['a policy', 'a trigger'])
  test(`whatever ${where} does in the session decides nothing for another question`, OPTIONS, async (t) => {
    await sql(`create schema evil; grant usage on schema evil to public; create table evil.teams (sub uuid); insert into evil.teams values ('${ANN}'), ('${BOB}');
      grant select on evil.teams to public; create role mallory; grant usage on schema realtime to mallory; grant select, insert on realtime.messages to mallory;
      create table teams (sub uuid); insert into teams values ('${ANN}'); grant select on teams to public;
      create function in_team() returns bool stable language sql as 'select exists (select from teams where sub = auth.uid())'`)
    t.after(() => sql('drop schema evil cascade; drop table teams; drop function in_team() cascade; drop owned by mallory; drop role mallory'))
    await attack('perform 1', true)
    const may = `in_team() and topic = auth.uid()::text and realtime.topic() = topic and current_setting('request.headers')::jsonb ->> 'x-id' = topic`
    await policies(t, `for select to authenticated using (${may})`, `for insert to authenticated with check (${may})`,
      `for select to mallory using (${where === 'a policy' ? 'evil.attack()' : 'true'})`, `for insert to mallory with check (${where === 'a policy' ? 'evil.attack()' : 'true'})`)
    if (where === 'a trigger') {
      await sql(`create function evil.on_insert() returns trigger language plpgsql as $$ begin if new.topic = 'trap' then perform evil.attack(); end if; return new; end $$;
        create trigger evil before insert on realtime.messages for each row execute function evil.on_insert()`)
    }
    const ann = { topic: ANN, claims: { sub: ANN }, headers: { 'x-id': ANN } }, bob = { topic: BOB, claims: { sub: BOB }, headers: { 'x-id': BOB } }
    const mallory = { topic: 'trap', role: 'mallory' }
    const before = await state(), authz = Authz.start(t, cluster)
    for (const [name, body] of Object.entries(ATTACKS))
      for (const guard of [true, false]) {
        await attack(body, guard)
        const asked = []
        for (const wanted of ['rp', 'w', 'rpwq']) asked.push(authz.may('rpwq', ann), authz.may('rpwq', bob), authz.may(wanted, mallory))
        const answers = await Promise.all([...asked, authz.may('rpwq', ann), authz.may('rpwq', bob)])
        const of = (i) => answers.filter((_, k) => k % 3 === i)
        assert.deepEqual(of(0), ['rpwq', 'rpwq', 'rpwq', 'rpwq'], `${name}, ${guard}`)
        assert.deepEqual(of(1), ['', '', '', ''], `${name}, ${guard}`)
        if (/grants everything/.test(name)) assert.deepEqual(of(2), Array(3).fill('error: policy'), `${name}, ${guard}`)
      }
    assert.equal(await state(), before)
  })
