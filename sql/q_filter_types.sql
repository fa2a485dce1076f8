-- What filters may do with types, by what stands at their core: the type without the domains around
-- it, or the array of elements without domains where it is an array of domains.
-- $1 type oids (oid[])
-- Columns, one row per type that exists, in no particular order:
--   type oid, its own name for people; of the core: oid, name for a cast, name of an array of it for
--   a cast (its own, where arrays have none), is an enum, its collation, schema of its operators as a
--   name ('': pg_catalog), which of ~~ ~~* ~ ~* it has, parted by blanks, and whether domains inside
--   of it read its values: their checks are somebody else's code
with recursive plain (asked, oid) as (
    select t.oid, t.oid from pg_catalog.pg_type t where t.oid = any ($1::oid[])
    union
    select p.asked, t.typbasetype
    from plain p
    cross join lateral (
        select t.typbasetype from pg_catalog.pg_type t where t.oid = p.oid and t.typtype = 'd' offset 0) t
), peeled as (
    select p.asked, t.oid, t.typelem, t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc as is_array
    from plain p
    cross join lateral (select * from pg_catalog.pg_type t where t.oid = p.oid offset 0) t
    where t.typtype <> 'd'
), element (asked, oid) as (
    select asked, typelem from peeled where is_array
    union
    select e.asked, t.typbasetype
    from element e
    cross join lateral (
        select t.typbasetype from pg_catalog.pg_type t where t.oid = e.oid and t.typtype = 'd' offset 0) t
), core as (
    select p.asked, t.*
    from peeled p
    left join lateral (
        select t.typarray from element e
        cross join lateral (select * from pg_catalog.pg_type t where t.oid = e.oid offset 0) t
        where e.asked = p.asked and t.typtype <> 'd') e on p.is_array
    cross join lateral (
        select * from pg_catalog.pg_type t where t.oid = coalesce(e.typarray, p.oid) offset 0) t
), part (asked, oid, typtype, typelem, typrelid) as (
    select asked, oid, typtype, typelem, typrelid from core
    union
    select p.asked, t.oid, t.typtype, t.typelem, t.typrelid
    from part p
    cross join lateral (
        select p.typelem where p.typelem <> 0
        union all
        select a.atttypid from pg_catalog.pg_attribute a
        where p.typtype = 'c' and a.attrelid = p.typrelid and a.attnum > 0 and not a.attisdropped
        union all
        select g.rngsubtype from pg_catalog.pg_range g -- multiranges have a column of their own since 14
        where p.typtype in ('r', 'm') and p.oid in (g.rngtypid, (to_jsonb(g) ->> 'rngmultitypid')::pg_catalog.oid)
        offset 0) made (oid)
    cross join lateral (select * from pg_catalog.pg_type t where t.oid = made.oid offset 0) t
)
select c.asked,
       case when own_schema.nspname = 'public'
            then pg_catalog.replace(pg_catalog.format_type(own.oid, null), 'public.', '')
            else pg_catalog.format_type(own.oid, null) end,
       c.oid, pg_catalog.format_type(c.oid, -1),
       pg_catalog.format_type(case when c.typarray = 0 then c.oid else c.typarray end, -1),
       c.typtype = 'e', c.typcollation,
       case when exists ( -- a function in C was made by a superuser; others may be anybody's
           select from pg_catalog.pg_operator o
           join pg_catalog.pg_proc f on f.oid = o.oprcode
           where o.oprname = '=' and o.oprleft = c.oid and o.oprright = c.oid
             and o.oprnamespace = c.typnamespace and f.prolang = 13)
           and c.typtype = 'b' then pg_catalog.quote_ident(n.nspname) else '' end,
       case when c.typcategory = 'S' or c.oid = 17 then pg_catalog.array_to_string(array(
           select distinct o.oprname::text from pg_catalog.pg_operator o
           join pg_catalog.pg_proc f on f.oid = o.oprcode
           where o.oprname in ('~~', '~~*', '~', '~*')
             and o.oprleft = case c.oid when 1043 then 25 else c.oid end -- varchar borrows text's
             and o.oprright in (o.oprleft, 25)
             and o.oprresult = 16 and f.prolang in (12, 13)), ' ') else '' end, -- internal, C
       (select pg_catalog.bool_or(p.typtype = 'd') from part p where p.asked = c.asked)
from core c
join pg_catalog.pg_type own on own.oid = c.asked
join pg_catalog.pg_namespace own_schema on own_schema.oid = own.typnamespace
join pg_catalog.pg_namespace n on n.oid = c.typnamespace
