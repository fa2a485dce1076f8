-- Resolves postgres_changes bindings, many at once.
-- $1 publications (text[]); of each binding, text[]: $2 schema and $3 table (NULL: any), $4 role,
-- $5 filter column (NULL: none); no name is longer than 63 bytes
-- Columns, one row per binding and matching published table, at most 1000 of a binding, in the order
-- of the bindings, then of the relations:
--   number of the binding (from 1), relation oid,
--   role exists, role may be assumed by this login, row security withholds rows from it,
--   filter column is live and readable by the role, its base type oid, base type name for a cast,
--   its type name for people, base type is an enum, collation is deterministic
with recursive asked as (
    select nsp::name, tab::name, role::name, col::name, nr
    from unnest($2::text[], $3::text[], $4::text[], $5::text[]) with ordinality as a (nsp, tab, role, col, nr)
), pub as materialized (
    select distinct g.relid
    from pg_catalog.pg_publication p
    cross join lateral pg_catalog.pg_get_publication_tables(p.pubname) g
    where p.pubname = any ($1::name[])
), hit as materialized (
    select a.nr, a.role, a.col, c.oid
    from asked a
    join pg_catalog.pg_namespace n on n.nspname = a.nsp
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = a.tab
    where c.oid in (select relid from pub)
    union all
    select a.nr, a.role, a.col, f.oid
    from asked a
    cross join lateral (
        select c.oid from pub
        join pg_catalog.pg_class c on c.oid = pub.relid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where (a.nsp is null or n.nspname = a.nsp) and (a.tab is null or c.relname = a.tab)
        order by c.oid limit 1000) f
    where a.nsp is null or a.tab is null
), line as (
    select c.oid as leaf, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from pg_catalog.pg_class c where c.oid in (select oid from hit)
    union
    select l.leaf, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_inherits i on i.inhrelid = l.oid
    join pg_catalog.pg_class c on c.oid = i.inhparent
), guard as ( -- the owners whose members row security spares; NULL: it spares nobody
    select leaf, array_agg(case when not relforcerowsecurity then relowner end) as spares
    from line where relrowsecurity group by leaf
), r as (
    select rolname, oid, rolsuper or rolbypassrls as bypass,
           pg_catalog.pg_has_role(current_user, oid, -- 16 and later can grant membership without SET ROLE
               case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end) as usable
    from pg_catalog.pg_roles where rolname in (select role from asked)
)
select hit.nr, hit.oid,
       r.oid is not null,
       coalesce(r.usable, false),
       coalesce(not r.bypass and exists (
           select from unnest(guard.spares) s (owner)
           where s.owner is null or not pg_catalog.pg_has_role(r.oid, s.owner, 'USAGE')), true),
       coalesce(pg_catalog.has_column_privilege(r.oid, hit.oid, a.attnum, 'SELECT'), false),
       b.oid,
       pg_catalog.format_type(b.oid, -1),
       pg_catalog.format_type(ty.oid, null),
       b.typtype = 'e',
       coalesce((to_jsonb(co) ->> 'collisdeterministic')::boolean, true)
from hit
left join r on r.rolname = hit.role
left join guard on guard.leaf = hit.oid
left join pg_catalog.pg_attribute a on a.attrelid = hit.oid and a.attname = hit.col
     and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_type ty on ty.oid = a.atttypid
left join pg_catalog.pg_type b on b.oid = case when ty.typtype = 'd' then ty.typbasetype else ty.oid end
left join pg_catalog.pg_collation co on co.oid = a.attcollation
order by hit.nr, hit.oid
