-- Why bindings that stand, or rest, may not get changes.
-- $1 publications (text[]), $2 role; of each binding: $3 schema and $4 table (text[], NULL: any), $5 wants deletes (boolean[]);
-- of each filter: $6 number of its binding (int[], from 1), $7 column (text[])
-- Columns, one row per reason, at most 100: reason (a stable code), in words
with recursive asked as (
    select a.nr, a.nsp, a.tab, a.deletes
    from unnest($3::text[], $4::text[], $5::boolean[]) with ordinality as a (nsp, tab, deletes, nr)
), hit as materialized (
    select distinct a.nr, a.deletes, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relowner,
           pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
           (select (i.indkey::int2[])[0:i.indnkeyatts - 1] from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary) as pk,
           (select i.indkey::int2[] from pg_catalog.pg_index i where i.indrelid = c.oid
              and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end) as identity
    from pg_catalog.pg_publication p
    cross join lateral pg_catalog.pg_get_publication_tables(p.pubname) g
    join pg_catalog.pg_class c on c.oid = g.relid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join asked a on (a.nsp is null or a.nsp = n.nspname) and (a.tab is null or a.tab = c.relname)
    where p.pubname = any ($1::name[])
), r as (
    select oid, rolsuper or rolbypassrls as bypass,
           pg_catalog.pg_has_role(current_user, oid, -- 16 and later can grant membership without SET ROLE
               case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end) as usable
    from pg_catalog.pg_roles where rolname = $2::text
), line as ( -- the relation and all above it
    select oid as leaf, oid, relrowsecurity, relforcerowsecurity, relowner from hit
    union
    select l.leaf, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_inherits i on i.inhrelid = l.oid
    join pg_catalog.pg_class c on c.oid = i.inhparent
), guard as ( -- those whose row security applies to the role
    select l.leaf, l.oid, r.oid as role, pg_catalog.format('%I.%I', n.nspname, c.relname) as name
    from line l
    join r on not r.bypass
    join pg_catalog.pg_class c on c.oid = l.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where l.relrowsecurity and (l.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, l.relowner, 'USAGE'))
), col as (
    select hit.nr, hit.oid, a.attnum, pg_catalog.quote_ident(a.attname) as name,
           coalesce(a.attnum = any (hit.pk), false) as in_pk,
           hit.relreplident = 'f' or coalesce(a.attnum = any (hit.identity), false) as in_identity,
           exists (select from unnest($6::int[], $7::text[]) f (nr, col) where f.nr = hit.nr and f.col = a.attname) as in_filter
    from hit join pg_catalog.pg_attribute a on a.attrelid = hit.oid and a.attnum > 0 and not a.attisdropped
), reason (code, what) as (
    select 'table_not_published', 'no published table is ' || coalesce(pg_catalog.quote_ident(nsp), '*') || '.' || coalesce(pg_catalog.quote_ident(tab), '*')
    from asked where nr not in (select nr from hit)
    union
    select 'role_missing', 'role ' || pg_catalog.quote_ident($2::text) || ' does not exist' where not exists (select from r)
    union
    select 'role_not_usable', 'role ' || pg_catalog.quote_ident($2::text) || ' may not be used by ' || pg_catalog.quote_ident(current_user) from r where not usable
    union
    select 'no_primary_key', name || ' has no primary key: inserts and updates arrive as error 400' from hit where pk is null
    union
    select 'no_policy', hit.name || case when g.oid = hit.oid then '' else ' is part of ' || g.name || ', which' end ||
           ' has row level security, and no policy lets ' || pg_catalog.quote_ident($2::text) || ' select: no inserts and updates'
    from hit join guard g on g.leaf = hit.oid
    where not exists (
          select from pg_catalog.pg_policy p
          where p.polrelid = g.oid and p.polpermissive and p.polcmd in ('r', '*')
            and exists (select from unnest(p.polroles) as member (role)
                        where member.role = 0 or pg_catalog.pg_has_role(g.role, member.role, 'USAGE')))
    union
    select 'column_not_granted', pg_catalog.quote_ident($2::text) || ' may not read ' || pg_catalog.string_agg(distinct col.name, ', ') || ' of ' || hit.name ||
           case when pg_catalog.bool_or(col.in_pk) then ': inserts and updates arrive as error 401' else ': left out' end
    from hit join col on col.nr = hit.nr and col.oid = hit.oid
    join r on not pg_catalog.has_column_privilege(r.oid, col.oid, col.attnum, 'SELECT')
    group by hit.nr, hit.oid, hit.name
    union
    select 'identity_too_small', hit.name || ': a DELETE does not carry ' || pg_catalog.string_agg(distinct col.name, ', ') ||
           ', so filters on it match none; replica identity full would'
    from hit join col on col.nr = hit.nr and col.oid = hit.oid
    where hit.deletes and col.in_filter and not col.in_identity
    group by hit.nr, hit.oid, hit.name
    union
    select 'key_not_leakproof', hit.name || ': the comparison of key column ' || pg_catalog.string_agg(distinct col.name, ', ') ||
           ' is not leakproof: each row check reads the whole table'
    from hit
    join pg_catalog.pg_index k on k.indrelid = hit.oid and k.indisprimary
    cross join lateral unnest(k.indkey::int2[], k.indclass::oid[]) i (attnum, opclass)
    join col on col.nr = hit.nr and col.oid = hit.oid and col.attnum = i.attnum and col.in_pk
    left join lateral (
        select pr.proleakproof from pg_catalog.pg_opclass oc
        join pg_catalog.pg_am am on am.oid = oc.opcmethod
        join pg_catalog.pg_amop ao on ao.amopfamily = oc.opcfamily
             and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
        join pg_catalog.pg_operator o on o.oid = ao.amopopr
        join pg_catalog.pg_proc pr on pr.oid = o.oprcode
        where oc.oid = i.opclass
          and case am.amname when 'btree' then ao.amopstrategy = 3 /* BTEqualStrategyNumber */ else o.oprname = '=' end
        limit 1) eq on true
    where exists (select from guard g where g.leaf = hit.oid) and not coalesce(eq.proleakproof, false)
    group by hit.nr, hit.oid, hit.name
)
select code, what from reason order by code, what limit 100
