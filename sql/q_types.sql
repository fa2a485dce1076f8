-- What types are made of: those asked for and all they refer to.
-- $1 type oids (oid[])
-- Columns, one row per type, but one per live attribute of a composite that has any, in attribute
-- order; types by rising oid (one that is gone has no row):
--   type oid,
--   kind: d domain, c composite, a array, v vector, h hstore, o none of these,
--   what it refers to (oid of the domain's base, of the element, of the attribute's type),
--   delimiter between elements, attribute name
with recursive reached as (
    select t.oid from pg_catalog.pg_type t where t.oid = any ($1::oid[])
    union
    select p.oid from reached r cross join lateral (
        select t.typbasetype from pg_catalog.pg_type t where t.oid = r.oid and t.typtype = 'd'
        union all
        select t.typelem from pg_catalog.pg_type t where t.oid = r.oid and t.typtype <> 'd'
        union all
        select a.atttypid from pg_catalog.pg_type t
        join pg_catalog.pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        where t.oid = r.oid and t.typtype = 'c'
    ) p (oid)
    where p.oid <> 0
), made as (
    select t.oid, t.typrelid, t.typelem, t.typbasetype,
           case when t.typtype = 'd' then 'd'
                when t.typtype = 'c' then 'c'
                when t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc then 'a'
                when t.typoutput in ('pg_catalog.int2vectorout'::pg_catalog.regproc,
                                     'pg_catalog.oidvectorout'::pg_catalog.regproc) then 'v'
                when (select p.prosrc from pg_catalog.pg_proc p where p.oid = t.typoutput) = 'hstore_out' then 'h'
                else 'o' end as kind
    from reached r join pg_catalog.pg_type t on t.oid = r.oid
)
select m.oid, m.kind,
       case m.kind when 'd' then m.typbasetype when 'c' then a.atttypid else m.typelem end,
       e.typdelim, a.attname
from made m
left join pg_catalog.pg_attribute a on m.kind = 'c' and a.attrelid = m.typrelid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_type e on e.oid = m.typelem
order by m.oid, a.attnum
