// Old rows: deletes judged by compiled policies (DELETE_UNDER_RLS=judged), old rows of updates, and
// removals: the DELETE that a binding asks for where an UPDATE takes a row out of what it shows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { books, isBalanced } from './lib/books.mjs'
import { Client } from './lib/phoenix.mjs'
import { Server } from './lib/server.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { publishTable, sharedWorld } from './lib/world.mjs'

const WHO = `create schema who; grant usage on schema who to public;
  create function who.is() returns text language sql stable as $$ select current_setting('request.jwt.claims', true)::json ->> 'sub' $$;`
const world = sharedWorld({ sql: WHO, env: { DELETE_UNDER_RLS: 'judged' } })
const sql = (...args) => world.sql(...args)

const ALICE = tokenFor('authenticated', { sub: 'alice' }), BOB = tokenFor('authenticated', { sub: 'bob' }), SERVICE = tokenFor('service_role')
const FULL = 'replica identity full'
const told = (client, room) => client.changes(room).map(({ data }) => [data.type, data.type === 'INSERT' ? data.record : data.old_record])

async function table(name, { using = 'owner = who.is()', identity = FULL, more = '' } = {}) {
  await sql(`create table ${name} (id int primary key, owner text, t text); alter table ${name} ${identity}`)
  if (using) await sql(`alter table ${name} enable row level security; create policy p on ${name} for select to authenticated using (${using})`)
  await publishTable(world, name)
  if (more) await sql(more)
}

async function watch(t, name, { token = ALICE, room = name, where = world, ...more } = {}) {
  const client = await Client.open(where.server, { token })
  t.after(() => client.close())
  const { system } = await client.subscribe(room, [].concat(more.bindings ?? { event: '*', schema: 'public', table: name, ...more }))
  assert.equal(system.message, 'Subscribed to PostgreSQL')
  return client
}

/** Until rows of this owner are judged here: then the values of the token are known. */
let warmed = 1_000_000
async function untilCompiled(name, owner, where = world) {
  const compiled = () => where.server.metric('walcast_rls_checks_total{mode="compiled"}')
  const from = await compiled()
  await until(async () => {
    await sql(`insert into ${name} values (${++warmed}, '${owner}', 'warm')`)
    return await compiled() > from
  }, `a row of ${name} judged here`)
}

/** What is written after everything else: who has got it has got all before it. */
let markers = 0
async function marker(clients) {
  const name = `marker_${++markers}`
  await table(name, { using: '' })
  for (const client of clients) assert.equal((await client.subscribe(name, [{ event: '*', schema: 'public', table: name }])).system.status, 'ok')
  await sql(`insert into ${name} values (1)`)
  for (const client of clients) await client.wait((m) => m.event === 'postgres_changes' && m.topic === `realtime:${name}`, 'the marker')
}

const withheld = async (reason) => (await books(world.server)).withheld[reason]
const untilBalanced = (where = world) => until(async () => isBalanced(await books(where.server)), 'balanced books')

test('a judged DELETE goes with the whole old row to who may see it, and to nobody else', async (t) => {
  await table('gone')
  const alice = await watch(t, 'gone'), bob = await watch(t, 'gone', { token: BOB }), service = await watch(t, 'gone', { token: SERVICE })
  await untilCompiled('gone', 'alice')
  await untilCompiled('gone', 'bob')
  await sql(`insert into gone values (1, 'alice', 'private'), (2, 'bob', 'x'), (3, 'carol', 'y')`)
  const seen = alice.changes().length
  await sql('delete from gone where id < 9')
  await marker([alice, bob, service])
  assert.deepEqual(told(alice, 'gone').slice(-1), [['DELETE', { id: 1, owner: 'alice', t: 'private' }]])
  assert.deepEqual(told(bob, 'gone').slice(-1), [['DELETE', { id: 2, owner: 'bob', t: 'x' }]])
  assert.equal(told(service, 'gone').filter(([type]) => type === 'DELETE').length, 3)
  assert.ok(alice.changes('gone').slice(seen).every(({ data }) => data.errors === null && data.columns.length === 3))
  assert.ok(!bob.messages.some((m) => m.text.includes('private')))
  await untilBalanced()
})

test('of a judged DELETE the role gets the columns it may read', async (t) => {
  await table('narrow', { more: 'revoke select on narrow from authenticated; grant select (id, owner) on narrow to authenticated' })
  const alice = await watch(t, 'narrow')
  await untilCompiled('narrow', 'alice')
  await sql(`insert into narrow values (1, 'alice', 'hidden column'); delete from narrow where id = 1`)
  await marker([alice])
  assert.deepEqual(told(alice, 'narrow').at(-1), ['DELETE', { id: 1, owner: 'alice' }])
  assert.ok(!alice.messages.some((m) => m.text.includes('hidden column')))
})

test('a row that is inserted and deleted in one transaction is judged twice', async (t) => {
  await table('brief')
  const alice = await watch(t, 'brief'), bob = await watch(t, 'brief', { token: BOB })
  await untilCompiled('brief', 'alice')
  await untilCompiled('brief', 'bob')
  await sql(`begin; insert into brief values (1, 'alice', 'x'); update brief set owner = 'bob' where id = 1; delete from brief where id = 1; commit`)
  await marker([alice, bob])
  assert.deepEqual(told(alice, 'brief').filter(([, row]) => row.id === 1), [['INSERT', { id: 1, owner: 'alice', t: 'x' }]])
  assert.deepEqual(told(bob, 'brief').filter(([, row]) => row.id === 1), [['UPDATE', { id: 1 }], ['DELETE', { id: 1, owner: 'bob', t: 'x' }]])
})

const UNJUDGED = {
  'whose log has the key alone': { name: 'keyed', identity: 'replica identity default' },
  'whose policies Postgres judges': { name: 'asked', using: `exists (select from pg_catalog.pg_class where relname = owner) or owner = who.is()` },
}
for (const [what, { name, ...options }] of Object.entries(UNJUDGED)) {
  test(`with DELETE_UNDER_RLS=judged nothing is told of a DELETE ${what}`, async (t) => {
    await table(name, options)
    await sql(`insert into ${name} values (1, 'alice', 'x')`)
    const alice = await watch(t, name), service = await watch(t, name, { token: SERVICE })
    const before = await withheld('delete_under_rls')
    await sql(`delete from ${name}`)
    await marker([alice, service])
    assert.deepEqual(alice.changes(name), [])
    assert.equal(service.changes(name).length, 1)
    assert.equal(await withheld('delete_under_rls') - before, 1)
    await untilBalanced()
  })
}

test('the old row of an UPDATE is whole for who was let see it, whatever changed in it', async (t) => {
  await table('shared', { using: `owner = who.is() or t = 'public'` })
  const alice = await watch(t, 'shared'), bob = await watch(t, 'shared', { token: BOB })
  await untilCompiled('shared', 'alice')
  await untilCompiled('shared', 'bob')
  await sql(`insert into shared values (1, 'alice', 'draft')`)
  await sql(`update shared set t = 'public' where id = 1; update shared set owner = 'carol' where id = 1`)
  await marker([alice, bob])
  const updates = (client) => told(client, 'shared').filter(([type]) => type === 'UPDATE').map(([, row]) => row)
  assert.deepEqual(updates(alice), [{ id: 1, owner: 'alice', t: 'draft' }, { id: 1, owner: 'alice', t: 'public' }])
  assert.deepEqual(updates(bob), [{ id: 1 }, { id: 1, owner: 'alice', t: 'public' }])
  assert.ok(!bob.messages.some((m) => m.text.includes('draft')))
})

for (const mode of ['judged', 'compatible']) {
  test(`DELETE_UNDER_RLS=${mode}: an UPDATE that takes a row from its owner is a removal for who asked for it`, async (t) => {
    const name = `taken_${mode}`, where = mode === 'judged' ? world : { server: await Server.start(world.cluster.serverEnv) }
    if (where !== world) t.after(() => where.server.stop())
    await table(name)
    const alice = await watch(t, name, { where, removals: true }), plain = await watch(t, name, { where }), bob = await watch(t, name, { where, token: BOB, removals: true })
    await untilCompiled(name, 'alice', where)
    await untilCompiled(name, 'bob', where)
    await sql(`insert into ${name} values (1, 'alice', 'mine'), (2, 'carol', 'hers')`)
    await sql(`update ${name} set owner = 'bob', t = 'given' where id = 1; update ${name} set owner = 'dave' where id = 2; update ${name} set t = 'kept' where id = 1`)
    await marker([alice, plain, bob])
    const rows = (client) => told(client, name).filter(([, row]) => row.id < 9)
    assert.deepEqual(rows(alice), [['INSERT', { id: 1, owner: 'alice', t: 'mine' }], ['DELETE', { id: 1, owner: 'alice', t: 'mine' }]])
    assert.deepEqual(rows(plain), [['INSERT', { id: 1, owner: 'alice', t: 'mine' }]])
    assert.deepEqual(rows(bob), [['UPDATE', { id: 1 }], ['UPDATE', { id: 1, owner: 'bob', t: 'given' }]])
    const [removal] = alice.changes(name).slice(-1), [update] = bob.changes(name).filter(({ data }) => data.type === 'UPDATE')
    assert.equal(removal.data.commit_timestamp, update.data.commit_timestamp)
    assert.ok(!('record' in removal.data) && removal.data.columns.length === 3)
    assert.ok(!alice.messages.some((m) => m.text.includes('given')))
    await untilBalanced(where)
  })
}

test('an UPDATE out of a filter is a removal for the bindings that asked for it, and for these alone', async (t) => {
  await table('open', { using: '' })
  const on = (more) => ({ event: '*', schema: 'public', table: 'open', filter: 't=eq.open', ...more })
  const client = await watch(t, 'open', { bindings: [on({ removals: true }), on({ event: 'DELETE', removals: true }), on(), on({ event: 'DELETE' }), on({ filter: 't=in.(open,shut)', removals: true })] })
  const reply = client.messages.find((m) => m.event === 'phx_reply' && m.topic === 'realtime:open')
  const ids = reply.payload.response.postgres_changes.map(({ id }) => id)
  await sql(`insert into open values (1, 'a', 'open'), (2, 'b', 'shut')`)
  await sql(`update open set owner = 'c'; update open set t = 'shut' where id = 1; update open set t = 'lost' where id = 1; update open set t = 'open' where id = 1; update open set t = 'open' where id = 2; delete from open where id = 2`)
  await marker([client])
  const seen = client.changes('open').map((m) => [m.data.type, (m.data.record ?? m.data.old_record).id, m.ids.map((id) => ids.indexOf(id)).sort()])
  assert.deepEqual(seen, [
    ['INSERT', 1, [0, 2, 4]], ['INSERT', 2, [4]],
    ['UPDATE', 1, [0, 2, 4]], ['UPDATE', 2, [4]],
    ['UPDATE', 1, [4]], ['DELETE', 1, [0, 1]], // open → shut
    ['DELETE', 1, [4]], // shut → lost
    ['UPDATE', 1, [0, 2, 4]], ['UPDATE', 2, [0, 2, 4]],
    ['DELETE', 2, [0, 1, 2, 3, 4]],
  ])
  assert.deepEqual(client.changes('open')[5].data.old_record, { id: 1, owner: 'c', t: 'open' })
  await untilBalanced()
})

test('what is not known is no removal: delegated policies, filters that Postgres decides, keys alone', async (t) => {
  await table('unknown', { using: UNJUDGED['whose policies Postgres judges'].using })
  await table('pattern', { using: '' })
  await table('key_only', { using: '', identity: 'replica identity default' })
  const alice = await watch(t, 'unknown', { removals: true })
  const client = await watch(t, 'pattern', { filter: 't=like.a%', removals: true }), keys = await watch(t, 'key_only', { filter: 't=eq.a', removals: true })
  await sql(`insert into unknown values (1, 'alice', 'a'); insert into pattern values (1, 'alice', 'a'); insert into key_only values (1, 'alice', 'a')`)
  await alice.untilChanges(1)
  await sql(`update unknown set owner = 'bob'; update pattern set t = 'b'; update key_only set t = 'b'`)
  await marker([alice, client, keys])
  assert.deepEqual([alice, client, keys].map((c) => c.changes().slice(0, -1).map(({ data }) => data.type)), [['INSERT'], ['INSERT'], ['INSERT']])
  await untilBalanced()
})

test('a wildcard with removals gets them from each table', async (t) => {
  await table('any_owned')
  const alice = await watch(t, 'any_owned', { room: 'any', bindings: { event: '*', schema: 'public', table: '*', removals: true } })
  await until(async () => { // values of the token are asked for when a wildcard's table first changes
    await sql(`insert into any_owned values (${++warmed}, 'alice', 'x'); update any_owned set owner = 'bob' where id = ${warmed}`)
    return alice.changes('any').some(({ data }) => data.table === 'any_owned' && data.type === 'DELETE')
  }, 'a removal')
  const removal = alice.changes('any').find(({ data }) => data.type === 'DELETE')
  assert.equal(removal.data.old_record.owner, 'alice')
})

test('removals with an event that is no DELETE are refused', async (t) => {
  await table('refused', { using: '' })
  const client = await Client.open(world.server, { token: ALICE })
  t.after(() => client.close())
  const { system } = await client.subscribe('refused', [{ event: 'UPDATE', schema: 'public', table: 'refused', removals: true }])
  assert.equal(system.status, 'error')
  assert.equal(system.message, 'Error parsing `removals` params: removals are DELETEs, which an event of UPDATE does not ask for')
})
