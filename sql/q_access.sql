-- What roles may see of relations, and how the relations look now.
-- $1 relation oids (oid[]), $2 roles (text[]), of equal length: one pair per position
-- Columns, one row per pair and live column in attribute order (a relation or role that is gone
-- gives one row with NULL column name):
--   position (from 1), role may be used, row security withholds rows from it,
--   column name, type name, part of the primary key, readable by the role, generated,
--   the statement's snapshot
with recursive may as ( -- 16 and later can grant membership without SET ROLE
    select case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end as set_role
), pair as (
    select q.pos, q.rel, r.oid as role, r.rolsuper or r.rolbypassrls as bypass,
           coalesce(pg_catalog.pg_has_role(current_user, r.oid, may.set_role), false) as usable
    from unnest($1::oid[], $2::text[]) with ordinality as q (rel, rolname, pos)
    cross join may
    left join pg_catalog.pg_roles r on r.rolname = q.rolname
), line as (
    select p.pos, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from pair p join pg_catalog.pg_class c on c.oid = p.rel
    union
    select l.pos, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_inherits i on i.inhrelid = l.oid
    join pg_catalog.pg_class c on c.oid = i.inhparent
)
select p.pos, p.usable and p.role is not null,
       coalesce(not p.bypass and exists (
           select from line l where l.pos = p.pos and l.relrowsecurity
             and (l.relforcerowsecurity or not pg_catalog.pg_has_role(p.role, l.relowner, 'USAGE'))), true),
       a.attname, ty.typname,
       coalesce(a.attnum = any (k.indkey), false),
       coalesce(pg_catalog.has_column_privilege(p.role, a.attrelid, a.attnum, 'SELECT'), false),
       coalesce(a.attgenerated <> '', false),
       (select pg_catalog.txid_current_snapshot())
from pair p
left join pg_catalog.pg_attribute a on a.attrelid = p.rel and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_type ty on ty.oid = a.atttypid
left join pg_catalog.pg_index k on k.indrelid = p.rel and k.indisprimary
order by p.pos, a.attnum
