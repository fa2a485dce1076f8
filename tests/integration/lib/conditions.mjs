// What random policies are made of: columns of many types with values that are easily mistaken for
// each other, conditions on them that can be decided in process, others that cannot, and claims.
import pg from 'pg'

export const USERS = Array.from({ length: 5 }, (_, i) => `0000000${i}-0000-4000-8000-00000000000${i}`)

const text = pg.escapeLiteral
const LONG = 'long '.repeat(500)
const TEXTS = ['a', 'b', 'A', '', ' a', 'a ', 'NULL', '{a,b}', `O'Neil \\ "x"`, 'é', 'e\u0301', LONG]
const textOf = (random) => (random.chance(0.6) ? random.pick(['a', 'b', 'c']) : random.pick(TEXTS))
const given = { text: [`auth.jwt() ->> 'org'`, `(select auth.jwt() -> 'meta' ->> 'org')`, `current_setting('request.jwt.claims', true)::json ->> 'org'`, `coalesce(auth.jwt() ->> 'org', 'a')`, `nullif(auth.jwt() #>> '{meta,org}', '')`, `(auth.jwt() ->> 'org')::varchar(3)`] }

/**
 * name -> type; value: SQL of a random value; isOrdered: < and > can be decided in process; given:
 * claims of that type; needs: 'icu'; isPostgres: nothing about it can be decided in process.
 */
export const POOL = {
  owner: { type: 'uuid', value: (random) => `'${random.pick(USERS)}'::uuid`, isOrdered: true, given: ['auth.uid()', '(select auth.uid())', `(auth.jwt() ->> 'sub')::uuid`, `nullif(auth.jwt() ->> 'sub', '')::uuid`] },
  org: { type: 'text', value: (random) => text(textOf(random)), given: given.text },
  short: { type: 'varchar(20)', value: (random) => text(random.pick(['a', 'b', 'a ', ''])), given: [`auth.jwt() ->> 'org'`] },
  code: { type: 'char(6)', value: (random) => `'${random.pick(['k', 'k ', 'z', '', ' k'])}'::bpchar` },
  bytewise: { type: 'text collate "C"', value: (random) => text(random.pick(['a', 'A', 'é', 'z', ''])), isOrdered: true },
  local: { type: 'text collate "en-x-icu"', value: (random) => text(random.pick(['a', 'A', 'é', 'z'])), needs: 'icu' },
  nocase: { type: 'text collate nocase', value: (random) => text(random.pick(['a', 'A', 'é', 'É'])), needs: 'icu', isPostgres: true },
  level: { type: 'int4', value: (random) => random.pick([`${random.below(6) - 1}`, '2147483647']), isOrdered: true, given: [`(auth.jwt() ->> 'level')::int`, `coalesce((auth.jwt() ->> 'level')::int, 0) + 1`] },
  big: { type: 'int8', value: (random) => random.pick([`${random.below(5)}::int8`, '9007199254740993::int8', `'-9223372036854775808'::int8`]), isOrdered: true, given: [`(auth.jwt() ->> 'level')::int8`] },
  small: { type: 'int2', value: (random) => `${random.below(5)}::int2`, isOrdered: true },
  price: { type: 'numeric', value: (random) => random.pick(['1', '1.0', '1.000', '2.50', '-0.0', '1e20', '0.1', `'NaN'`]), isOrdered: true, given: [`(auth.jwt() ->> 'level')::numeric`] },
  cents: { type: 'numeric(8,2)', value: (random) => random.pick(['1', '1.5', '0.01', '-1']), isOrdered: true },
  is_open: { type: 'bool', value: (random) => random.pick(['true', 'false']), given: [`(auth.jwt() ->> 'ok')::bool`] },
  mood: { type: 'mood', value: (random) => `'${random.pick(['sad', 'ok', 'happy'])}'::mood` },
  ratio: { type: 'float8', value: (random) => `${random.pick(['0.5', '1', `'NaN'`, `'-0'`, '0', `'Infinity'`, '0.1', '0.30000000000000004'])}::float8`, isOrdered: true },
  small_ratio: { type: 'float4', value: (random) => `${random.pick(['0.5', '0.1', `'NaN'`, `'-0'`, '16777216'])}::float4`, isOrdered: true },
  day: { type: 'date', value: (random) => `date '${random.pick(['2024-01-01', '2024-02-01', '2024-01-02', 'infinity', '0044-03-15 BC', '12024-01-01'])}'`, isOrdered: true },
  at: { type: 'timestamptz', value: (random) => `timestamptz '${random.pick(['2024-01-01 00:00:00+00', '2024-01-01 01:00:00+01', '2024-01-01 00:00:00.000001+00', '2999-01-01 00:00:00+00', '-infinity', '0044-03-15 00:00:00+00 BC'])}'`, isOrdered: true },
  local_time: { type: 'timestamp', value: (random) => `timestamp '${random.pick(['2024-01-01 00:00:00', '2024-02-01 00:00:00', 'infinity'])}'`, isOrdered: true },
  clock: { type: 'time', value: (random) => `time '${random.pick(['00:00', '12:30:00.5', '24:00'])}'`, isOrdered: true },
  bin: { type: 'bytea', value: (random) => `'\\x${random.pick(['', '00', '01ff', '41'])}'::bytea`, isOrdered: true },
  few: { type: 'few', value: (random) => `${1 + random.below(4)}::few`, isPostgres: true }, // a domain
  tags: { type: 'text[]', value: (random) => `array[${random.times(1 + random.below(2), () => text(random.pick(['a', 'b', 'NULL']))).join(', ')}]`, isPostgres: true },
  doc: { type: 'jsonb', value: (random) => `'${random.pick(['{"a": 1}', '{"a": "b"}', 'null', '[1]'])}'::jsonb`, isPostgres: true },
}

/** What the columns and conditions name. `icu`: the cluster has such collations. */
export const poolSql = (icu) => `
  create type mood as enum ('sad', 'ok', 'happy'); create domain few as int4 check (value > 0);
  ${icu ? `create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);` : ''}
  create table members (sub uuid, org int4, rank int4); grant select on members to public;
  insert into members select u::uuid, o, r from unnest(array[${USERS.map((u) => `'${u}'`)}]) with ordinality x (u, r), generate_series(1, 4) o where (o + r) % 2 = 0;
  create function is_member(which int4) returns bool stable security definer language sql as
    $$ select exists (select from public.members m where m.org = which and m.sub = auth.uid()) $$;
  create function may_see(which int4, whose uuid) returns bool stable language plpgsql as
    $$ begin return which < 3 or whose = auth.uid() or auth.role() = 'editor'; end $$;`

export const namesOf = (icu) => Object.keys(POOL).filter((name) => icu || POOL[name].needs !== 'icu')

/** SQL of a column's value; now and then NULL. */
export const randomValue = (random, name) => (random.chance(0.15) ? 'null' : POOL[name].value(random))

/** Left to Postgres; each with the columns that it looks at. `$` is the table. */
const OTHERS = [
  ['level', 'level in (select m.org from members m where m.sub = auth.uid())'], ['level', 'is_member(level)'], ['level owner', 'may_see(level, owner)'],
  ['level', 'exists (select from members m where m.org = $.level and m.sub = auth.uid() and m.rank >= $.level)'], ['level', '(select count(*) from members m where m.org = $.level) > 2'],
  ['at', `at > now() - interval '1 day'`], ['at', 'at < clock_timestamp()'], ['level small', 'level = small'], ['level big', 'big > level'], ['is_open', 'coalesce(is_open, false)'],
  ['org', `org like (auth.jwt() ->> 'org') || '%'`], ['org', `lower(org) = 'a'`], ['level', `auth.jwt() -> 'teams' @> to_jsonb(level)`], ['', `current_user = 'editor'`], ['level', 'level + 1 = 3'],
  ['tags', `'a' = any (tags)`], ['tags', `tags && array[auth.jwt() ->> 'org']`], ['doc', `doc ->> 'a' = auth.jwt() ->> 'org'`], ['few', 'few in (1, 2)'], ['nocase', `nocase = 'a'`], ['nocase', `nocase in ('É', 'x')`],
  ['local', `local < 'b'`], ['big', 'big::int4 <> 1'], ['level', 'level::int2 = 1'], ['code', `code::text = 'k'`], ['code', `code = auth.jwt() ->> 'org'`], ['small_ratio', 'small_ratio = 0.1::float8'], ['day', `day = timestamptz '2024-01-01 00:00:00+00'`],
  ['is_open owner', 'case when is_open then true else owner = auth.uid() end'], ['mood', `mood > 'sad'`], ['org', `org collate "C" > 'a'`], ['level', `$ is not null`], ['org short', 'org = short'], ['level small', 'level between small and 3'],
]

/** Conditions on these columns. */
export class Conditions {
  constructor(random, names) {
    this.random = random
    this.names = names.filter((name) => !POOL[name].isPostgres)
    this.others = OTHERS.filter(([columns]) => columns.split(' ').every((c) => !c || names.includes(c))).map(([, sql]) => sql)
  }

  #side(name) {
    const { random } = this
    return POOL[name].given && random.chance(0.5) ? random.pick(POOL[name].given) : random.chance(0.06) ? 'null' : POOL[name].value(random)
  }

  /** x IN ((SELECT y)) is a sub-select with rows, which is another thing: see #inSelect. */
  #listed(name) {
    return this.#side(name).replace(/^\(select /, '(')
  }

  /** Which has a type of its own, so a literal is given the column's. */
  #selected(name) {
    const type = POOL[name].type.match(/^(text|varchar|numeric)/)?.[1]
    const typed = (sql) => (type ? `(${sql})::${type.replace('varchar', 'text')}` : sql)
    const one = this.random.chance(0.06) ? `nullif(${typed(POOL[name].value(this.random))}, null)` : this.#listed(name)
    return one === 'null' ? `null::${POOL[name].type.replace(/ collate .*/, '').replace('varchar(20)', 'text')}` : typed(one)
  }

  #inSelect(name) {
    const not = this.random.pick(['', 'not '])
    if (name === 'big' && this.random.chance(0.7)) return `big ${not}in (select nullif(jsonb_array_elements_text(auth.jwt() -> 'teams'), '0')::int8)`
    return `${name} ${not}in (select ${this.#selected(name)})`
  }

  #claimsAlone() {
    return this.random.pick(['auth.uid() is not null', `auth.role() = 'authenticated'`, `(auth.jwt() ->> 'ok')::bool`, 'true', 'false', `auth.jwt() ->> 'org' in ('a', 'b')`, `auth.jwt() -> 'meta' ->> 'org' like 'a%'`, `auth.jwt() -> 'teams' ? '1'`, `auth.uid() in (select (auth.jwt() ->> 'sub')::uuid)`])
  }

  #list(name) {
    if (name === 'big') return `big = any (array(select jsonb_array_elements_text(auth.jwt() -> 'teams')::int8))`
    if (name === 'org') return `org ${this.random.pick(['= any', '<> all'])} (string_to_array(auth.jwt() ->> 'list', ','))`
    return `${name} ${this.random.pick(['in', 'not in'])} (${this.random.times(1 + this.random.below(3), () => this.#listed(name)).join(', ')})`
  }

  #boolean() {
    return this.random.pick(['is_open', 'is_open is true', 'is_open is not true', 'is_open is false', 'is_open is not false', 'is_open is unknown', 'is_open is not unknown'])
  }

  #converted(name) {
    const to = { small: ['int4', 'int8', 'numeric', 'text'], level: ['int8', 'numeric', 'text'], big: ['numeric', 'text'], owner: ['text'], short: ['text'] }[name]
    if (!to) return this.#comparison(name)
    const type = this.random.pick(to), value = { text: text(this.random.pick(['1', 'a', '3', '01', USERS[0]])), numeric: this.random.pick(['1.0', '2.5', '3']) }[type] ?? `${this.random.below(5)}::${type}`
    return `${name}::${type} ${type === 'text' ? this.random.pick(['=', '<>']) : this.random.pick(['=', '<', '>='])} ${value}`
  }

  #comparison(name) {
    const { random } = this, side = this.#side(name)
    const op = POOL[name].isOrdered ? random.pick(['=', '<>', '<', '<=', '>', '>=']) : random.pick(['=', '<>'])
    return random.chance(0.5) ? `${name} ${op} ${side}` : `${side} ${op} ${name}`
  }

  #leaf() {
    const { random } = this, name = random.pick(this.names), kind = random.below(12)
    if (kind === 0) return `${name} is ${random.pick(['', 'not '])}null`
    if (kind === 1) return `${name} is ${random.pick(['', 'not '])}distinct from ${this.#side(name)}`
    if (kind === 2 || kind === 3) return this.#list(name)
    if (kind === 4 && this.names.includes('is_open')) return this.#boolean()
    if (kind === 5) return this.#claimsAlone()
    if (kind === 6) return this.#converted(name)
    if (kind === 7) return this.#inSelect(name)
    return this.#comparison(name)
  }

  /** Can be decided in process. */
  compiled(depth = 3) {
    const { random } = this
    if (depth === 0 || random.chance(0.3)) return this.#leaf()
    if (random.chance(0.2)) return `not (${this.compiled(depth - 1)})`
    return random.times(2 + random.below(2), () => `(${this.compiled(depth - 1)})`).join(random.pick([' and ', ' or ']))
  }

  /** Cannot; alone or joined with what can. `table`: its name. */
  delegated(table) {
    const { random } = this, other = random.pick(this.others).replaceAll('$', table)
    if (random.chance(0.4)) return random.chance(0.2) ? `not (${other})` : other
    const parts = [`(${other})`, `(${this.compiled(1)})`]
    return (random.chance(0.5) ? parts : parts.reverse()).join(random.pick([' and ', ' or ']))
  }
}

const SUBS = [undefined, null, '', 7, true, 'nobody', [USERS[0]], { id: USERS[0] }, USERS[1].toUpperCase(), `{${USERS[2]}}`, USERS[3].replaceAll('-', '')]
const ORGS = [undefined, null, 7, true, ['a'], { a: 1 }, ...TEXTS]
const LEVELS = [undefined, null, '2', '3.0', 'two', 1e3, 2.5, true, [1], '9223372036854775807']
const TEAMS = [undefined, null, 'a', { a: 1 }, [], [null], [1, null, 3], ['1', '2'], [[1], 2], [true]]

/** Of all shapes; what is usual is more frequent. `odd`: how often each is not. */
export function randomClaims(random, odd = 0.12) {
  const of = (usual, unusual) => (random.chance(odd) ? random.pick(unusual) : usual())
  return {
    'odd "key"': ['ä', { x: null }, '\\'],
    sub: of(() => random.pick(USERS), SUBS),
    org: of(() => random.pick(['a', 'b', 'c']), ORGS),
    level: of(() => random.below(5), LEVELS),
    ok: of(() => random.chance(0.5), [undefined, null, 'yes', 'off', 'perhaps', 1]),
    meta: of(() => ({ org: random.pick(['a', 'b']) }), [undefined, null, 'text', [], { org: null }, { org: { a: 1 } }, { org: LONG }]),
    teams: of(() => random.times(random.below(4), () => random.below(5)), TEAMS),
    list: of(() => random.sample(['a', 'b', 'c'], random.below(3)).join(','), [undefined, null, ',', 'a,,b', `"a",'b'`]),
  }
}
