// Policies and operators are other people's code in the session that judges rows. Whatever one
// table's owner makes of it, another table's rows are judged as if it were not there.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from './lib/phoenix.mjs'
import { tokenFor } from './lib/token.mjs'
import { until } from './lib/wait.mjs'
import { sharedWorld, startWorld } from './lib/world.mjs'

const ANN = '0000000a-0000-4000-8000-00000000000a', BOB = '0000000b-0000-4000-8000-00000000000b'
const ROUNDS = 12
const CHECKS_PASSWORD = 'checks-password'

/** What owners of the table `bait` have their function do, in plpgsql. Each may fail. */
const ATTACKS = {
  'switches the role to the login': `perform set_config('role', 'none', false)`,
  'sets the role of the session': `execute 'set session role service_role'`,
  'resets the role and everything else': `execute 'reset role'; execute 'reset all'`,
  'alters roles as the login': `perform set_config('role', 'none', false); execute 'alter role authenticated bypassrls'`,
  'deallocates every statement': `execute 'deallocate all'`,
  'replaces every statement by its own': `for s in select name from pg_prepared_statements loop
      execute format('deallocate %I', s.name); execute format('prepare %I as select * from public.victim', s.name); end loop`,
  'sets claims': `perform set_config('request.jwt.claims', '{"sub": "${ANN}", "role": "authenticated"}', false)`,
  'sets claims the old way': `perform set_config('request.jwt.claim.sub', '${ANN}', false); perform set_config('realtime.topic', 'x', false)`,
  'changes search_path': `perform set_config('search_path', 'evil, pg_catalog', false)`,
  'switches row security off': `perform set_config('row_security', 'off', false)`,
  'changes how values are read': `perform set_config('datestyle', 'German', false); perform set_config('timezone', 'Asia/Tokyo', false); perform set_config('client_encoding', 'LATIN1', false)`,
  'makes temporary tables': `execute 'create temp table teams as select ''${BOB}''::uuid as sub, 1 as team union all select ''${ANN}''::uuid, 2'`,
  'takes the timeouts away': `perform set_config('statement_timeout', '0', false); perform set_config('lock_timeout', '0', false); perform set_config('default_transaction_read_only', 'off', false)`,
  raises: `raise exception 'no' using errcode = 'P0666'`,
  'ends the session': `perform set_config('role', 'none', false); perform pg_terminate_backend(pg_backend_pid())`,
}

/** `guard`: keeps an attack's own error from ending the statement. */
const attackSql = (body, guard = true) => `
  create or replace function evil.attack() returns bool volatile language plpgsql as $attack$
    declare s record;
    begin
      ${guard ? `begin ${body}; exception when others then null; end;` : `${body};`}
      return true;
    end $attack$;`

const SQL = `
  create role checks login noinherit password '${CHECKS_PASSWORD}'; grant anon, authenticated to checks; create role keeper; create role mallory;
  create schema evil authorization mallory; grant usage on schema evil to public; ${attackSql('perform 1')}
  create function evil.yes(uuid, uuid) returns bool immutable language sql as 'select true';
  create operator evil.= (leftarg = uuid, rightarg = uuid, function = evil.yes);
  create table teams (sub uuid, team int); grant select on teams to public;
  insert into teams values ('${ANN}', 1), ('${BOB}', 2);
  create table evil.teams as select sub, 3 - team as team from teams; grant select on evil.teams to public;
  create function my_team() returns int stable language sql as 'select team from teams where sub = auth.uid()';
  create table victim (at timestamptz, d date, id int, team int, primary key (at, d, id)); alter table victim enable row level security;
  create policy p on victim for select using (team = my_team() and team in (select t.team from teams t where t.sub = auth.uid()));
  create table bait (id int primary key, v int); alter table bait enable row level security; create policy p on bait for select using (evil.attack());
  create type pair as (a int, b int); create table lure (id int primary key, v pair);
  create function evil.eq(pair, pair) returns bool volatile language sql as 'select evil.attack()';
  create operator public.= (leftarg = pair, rightarg = pair, function = evil.eq);
  alter table victim owner to keeper; alter table teams owner to keeper; alter function my_team() owner to keeper;
  alter function evil.attack() owner to mallory; alter table bait owner to mallory; alter table lure owner to mallory; alter type pair owner to mallory;
  alter function evil.eq(pair, pair) owner to mallory; alter operator public.= (pair, pair) owner to mallory;`

// checks as the superuser of the tests, and as a login that may only SET ROLE
const options = { sql: SQL, publish: ['bait', 'lure', 'victim'] }
const RESTRICTED = { DB_RLS_USER: 'checks', DB_RLS_PASSWORD: CHECKS_PASSWORD }
const worlds = { superuser: sharedWorld(options), restricted: sharedWorld({ ...options, env: RESTRICTED }) }
const POLICY = { table: 'bait', value: '1' }, OPERATOR = { table: 'lure', value: `'(1,1)'`, filter: 'v=eq.(1,1)' }

async function watch(t, world, sub, { table, filter }) {
  const client = await Client.open(world.server, { token: tokenFor('authenticated', { sub }) })
  t.after(() => client.close())
  const bait = { event: '*', schema: 'public', table, ...(filter ? { filter } : {}) }
  const { system } = await client.subscribe('watch', [bait, { event: '*', schema: 'public', table: 'victim' }])
  assert.equal(system.status, 'ok', system.message)
  return client
}

const roles = async (world) => world.sql('select rolname, rolsuper, rolbypassrls, rolcreaterole from pg_roles order by 1')
const victims = (client) => client.changes().filter((c) => c.data.table === 'victim').map((c) => c.data.record.id)
let lastId = 0

/** Baits and victims by turns, together and apart: each of the two sees its own team's victims. */
async function assertVictimsAreSafe(t, world, { table, value, filter }) {
  const before = await roles(world)
  const ann = await watch(t, world, ANN, { table, filter }), bob = await watch(t, world, BOB, { table, filter })
  const mine = [[], []]
  for (let n = 1; n <= ROUNDS; n++) {
    const id = ++lastId, team = id % 2
    mine[team].push(id)
    const both = [`insert into ${table} values (${id}, ${value})`, `insert into victim values ('2024-02-03 04:05:06.5+02', '2024-02-03', ${id}, ${team + 1})`]
    if (n % 3) for (const statement of both) await world.sql(statement)
    else await world.sql(`begin; ${both.join(';')}; commit`)
  }
  for (const [team, client] of [ann, bob].entries()) {
    await until(() => victims(client).length >= mine[team].length, () => `victims ${mine[team]}; got ${victims(client)}\n${world.server.log.slice(-3000)}`, 60_000)
    assert.deepEqual(victims(client), mine[team])
  }
  assert.deepEqual(await roles(world), before)
}

const cases = [['a policy function', POLICY, 'superuser'], ['a policy function', POLICY, 'restricted'], ['an operator behind a filter', OPERATOR, 'restricted']]
for (const [what, bait, how] of cases) {
  for (const [name, body] of Object.entries(ATTACKS)) {
    test(`${what} that ${name} decides nothing for another table (checks by a ${how} login)`, async (t) => {
      await worlds[how].sql(attackSql(body, name !== 'raises'))
      await assertVictimsAreSafe(t, worlds[how], bait)
    })
  }
}

test('a policy that takes too long is given up, and other tables go on', async (t) => {
  const world = await startWorld(t, { ...options, env: { ...RESTRICTED, DB_RLS_STATEMENT_TIMEOUT_MS: '1000' } })
  await world.sql(attackSql('perform pg_sleep(60)'))
  await assertVictimsAreSafe(t, world, POLICY)
})

test('the owner of a table in a FOR ALL TABLES publication cannot look into another table', async (t) => {
  const world = await startWorld(t, {
    env: RESTRICTED,
    sql: `drop publication supabase_realtime; create publication supabase_realtime for all tables;
      create role checks login noinherit password '${CHECKS_PASSWORD}'; create role mallory nologin; grant anon, authenticated, mallory to checks;
      create table vault (id int primary key, secret text); insert into vault values (1, 'x');
      create schema mallory authorization mallory; set role mallory;
      create function mallory.knows() returns bool volatile language plpgsql as $$ begin
        begin perform set_config('role', 'none', true); exception when others then null; end;
        return exists (select from public.vault where secret = 'x');
        exception when others then return false; end $$;
      create table mallory.spy (id int primary key, is_control bool); alter table mallory.spy enable row level security;
      create policy p on mallory.spy for select using (is_control or mallory.knows());
      grant usage on schema mallory to public; grant select on mallory.spy to public; reset role`,
  })
  const bindings = [{ event: '*', schema: 'mallory', table: 'spy' }, { event: '*', schema: 'public', table: 'vault' }]
  const open = async (role) => {
    const client = await Client.open(world.server, { token: tokenFor(role) })
    t.after(() => client.close())
    await client.subscribe('spy', bindings)
    return client
  }
  const anon = await open('anon'), mallory = await open('mallory')
  for (let n = 1; n <= ROUNDS; n++) await world.sql(`insert into vault values (${n + 1}, 'secret-${n}'); insert into mallory.spy values (${n}, false)`)
  await world.sql('insert into mallory.spy values (0, true)')
  for (const client of [anon, mallory]) {
    const rows = () => client.changes().filter((c) => c.data.table === 'spy').map((c) => c.data.record.id)
    await until(() => rows().includes(0), 'the control row')
    if (client === anon) assert.deepEqual(rows(), [0]) // mallory owns the rows and sees them all
    assert.ok(!client.messages.some((m) => m.text?.includes('secret-')), 'the other table')
  }
})
