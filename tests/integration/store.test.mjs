// The control store: tenants of schema _realtime, made, taken over, changed by others, unreachable.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Cluster } from './lib/cluster.mjs'
import { FULL, SLOWNESS } from './lib/env.mjs'
import { Store, insertTenant, seal, sealLegacy, settingsOf } from './lib/store.mjs'
import { until } from './lib/wait.mjs'

let cluster, databases = 0
before(async () => { cluster = await Cluster.start({ bare: true }) })
after(() => cluster?.remove())

const LOGIN = { db_host: 'db.example.com', db_port: '5432', db_name: 'postgres', db_user: 'supabase_admin', db_password: 'hunter2-hunter2' }

/** A database of its own for a test. `env` points store_driver at it. */
async function database() {
  const name = `store_${++databases}`
  await cluster.sql(`create database ${name}`)
  const client = await cluster.connect({ database: name })
  return { name, client, env: { DB_NAME: name }, sql: async (text, values) => (await client.query(text, values)).rows }
}

/** What is in the catalog of the schemas the store may touch. */
const shape = async (sql) => ({
  columns: await sql(`select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull, pg_get_expr(d.adbin, d.adrelid) as otherwise
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = to_regnamespace('_realtime') and c.relkind = 'r' order by 1, 2`),
  constraints: await sql(`select conname, pg_get_constraintdef(oid) as text from pg_constraint where connamespace = to_regnamespace('_realtime') and contype <> 'n' order by 1`),
  indexes: await sql(`select indexname, indexdef from pg_indexes where schemaname = '_realtime' order by 1`),
  triggers: await sql(`select tgrelid::regclass::text, tgname, xmin::text from pg_trigger where not tgisinternal order by 1, 2`),
  functions: await sql(`select proname, xmin::text from pg_proc where pronamespace = to_regnamespace('walcast') order by 1`)
})

test('an empty database gets the tables of the reference, and another start changes nothing', async (t) => {
  const db = await database()
  await Store.loaded(t, cluster, db.env)
  const made = await shape(db.sql)
  assert.deepEqual(made.columns.filter(({ relname }) => relname === 'tenants').map(({ attname }) => attname), [
    'broadcast_adapter', 'client_presence_window_ms', 'external_id', 'feature_flags', 'gcm_migrated_at', 'id', 'inserted_at', 'jwt_jwks', 'jwt_secret',
    'max_bytes_per_second', 'max_channels_per_client', 'max_client_presence_events_per_window', 'max_concurrent_users', 'max_events_per_second',
    'max_joins_per_second', 'max_payload_size_in_kb', 'max_presence_events_per_second', 'migrations_ran', 'name', 'notify_private_alpha',
    'postgres_cdc_default', 'presence_enabled', 'private_only', 'suspend', 'updated_at'])
  assert.deepEqual(made.columns.filter(({ relname }) => relname === 'feature_flags').map(({ attname }) => attname), ['bucket_key', 'enabled', 'id', 'inserted_at', 'name', 'rollout_percentage', 'updated_at'])
  assert.ok(made.constraints.some(({ text }) => /FOREIGN KEY \(tenant_external_id\) REFERENCES _realtime\.tenants\(external_id\) ON DELETE CASCADE/.test(text)))
  assert.equal(made.triggers.length, 4)
  await Store.loaded(t, cluster, db.env)
  assert.deepEqual(await shape(db.sql), made)
})

test('four that start at once on an empty database are all served', async (t) => {
  const db = await database()
  const stores = [1, 2, 3, 4].map(() => Store.start(t, cluster, db.env))
  for (const store of stores) await store.next('loaded')
  assert.equal((await stores[0].put('t1', { jwt_secret: 'secret' })).status, 'ok')
  for (const store of stores.slice(1)) assert.equal((await store.next('tenant')).record.external_id, 't1')
  assert.deepEqual(stores.map((store) => store.events.filter(({ event, reason }) => event === 'state' && reason)), [[], [], [], []])
})

test('a store that an older reference has made is read, gets what it lacks, and stays the reference\'s', async (t) => {
  const db = await database()
  await db.client.query(`
    create schema _realtime;
    create table _realtime.schema_migrations (version bigint primary key, inserted_at timestamp(0));
    insert into _realtime.schema_migrations values (20210706140551, now());
    create table _realtime.tenants (id uuid primary key, name varchar(255), external_id varchar(255), jwt_secret text, max_concurrent_users int not null default 200,
      inserted_at timestamp(0) not null, updated_at timestamp(0) not null, max_events_per_second int not null default 100, postgres_cdc_default varchar(255) default 'postgres_cdc_rls',
      max_bytes_per_second int not null default 100000, max_channels_per_client int not null default 100, max_joins_per_second int not null default 500);
    create unique index tenants_external_id_index on _realtime.tenants (external_id);
    create table _realtime.extensions (id uuid primary key, type varchar(255), settings jsonb,
      tenant_external_id varchar(255) references _realtime.tenants (external_id) on delete cascade, inserted_at timestamp(0) not null, updated_at timestamp(0) not null);
    create unique index extensions_tenant_external_id_type_index on _realtime.extensions (tenant_external_id, type)`)
  await insertTenant(db.sql, 'legacy', { secret: 'an-old-secret', settings: LOGIN })
  await insertTenant(db.sql, 'newer', { secret: 'a-new-secret', settings: LOGIN, sealing: seal })
  const rows = await db.sql('select id, external_id, jwt_secret, inserted_at::text, updated_at::text from _realtime.tenants order by 2')
  const store = await Store.loaded(t, cluster, { ...db.env, AFTER_CONNECT_QUERY: 'SET search_path TO _realtime' })
  for (const [id, secret] of [['legacy', 'an-old-secret'], ['newer', 'a-new-secret']]) {
    const record = await store.find(id)
    assert.equal(record.jwt_secret, secret)
    assert.equal(record.max_joins_per_second, 500)
    assert.equal(record.max_payload_kb, 3000)
    assert.match(record.inserted_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
    const { host, port, name, user, password, region, ssl_enforced } = record.database
    assert.deepEqual({ host, port, name, user, password, region, ssl_enforced }, { host: LOGIN.db_host, port: '5432', name: 'postgres', user: 'supabase_admin', password: LOGIN.db_password, region: 'us-east-1', ssl_enforced: false })
  }
  assert.deepEqual(await db.sql('select id, external_id, jwt_secret, inserted_at::text, updated_at::text from _realtime.tenants order by 2'), rows)
  assert.deepEqual(await db.sql('select version::text from _realtime.schema_migrations'), [{ version: '20210706140551' }])
  assert.equal((await store.put('legacy', { jwt_secret: '\\N', jwt_jwks: '{"keys":[]}' })).status, 'ok')
  assert.deepEqual(await db.sql('select count(*)::int from _realtime.schema_migrations'), [{ count: 1 }])
})

test('a tenant is written with its secrets sealed, changed in place, and removed', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env), other = await Store.loaded(t, cluster, db.env)
  const made = await store.put('t1', { jwt_secret: 'first-secret', ...LOGIN, region: 'eu-west-1', settings: '{"db_queue_target":7,"x":{"y":[1]}}' })
  assert.deepEqual([made.status, made.is_new, made.before], ['ok', true, null])
  assert.match(made.record.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const [row] = await db.sql('select t.*, e.settings, e.id as extension from _realtime.tenants t join _realtime.extensions e on e.tenant_external_id = t.external_id')
  for (const secret of ['first-secret', ...Object.values(LOGIN)]) assert.ok(!JSON.stringify(row.settings).includes(`"${secret}"`) && row.jwt_secret !== secret)
  assert.ok(row.jwt_secret.startsWith('g1:') && row.settings.db_password.startsWith('g1:') && row.gcm_migrated_at)
  assert.deepEqual([row.settings.db_queue_target, row.settings.x, row.settings.region], [7, { y: [1] }, 'eu-west-1'])
  assert.deepEqual(made.record.database.settings, row.settings)
  assert.equal((await other.next('tenant')).record.jwt_secret, 'first-secret')

  await db.sql(`update _realtime.tenants set inserted_at = '2020-01-01', feature_flags = '{"f":true}'`)
  await store.next('tenant', ({ record }) => record.feature_flags === '{"f": true}')
  const changed = await store.put('t1', { jwt_secret: 'second-secret', max_concurrent_users: 7 })
  assert.deepEqual([changed.status, changed.is_new, changed.before.jwt_secret, changed.record.jwt_secret], ['ok', false, 'first-secret', 'second-secret'])
  assert.deepEqual([changed.record.id, changed.record.inserted_at, changed.record.feature_flags], [made.record.id, '2020-01-01T00:00:00', '{"f": true}'])
  assert.deepEqual(changed.record.database.settings.x, { y: [1] })
  assert.deepEqual(await db.sql('select id as extension from _realtime.extensions'), [{ extension: row.extension }])
  assert.equal((await other.next('tenant', ({ record }) => record.jwt_secret === 'second-secret')).record.max_concurrent_users, 7)

  const bare = await store.put('t1', { database: 'f' })
  assert.deepEqual([bare.status, bare.record.database], ['ok', null])
  assert.deepEqual(await db.sql('select * from _realtime.extensions'), [])
  const removed = await store.remove('t1')
  assert.deepEqual([removed.status, removed.before.jwt_secret], ['ok', 'second-secret'])
  assert.equal((await other.next('gone')).external_id, 't1')
  assert.deepEqual([(await store.remove('t1')).status, await store.find('t1')], ['not_found', null])
})

test('what the tables forbid is told in words for a user, and nothing of it stays', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  const refused = await store.put('t1', { ...LOGIN })
  assert.deepEqual([refused.status, refused.text], ['conflict', 'either jwt_secret or jwt_jwks must be provided'])
  const broken = await store.put('t1', { jwt_secret: 's', jwt_jwks: '{"keys":[{"k":"key-in-clear"}' })
  assert.equal(broken.status, 'failed')
  assert.doesNotMatch(broken.text, /key-in-clear/)
  const odd = await store.put('t1', { jwt_secret: 's', ...LOGIN, settings: 'nothing' })
  assert.deepEqual([odd.status, odd.text], ['failed', 'settings are not a JSON object'])
  assert.deepEqual(await db.sql('select external_id from _realtime.tenants'), [])
  assert.deepEqual(await store.names(), [])
})

test('a change that was not noticed yet is not taken back', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  await store.put('t1', { jwt_secret: 'first', ...LOGIN })
  await db.sql(`alter table _realtime.tenants disable trigger all; alter table _realtime.extensions disable trigger all`)
  await db.sql(`update _realtime.tenants set jwt_secret = $1`, [seal('rotated')])
  const refused = await store.put('t1', { max_concurrent_users: 7 })
  assert.deepEqual([refused.status, refused.text], ['changed', 'was changed by somebody else at the same time: try again'])
  assert.equal((await store.find('t1')).jwt_secret, 'rotated')
  const { status, record } = await store.put('t1', { max_concurrent_users: 7 })
  assert.deepEqual([status, record.jwt_secret, record.max_concurrent_users], ['ok', 'rotated', 7])
  await db.sql(`update _realtime.extensions set settings = $1`, [settingsOf({ ...LOGIN, db_password: 'rotated-too' })])
  assert.equal((await store.put('t1', { max_concurrent_users: 8 })).status, 'changed')
  assert.equal((await store.find('t1')).database.password, 'rotated-too')
  await db.sql(`delete from _realtime.tenants`)
  assert.equal((await store.put('t1', { max_concurrent_users: 9 })).status, 'changed')
  assert.equal(await store.find('t1'), null)
})

test('of servers that change a tenant at once none takes back what another has written', async (t) => {
  const db = await database(), all = [1, 2, 3, 4]
  const stores = await Promise.all(all.map(() => Store.loaded(t, cluster, db.env)))
  await stores[0].put('t1', { jwt_secret: 'secret', name: '' })
  for (const store of stores.slice(1)) await store.next('tenant')
  const written = []
  await Promise.all(stores.map(async (store, i) => {
    for (let n = 0; n < 10;) {
      const { status } = await store.put('t1', { 'name+': `${i}.${n} ` })
      assert.ok(status === 'ok' || status === 'changed', status)
      if (status === 'ok') written.push(`${i}.${n++}`)
    }
  }))
  const [{ name }] = await db.sql('select name from _realtime.tenants')
  assert.deepEqual(name.trim().split(' ').sort(), written.sort())
})

test('secrets are written in the old form only where there is no other key, or when told to', async (t) => {
  const db = await database()
  for (const [env, start] of [[{ ENC_KEY_GCM: '' }, /^[^g]/], [{ WRITE_LEGACY: '1' }, /^[^g]/], [{ ENC_KEY: '' }, /^g1:/], [{ ENC_KEY: '', WRITE_LEGACY: '1' }, /^g1:/]]) {
    const store = await Store.loaded(t, cluster, { ...db.env, ...env })
    assert.equal((await store.put('t1', { jwt_secret: 'secret', ...LOGIN })).status, 'ok')
    const [row] = await db.sql('select jwt_secret, gcm_migrated_at, settings from _realtime.tenants join _realtime.extensions on tenant_external_id = external_id')
    assert.match(row.jwt_secret, start)
    assert.match(row.settings.db_password, start)
    assert.equal(row.gcm_migrated_at !== null, row.jwt_secret.startsWith('g1:'))
    await store.remove('t1')
    await store.end()
  }
})

test('what others change in the tables is noticed at once', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  await insertTenant(db.sql, 't1', { settings: LOGIN })
  await store.next('tenant', ({ record }) => record.database)
  await db.sql(`update _realtime.tenants set suspend = true, max_concurrent_users = 3`)
  const { record } = await store.next('tenant')
  assert.deepEqual([record.suspend, record.max_concurrent_users], [true, 3])
  await db.sql(`update _realtime.extensions set settings = $1`, [settingsOf({ ...LOGIN, db_host: 'db2.example.com' })])
  assert.equal((await store.next('tenant')).record.database.host, 'db2.example.com')
  await db.sql(`delete from _realtime.extensions`)
  assert.equal((await store.next('tenant')).record.database, null)
  await db.sql(`update _realtime.tenants set external_id = 't2'`)
  assert.equal((await store.next('gone')).external_id, 't1')
  await until(async () => (await store.names()).join() === 't2', 'the new name')
  await insertTenant(db.sql, `long-${'x'.repeat(7500)}`)
  await until(async () => (await store.names()).length === 2, 'a name that fits into no notification')
  await db.sql(`truncate _realtime.tenants cascade`)
  await until(async () => (await store.names()).length === 0, 'that all are gone')
})

test('a change of which no notification came is noticed when all are read again', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, { ...db.env, REFRESH_MS: '300' })
  await insertTenant(db.sql, 't1')
  await insertTenant(db.sql, 't2')
  await until(async () => (await store.find('t2'))?.database, 'the tenants')
  await db.sql(`alter table _realtime.tenants disable trigger all; alter table _realtime.extensions disable trigger all`)
  await db.sql(`update _realtime.tenants set max_concurrent_users = 9 where external_id = 't1'`)
  assert.equal((await store.next('tenant', ({ record }) => record.max_concurrent_users === 9)).record.external_id, 't1')
  await db.sql(`delete from _realtime.extensions where tenant_external_id = 't2'; delete from _realtime.tenants where external_id = 't2'`)
  assert.equal((await store.next('gone')).external_id, 't2')
  const told = store.events.length
  await until(async () => (await db.sql(`select count(*)::int as n from pg_stat_activity where application_name = 'walcast_store' and datname = $1 and query like '%hashtextextended%' and query_start > now() - interval '1 second'`, [db.name]))[0].n, 'another reading')
  assert.equal(store.events.slice(told).length, 0, 'what has not changed is not told again')
})

test('a login that owns nothing reads and writes, and says that changes of others are noticed late', async (t) => {
  const db = await database()
  await (await Store.loaded(t, cluster, db.env)).put('t1', { jwt_secret: 'secret' })
  await db.sql(`drop schema walcast cascade; create role clerk_${databases} login password 'clerk'; grant usage on schema _realtime to clerk_${databases}; grant select, insert, update, delete on all tables in schema _realtime to clerk_${databases}`)
  const login = { DB_USER: `clerk_${databases}`, DB_PASSWORD: 'clerk' }
  const store = await Store.loaded(t, cluster, { ...db.env, ...login, REFRESH_MS: '300' }), other = await Store.loaded(t, cluster, { ...db.env, ...login })
  assert.match(store.stderr, /warn store no_triggers sqlstate=42501 .*hint="changes that others make are noticed late/)
  assert.equal((await store.put('t2', { jwt_secret: 'secret', ...LOGIN })).status, 'ok')
  assert.equal((await other.next('tenant', ({ record }) => record.external_id === 't2')).record.database.host, LOGIN.db_host, 'what walcast writes is noticed at once all the same')
  await db.sql(`update _realtime.tenants set suspend = true`)
  await store.next('tenant', ({ record }) => record.external_id === 't2' && record.suspend)
})

test('a login that may not make the tables is told what to grant', async (t) => {
  const db = await database()
  await db.sql(`create role nobody_${databases} login password 'nobody'`)
  const store = Store.start(t, cluster, { ...db.env, DB_USER: `nobody_${databases}`, DB_PASSWORD: 'nobody' })
  const { is_connected, reason, hint } = await store.next('state')
  assert.deepEqual([is_connected, reason], [false, 'store_not_permitted'])
  assert.match(hint, /grant create on database/)
  await db.sql(`grant create on database ${db.name} to nobody_${databases}`)
  await store.next('loaded', undefined, 30000 * SLOWNESS)
})

test('a limit of 0 in a row is as strict as there is, not none', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  await insertTenant(db.sql, 'strict', { settings: LOGIN })
  await db.sql(`update _realtime.tenants set max_concurrent_users = 0, max_joins_per_second = 0, max_channels_per_client = 0`)
  await store.next('tenant', ({ record }) => record.max_concurrent_users === 1 && record.max_joins_per_second === 1)
})

test('a tenant that cannot be unsealed is named once and is none; the others are served, and it is when it is mended', async (t) => {
  const db = await database()
  await (await Store.loaded(t, cluster, db.env)).end()
  const sealedElsewhere = (text) => seal(text, 'another-test-key-of-32-bytes-gcm')
  await insertTenant(db.sql, 'good', { settings: LOGIN })
  await insertTenant(db.sql, 'foreign', { sealing: sealedElsewhere, settings: LOGIN })
  await insertTenant(db.sql, 'foreign-legacy', { sealing: (text) => sealLegacy(text, 'another-16-bytes'), settings: LOGIN })
  await insertTenant(db.sql, 'torn', { settings: { ...LOGIN, db_pool: 'hunter2-hunter2' } })
  await insertTenant(db.sql, 'negative', { settings: LOGIN })
  await db.sql(`update _realtime.tenants set max_concurrent_users = -1 where external_id = 'negative'`)
  const store = await Store.loaded(t, cluster, { ...db.env, REFRESH_MS: '200' })
  assert.deepEqual(await store.names(), ['good'])
  await db.sql(`update _realtime.tenants set suspend = true where external_id = 'good'`)
  await store.next('tenant', ({ record }) => record.suspend)
  const named = () => store.stderr.split('\n').filter((line) => line.includes('tenant_unusable')).map((line) => line.match(/tenant="(.*?)" error="(.*?)"/).slice(1, 3)).sort()
  await until(async () => (await db.sql(`select query_start > now() - interval '150 milliseconds' as fresh from pg_stat_activity where application_name = 'walcast_store' and datname = $1`, [db.name])).some(({ fresh }) => fresh), 'another reading')
  assert.deepEqual(named(), [
    ['foreign', 'jwt_secret: a secret is damaged, or of another key'],
    ['foreign-legacy', 'jwt_secret: a secret is damaged, or of another key'],
    ['negative', 'max_concurrent_users is invalid'],
    ['torn', 'db_pool is invalid']])
  await db.sql(`update _realtime.tenants set jwt_secret = $1 where external_id = 'foreign'`, [seal('mended')])
  await db.sql(`update _realtime.extensions set settings = $1 where tenant_external_id = 'foreign'`, [settingsOf(LOGIN, seal)])
  assert.equal((await store.next('tenant', ({ record }) => record.external_id === 'foreign')).record.jwt_secret, 'mended')
  await db.sql(`update _realtime.tenants set jwt_secret = 'clear' where external_id = 'good'`)
  assert.equal((await store.next('gone')).external_id, 'good')
  assert.doesNotMatch(store.stderr, /hunter2|clear"/)
})

test('a store that goes away keeps its tenants, refuses operations at once, and comes back', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  await store.put('t1', { jwt_secret: 'secret', ...LOGIN })
  let writing = true
  const outcomes = []
  const writer = (async () => {
    for (let n = 0; writing; n++) outcomes.push(await store.put(`w${n % 20}`, { jwt_secret: `s${n}` }))
  })()
  await until(() => outcomes.length > 5, 'writes')
  await cluster.stop('immediate')
  await until(() => outcomes.some(({ status }) => status === 'unavailable'), 'a write that is refused')
  writing = false
  await writer
  assert.deepEqual([...new Set(outcomes.map(({ status }) => status))].sort(), ['ok', 'unavailable'])
  assert.equal(outcomes.findLast(({ status }) => status === 'unavailable').text, 'the control store cannot be reached')
  assert.equal((await store.find('t1')).jwt_secret, 'secret')
  const before = await store.names()
  assert.ok(store.events.some(({ event, is_connected, reason, hint }) => event === 'state' && !is_connected && reason && hint))
  await cluster.boot()
  await store.next('state', ({ is_connected }) => is_connected, 30000 * SLOWNESS)
  await until(async () => (await store.put('t2', { jwt_secret: 'later' })).status === 'ok', 'a write')
  assert.deepEqual(await store.names(), [...new Set([...before, 't2'])].sort())
  assert.equal(store.events.filter(({ event }) => event === 'loaded').length, 1)
})

test('a server that is connected and does not answer is left, and its operations fail', { skip: !FULL && 'takes 15 s: TESTS_FULL=1' }, async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  const [{ pid }] = await db.sql(`select pid from pg_stat_activity where application_name = 'walcast_store' and datname = $1`, [db.name])
  process.kill(pid, 'SIGSTOP')
  t.after(() => process.kill(pid, 'SIGCONT'))
  store.say('put', 't1', 'jwt_secret=secret')
  assert.equal((await store.next('state', undefined, 30000)).reason, 'store_silent')
  assert.equal((await store.next('done')).status, 'unavailable')
  await until(async () => (await store.put('t1', { jwt_secret: 'secret' })).status === 'ok', 'a write')
})

test('what changed while the store was away is told when it is back', async (t) => {
  const db = await database()
  const store = await Store.loaded(t, cluster, db.env)
  for (const id of ['kept', 'changed', 'removed']) await store.put(id, { jwt_secret: 'secret' })
  await db.sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walcast_store' and datname = $1;`.replace(';', ''), [db.name])
  await db.sql(`update _realtime.tenants set suspend = true where external_id = 'changed'`)
  await db.sql(`delete from _realtime.tenants where external_id = 'removed'`)
  const told = store.events.length
  await until(async () => (await store.names()).join() === 'changed,kept' && (await store.find('changed')).suspend, 'the changes', 30000 * SLOWNESS)
  assert.deepEqual(store.events.slice(told).filter(({ event }) => event === 'tenant' || event === 'gone').map(({ record, external_id }) => external_id ?? record.external_id).sort(), ['changed', 'removed'])
})

test('the seed takes the place of a tenant that differs, and of no other', async (t) => {
  const db = await database()
  const seed = (fields) => ['local', ...Object.entries({ jwt_secret: 'seed-secret', jwt_jwks: '{"keys":[{"kty":"oct","kid":"a"}]}', ...LOGIN, ssl_enforced: 'f', region: 'us-east-1', ...fields }).map(([name, value]) => `${name}=${value}`)].join('\t')
  const rows = () => db.sql(`select t.id, t.xmin::text, e.xmin::text as extension, t.inserted_at::text from _realtime.tenants t join _realtime.extensions e on tenant_external_id = external_id`)
  const first = await Store.loaded(t, cluster, { ...db.env, SEED: seed() })
  assert.equal((await first.find('local')).jwt_secret, 'seed-secret')
  const made = await rows()
  const again = await Store.loaded(t, cluster, { ...db.env, SEED: seed({ jwt_jwks: '{ "keys": [{"kid":"a", "kty":"oct"}] }' }) })
  assert.deepEqual(await rows(), made, 'the same seed writes nothing')
  assert.equal(again.events.filter(({ event }) => event === 'tenant').length, 1)
  const other = await Store.loaded(t, cluster, { ...db.env, SEED: seed({ jwt_secret: 'another-secret' }) })
  assert.equal((await other.find('local')).jwt_secret, 'another-secret')
  assert.equal((await first.next('tenant', ({ record }) => record.jwt_secret === 'another-secret')).record.id, made[0].id)
  assert.equal((await rows())[0].inserted_at, made[0].inserted_at)
  await db.sql('delete from _realtime.tenants')
  const atOnce = [1, 2, 3].map(() => Store.start(t, cluster, { ...db.env, SEED: seed({ jwt_secret: 'another-secret' }) }))
  for (const store of atOnce) {
    await store.next('loaded')
    assert.doesNotMatch(store.stderr, /seed_refused/)
  }
  const broken = await Store.loaded(t, cluster, { ...db.env, SEED: seed({ jwt_jwks: '{"keys":' }) })
  assert.match(broken.stderr, /error store seed_refused tenant="local" error="API_JWT_JWKS is not JSON"/)
  assert.equal((await broken.find('local')).jwt_secret, 'another-secret')
})

test('secrets in the old form are sealed anew where the flag says so, and nobody notices', async (t) => {
  const db = await database()
  await (await Store.loaded(t, cluster, db.env)).end()
  for (const id of ['a', 'b', 'refuses']) await insertTenant(db.sql, id, { secret: `secret of ${id}`, settings: { ...LOGIN, db_queue_target: 7 } })
  await db.sql(`update _realtime.tenants set feature_flags = '{"gcm_encryption_backfill":false}' where external_id = 'refuses'`)
  const rows = () => db.sql(`select external_id, gcm_migrated_at is not null as is_stamped, jwt_secret like 'g1:%' as is_new, settings ->> 'db_password' like 'g1:%' as is_login_new, settings ->> 'db_queue_target' as other, t.updated_at::text from _realtime.tenants t join _realtime.extensions on tenant_external_id = external_id order by 1`)
  const before = await rows()
  const store = await Store.loaded(t, cluster, { ...db.env, REFRESH_MS: '200' })
  const first = await store.find('a')
  assert.deepEqual(await rows(), before, 'nothing without the flag')
  await db.sql(`insert into _realtime.feature_flags (id, name, enabled, rollout_percentage, inserted_at, updated_at) values (md5('')::uuid, 'gcm_encryption_backfill', true, 100, now(), now())`)
  await until(async () => (await rows()).filter(({ is_stamped }) => is_stamped).length === 2, 'that both are sealed anew')
  assert.deepEqual(await rows(), before.map((row) => row.external_id === 'refuses' ? row : { ...row, is_stamped: true, is_new: true, is_login_new: true }))
  await store.next('tenant', ({ record }) => record.external_id === 'a' && record.database.settings.db_password.startsWith('g1:'))
  const { database: { settings: _, ...login }, ...record } = await store.find('a'), { database: { settings: __, ...loginBefore }, ...recordBefore } = first
  assert.deepEqual([record, login], [recordBefore, loginBefore])
  const reader = await Store.loaded(t, cluster, { ...db.env, ENC_KEY: '' })
  assert.deepEqual(await reader.names(), ['a', 'b'])
})

test('a secret that is changed while it is sealed anew is the changed one', async (t) => {
  const db = await database()
  await (await Store.loaded(t, cluster, db.env)).end()
  await insertTenant(db.sql, 'a', { secret: 'before', settings: LOGIN })
  await db.sql(`insert into _realtime.feature_flags (id, name, enabled, inserted_at, updated_at) values (md5('')::uuid, 'gcm_encryption_backfill', true, now(), now())`)
  await db.sql('begin')
  await db.sql(`update _realtime.tenants set jwt_secret = $1`, [sealLegacy('rotated')])
  const store = await Store.loaded(t, cluster, { ...db.env, REFRESH_MS: '300' })
  await until(async () => (await db.sql(`select from pg_stat_activity where application_name = 'walcast_store' and datname = $1 and wait_event_type = 'Lock'`, [db.name])).length, 'that sealing waits')
  await db.sql('commit')
  await until(async () => (await db.sql(`select from _realtime.tenants where jwt_secret like 'g1:%'`)).length, 'that it is sealed anew')
  await until(async () => (await store.find('a')).jwt_secret === 'rotated', 'the changed one')
})

test('a connection whose first statement fails is told, and tried again', async (t) => {
  const db = await database()
  const store = Store.start(t, cluster, { ...db.env, AFTER_CONNECT_QUERY: `select pg_catalog.set_config('role', 'later_${databases}', false)` })
  assert.equal((await store.next('state')).reason, 'store_failed')
  assert.deepEqual((({ status, text }) => ({ status, text }))(await store.put('t1', { jwt_secret: 'secret' })), { status: 'unavailable', text: 'the control store cannot be reached' })
  await db.sql(`create role later_${databases} superuser`)
  await store.next('loaded', undefined, 30000 * SLOWNESS)
})

test('thousands of tenants are loaded, in any order of names, and followed', async (t) => {
  const db = await database(), many = FULL ? 20000 : 5000
  await (await Store.loaded(t, cluster, db.env)).end()
  const settings = JSON.stringify(settingsOf(LOGIN, seal))
  await db.sql(`insert into _realtime.tenants (id, external_id, name, jwt_secret, inserted_at, updated_at) select md5(n::text)::uuid, md5(n::text), 'Ä' || n, $1, now(), now() from generate_series(1, $2::int) n`, [seal('secret'), many])
  await db.sql(`insert into _realtime.extensions (id, type, settings, tenant_external_id, inserted_at, updated_at) select id, 'postgres_cdc_rls', $1, external_id, now(), now() from _realtime.tenants`, [settings])
  const store = Store.start(t, cluster, db.env)
  await store.next('loaded', undefined, 30000 * SLOWNESS)
  const names = (await db.sql('select external_id from _realtime.tenants order by external_id collate "C"')).map(({ external_id }) => external_id)
  assert.deepEqual(await store.names(), names)
  const told = store.events.length
  await db.sql(`update _realtime.tenants set max_concurrent_users = 5`)
  await until(() => new Set(store.events.slice(told).map(({ record }) => record?.max_concurrent_users === 5 && record.external_id)).size === many, 'that all have changed', 30000 * SLOWNESS)
  assert.equal(store.events.slice(told).length, many, 'each is told once')
  await db.sql(`delete from _realtime.tenants`)
  await until(async () => (await store.names()).length === 0, 'that all are gone', 30000 * SLOWNESS)
})
