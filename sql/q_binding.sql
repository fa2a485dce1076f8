-- Resolves one postgres_changes binding.
-- $1 publications (text[]), $2 schema or NULL for any, $3 table or NULL for any, $4 role,
-- $5 filter column or NULL
-- Columns, one row per matching published table (limit: one row suffices for wildcards):
--   relation oid, role exists, role may be assumed by this login, row security withholds rows from it,
--   filter column is live and readable by the role, its base type oid, base type name for a cast,
--   its type name for people, base type is an enum, collation is deterministic
with recursive t as (
    select c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from pg_catalog.pg_publication_tables p
    join pg_catalog.pg_namespace n on n.nspname = p.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
    where p.pubname = any ($1::text[])
      and ($2::text is null or p.schemaname = $2::text)
      and ($3::text is null or p.tablename = $3::text)
), r as (
    select oid, rolsuper or rolbypassrls as bypass,
           pg_catalog.pg_has_role(current_user, oid, -- 16 and later can grant membership without SET ROLE
               case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end) as usable
    from pg_catalog.pg_roles where rolname = $4::text
), line as (
    select oid as leaf, oid, relrowsecurity, relforcerowsecurity, relowner from t
    union
    select l.leaf, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_inherits i on i.inhrelid = l.oid
    join pg_catalog.pg_class c on c.oid = i.inhparent
), col as (
    select t.oid as rel, a.attnum, a.attcollation, ty.oid as typ,
           case when ty.typtype = 'd' then ty.typbasetype else ty.oid end as base
    from t
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attname = $5::text
         and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_type ty on ty.oid = a.atttypid
)
select t.oid,
       r.oid is not null,
       coalesce(r.usable, false),
       coalesce(not r.bypass and exists (
           select from line l where l.leaf = t.oid and l.relrowsecurity
             and (l.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, l.relowner, 'USAGE'))), true),
       coalesce(pg_catalog.has_column_privilege(r.oid, t.oid, col.attnum, 'SELECT'), false),
       b.oid,
       pg_catalog.format_type(b.oid, -1),
       pg_catalog.format_type(col.typ, null),
       b.typtype = 'e',
       coalesce((to_jsonb(co) ->> 'collisdeterministic')::boolean, true)
from t
left join r on true
left join col on col.rel = t.oid
left join pg_catalog.pg_type b on b.oid = col.base
left join pg_catalog.pg_collation co on co.oid = col.attcollation
order by t.oid
limit 1000
