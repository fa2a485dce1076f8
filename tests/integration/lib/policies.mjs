// Random row security: roles, claims, keys of many types and policies over them, and what a SELECT
// with a role and claims says.
import pg from 'pg'
import { randomClaims } from './conditions.mjs'

export { USERS } from './conditions.mjs'

/** heir has what editor has, kid is a member without; tables may belong to landlord. */
const ROLES = ['anon', 'authenticated', 'editor', 'my-role', 'heir', 'kid', 'landlord', 'service_role']
export const ALL_ROLES = ROLES.map((r) => pg.escapeIdentifier(r)).join(', ')

/** Roles, the types of keys, and what visibleTo asks. */
export const POLICY_SQL = `
  create role editor nologin; create role "my-role" nologin; create role heir nologin; create role kid nologin noinherit; create role landlord nologin;
  grant editor to heir, kid; grant create, usage on schema public to landlord;
  create type pair as (a int4, b text);
  create domain positive as int4 check (value > 0);
  create function rows_seen(which text, upto int4, claims text) returns setof int4 language plpgsql set plan_cache_mode = force_generic_plan as $$
    declare is_seen bool;
    begin
      execute format('prepare is_seen (int4) as select true from %I where n = $1', which);
      perform set_config('request.jwt.claims', '{}', true);
      execute 'execute is_seen(0)';
      perform set_config('request.jwt.claims', claims, true);
      for i in 1 .. upto loop
        begin
          execute format('execute is_seen(%s)', i) into is_seen;
          if is_seen then return next i; end if;
        exception when others then null; -- this row is not seen
        end;
      end loop;
      deallocate is_seen;
    end $$;`

/** type of the key -> its columns, and each column's value for row n. */
export const KEYS = [
  { columns: 'id int4', value: (n) => `${n}` },
  { columns: 'id int8', value: (n) => `${n} + 9007199254740993` },
  { columns: 'id uuid', value: (n) => `md5('${n}')::uuid` },
  { columns: 'id text', value: (n) => `'a "key", {n}\\ ${n}'` },
  { columns: 'id text collate "en-x-icu"', needs: 'icu', value: (n) => `'ä${n}'` },
  { columns: 'id char(8)', value: (n) => `'k${n}'` },
  { columns: 'id varchar(20)', value: (n) => `'v ${n} '` },
  { columns: 'id bytea', value: (n) => `decode(md5('${n}'), 'hex')` },
  { columns: 'id numeric', value: (n) => `${n} + 0.50` },
  { columns: 'id numeric(10,2)', value: (n) => `${n} + 0.5` },
  { columns: 'id float8', value: (n) => `${n} + 0.1::float8` },
  { columns: 'id int4[]', value: (n) => `array[${n}, null, 1]` },
  { columns: 'id text[]', value: (n) => `array['a,"b"', '${n}']` },
  { columns: 'id date', value: (n) => `date '0003-01-01 BC' + ${n}` },
  { columns: 'id timestamptz', value: (n) => `timestamptz '2024-01-01 00:00:00.123456+02' + ${n} * interval '1 s'` },
  { columns: 'id pair', value: (n) => `row(${n}, 'x "y", (z)')::pair` },
  { columns: 'id positive', value: (n) => `${n}` },
  { columns: 'id bit(12)', value: (n) => `${n}::int4::bit(12)` },
  { columns: 'id interval', value: (n) => `${n} * interval '1 day'` },
  { columns: 'id int4range', value: (n) => `int4range(${n}, ${n} + 1)` },
  { columns: 'b text, a int4', names: 'a, b', value: (n) => `'x${n}', ${n} % 3` },
]
export const keyNames = (key) => key.names ?? 'id'

/**
 * Policies of a table by that name, as functions of the name. `kind`: 'compiled', 'delegated' or
 * 'mixed' ones, as far as `conditions` knows.
 */
export function randomPolicies(random, conditions, kind) {
  const isDelegated = { compiled: () => false, delegated: () => random.chance(0.7), mixed: () => random.chance(0.3) }[kind]
  return random.times(1 + random.below(4), (i) => {
    const make = isDelegated() ? (table) => conditions.delegated(table) : () => conditions.compiled(2)
    const text = make('THE_TABLE'), command = random.pick(['select', 'select', 'all', 'all', 'update'])
    const as = i > 0 && random.chance(0.3) ? 'restrictive' : 'permissive'
    const roles = random.chance(0.5) ? 'public' : random.sample(ROLES, 1 + random.below(4)).map((r) => pg.escapeIdentifier(r)).join(', ')
    return (table) => `create policy p${i} on ${table} as ${as} for ${command} to ${roles} using (${text.replaceAll('THE_TABLE', table)})`
  })
}

/** Whose eyes rows are seen with. */
export function randomContexts(random, n, exp) {
  return random.times(n, (i) => {
    const role = i < ROLES.length ? ROLES[i] : random.pick(['authenticated', 'authenticated', ...ROLES.slice(0, -1)])
    return { name: `context-${i}`, role, claims: { ...randomClaims(random, i % 3 ? 0.04 : 0.3), role, exp, n: i } }
  })
}

async function as(session, { role, claims }, ask) {
  await session.query('begin')
  try {
    await session.query(`select set_config('request.jwt.claims', $2, true), set_config('role', $1, true)`, [role, JSON.stringify(claims)])
    return await ask()
  } finally {
    await session.query('rollback')
  }
}

/** The rows (their n) that a SELECT with this role and these claims finds. */
export const visibleTo = (session, context, table, n = 'n') =>
  as(session, context, async () => new Set((await session.query(`select ${n} as n from ${table}`)).rows.map((r) => r.n)))

/**
 * The same of a table whose n go up to `upto`. Where that is an error each row is asked for alone, by
 * a plan that was made with other claims: a planner's guess at a value is no row.
 */
export async function shownTo(session, context, table, upto) {
  try {
    return { rows: await visibleTo(session, context, table), isError: false }
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    const rows = await as(session, context, async () => new Set((await session.query('select n from rows_seen($1, $2, $3) n', [table, upto, JSON.stringify(context.claims)])).rows.map((r) => r.n)))
    return { rows, isError: true }
  }
}
