// Policies that people really write, over one table. See README.md.

export const ANN = 'a0000000-0000-4000-8000-00000000000a', BOB = 'b0000000-0000-4000-8000-00000000000b'
const CAT = 'c0000000-0000-4000-8000-00000000000c'

/** Whose eyes: an administrator with a second factor, a member without, and nobody known. */
export const PEOPLE = {
  ann: {
    role: 'authenticated', sub: ANN, email: 'ann@acme.test', aal: 'aal2', is_anonymous: false, teams_csv: '1,4',
    app_metadata: { org: 'acme', tenant_id: 1, role: 'admin', roles: ['admin', 'editor'], teams: [1], level: 3 },
  },
  bob: {
    role: 'authenticated', sub: BOB, email: 'bob@globex.test', aal: 'aal1', is_anonymous: true, teams_csv: '2,3',
    app_metadata: { org: 'globex', tenant_id: 2, role: 'member', roles: ['member'], teams: [2, 3], level: 1 },
  },
  guest: { role: 'anon', iss: 'walcast' },
}

/** What the policies call and read. */
export const SETUP = `
  create or replace function auth.uid() returns uuid language sql stable as
    $$ select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
  create or replace function auth.role() returns text language sql stable as
    $$ select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''), nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')::text $$;
  create function auth.email() returns text language sql stable as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email' $$;
  create type visibility as enum ('private', 'team', 'public');
  create table members (user_id uuid, team_id int4, role text);
  insert into members values ('${ANN}', 1, 'owner'), ('${BOB}', 2, 'member'), ('${BOB}', 3, 'member');
  create table profiles (id uuid primary key, org text, is_admin bool);
  insert into profiles values ('${ANN}', 'acme', true), ('${BOB}', 'globex', false);
  create table folders (id int4 primary key, parent int4, user_id uuid);
  insert into folders values (1, null, '${ANN}'), (2, 1, null), (3, null, '${BOB}');
  grant select on members, profiles, folders to public;
  create function is_member(team int4) returns bool language sql stable security definer set search_path = '' as
    $$ select exists (select from public.members m where m.team_id = team and m.user_id = auth.uid()) $$;
  create function my_teams() returns setof int4 language sql stable security definer set search_path = '' as
    $$ select m.team_id from public.members m where m.user_id = auth.uid() $$;
  create function is_admin() returns bool language plpgsql stable security definer set search_path = '' as
    $$ begin return exists (select from public.profiles p where p.id = auth.uid() and p.is_admin); end $$;
  create function has_role(wanted text) returns bool language sql stable as
    $$ select auth.jwt() -> 'app_metadata' -> 'roles' ? wanted $$;
  create function foldername(path text) returns text[] language sql immutable as
    $$ select (string_to_array(path, '/'))[1 : array_length(string_to_array(path, '/'), 1) - 1] $$;
  create function owns_folder(which int4) returns bool language sql stable security definer set search_path = '' as $$
    with recursive up as (
      select f.id, f.parent, f.user_id from public.folders f where f.id = which
      union select f.id, f.parent, f.user_id from public.folders f join up on f.id = up.parent)
    select exists (select from up where up.user_id = auth.uid()) $$;`

export const COLUMNS = `id int4 primary key, user_id uuid, owner text, org text, tenant_id int8, team_id int4, is_public bool, status varchar(20), kind visibility,
  deleted_at timestamptz, starts_at timestamptz, expires_at timestamptz, email text, name text, level int4, folder_id int4, shared_with uuid[], meta jsonb`

const PAST = '2001-01-01 00:00:00+00', FUTURE = '2999-01-01 00:00:00+00'

/** Columns left out are NULL. */
export const ROWS = [
  { id: 1, user_id: ANN, owner: ANN, org: 'acme', tenant_id: 1, team_id: 1, is_public: false, status: 'draft', kind: 'private', starts_at: PAST, email: 'ann@acme.test', name: `${ANN}/cat.png`, level: 3, folder_id: 1 },
  { id: 2, user_id: BOB, owner: BOB, org: 'globex', tenant_id: 2, team_id: 2, is_public: false, status: 'draft', kind: 'private', starts_at: PAST, email: 'BOB@globex.test', name: `${BOB}/dog.png`, level: 1, folder_id: 3 },
  { id: 3, is_public: true, status: 'published', kind: 'public', starts_at: PAST, name: 'public/logo.png', level: 0, meta: { visibility: 'public' } },
  { id: 4, user_id: ANN, owner: ANN, org: 'acme', tenant_id: 1, team_id: 1, is_public: true, status: 'published', kind: 'public', starts_at: PAST, expires_at: PAST, email: 'ann@acme.test', name: 'public/a/b', level: 1, folder_id: 2 },
  { id: 5, user_id: BOB, owner: BOB, org: 'acme', tenant_id: 1, team_id: 3, is_public: true, status: 'published', kind: 'public', deleted_at: PAST, starts_at: PAST, expires_at: FUTURE, email: 'bob@globex.test', level: 2 },
  { id: 6, user_id: CAT, owner: CAT, org: 'acme', tenant_id: 1, team_id: 2, is_public: false, status: 'archived', kind: 'team', starts_at: PAST, expires_at: FUTURE, email: 'cat@acme.test', name: `${CAT}/x`, level: 2, shared_with: [ANN] },
  { id: 7, user_id: CAT, owner: CAT, org: 'globex', tenant_id: 2, team_id: 4, is_public: false, status: 'published', kind: 'team', starts_at: FUTURE, expires_at: FUTURE, email: 'cat@globex.test', level: 5, shared_with: [ANN, BOB], meta: { visibility: 'team' } },
  { id: 8 },
]

const COMPILED = null // no reason
const NOT_HERE = /form that is not proven/, READS = /sub-select|of table public.(members|profiles|folders)/
const compiled = (using, sees) => ({ using, why: COMPILED, sees })
const delegated = (using, why, sees) => ({ using, why, sees })
const OWN = { ann: [1, 4], bob: [2, 5], guest: [] }
const ALL = [1, 2, 3, 4, 5, 6, 7, 8]
const everyone = (ids) => ({ ann: ids, bob: ids, guest: ids })
const known = (ids) => ({ ann: ids, bob: ids, guest: [] })

/**
 * `using`: the expression, or the clauses of several policies; `why`: null when it is compiled, else
 * what the reason says; `sees`: ids of rows by person.
 */
export const CATALOGUE = {
  ownership: [
    compiled('auth.uid() = user_id', OWN),
    compiled('(select auth.uid()) = user_id', OWN),
    compiled('user_id = (select auth.uid() as uid)', OWN),
    compiled(['for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id)'], OWN),
    compiled('owner = auth.uid()::text', OWN),
    compiled('owner = (select auth.uid()::text)', OWN),
    compiled(`owner = (auth.jwt() ->> 'sub')`, OWN),
    compiled(`user_id = (auth.jwt() ->> 'sub')::uuid`, OWN),
    compiled('user_id::text = auth.uid()::text', OWN),
    compiled(`user_id = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid`, OWN),
    compiled(`user_id = ((select current_setting('request.jwt.claims', true))::jsonb ->> 'sub')::uuid`, OWN),
    compiled('auth.uid() is not null and auth.uid() = user_id', OWN),
    compiled('user_id is null or user_id = auth.uid()', { ann: [1, 3, 4, 8], bob: [2, 3, 5, 8], guest: [3, 8] }),
    compiled('user_id is not distinct from auth.uid()', { ann: [1, 4], bob: [2, 5], guest: [3, 8] }),
    delegated('auth.uid() = any (shared_with) or auth.uid() = user_id', /list without a column/, { ann: [1, 4, 6, 7], bob: [2, 5, 7], guest: [] }),
  ],
  'public rows': [
    compiled('true', everyone(ALL)),
    compiled('false', everyone([])),
    compiled('is_public', everyone([3, 4, 5])),
    compiled('is_public = true', everyone([3, 4, 5])),
    compiled('is_public is not true', everyone([1, 2, 6, 7, 8])),
    compiled(`status = 'published'`, everyone([3, 4, 5, 7])),
    compiled(`status = 'published' and deleted_at is null`, everyone([3, 4, 7])),
    compiled(`status in ('published', 'archived')`, everyone([3, 4, 5, 6, 7])),
    compiled(`status <> 'draft'`, everyone([3, 4, 5, 6, 7])),
    compiled('deleted_at is null', everyone([1, 2, 3, 4, 6, 7, 8])),
    compiled(`kind = 'public'`, everyone([3, 4, 5])),
    compiled(`kind = 'public' or (kind = 'private' and auth.uid() = user_id)`, { ann: [1, 3, 4, 5], bob: [2, 3, 4, 5], guest: [3, 4, 5] }),
    compiled('is_public or auth.uid() = user_id', { ann: [1, 3, 4, 5], bob: [2, 3, 4, 5], guest: [3, 4, 5] }),
    compiled(['for select using (is_public)', 'for select to authenticated using (auth.uid() = user_id)'], { ann: [1, 3, 4, 5], bob: [2, 3, 4, 5], guest: [3, 4, 5] }),
    delegated('coalesce(is_public, false)', /column/, everyone([3, 4, 5])),
    delegated(`meta ->> 'visibility' = 'public'`, /column|operator/, everyone([3])),
    delegated('case when is_public then true else auth.uid() = user_id end', NOT_HERE, { ann: [1, 3, 4, 5], bob: [2, 3, 4, 5], guest: [3, 4, 5] }),
  ],
  'role checks': [
    compiled(`auth.role() = 'authenticated'`, known(ALL)),
    compiled(`(select auth.role()) in ('authenticated', 'service_role')`, known(ALL)),
    compiled(['for select to authenticated using (true)'], known(ALL)),
    compiled(['for select to anon, authenticated using (is_public)'], everyone([3, 4, 5])),
    compiled(['for select to anon using (is_public)', 'for select to authenticated using (not is_public)'], { ann: [1, 2, 6, 7], bob: [1, 2, 6, 7], guest: [3, 4, 5] }),
    delegated(`current_user = 'authenticated'`, NOT_HERE, known(ALL)),
    delegated(`session_user <> 'authenticated' and is_public`, NOT_HERE, everyone([3, 4, 5])),
  ],
  'claims of the token': [
    compiled(`(auth.jwt() -> 'app_metadata' ->> 'org') = org`, { ann: [1, 4, 5, 6], bob: [2, 7], guest: [] }),
    compiled(`org = (select auth.jwt() #>> '{app_metadata,org}')`, { ann: [1, 4, 5, 6], bob: [2, 7], guest: [] }),
    compiled(`tenant_id = (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::bigint`, { ann: [1, 4, 5, 6], bob: [2, 7], guest: [] }),
    compiled(`team_id = (select (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::int)`, { ann: [1, 4], bob: [2, 6], guest: [] }),
    compiled(`(auth.jwt() -> 'app_metadata' ->> 'role') = 'admin'`, { ann: ALL, bob: [], guest: [] }),
    compiled(`auth.jwt() -> 'app_metadata' -> 'roles' ? 'editor'`, { ann: ALL, bob: [], guest: [] }),
    compiled(`(auth.jwt() -> 'app_metadata')::jsonb @> '{"role": "admin"}'`, { ann: ALL, bob: [], guest: [] }),
    compiled(`(auth.jwt() ->> 'is_anonymous')::boolean is false`, { ann: ALL, bob: [], guest: [] }),
    compiled(['for select using (true)', `as restrictive for select to authenticated using ((select (auth.jwt() ->> 'is_anonymous')::boolean) is false)`], { ann: ALL, bob: [], guest: ALL }),
    compiled(['for select using (auth.uid() = user_id)', `as restrictive for all to authenticated using ((select auth.jwt() ->> 'aal') = 'aal2')`], { ann: [1, 4], bob: [], guest: [] }),
    compiled(`team_id = any (array(select jsonb_array_elements_text(auth.jwt() -> 'app_metadata' -> 'teams')::int))`, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    compiled(`team_id::text = any (string_to_array(auth.jwt() ->> 'teams_csv', ','))`, { ann: [1, 4, 7], bob: [2, 5, 6], guest: [] }),
    compiled(`team_id in (select jsonb_array_elements_text(auth.jwt() -> 'app_metadata' -> 'teams')::int)`, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated(`auth.jwt() -> 'app_metadata' -> 'teams' @> to_jsonb(team_id)`, /not proven|column/, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated(`has_role('editor')`, /function that is not proven: has_role/, { ann: ALL, bob: [], guest: [] }),
    delegated(`org = current_setting('app.org', true)`, /setting that is not the request's/, everyone([])),
  ],
  email: [
    compiled(`email = auth.jwt() ->> 'email'`, { ann: [1, 4], bob: [5], guest: [] }),
    compiled('email = (select auth.email())', { ann: [1, 4], bob: [5], guest: [] }),
    compiled(`(auth.jwt() ->> 'email') like '%@acme.test'`, { ann: ALL, bob: [], guest: [] }),
    compiled(`split_part(auth.jwt() ->> 'email', '@', 2) = 'acme.test' and is_public`, { ann: [3, 4, 5], bob: [], guest: [] }),
    delegated(`lower(email) = lower(auth.jwt() ->> 'email')`, /column|lower/, { ann: [1, 4], bob: [2, 5], guest: [] }),
    delegated(`email like '%@acme.test'`, /not proven/, everyone([1, 4, 6])),
  ],
  teams: [
    delegated('exists (select from members m where m.team_id = docs.team_id and m.user_id = auth.uid())', READS, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('team_id in (select m.team_id from members m where m.user_id = auth.uid())', READS, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('team_id = any (array(select m.team_id from members m where m.user_id = (select auth.uid())))', READS, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('auth.uid() in (select m.user_id from members m where m.team_id = docs.team_id)', READS, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('is_member(team_id)', /function that is not proven: is_member/, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('team_id in (select my_teams())', /function that is not proven: my_teams/, { ann: [1, 4], bob: [2, 5, 6], guest: [] }),
    delegated('user_id in (select m.user_id from members m where m.team_id in (select my_teams()))', READS, { ann: [1, 4], bob: [2, 5], guest: [] }),
  ],
  administrators: [
    compiled(`auth.uid() = user_id or (auth.jwt() -> 'app_metadata' ->> 'role') = 'admin'`, { ann: ALL, bob: [2, 5], guest: [] }),
    compiled(['for select using (auth.uid() = user_id)', `for all using ((select auth.jwt() -> 'app_metadata' ->> 'role') = 'admin')`], { ann: ALL, bob: [2, 5], guest: [] }),
    delegated('(select p.is_admin from profiles p where p.id = auth.uid())', READS, { ann: ALL, bob: [], guest: [] }),
    delegated('auth.uid() = user_id or exists (select from profiles p where p.id = auth.uid() and p.is_admin)', READS, { ann: ALL, bob: [2, 5], guest: [] }),
    delegated('auth.uid() = user_id or (select is_admin())', /function that is not proven: is_admin/, { ann: ALL, bob: [2, 5], guest: [] }),
    delegated('org = (select p.org from profiles p where p.id = auth.uid())', READS, { ann: [1, 4, 5, 6], bob: [2, 7], guest: [] }),
  ],
  'restrictive tenants': [
    compiled(['for select using (true)', `as restrictive for all using (tenant_id = (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::int8)`], { ann: [1, 4, 5, 6], bob: [2, 7], guest: [] }),
    compiled(['for select using (is_public or user_id = auth.uid())', 'as restrictive for select using (deleted_at is null)'], { ann: [1, 3, 4], bob: [2, 3, 4], guest: [3, 4] }),
    compiled(['for select using (is_public)', 'for select using (user_id = auth.uid())', `as restrictive for all using (org = auth.jwt() -> 'app_metadata' ->> 'org')`, `as restrictive for select using (level < 3)`], { ann: [4, 5], bob: [2], guest: [] }),
    compiled(['as restrictive for all using (true)'], everyone([])),
    delegated(['for select using (is_member(team_id))', `as restrictive for all using (org = auth.jwt() -> 'app_metadata' ->> 'org')`], /is_member/, { ann: [1, 4], bob: [2], guest: [] }),
  ],
  'time windows': [
    compiled(`starts_at < '2100-01-01 00:00:00+00'`, everyone([1, 2, 3, 4, 5, 6])),
    delegated('expires_at > now()', /not proven/, everyone([5, 6, 7])),
    delegated('starts_at <= now() and (expires_at is null or expires_at > now())', /not proven/, everyone([1, 2, 3, 5, 6])),
    delegated(`starts_at > current_timestamp - interval '1 day' and is_public is false`, /not proven/, everyone([7])),
  ],
  'paths of files': [
    delegated(`(string_to_array(name, '/'))[1] = (select auth.uid()::text)`, /not proven/, { ann: [1], bob: [2], guest: [] }),
    delegated(`status = 'draft' and (foldername(name))[1] = auth.uid()::text`, /not proven/, { ann: [1], bob: [2], guest: [] }),
    delegated(`name like 'public/%'`, /not proven/, everyone([3, 4])),
  ],
  hierarchies: [
    compiled(`level <= (auth.jwt() -> 'app_metadata' ->> 'level')::int`, { ann: [1, 2, 3, 4, 5, 6], bob: [2, 3, 4], guest: [] }),
    compiled(`level between 1 and coalesce((auth.jwt() -> 'app_metadata' ->> 'level')::int, 0)`, { ann: [1, 2, 4, 5, 6], bob: [2, 4], guest: [] }),
    delegated('folder_id in (select f.id from folders f where f.user_id = auth.uid())', READS, { ann: [1], bob: [2], guest: [] }),
    delegated('owns_folder(folder_id)', /function that is not proven: owns_folder/, { ann: [1, 4], bob: [2], guest: [] }),
  ],
}
