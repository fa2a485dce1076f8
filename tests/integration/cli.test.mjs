// The commands besides serve.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import { test } from 'node:test'
import { BINARY } from './lib/env.mjs'
import { since } from './lib/major.mjs'
import { migrated } from './lib/migrate.mjs'
import { childEnv, freePort } from './lib/server.mjs'
import { SECRET, tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld } from './lib/world.mjs'

const world = sharedWorld({ sql: 'create table t (id int primary key, v text)', publish: ['t'] })

function run(args, env = {}) {
  const { status, signal, stdout, stderr } = spawnSync(BINARY, args, { encoding: 'utf8', env: childEnv(env), timeout: 30_000 })
  assert.equal(signal, null, stderr)
  assert.doesNotMatch(stderr, /Sanitizer|runtime error/)
  return { status, stdout, stderr }
}

test('--help names every command', () => {
  const { status, stdout } = run(['--help'])
  assert.equal(status, 0)
  for (const command of ['serve', 'listen', 'token', 'check']) assert.match(stdout, new RegExp(`^\\s*(?:walcast )?${command}\\b`, 'm'))
})

test('serve --help lists the settings with their defaults', () => {
  const { status, stdout } = run(['serve', '--help'])
  assert.equal(status, 0)
  for (const name of ['DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_PASSWORD', 'SLOT_NAME', 'PORT', 'JWT_SECRET', 'SOCKET_THREADS', 'MAX_QUEUED_BYTES', 'RESUME_GRACE_MS']) assert.match(stdout, new RegExp(`\\b${name}\\b`))
  assert.match(stdout, /PORT.*4000/)
})

test('--version prints one line', () => {
  const { status, stdout } = run(['--version'])
  assert.equal(status, 0)
  assert.match(stdout, /^walcast \d+\.\d+\.\d+\S*\n$/)
})

for (const args of [[], ['frobnicate'], ['serve', '--frobnicate'], ['listen'], ['listen', '--url', 'nonsense', '--token', 'x'], ['token', '--expires-in', 'soon'], ['check', 'extra']])
  test(`walcast ${args.join(' ')}: an error that names the way out`, () => {
    const { status, stderr } = run(args, { JWT_SECRET: SECRET })
    assert.ok(status > 0, `status ${status}`)
    assert.notEqual(stderr.trim(), '')
  })

for (const [name, value] of [['PORT', '70000'], ['PORT', 'http'], ['DB_PORT', '-1'], ['SOCKET_THREADS', '64'], ['PACE_BYTES_PER_SECOND', '0'], ['SLOT_NAME', 'Not-A-Slot'], ['JWT_SECRET', '']])
  test(`serve refuses ${name}=${value || '(empty)'} and names it`, () => {
    const { status, stderr } = run(['serve'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET, [name]: value })
    assert.ok(status > 0, `status ${status}`)
    assert.match(stderr, new RegExp(name))
  })

test('token mints an HS256 JWT with role, claims and expiry', () => {
  const { status, stdout } = run(['token', '--role', 'authenticated', '--expires-in', '60', '--claims', '{"sub":"u-1"}'], { JWT_SECRET: SECRET })
  assert.equal(status, 0)
  const [header, payload, signature] = stdout.trim().split('.')
  assert.equal(JSON.parse(Buffer.from(header, 'base64url')).alg, 'HS256')
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  assert.equal(claims.role, 'authenticated')
  assert.equal(claims.sub, 'u-1')
  assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 60) < 20)
  assert.equal(signature, crypto.createHmac('sha256', SECRET).update(`${header}.${payload}`).digest('base64url'))
})

test('token without JWT_SECRET is an error', () => {
  const { status, stderr } = run(['token', '--role', 'anon'])
  assert.ok(status > 0)
  assert.match(stderr, /JWT_SECRET/)
})

test('check reports a healthy database line by line and ends with 0', () => {
  const { status, stdout } = run(['check'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET })
  assert.equal(status, 0, stdout)
  for (const word of [/15\.\d+/, /wal_level/, /slots/, /senders/, /REPLICATION/i, /supabase_realtime/]) assert.match(stdout, word)
})

test('check names what is wrong, with a remedy, and ends with a status', async () => {
  await world.sql('create table no_key (a int); grant select on no_key to anon; alter publication supabase_realtime add table no_key')
  const keyless = run(['check'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET })
  await world.sql('drop table no_key')
  assert.match(keyless.stdout, /no_key.*primary key|primary key.*no_key/i)
  const missing = run(['check'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET, PUBLICATIONS: 'nowhere' })
  assert.ok(missing.status > 0)
  assert.match(missing.stdout + missing.stderr, /create publication/i)
  const unreachable = run(['check'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET, DB_PASSWORD: 'surely-not-this-one' })
  assert.ok(unreachable.status > 0)
  assert.match(unreachable.stdout + unreachable.stderr, /password/i)
})

test('listen prints one JSON line per change and ends on SIGTERM', async (t) => {
  const child = spawn(BINARY, ['listen', '--url', world.server.socketUrl, '--token', tokenFor('anon'), '--schema', 'public', '--table', 't', '--event', '*', '--filter', 'id=eq.2'], { env: childEnv({}), stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let out = '', err = '', exit = null
  child.stdout.setEncoding('utf8').on('data', (s) => { out += s })
  child.stderr.setEncoding('utf8').on('data', (s) => { err += s })
  child.on('close', (code, signal) => { exit = { code, signal } })
  await until(() => /Subscribed to PostgreSQL/.test(err), () => `"Subscribed to PostgreSQL" on stderr: ${err}`)
  await world.sql(`insert into t values (1, 'no'), (2, 'yes'); update t set v = 'still' where id = 2; delete from t`)
  await until(() => out.split('\n').length > 3, () => `3 lines; got ${out}`)
  const changes = out.trim().split('\n').map((line) => JSON.parse(line))
  assert.deepEqual(changes.map((c) => [c.type, (c.record ?? c.old_record).id]), [['INSERT', 2], ['UPDATE', 2], ['DELETE', 2]])
  child.kill('SIGTERM')
  await until(() => exit, 'the end of listen')
  assert.deepEqual(exit, { code: 0, signal: null }, err)
})

test('listen with a wrong token says so and fails', () => {
  const { status, stderr } = run(['listen', '--url', world.server.socketUrl, '--token', 'potato', '--table', 't'])
  assert.ok(status > 0)
  assert.match(stderr, /not a valid JWT/)
})

for (const soft of [100, 5000]) {
  test(`serve fits a soft limit of ${soft} open files to its connections`, async (t) => {
    const port = await freePort()
    const child = spawn('/bin/sh', ['-c', `ulimit -Sn ${soft}; exec "$0" serve`, BINARY], { env: childEnv({ JWT_SECRET: SECRET, PORT: String(port), DB_PORT: '1', MAX_CONNECTIONS: '1000' }) })
    t.after(() => child.kill('SIGKILL'))
    let log = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { log += text })
    const line = await until(() => / open_files was=(\d+) is=(\d+)/.exec(log), () => `the line about open files in ${log}`)
    assert.equal(Number(line[1]), soft)
    assert.ok(Number(line[2]) > 1000 && Number(line[2]) < 2000, log)
    assert.match(fs.readFileSync(`/proc/${child.pid}/limits`, 'utf8'), new RegExp(`^Max open files +${line[2]} `, 'm'))
  })
}

/** The findings of check --json about one thing, by reason. */
function findings(about, env = {}) {
  const { stdout } = run(['check', '--json'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET, ...env })
  const all = stdout.trim().split('\n').map((line) => JSON.parse(line)).filter((f) => f.finding.includes(about))
  return Object.fromEntries(all.map((f) => [f.reason, f]))
}

test('check says why changes of a table may not arrive, by stable reasons and with remedies', async () => {
  await world.sql(`
    create table hidden (id numeric primary key, shown text, secret text, twice text generated always as (shown || shown) stored);
    alter table hidden enable row level security;
    create policy p on hidden for select to authenticated using (true);
    grant select (id, shown, twice) on hidden to anon, authenticated; grant select on hidden to service_role;
    create table keyless (a int); grant select on keyless to anon, authenticated, service_role;
    create table locked (id int primary key, v text); grant select (v) on locked to anon;
    create table part (id int primary key, a text, b text); grant select on part to anon, authenticated, service_role;
    alter publication supabase_realtime add table hidden, keyless, locked, part (id, a) where (id > 3)`)
  const hidden = findings('public.hidden')
  assert.deepEqual(Object.keys(hidden).sort(), ['column_not_granted', 'generated_column', 'key_not_leakproof', 'no_policy', 'rls_compiled'])
  assert.match(hidden.no_policy.finding, /no policy lets anon select/)
  assert.match(hidden.no_policy.remedy, /^create policy \.\.\. on public\.hidden for select to anon/)
  assert.match(hidden.generated_column.finding, /generated column twice is not in the log/)
  assert.match(hidden.column_not_granted.finding, /may not read secret of public\.hidden: left out/)
  const keyless = findings('public.keyless')
  assert.deepEqual(Object.keys(keyless).sort(), ['identity_nothing', 'no_primary_key'])
  const locked = findings('public.locked')
  assert.equal(locked.column_not_granted.level, 'warn')
  assert.match(findings('anon may not read').column_not_granted.finding, /error 401|left out/)
  const part = findings('public.part')
  assert.match(part.row_filter.finding, /where \(id > 3\) only/)
  assert.match(part.column_list.finding, /without b$/)
  await world.sql('drop table hidden, keyless, locked, part')
})

test('check says what private channels and broadcasts of the database lack', since(13, 'gen_random_uuid()'), async (t) => {
  t.after(() => world.sql('drop schema if exists realtime, walcast cascade; drop publication if exists supabase_realtime_messages_publication; drop owned by keeper; drop role keeper'))
  await world.sql(`create role keeper login replication password 'keeper'; grant anon, authenticated, service_role to keeper`)
  const keeper = { DB_USER: 'keeper', DB_PASSWORD: 'keeper' }
  const named = (env) => Object.fromEntries(Object.entries(findings('', env)).filter(([reason]) => reason.startsWith('messages')).map(([reason, f]) => [reason, f.level]))
  assert.deepEqual(named(), { messages: 'info' })
  migrated(world.cluster)
  await world.sql('create policy everybody on realtime.messages using (true)')
  const well = { messages: 'ok', messages_publication: 'ok' }
  assert.deepEqual(named(), well)
  assert.deepEqual(named(keeper), { ...well, messages_login: 'warn' })
  await world.sql('alter table realtime.messages owner to keeper; grant usage on schema realtime to keeper')
  assert.deepEqual(named(keeper), { ...well, messages_partition_owner: 'warn' })
  await world.sql(findings('partitions of realtime.messages', keeper).messages_partition_owner.remedy)
  assert.deepEqual(named(keeper), well)
  await world.sql('drop policy everybody on realtime.messages; create policy reads on realtime.messages for select to authenticated using (true)')
  assert.match(findings('join private channels').messages_no_policy.finding, /^no policy of realtime\.messages lets anon /)
  await world.sql('revoke insert on realtime.messages from anon')
  assert.match(findings('', keeper).messages_not_granted.finding, /^anon may not/)
  await world.sql(findings('', keeper).messages_not_granted.remedy)
  await world.sql(`alter table realtime.messages disable row level security; create table other (a int); alter publication supabase_realtime_messages_publication add table other;
    do $$ begin execute 'drop table realtime.' || to_char(now() at time zone 'UTC', '"messages_"YYYY_MM_DD'); end $$`)
  assert.deepEqual(named(), { messages: 'ok', messages_publication: 'warn', messages_partition: 'warn', messages_open: 'warn' })
  assert.match(findings('', {}).messages_publication.finding, /holds other tables/)
  await world.sql('drop table other; drop publication supabase_realtime_messages_publication')
  assert.match(findings('', {}).messages_publication.finding, /does not exist: nothing that the database sends arrives/)
})

test('check says whether changes of policies take effect in the order of the log', since(14, 'logical messages in pgoutput'), async (t) => {
  t.after(() => world.sql('drop schema if exists realtime, walcast cascade; drop publication if exists supabase_realtime_messages_publication'))
  const rules = () => findings('changes of policies').rules_in_stream_order
  assert.deepEqual([rules().level, rules().remedy], ['info', 'walcast migrate, once as a superuser'])
  assert.match(rules().finding, /take effect within POLICY_FRESHNESS_MS$/)
  migrated(world.cluster)
  assert.deepEqual([rules().level, rules().remedy], ['ok', ''])
  assert.match(rules().finding, /for every row committed after them/)
  await world.sql('alter event trigger walcast_rules_sql_drop enable')
  assert.equal(rules().level, 'info', 'not in sessions that apply changes')
})

test('check says whether the login of row checks is a modest one', async () => {
  assert.match(findings('row checks run as').checks_login.finding, /postgres, which is a superuser/)
  assert.match(findings('row checks run as').checks_login.remedy, /^create role walcast_rls login noinherit/)
  assert.equal(findings('nobody_here', { DB_RLS_USER: 'nobody_here' }).checks_login.level, 'fail')
  await world.sql('create role modest login noinherit; grant anon, authenticated to modest')
  assert.equal(findings('row checks run as', { DB_RLS_USER: 'modest' }).checks_login.level, 'ok')
  const missing = findings('may not be used by modest', { DB_RLS_USER: 'modest' }).role_not_usable
  assert.equal(missing.finding, 'role service_role may not be used by modest')
  assert.equal(missing.remedy, 'grant service_role to modest')
  await world.sql('drop role modest')
})

const protect = (name, using) => `create table ${name} (id int primary key, owner uuid); alter table ${name} enable row level security;
  create policy rows on ${name} for select using (${using}); grant select on ${name} to anon, authenticated; alter publication supabase_realtime add table ${name};`

/** What check says of who judges rows: { 'public.t for anon': finding }. */
function rulesOf(env = {}) {
  const { stdout } = run(['check', '--json'], { ...world.cluster.serverEnv, JWT_SECRET: SECRET, ...env })
  const all = stdout.trim().split('\n').map((line) => JSON.parse(line)).filter((f) => f.reason.startsWith('rls_'))
  return Object.fromEntries(all.map((f) => [f.finding.split(':')[0], f]))
}

test('check says for each table and role who judges the rows, and why', async (t) => {
  t.after(() => world.sql('drop table mine, team; drop function is_member(int); drop owned by clerk; drop role clerk'))
  await world.sql(`create function is_member(int) returns bool stable language sql as 'select true'; create role clerk nologin;
    ${protect('mine', 'owner = auth.uid()')} ${protect('team', 'is_member(id)')}
    revoke select on team from anon; alter table mine owner to clerk`)
  const rules = rulesOf()
  assert.deepEqual(Object.keys(rules), ['public.mine for anon', 'public.mine for authenticated', 'public.mine for clerk', 'public.team for authenticated'])
  assert.deepEqual(rules['public.mine for authenticated'], { level: 'info', reason: 'rls_compiled', finding: 'public.mine for authenticated: compiled', remedy: '' })
  assert.equal(rules['public.mine for clerk'].reason, 'rls_open')
  const team = rules['public.team for authenticated']
  assert.equal(team.reason, 'rls_delegated')
  assert.match(team.finding, /^public\.team for authenticated: delegated: .*rows.*is_member/)
  assert.match(team.remedy, /auth\.jwt\(\)/)
  const off = rulesOf({ RLS_COMPILE: 'off' })
  assert.equal(off['public.mine for authenticated'].reason, 'rls_delegated')
  assert.match(off['public.mine for authenticated'].remedy, /RLS_COMPILE=on/)
})

test('check lists so many tables and roles, and counts the others', async (t) => {
  const tables = 101 // with two roles each
  const each = (what) => world.sql(`do $$ begin for i in 1..${tables} loop execute replace(${what}, '#', i::text); end loop; end $$`)
  t.after(() => each(`'drop table many#'`))
  await each(`$x$${protect('many#', 'owner = auth.uid()')}$x$`)
  const rules = Object.values(rulesOf())
  assert.equal(rules.filter((f) => f.reason === 'rls_compiled').length, 200)
  assert.match(rules.find((f) => f.reason === 'rls_more').finding, /^2 more/)
})
