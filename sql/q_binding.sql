-- Resolves postgres_changes bindings, many at once.
-- $1 publications (text[]); of each binding, text[]: $2 schema and $3 table (NULL: any), $4 role,
-- $5 columns it names, as a text[] literal (NULL: none); no name is longer than 63 bytes
-- Columns, one row per binding, matching published table (at most 1000 of a binding) and column named,
-- in the order of the bindings, the relations, the columns as named:
--   number of the binding (from 1), relation oid,
--   role exists, role may be assumed by this login,
--   column is live and readable by the role, its type oid, its collation oid (0: none) and name for
--   COLLATE, collation is deterministic, collation compares the bytes of UTF-8
with asked as (
    select nsp::name, tab::name, role::name, cols::text[]::name[], nr
    from unnest($2::text[], $3::text[], $4::text[], $5::text[]) with ordinality as a (nsp, tab, role, cols, nr)
), pub as materialized (
    select distinct g.relid
    from pg_catalog.pg_publication p
    cross join lateral pg_catalog.pg_get_publication_tables(p.pubname) g
    where p.pubname = any ($1::name[])
), hit as materialized (
    select a.nr, a.role, a.cols, c.oid
    from asked a
    join pg_catalog.pg_namespace n on n.nspname = a.nsp
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = a.tab
    where c.oid in (select relid from pub)
    union all
    select a.nr, a.role, a.cols, f.oid
    from asked a
    cross join lateral (
        select c.oid from pub
        join pg_catalog.pg_class c on c.oid = pub.relid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where (a.nsp is null or n.nspname = a.nsp) and (a.tab is null or c.relname = a.tab)
        order by c.oid limit 1000) f
    where a.nsp is null or a.tab is null
), r as (
    select rolname, oid,
           pg_catalog.pg_has_role(current_user, oid, -- 16 and later can grant membership without SET ROLE
               case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end) as usable
    from pg_catalog.pg_roles where rolname in (select role from asked)
), usual (provider, named) as ( -- the collation of the database, which some columns refer to
    select coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), d.datcollate
    from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()
)
select hit.nr, hit.oid,
       r.oid is not null,
       coalesce(r.usable, false),
       coalesce(pg_catalog.has_column_privilege(r.oid, hit.oid, a.attnum, 'SELECT'), false),
       a.atttypid, a.attcollation,
       pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname),
       coalesce(co.collisdeterministic, true),
       coalesce(pg_catalog.current_setting('server_encoding') = 'UTF8' and case
           when co.collprovider = 'd' then usual.provider = 'b' or (usual.provider = 'c' and usual.named in ('C', 'POSIX'))
           else co.collprovider = 'b' or (co.collprovider = 'c' and co.collcollate in ('C', 'POSIX')) end, false)
from hit
left join r on r.rolname = hit.role
left join lateral unnest(hit.cols) with ordinality as w (name, pos) on true
left join pg_catalog.pg_attribute a on a.attrelid = hit.oid and a.attname = w.name
     and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_collation co on co.oid = a.attcollation
left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
left join usual on co.collprovider = 'd'
order by hit.nr, hit.oid, w.pos
