-- What types are made of: those asked for and all they refer to.
-- $1 type oids (oid[])
-- Columns, one row per type, but one per live attribute of a composite that has any, in attribute
-- order; types by rising oid (one that is gone has no row):
--   type oid,
--   kind: d domain, c composite, a array, v vector, h hstore, o none of these,
--   what it refers to (oid of the domain's base, of the element, of the attribute's type),
--   delimiter between elements, attribute name
-- OFFSET 0 keeps each look-up one by index for each type: joins over all of pg_attribute, which the
-- planner would take for the many rows it expects of a recursion, cost 20 ms in a large catalog.
with recursive reached as (
    select t.oid, t.typtype, t.typrelid, t.typelem, t.typbasetype, t.typoutput
    from pg_catalog.pg_type t where t.oid = any ($1::oid[])
    union
    select t.oid, t.typtype, t.typrelid, t.typelem, t.typbasetype, t.typoutput
    from reached r
    cross join lateral (
        select r.typbasetype where r.typtype = 'd'
        union all
        select r.typelem where r.typtype not in ('c', 'd')
        union all
        select a.atttypid from pg_catalog.pg_attribute a
        where r.typtype = 'c' and a.attrelid = r.typrelid and a.attnum > 0 and not a.attisdropped
        offset 0
    ) part (oid)
    cross join lateral (select * from pg_catalog.pg_type t where t.oid = part.oid offset 0) t
), made as (
    select r.oid, r.typrelid, r.typelem, r.typbasetype,
           case when r.typtype = 'd' then 'd'
                when r.typtype = 'c' then 'c'
                when r.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc then 'a'
                when r.typoutput in ('pg_catalog.int2vectorout'::pg_catalog.regproc,
                                     'pg_catalog.oidvectorout'::pg_catalog.regproc) then 'v'
                when (select p.prosrc from pg_catalog.pg_proc p where p.oid = r.typoutput) = 'hstore_out' then 'h'
                else 'o' end as kind
    from reached r
)
select m.oid, m.kind,
       case m.kind when 'd' then m.typbasetype when 'c' then a.atttypid else m.typelem end,
       e.typdelim, a.attname
from made m
left join lateral (
    select a.attnum, a.attname, a.atttypid from pg_catalog.pg_attribute a
    where m.kind = 'c' and a.attrelid = m.typrelid and a.attnum > 0 and not a.attisdropped
    offset 0
) a on true
left join lateral (select e.typdelim from pg_catalog.pg_type e where e.oid = m.typelem offset 0) e on true
order by m.oid, a.attnum
