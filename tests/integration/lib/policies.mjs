// Random row security: roles, claims, keys of many types and policies over them, and what a SELECT
// with a role and claims says.
import pg from 'pg'

export const USERS = Array.from({ length: 5 }, (_, i) => `0000000${i}-0000-4000-8000-00000000000${i}`)
const ROLES = ['anon', 'authenticated', 'editor', 'my-role', 'service_role']

/** What the policies below call and read. */
export const POLICY_SQL = `
  create role editor nologin; create role "my-role" nologin;
  create type pair as (a int4, b text);
  create domain positive as int4 check (value > 0);
  create table members (sub uuid, org int4, rank int4);
  grant select on members to public;
  create function is_member(which int4) returns bool stable security definer language sql as
    $$ select exists (select from public.members m where m.org = which and m.sub = auth.uid()) $$;
  create function may_see(which int4, whose uuid) returns bool stable language plpgsql as
    $$ begin return which < 3 or whose = auth.uid() or auth.role() = 'editor'; end $$;`

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

export const COLUMNS = 'n int4 not null, owner uuid, org int4, level int4, is_open bool, at timestamptz, note text'

const oneOf = (random, list) => (random.chance(0.1) ? 'null' : random.pick(list))
const maker = {
  owner: (random) => oneOf(random, USERS.map((u) => `'${u}'`)),
  org: (random) => oneOf(random, [1, 2, 3]),
  level: (random) => oneOf(random, [1, 2, 3, 4, 5]),
  is_open: (random) => oneOf(random, ['true', 'false']),
  at: (random) => oneOf(random, [`now() - interval '9 days'`, `now() + interval '9 days'`]),
  note: (random) => oneOf(random, [`'ab'`, `'ax'`, `'b'`, `''`]),
}
export const PLAIN_COLUMNS = Object.keys(maker)

/** SQL texts of new values, by column. */
export const randomValues = (random, columns = PLAIN_COLUMNS) => Object.fromEntries(columns.map((c) => [c, maker[c](random)]))

const EXPRESSIONS = [
  () => 'owner = auth.uid()', () => '(select auth.uid()) = owner', () => `owner::text = current_setting('request.jwt.claims', true)::json ->> 'sub'`,
  () => 'is_open', () => 'not is_open', () => 'owner is null', () => 'level = any (array[1, 2])', () => 'true', () => 'false',
  () => `level <= (auth.jwt() ->> 'level')::int4`, () => `note like (auth.jwt() ->> 'prefix') || '%'`, () => `auth.jwt() -> 'orgs' @> to_jsonb(org)`,
  () => `auth.role() = 'editor'`, () => `current_user = 'editor'`, () => `at > now() - interval '1 day'`, () => `at < clock_timestamp()`,
  () => 'org in (select m.org from members m where m.sub = auth.uid())', () => 'is_member(org)', () => 'may_see(level, owner)',
  (table) => `exists (select from members m where m.org = ${table}.org and m.sub = auth.uid() and m.rank >= ${table}.level)`,
  (table) => `(select count(*) from members m where m.org = ${table}.org) > 2`,
]

/** Policies of a table by that name, as functions of the name. */
export function randomPolicies(random) {
  return random.times(1 + random.below(4), (i) => {
    const parts = random.sample(EXPRESSIONS, 1 + random.below(2)), join = random.pick([' and ', ' or '])
    const isRestrictive = i > 0 && random.chance(0.3), isNot = random.chance(0.1), command = random.pick(['select', 'all'])
    const roles = random.chance(0.4) ? 'public' : random.sample(ROLES, 1 + random.below(3)).map((r) => pg.escapeIdentifier(r)).join(', ')
    return (table) => `create policy p${i} on ${table} as ${isRestrictive ? 'restrictive' : 'permissive'} for ${command} to ${roles}
      using (${isNot ? 'not ' : ''}(${parts.map((e) => `(${e(table)})`).join(join)}))`
  })
}

/** Whose eyes rows are seen with. */
export function randomContexts(random, n, exp) {
  return random.times(n, (i) => {
    const role = i < ROLES.length ? ROLES[i] : random.pick(ROLES.slice(0, 4))
    const claims = { role, exp, n: i, 'odd "key"': ['ä', { x: null }, '\\'] }
    if (random.chance(0.9)) claims.sub = random.pick(USERS)
    if (random.chance(0.6)) claims.level = random.below(6)
    if (random.chance(0.6)) claims.prefix = random.pick(['a', 'b', ''])
    if (random.chance(0.6)) claims.orgs = random.sample([1, 2, 3], random.below(3))
    return { name: `context-${i}`, role, claims }
  })
}

/** The rows (their n) that a SELECT with this role and these claims finds. */
export async function visibleTo(session, { role, claims }, table, n = 'n') {
  await session.query('begin')
  try {
    await session.query(`set local role ${pg.escapeIdentifier(role)}`)
    await session.query(`select set_config('request.jwt.claims', $1, true)`, [JSON.stringify(claims)])
    return new Set((await session.query(`select ${n} as n from ${table}`)).rows.map((r) => r.n))
  } finally {
    await session.query('rollback')
  }
}
