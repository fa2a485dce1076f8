-- What roles may see of relations, how the relations look now, and how one of their rows is looked
-- up through row security.
-- $1 relation oids (oid[]), $2 roles (text[]), $3 with texts (bool[]), of equal length: one pair per
-- position
-- Columns, one row per pair and live column in attribute order, then one per relation above it whose
-- row security applies to the role (a relation or role that is gone gives one row, its name NULL):
--   position (from 1), role may be used, it may use the relation's schema, row security applies to the
--   role,
--   name of the relation, quoted and qualified; privileges and the rest are of one moment (false: ask
--   again), it is partitioned,
--   each relation whose row security applies has a policy that shows the role rows,
--   owners of those relations, a check runs code that is not proven harmless,
--   our login, if it sees every row,
--   column name, type name, readable by the role, policies depend on it, generated,
--   place in the primary key (from 1), its base type for a cast, the key's operator =,
--   name of a relation above, quoted and qualified; it has all columns of the key,
--   the statement's snapshot, and how far the log reached when it was answered,
--   with texts: what the policies mean was so before all that any slot still reaches back to,
--   versions of the relation's description and of its policies: none comes back
--   kind of a fact, and what it says (seven texts)
-- Behind these a row per fact: what the meaning of the policies depends on, where row security of the
-- relation itself applies to the role and of none above it:
--   policy     name, permissive, its expression as text (where asked for: that waits for locks of the
--              relation) and as kept, what it depends on beyond columns of its relation, functions,
--              enums and collations
--   name       of something else its text mentions, labels if it is an enum: so that as long as facts
--              are the same, texts are
--   column     number, name, type, is an enum, its labels and their versions (a text is not of the
--              statement's snapshot: with labels that change and change back it must be read again);
--              those the policies mention
--   function   oid, name, why nothing can be said of it, immutable and of the server, owner, source,
--              all else that pins a function somebody made; those the policies call, and those
--              without arguments that the bodies of such functions call by name
--   collation  oid, deterministic, compares bytes; those the policies compare under
--   unkept     oid of a function somebody made that the planner may evaluate itself, or NULL for what
--              other code it may: a plan that is kept could hold what it said for another token
--   obstacle   something that keeps texts that are read again from meaning what they say: all of
--              them, or (false) the bodies of functions
-- A policy's expression tells which functions and operators it is made of; pg_depend, on which
-- columns and which objects that did not come with the server it depends. Whole rows are in the
-- expression only.
with recursive may as ( -- 16 and later can grant membership without SET ROLE
    select case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end as set_role
), pair as (
    select q.pos, q.rel, q.texts, r.oid as role, r.rolsuper or r.rolbypassrls as bypass,
           coalesce(pg_catalog.pg_has_role(current_user, r.oid, may.set_role), false) as usable
    from unnest($1::oid[], $2::text[], $3::bool[]) with ordinality as q (rel, rolname, texts, pos)
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
    select g.pos, g.rel, g.role, g.oid as guard, po.oid, po.polname, po.polpermissive, po.polqual, po.polqual::text as qual
    from guard g join pg_catalog.pg_policy po on po.polrelid = g.oid
    where po.polcmd in ('r', '*')
      and exists (select from unnest(po.polroles) m (oid)
                  where m.oid = 0 or pg_catalog.pg_has_role(g.role, m.oid, 'USAGE'))
), nature as materialized (
    select po.pos, po.rel, po.guard, po.oid, po.polpermissive,
           builtin.unproven or made.found or other.unclear or odd.found as runs_code,
           builtin.reads or made.takes_arguments or other.unclear or whole.found or odd.found as is_unclear,
           made.is_no_function or other.unclear or odd.found as hides_code
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
               coalesce(bool_or(d.refclassid <> 'pg_catalog.pg_proc'::regclass or f.pronargs > 0), false) as takes_arguments,
               coalesce(bool_or(d.refclassid not in ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)), false) as is_no_function
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
), told as materialized ( -- policies of which facts are told
    select po.*, p.texts from policy po join pair p on p.pos = po.pos
    where po.qual is not null
      and not exists (select from guard g where g.pos = po.pos and g.oid <> g.rel)
), part as materialized (
    select distinct t.pos, t.rel, t.role, m[1] as kind, m[2]::oid as oid
    from told t cross join lateral pg_catalog.regexp_matches(t.qual, ':(funcid|opfuncid|opno|inputcollid|varattno) (\d+)', 'g') m
), obstacle as materialized ( -- what a text that is read again could mean by names; see bridge/policy/policy.h
    with plain (oid) as (
        values (16 /* bool */), (20 /* int8 */), (21 /* int2 */), (23 /* int4 */), (25 /* text */), (114 /* json */),
               (1043 /* varchar */), (1700 /* numeric */), (2950 /* uuid */), (3802 /* jsonb */)
    ), known (oprname) as (values ('->'::name), ('->>'), ('#>'), ('#>>'), ('='))
    select 'somebody made a cast from ' || pg_catalog.format_type(c.castsource, null) || ' to ' || pg_catalog.format_type(c.casttarget, null) as what, true as anywhere
    from pg_catalog.pg_cast c
    where c.castsource in (select oid from plain) and c.casttarget in (select oid from plain) and c.oid >= 16384
    union all
    select 'somebody made or restricted the function ' || f.oid::regprocedure::text, false
    from pg_catalog.pg_proc f where f.proname = 'current_setting'
      and (f.oid >= 16384 or f.proacl is not null and not pg_catalog.has_function_privilege('public', f.oid, 'EXECUTE'))
    union all
    select 'somebody made the type ' || ty.oid::regtype::text, false
    from pg_catalog.pg_type ty
    where ty.typname in (select b.typname from plain join pg_catalog.pg_type b on b.oid = plain.oid) and ty.oid >= 16384
    union all
    select 'somebody made or restricted the operator ' || o.oid::regoperator::text, false
    from known k
    join pg_catalog.pg_operator o on o.oprname = k.oprname
    join pg_catalog.pg_type l on l.oid = o.oprleft
    left join pg_catalog.pg_proc f on f.oid = o.oprcode
    where (o.oid >= 16384 or f.proacl is not null and not pg_catalog.has_function_privilege('public', f.oid, 'EXECUTE'))
      and (l.typtype = 'p' or l.oid in (select oid from plain)
           or exists (select from pg_catalog.pg_cast c
                      where c.casttarget = l.oid and c.castcontext = 'i' and c.castsource in (select oid from plain)))
), reached as ( -- what policies call, and what bodies of such functions call by name; see bridge/policy/policy.h
    select distinct pos, role, oid, 0 as depth from part where kind in ('funcid', 'opfuncid')
    union
    select r.pos, r.role, f.oid, r.depth + 1
    from reached r
    join pg_catalog.pg_proc o on o.oid = r.oid and o.oid >= 16384 and o.pronargs = 0
    join pg_catalog.pg_language l on l.oid = o.prolang and l.lanname = 'sql'
    cross join lateral pg_catalog.regexp_matches(o.prosrc, '([a-z_][a-z0-9_]*)\.([a-z_][a-z0-9_]*)\(\)', 'gi') m
    join pg_catalog.pg_namespace n on n.nspname = pg_catalog.lower(m[1])
    join pg_catalog.pg_proc f on f.pronamespace = n.oid and f.proname = pg_catalog.lower(m[2]) and f.pronargs = 0 and f.oid >= 16384
    where r.depth < 5 -- what is deeper is not proven
), called as (
    select p.pos, f.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(f.proname) as name,
           case when f.oid < 16384 then case when f.provolatile = 'i' and l.lanname = 'internal' then null
                                             else 'it does not depend on its arguments alone' end
                when l.lanname <> 'sql' then 'it is written in ' || l.lanname
                when f.provolatile = 'v' then 'it is volatile'
                when f.provolatile = 'i' then 'it says that it is immutable'
                when f.pronargs > 0 then 'it takes arguments'
                when f.prokind <> 'f' or f.proretset then 'it is no plain function'
                when exists (select from unnest(f.proconfig) c where c !~ '^search_path=') then 'it has settings of its own'
                when f.prorettype not in (16, 20, 21, 23, 25, 114, 1043, 1700, 2950, 3802) then 'it returns a type that is not proven'
                when f.prosrc = '' then 'its body is kept parsed'
           end as unproven,
           coalesce(pg_catalog.has_function_privilege(p.role, f.oid, 'EXECUTE'), false) as is_allowed,
           f.oid < 16384 as is_builtin, f.proowner, f.prosrc,
           f.oid >= 16384 and (f.provolatile = 'i' and l.lanname <> 'c'
                               or l.lanname = 'sql' and not f.prosecdef and f.proconfig is null /* inlined */) as may_be_planned,
           pg_catalog.age(f.xmin) as age,
           pg_catalog.concat_ws(' ', f.xmin, f.prolang, f.provolatile, f.proisstrict, f.prosecdef, f.prorettype, f.proconfig) as pins
    from (select distinct pos, role, oid from reached) p
    join pg_catalog.pg_proc f on f.oid = p.oid
    join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    join pg_catalog.pg_language l on l.oid = f.prolang
), recent as ( -- pairs whose policies, columns, labels or functions may be younger than rows that a slot still has
    select t.pos
    from (select distinct pos, rel from told where texts) t
    cross join (select coalesce(max(pg_catalog.age(s.catalog_xmin)), 2147483647 /* that of what is frozen */) as age
                from pg_catalog.pg_replication_slots s where s.database = pg_catalog.current_database()) slot
    where exists (select from pg_catalog.pg_class c where c.oid = t.rel and pg_catalog.age(c.xmin) <= slot.age)
       or exists (select from pg_catalog.pg_policy po where po.polrelid = t.rel and pg_catalog.age(po.xmin) <= slot.age)
       or exists (select from pg_catalog.pg_attribute a
                  left join pg_catalog.pg_enum e on e.enumtypid = a.atttypid
                  where a.attrelid = t.rel and a.attnum > 0
                    and (pg_catalog.age(a.xmin) <= slot.age or pg_catalog.age(e.xmin) <= slot.age))
       or exists (select from called c where c.pos = t.pos and not c.is_builtin and c.age <= slot.age)
), fact as (
    select t.pos, 'policy' as kind, t.polname::text as a, t.polpermissive::text as b, case when t.texts then pg_catalog.pg_get_expr(t.polqual, t.rel) end as c, t.qual as d,
           (select pg_catalog.pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
            from pg_catalog.pg_depend d
            left join pg_catalog.pg_type ty on d.refclassid = 'pg_catalog.pg_type'::regclass and ty.oid = d.refobjid
            left join pg_catalog.pg_type el on el.oid = ty.typelem
            where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = t.oid
              and not (d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.rel)
              and not (d.refclassid = 'pg_catalog.pg_proc'::regclass
                       and exists (select from part p where p.pos = t.pos and p.kind in ('funcid', 'opfuncid') and p.oid = d.refobjid))
              and d.refclassid <> 'pg_catalog.pg_collation'::regclass
              and coalesce(ty.typtype, '-') <> 'e' and coalesce(el.typtype, '-') <> 'e'
            order by d.refclassid, d.refobjid, d.refobjsubid limit 1) as e,
           null as f, null as g
    from told t
    union all
    select distinct t.pos, 'name', pg_catalog.pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid),
           (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.quote_ident(e.enumlabel), e.xmin), ',' order by e.enumsortorder)
            from pg_catalog.pg_type ty join pg_catalog.pg_enum e on e.enumtypid in (ty.oid, ty.typelem)
            where d.refclassid = 'pg_catalog.pg_type'::regclass and ty.oid = d.refobjid), null, null, null, null, null
    from told t
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = t.oid
     and d.refclassid not in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
    union all
    select p.pos, 'column', a.attnum::text, a.attname::text, a.atttypid::oid::text, (ty.typtype = 'e')::text,
           case when ty.typtype = 'e' then (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.quote_ident(e.enumlabel), e.xmin), ',' order by e.enumsortorder)
                                            from pg_catalog.pg_enum e where e.enumtypid = ty.oid) end, null, null
    from part p
    join pg_catalog.pg_attribute a on a.attrelid = p.rel and a.attnum = p.oid::bigint and not a.attisdropped
    join pg_catalog.pg_type ty on ty.oid = a.atttypid
    where p.kind = 'varattno' and p.oid::bigint < 2000
    union all
    select c.pos, 'function', c.oid::text, c.name, c.unproven, c.is_builtin::text,
           case when not c.is_builtin then c.proowner::text end, case when not c.is_builtin then c.prosrc end,
           case when not c.is_builtin then c.pins end
    from called c
    union all
    select p.pos, 'collation', p.oid::text,
           -- texts are compared in UTF-8: other encodings of many bytes may have two for one there, and all have another order
           (c.collisdeterministic and (code.is_utf8 or pg_catalog.pg_encoding_max_length(db.encoding) = 1))::text,
           (code.is_utf8 and (c.oid in (950 /* C */, 951 /* POSIX */)
            or c.oid = 100 /* default */ and db.datcollate in ('C', 'POSIX') and coalesce(pg_catalog.to_jsonb(db) ->> 'datlocprovider', 'c') = 'c'))::text,
           null, null, null, null
    from part p
    join pg_catalog.pg_collation c on c.oid = p.oid
    join pg_catalog.pg_database db on db.datname = pg_catalog.current_database()
    cross join lateral (select pg_catalog.pg_encoding_to_char(db.encoding) = 'UTF8' as is_utf8) code
    where p.kind = 'inputcollid'
    union all
    select c.pos, 'unkept', c.oid::text, null, null, null, null, null, null
    from called c where c.may_be_planned
    union all
    select t.pos, 'unkept', null, null, null, null, null, null, null
    from (select distinct pos from told) t
    where exists (select from nature n where n.pos = t.pos and n.hides_code) or exists (select from planted x where x.pos = t.pos)
    union all
    select t.pos, 'obstacle', o.what, o.anywhere::text, null, null, null, null, null
    from (select distinct pos from told) t cross join obstacle o
    union all
    select c.pos, 'obstacle', 'the role may not execute ' || c.name, 'true', null, null, null, null, null
    from called c where not c.is_allowed
    union all
    select c.pos, 'obstacle', 'somebody made the function ' || o.oid::regprocedure::text, 'true', null, null, null, null, null
    from called c
    join pg_catalog.pg_proc b on b.oid = c.oid and c.is_builtin
    join pg_catalog.pg_proc o on o.proname = b.proname and o.pronamespace = 'pg_catalog'::regnamespace and o.oid >= 16384
    union all
    select p.pos, 'obstacle', 'somebody made the operator ' || o.oid::regoperator::text, 'true', null, null, null, null, null
    from part p
    join pg_catalog.pg_operator b on b.oid = p.oid
    join pg_catalog.pg_operator o on o.oprname = b.oprname and o.oprnamespace = 'pg_catalog'::regnamespace and o.oid >= 16384
    where p.kind = 'opno'
), edition as (
    select c.oid as rel, pg_catalog.concat_ws(' ', c.xmin, (
               select pg_catalog.string_agg(pg_catalog.concat_ws(' ', po.oid, po.xmin), ' ' order by po.oid)
               from pg_catalog.pg_policy po where po.polrelid = c.oid)) as version
    from (select distinct rel from pair) p join pg_catalog.pg_class c on c.oid = p.rel
), row as (
    select p.pos, a.attnum, a.attname, ty.typname,
           pg_catalog.has_column_privilege(p.role, a.attrelid, a.attnum, 'SELECT') as readable,
           coalesce((select s.is_unclear from sum s where s.pos = p.pos), false)
               or exists (select from used u where u.pos = p.pos and u.attname = a.attname) as in_policy,
           coalesce(a.attgenerated <> '', false) as generated,
           k.place, k.type, k.op,
           null::text as above, null::boolean as has_key,
           null::text as kind, null::text as fa, null::text as fb, null::text as fc, null::text as fd, null::text as fe, null::text as ff, null::text as fg
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
                   where u.attrelid = g.oid and u.attname = a.attname and not u.attisdropped)),
           null, null, null, null, null, null, null, null
    from guard g
    join pg_catalog.pg_class c on c.oid = g.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where g.oid <> g.rel
    union all
    select f.pos, null, null, null, null, null, null, null, null, null, null, null, f.kind, f.a, f.b, f.c, f.d, f.e, f.f, f.g
    from fact f
)
select p.pos, p.usable and p.role is not null,
       coalesce(pg_catalog.has_schema_privilege(p.role, c.relnamespace, 'USAGE'), false),
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
       (select pg_catalog.txid_current_snapshot()),
       (select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                    else pg_catalog.pg_current_wal_insert_lsn() end),
       p.texts and not exists (select from recent x where x.pos = p.pos),
       e.version,
       r.kind, r.fa, r.fb, r.fc, r.fd, r.fe, r.ff, r.fg
from pair p
join row r on r.pos = p.pos
left join pg_catalog.pg_class c on c.oid = p.rel
left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join verdict v on v.pos = p.pos
left join sum s on s.pos = p.pos
left join edition e on e.rel = p.rel
order by p.pos, r.kind is not null, r.above is not null, r.attnum, r.above, r.kind, r.fa, r.fb, r.fc
