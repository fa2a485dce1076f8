-- What roles may see of relations, how the relations look now, and how one of their rows is looked
-- up through row security.
-- $1 relation oids (oid[]), $2 roles (text[]), of equal length: one pair per position
-- Columns, one row per pair and live column in attribute order, then one per relation above it whose
-- row security applies to the role (a relation or role that is gone gives one row, its name NULL):
--   position (from 1), role may be used, row security applies to the role,
--   name of the relation, quoted and qualified; privileges and the rest are of one moment (false: ask
--   again), it is partitioned,
--   each relation whose row security applies has a policy that shows the role rows,
--   owners of those relations, a check runs code that is not proven harmless,
--   our login, if it sees every row,
--   column name, type name, readable by the role, policies depend on it, generated,
--   place in the primary key (from 1), its base type for a cast, the key's operator =,
--   name of a relation above, quoted and qualified; it has all columns of the key,
--   the statement's snapshot
-- A policy's expression tells which functions and operators it is made of; pg_depend, on which
-- columns and which objects that did not come with the server it depends. Whole rows are in the
-- expression only.
with recursive may as ( -- 16 and later can grant membership without SET ROLE
    select case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end as set_role
), pair as (
    select q.pos, q.rel, r.oid as role, r.rolsuper or r.rolbypassrls as bypass,
           coalesce(pg_catalog.pg_has_role(current_user, r.oid, may.set_role), false) as usable
    from unnest($1::oid[], $2::text[]) with ordinality as q (rel, rolname, pos)
    cross join may
    left join pg_catalog.pg_roles r on r.rolname = q.rolname
), line as ( -- the relation and all above it
    select p.pos, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from pair p join pg_catalog.pg_class c on c.oid = p.rel
    union
    select l.pos, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_inherits i on i.inhrelid = l.oid
    join pg_catalog.pg_class c on c.oid = i.inhparent
), guard as materialized ( -- those whose row security applies
    select l.pos, l.oid, l.relowner, p.rel, p.role
    from line l join pair p on p.pos = l.pos
    where l.relrowsecurity and not p.bypass
      and (l.relforcerowsecurity or not pg_catalog.pg_has_role(p.role, l.relowner, 'USAGE'))
), policy as materialized (
    select g.pos, g.rel, g.oid as guard, po.oid, po.polpermissive, po.polqual::text as qual
    from guard g join pg_catalog.pg_policy po on po.polrelid = g.oid
    where po.polcmd in ('r', '*')
      and exists (select from unnest(po.polroles) m (oid)
                  where m.oid = 0 or pg_catalog.pg_has_role(g.role, m.oid, 'USAGE'))
), nature as materialized (
    select po.pos, po.rel, po.guard, po.oid, po.polpermissive,
           builtin.unproven or made.found or other.unclear or odd.found as runs_code,
           builtin.reads or made.takes_arguments or other.unclear or whole.found or odd.found as is_unclear
    from policy po
    cross join lateral ( -- some stable ones run what they are given the name of: domain_in, table_to_xml
        select coalesce(bool_or(f.provolatile <> 'i' and (f.provolatile = 'v'
                   or f.proname !~ '^(current_setting|now|.*timestamptz.*)$')), false) as unproven,
               coalesce(bool_or(f.provolatile = 'v'
                   or f.provolatile = 's' and f.proname ~ '(_to_xml|_in$|_recv$|^pg_input_)'), false) as reads
        from pg_catalog.regexp_matches(po.qual, ':(funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') m
        join pg_catalog.pg_proc f on f.oid = m[2]::oid
        where f.oid < 16384 /* FirstNormalObjectId; the others are below */
    ) builtin
    cross join lateral ( -- what somebody made, but for enums and collations, which are no code
        select count(*) > 0 as found,
               coalesce(bool_or(d.refclassid <> 'pg_catalog.pg_proc'::regclass or f.pronargs > 0), false) as takes_arguments
        from pg_catalog.pg_depend d
        left join pg_catalog.pg_proc f on d.refclassid = 'pg_catalog.pg_proc'::regclass and f.oid = d.refobjid
        left join pg_catalog.pg_type ty on d.refclassid = 'pg_catalog.pg_type'::regclass and ty.oid = d.refobjid
        left join pg_catalog.pg_type el on el.oid = ty.typelem
        where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = po.oid
          and d.refclassid not in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_collation'::regclass)
          and coalesce(ty.typtype, '-') <> 'e' and coalesce(el.typtype, '-') <> 'e'
    ) made
    cross join lateral ( -- other relations: plain ones can be read by it, others run code or show the row again
        select coalesce(bool_or(c.relkind not in ('r', 'p') or c.relrowsecurity
                   or exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid or i.inhparent = c.oid)), false) as unclear
        from pg_catalog.pg_depend d
        join pg_catalog.pg_class c on c.oid = d.refobjid
        where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = po.oid
          and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> po.guard
    ) other
    cross join lateral ( -- a column of a type that somebody made
        select exists (
            select from pg_catalog.pg_depend d
            join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
            join pg_catalog.pg_type ty on ty.oid = a.atttypid
            left join pg_catalog.pg_type el on el.oid = ty.typelem
            where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = po.oid
              and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjsubid > 0
              and ty.oid >= 16384 and ty.typtype <> 'e' and coalesce(el.typtype, '-') <> 'e') as found
    ) odd
    cross join lateral (select po.qual ~ ':varattno (0|-)' as found) whole
), verdict as (
    select g.pos, pg_catalog.string_agg(g.relowner::text, ',' order by g.relowner) as owners,
           bool_and(exists (select from nature n where n.pos = g.pos and n.guard = g.oid and n.polpermissive)) as has_policy
    from guard g group by g.pos
), sum as (
    select n.pos, bool_or(n.runs_code) as runs_code, bool_or(n.is_unclear) as is_unclear
    from nature n group by n.pos
), planted as ( -- what the planner folds to constants calls functions: of indexes, CHECKs, statistics, keys of partitions
    select distinct l.pos
    from line l
    cross join lateral (
        select 'pg_catalog.pg_class'::regclass::oid as classid, l.oid
        union all
        select 'pg_catalog.pg_class'::regclass, i.indexrelid from pg_catalog.pg_index i where i.indrelid = l.oid
        union all
        select 'pg_catalog.pg_constraint'::regclass, c.oid from pg_catalog.pg_constraint c where c.conrelid = l.oid and c.contype = 'c'
        union all
        select 'pg_catalog.pg_statistic_ext'::regclass, x.oid from pg_catalog.pg_statistic_ext x where x.stxrelid = l.oid
    ) part
    join pg_catalog.pg_depend d on d.classid = part.classid and d.objid = part.oid
     and d.refclassid in ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
), used as ( -- columns by name: a relation above may number them otherwise
    select distinct n.pos, a.attname
    from nature n
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = n.oid
         and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = n.guard and d.refobjsubid > 0
    join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
), key as (
    select p.pos, p.rel, i.attnum, i.place,
           pg_catalog.quote_ident(bn.nspname) || '.' || pg_catalog.quote_ident(b.typname) as type,
           'operator(' || pg_catalog.quote_ident(eq.nspname) || '.' || eq.oprname || ')' as op,
           b.oid >= 16384 and b.typtype <> 'e' or eq.proc >= 16384 as runs_code -- of a type in it, say a domain's CHECK
    from pair p
    join pg_catalog.pg_index k on k.indrelid = p.rel and k.indisprimary
    cross join lateral unnest(k.indkey::int2[], k.indclass::oid[]) with ordinality i (attnum, opclass, place)
    join pg_catalog.pg_attribute a on a.attrelid = p.rel and a.attnum = i.attnum
    cross join lateral (
        with recursive t as (
            select ty.oid, ty.typtype, ty.typbasetype from pg_catalog.pg_type ty where ty.oid = a.atttypid
            union all
            select ty.oid, ty.typtype, ty.typbasetype
            from t join pg_catalog.pg_type ty on ty.oid = t.typbasetype where t.typtype = 'd'
        ) select oid from t where typtype <> 'd'
    ) base
    join pg_catalog.pg_type b on b.oid = base.oid
    join pg_catalog.pg_namespace bn on bn.oid = b.typnamespace
    left join lateral ( -- GiST, under a key WITHOUT OVERLAPS, has equality as it likes
        select n.nspname, o.oprname, o.oprcode::oid as proc
        from pg_catalog.pg_opclass c
        join pg_catalog.pg_am am on am.oid = c.opcmethod
        join pg_catalog.pg_amop ao on ao.amopfamily = c.opcfamily
             and ao.amoplefttype = c.opcintype and ao.amoprighttype = c.opcintype
        join pg_catalog.pg_operator o on o.oid = ao.amopopr
        join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
        where c.oid = i.opclass
          and case am.amname when 'btree' then ao.amopstrategy = 3 /* BTEqualStrategyNumber */ else o.oprname = '=' end
        limit 1
    ) eq on true
    where i.place <= k.indnkeyatts
), row as (
    select p.pos, a.attnum, a.attname, ty.typname,
           pg_catalog.has_column_privilege(p.role, a.attrelid, a.attnum, 'SELECT') as readable,
           coalesce((select s.is_unclear from sum s where s.pos = p.pos), false)
               or exists (select from used u where u.pos = p.pos and u.attname = a.attname) as in_policy,
           coalesce(a.attgenerated <> '', false) as generated,
           k.place, k.type, k.op,
           null::text as above, null::boolean as has_key
    from pair p
    left join pg_catalog.pg_attribute a on a.attrelid = p.rel and a.attnum > 0 and not a.attisdropped
    left join pg_catalog.pg_type ty on ty.oid = a.atttypid
    left join key k on k.pos = p.pos and k.attnum = a.attnum
    union all
    select g.pos, null, null, null, null, null, null, null, null, null,
           pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
           not exists (
               select from key k
               join pg_catalog.pg_attribute a on a.attrelid = k.rel and a.attnum = k.attnum
               where k.pos = g.pos and not exists (
                   select from pg_catalog.pg_attribute u
                   where u.attrelid = g.oid and u.attname = a.attname and not u.attisdropped))
    from guard g
    join pg_catalog.pg_class c on c.oid = g.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where g.oid <> g.rel
)
select p.pos, p.usable and p.role is not null,
       p.role is null or v.pos is not null,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       -- privileges are not asked of the statement's snapshot: NULL for what was made or dropped just now
       c.oid is null or p.role is null or (pg_catalog.has_table_privilege(c.oid, 'SELECT') is not null
                                           and (r.attnum is null or r.readable is not null)),
       c.relkind = 'p',
       coalesce(v.has_policy, false), v.owners,
       coalesce(s.runs_code, false) or exists (select from key k where k.pos = p.pos and k.runs_code)
           or exists (select from planted x where x.pos = p.pos),
       case when pg_catalog.has_table_privilege(c.oid, 'SELECT') and not pg_catalog.row_security_active(c.oid)
            then current_user::text end,
       r.attname, r.typname, coalesce(r.readable, false), r.in_policy, r.generated,
       r.place, r.type, r.op,
       r.above, r.has_key,
       (select pg_catalog.txid_current_snapshot())
from pair p
join row r on r.pos = p.pos
left join pg_catalog.pg_class c on c.oid = p.rel
left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join verdict v on v.pos = p.pos
left join sum s on s.pos = p.pos
order by p.pos, r.above is not null, r.attnum, r.above
