-- `walcast check`: for which tables and roles is it worth saying how row security is judged?
-- $1 publications (text[]), $2 login of row checks, or empty (this one), $3 how many (bigint)
-- Columns, in the order to say it: relation (oid), role, how many there are in all
-- The roles are those that tokens may name and that may read something of the table: anon and
-- authenticated in any case, and what the login may become, but for itself and for who sees every row.
with recursive login as (
    select oid from pg_catalog.pg_roles where rolname = case when $2::text <> '' then $2::text else current_user::text end
), published as (
    select distinct c.oid, n.nspname, c.relname
    from pg_catalog.pg_publication_tables p
    join pg_catalog.pg_namespace n on n.nspname = p.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
    where p.pubname = any ($1::text[])
), line as ( -- the table and all above it
    select oid as leaf, oid from published
    union
    select l.leaf, i.inhparent from line l join pg_catalog.pg_inherits i on i.inhrelid = l.oid
), role as (
    select r.oid, r.rolname, r.rolname in ('anon', 'authenticated') as is_usual
    from pg_catalog.pg_roles r
    where not r.rolsuper and not r.rolbypassrls and r.rolname !~ '^pg_'
      and (r.rolname in ('anon', 'authenticated')
           or exists (select from login l
                      where l.oid <> r.oid
                        and pg_has_role(l.oid, r.oid, -- 16 and later can grant membership without SET ROLE
                            case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)))
)
select t.oid, r.rolname, count(*) over ()
from published t
cross join role r
where exists (select from line l join pg_catalog.pg_class c on c.oid = l.oid where l.leaf = t.oid and c.relrowsecurity)
  and has_any_column_privilege(r.oid, t.oid, 'SELECT')
order by t.nspname, t.relname, not r.is_usual, r.rolname
limit $3::bigint
