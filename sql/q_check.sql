-- `walcast check`: is this database ready to be streamed?
-- $1 publications (text[]), $2 name of a permanent slot, or empty, $3 login of row checks, or empty (this one)
-- Columns, one row per finding in order: level (ok, info, warn, fail), finding, remedy or empty, reason: a stable code
with recursive setting as (
    select name, setting from pg_catalog.pg_settings
), v as (
    select current_setting('server_version_num')::int as num
), me as (
    select * from pg_catalog.pg_roles where rolname = current_user
), wanted as (
    select n, name from unnest($1::text[]) with ordinality as w (name, n)
), published as (
    select c.oid, p.pubname, to_jsonb(p) ->> 'rowfilter' as row_filter
    from pg_catalog.pg_publication_tables p
    join wanted w on w.name = p.pubname
    join pg_catalog.pg_namespace n on n.nspname = p.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
), t as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as name, c.relreplident, c.relowner,
           (select (i.indkey::int2[])[0:i.indnkeyatts - 1] from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary) as pk
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid in (select oid from published)
), line as ( -- the table and all above it
    select oid as leaf, oid from t
    union
    select l.leaf, i.inhparent from line l join pg_catalog.pg_inherits i on i.inhrelid = l.oid
), guard as ( -- those with row security
    select l.leaf, c.oid, format('%I.%I', n.nspname, c.relname) as name, c.relforcerowsecurity, c.relowner
    from line l
    join pg_catalog.pg_class c on c.oid = l.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relrowsecurity
), col as (
    select t.oid, a.attnum, quote_ident(a.attname) as name, a.attgenerated,
           coalesce(a.attnum = any (t.pk), false) as in_pk
    from t join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
), jwt as (
    select w.name, r.oid, r.rolsuper or r.rolbypassrls as bypass
    from (values ('anon'), ('authenticated'), ('service_role')) w (name)
    left join pg_catalog.pg_roles r on r.rolname = w.name
), checks as ( -- the login that asks which rows a role may see
    select r.*, $3::text <> '' as is_own from pg_catalog.pg_roles r
    where r.rolname = case when $3::text <> '' then $3::text else current_user::text end
), room as ( -- realtime.messages: private channels and broadcasts from the database
    select c.oid, c.relowner, c.relrowsecurity,
           c.relkind <> 'p' or exists (
               select from pg_catalog.pg_inherits i join pg_catalog.pg_class p on p.oid = i.inhrelid
               where i.inhparent = c.oid
                 and (p.relname = to_char(now() at time zone 'UTC', '"messages_"YYYY_MM_DD')
                      or pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT')) as has_today,
           me.rolname, pg_has_role(c.relowner, 'USAGE') as is_ours,
           me.rolsuper or (me.rolbypassrls or (pg_has_role(c.relowner, 'USAGE') and not c.relforcerowsecurity) or not c.relrowsecurity)
               and has_schema_privilege(c.relnamespace, 'USAGE')
               and has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT') as may_ask
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = 'realtime'
    cross join me
    where c.relname = 'messages' and c.relkind in ('r', 'p')
), finding (place, reason, level, what, remedy) as (
    select 1, 'server_version', case when v.num >= 140000 then 'ok' when v.num >= 120000 then 'warn' else 'fail' end,
           'server version ' || current_setting('server_version'),
           case when v.num >= 140000 then '' else 'upgrade to 14 or later; 12 and 13 stream changes only' end
    from v
    union all
    select 2, 'wal_level', case s.setting when 'logical' then 'ok' else 'fail' end, 'wal_level is ' || s.setting,
           case s.setting when 'logical' then '' else 'set wal_level = logical and restart the server' end
    from setting s where s.name = 'wal_level'
    union all
    select 3, 'replication_slots', case when free > 0 then 'ok' when made then 'info' else 'fail' end, free || ' replication slots free',
           case when free > 0 or made then '' else 'raise max_replication_slots, or drop a slot that is no longer used' end
    from (select s.setting::int - (select count(*) from pg_catalog.pg_replication_slots) as free,
                 exists (select from pg_catalog.pg_replication_slots where slot_name = $2::text) as made
          from setting s where s.name = 'max_replication_slots') f
    union all
    select 4, 'wal_senders', case when free > 0 then 'ok' else 'fail' end, free || ' WAL senders free',
           case when free > 0 then '' else 'raise max_wal_senders, or stop another consumer' end
    from (select s.setting::int - (select count(*) from pg_catalog.pg_stat_replication) as free
          from setting s where s.name = 'max_wal_senders') f
    union all
    select 5, 'replication_role', case when me.rolreplication or me.rolsuper then 'ok' else 'fail' end,
           'role ' || quote_ident(me.rolname) ||
               case when me.rolreplication or me.rolsuper then ' may replicate' else ' may not replicate' end,
           case when me.rolreplication or me.rolsuper then ''
                else 'alter role ' || quote_ident(me.rolname) || ' with replication' end
    from me
    union all
    select 6, 'publication', case when p.oid is null then 'fail' when p.pubinsert and p.pubupdate and p.pubdelete then 'ok' else 'warn' end,
           'publication ' || quote_ident(w.name) ||
               case when p.oid is null then ' does not exist'
                    when p.pubinsert and p.pubupdate and p.pubdelete then ' publishes inserts, updates and deletes'
                    else ' does not publish all of insert, update, delete' end,
           case when p.oid is null then 'create publication ' || quote_ident(w.name)
                when p.pubinsert and p.pubupdate and p.pubdelete then ''
                else 'alter publication ' || quote_ident(w.name) || ' set (publish = ''insert, update, delete'')' end
    from wanted w left join pg_catalog.pg_publication p on p.pubname = w.name
    union all
    select 7, 'tables_published', case when count(*) > 0 then 'ok' else 'warn' end, count(*) || ' tables published',
           case when count(*) > 0 then '' else 'alter publication ' ||
               (select quote_ident(name) from wanted order by n limit 1) || ' add table ...' end
    from t
    union all
    select 8, 'no_primary_key', 'warn', t.name || ' has no primary key',
           'alter table ' || t.name || ' add primary key (...); until then inserts and updates arrive as error 400'
    from t where pk is null
    union all
    select 8, 'identity_nothing', 'warn', t.name || ' has no replica identity: UPDATE and DELETE fail on it while it is published',
           'alter table ' || t.name || ' replica identity full, or add a primary key'
    from t where relreplident = 'n' or (relreplident = 'd' and pk is null)
    union all
    select 9, 'no_policy', 'warn',
           t.name || case when g.oid = t.oid then '' else ' is part of ' || g.name || ', which' end ||
               ' has row level security, and no policy lets ' || jwt.name || ' select: it gets no inserts and updates',
           'create policy ... on ' || g.name || ' for select to ' || jwt.name || ' using (...)'
    from t
    join guard g on g.leaf = t.oid
    join jwt on jwt.oid is not null and not jwt.bypass
    where (g.relforcerowsecurity or not pg_has_role(jwt.oid, g.relowner, 'USAGE'))
      and not exists (
          select from pg_catalog.pg_policy p
          where p.polrelid = g.oid and p.polpermissive and p.polcmd in ('r', '*')
            and exists (select from unnest(p.polroles) as member (role)
                        where member.role = 0 or pg_has_role(jwt.oid, member.role, 'USAGE')))
    union all
    select 9, 'column_not_granted', case when bool_or(col.in_pk) then 'warn' else 'info' end,
           jwt.name || ' may not read ' ||
               case when count(*) = (select count(*) from col every where every.oid = t.oid) then t.name
                    else string_agg(col.name, ', ' order by col.attnum) || ' of ' || t.name end ||
               case when bool_or(col.in_pk) then ': inserts and updates arrive as error 401' else ': left out for it' end,
           'grant select on ' || t.name || ' to ' || jwt.name || ', if it is to see that'
    from t
    join jwt on jwt.oid is not null
    join col on col.oid = t.oid and not has_column_privilege(jwt.oid, t.oid, col.attnum, 'SELECT')
    group by t.oid, t.name, jwt.name
    union all
    select 9, 'key_not_leakproof', 'warn',
           t.name || ': the comparison of key column ' || string_agg(col.name, ', ' order by col.attnum) ||
               ' is not leakproof: under row level security each check reads the whole table',
           'use a key of type bigint, uuid or text'
    from t
    join pg_catalog.pg_index k on k.indrelid = t.oid and k.indisprimary
    cross join lateral unnest(k.indkey::int2[], k.indclass::oid[]) i (attnum, opclass)
    join col on col.oid = t.oid and col.attnum = i.attnum and col.in_pk
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
    where exists (select from guard g where g.leaf = t.oid) and not coalesce(eq.proleakproof, false)
    group by t.oid, t.name
    union all
    select 9, 'generated_column', 'warn',
           t.name || ': the generated column ' || string_agg(col.name, ', ' order by col.attnum) || ' is not in the log, and left out',
           case when v.num >= 180000 and not bool_or(col.attgenerated <> 's')
                then 'alter publication ' || quote_ident(p.pubname) || ' set (publish_generated_columns = stored)'
                else 'make it an ordinary column that a trigger fills, if clients need it' end
    from v
    join published on true
    join t on t.oid = published.oid
    join pg_catalog.pg_publication p on p.pubname = published.pubname
    join col on col.oid = t.oid and col.attgenerated <> ''
         and not (col.attgenerated = 's' and coalesce(to_jsonb(p) ->> 'pubgencols', 'n') = 's')
    group by t.oid, t.name, p.pubname, v.num
    union all
    select 9, 'row_filter', 'info', t.name || ' is published where ' || published.row_filter || ' only', ''
    from published join t on t.oid = published.oid where published.row_filter is not null
    union all
    select 9, 'column_list', 'info',
           t.name || ' is published without ' || string_agg(col.name, ', ' order by col.attnum), ''
    from published
    join t on t.oid = published.oid
    join pg_catalog.pg_publication p on p.pubname = published.pubname
    join pg_catalog.pg_publication_rel pr on pr.prpubid = p.oid and pr.prrelid = t.oid
    join col on col.oid = t.oid
         and jsonb_typeof(to_jsonb(pr) -> 'prattrs') = 'array'
         and not to_jsonb(pr) -> 'prattrs' @> to_jsonb(col.attnum)
    group by t.oid, t.name, p.pubname
    union all
    select 10, case when u.usable then 'role' when u.oid is null then 'role_missing' else 'role_not_usable' end,
           case when u.usable then 'ok' else 'warn' end,
           'role ' || u.name ||
               case when u.usable then ' may be used'
                    when u.oid is null then ' does not exist'
                    else ' may not be used by ' || quote_ident(u.login) end,
           case when u.usable then ''
                when u.oid is null then 'create role ' || u.name || ' nologin; tokens that name it receive nothing until then'
                else 'grant ' || u.name || ' to ' || quote_ident(u.login) ||
                    case when u.num >= 160000 then ' with set true' else '' end end
    from (select jwt.name, jwt.oid, v.num, l.rolname as login,
                 pg_has_role(l.oid, jwt.oid, -- 16 and later can grant membership without SET ROLE
                     case when v.num >= 160000 then 'SET' else 'MEMBER' end) as usable
          from v cross join jwt
          join (select oid, rolname from me union select oid, rolname from checks) l on true) u
    union all
    select 10, 'checks_login', 'fail', 'role ' || quote_ident($3::text) || ' does not exist', 'create it, or correct DB_RLS_USER'
    where $3::text <> '' and not exists (select from checks)
    union all
    select 10, 'checks_login', case when why = '' then 'ok' else 'warn' end,
           'row checks run as ' || quote_ident(rolname) ||
               case when why = '' then '' else ', which ' || why || ': a policy function can use that' end,
           case when why = '' then ''
                else 'create role walcast_rls login noinherit password ''...''; grant anon, authenticated, service_role to walcast_rls' ||
                    case when num >= 160000 then ' with set true, inherit false' else '' end ||
                    '; set DB_RLS_USER and DB_RLS_PASSWORD' end
    from (select c.rolname, v.num, concat_ws(' and ',
              case when c.rolsuper then 'is a superuser' end,
              case when c.rolbypassrls and not c.rolsuper then 'bypasses row level security' end,
              case when c.rolreplication and not c.rolsuper then 'may replicate' end,
              case when exists (select from t where t.relowner = c.oid) then 'owns published tables' end) as why
          from checks c cross join v) w
    union all
    select 10, 'rules_in_stream_order', case when shown then 'ok' else 'info' end,
           'changes of policies, grants and functions take effect ' ||
               case when shown then 'for every row committed after them; of roles and memberships, within POLICY_FRESHNESS_MS'
                    else 'within POLICY_FRESHNESS_MS' end,
           case when shown then '' when num < 140000 then 'upgrade to 14 or later'
                when found = 2 then 'set event_triggers = on' else 'walcast migrate, once as a superuser' end
    from (select v.num, t.found, t.found = 2 and coalesce(current_setting('event_triggers', true), 'on') = 'on' as shown
          from v
          cross join (select count(*) as found from pg_catalog.pg_event_trigger e
                      join pg_catalog.pg_proc p on p.oid = e.evtfoid and p.proname = 'rules_changed'
                      join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'walcast'
                      where e.evtevent in ('ddl_command_end', 'sql_drop') and e.evtenabled = 'A') t) shows
    union all
    select 11, 'messages', case when exists (select from room) then 'ok' else 'info' end,
           'realtime.messages ' || case when exists (select from room) then 'is there'
               else 'does not exist: private channels are refused, and the database cannot broadcast' end,
           case when exists (select from room) then '' else 'walcast migrate, if clients need that' end
    union all
    select 11, 'messages_login', 'warn',
           'role ' || quote_ident(rolname) || ' may not read and insert into realtime.messages beyond row security: private channels are refused',
           'alter table realtime.messages owner to ' || quote_ident(rolname)
    from room where not may_ask
    union all
    select 11, 'messages_partition', 'warn', 'realtime.messages has no partition for today: private channels and realtime.send fail',
           case when is_ours then 'walcast migrate'
                else 'walcast migrate, as its owner; or alter table realtime.messages owner to ' || quote_ident(rolname) ||
                    ', and walcast keeps them' end
    from room where not has_today
    union all
    select 11, 'messages_partition_owner', 'warn',
           count(*) || ' partitions of realtime.messages do not belong to ' || quote_ident(room.rolname) || ', which cannot drop them when they are old',
           string_agg(format('alter table realtime.%I owner to %I', c.relname, room.rolname), '; ' order by c.relname)
    from room
    join pg_catalog.pg_inherits i on i.inhparent = room.oid
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where room.is_ours and not pg_has_role(c.relowner, 'USAGE')
    group by room.rolname
    union all
    select 11, 'messages_open', 'warn', 'row level security of realtime.messages is off: whoever has a token joins every private channel',
           'alter table realtime.messages enable row level security'
    from room where not relrowsecurity
    union all
    select 11, 'messages_not_granted', 'warn',
           jwt.name || ' may not use schema realtime, or select from and insert into realtime.messages: private channels are refused to it',
           format('grant usage on schema realtime to %1$s; grant select, insert on realtime.messages to %1$s', jwt.name)
    from room join jwt on jwt.oid is not null
    where not (has_schema_privilege(jwt.oid, 'realtime', 'USAGE')
               and has_table_privilege(jwt.oid, room.oid, 'SELECT') and has_table_privilege(jwt.oid, room.oid, 'INSERT'))
    union all
    select 11, 'messages_no_policy', 'info', 'no policy of realtime.messages lets ' || jwt.name || ' join private channels',
           'create policy ... on realtime.messages for select to ' || jwt.name || ' using (...)'
    from room join jwt on jwt.oid is not null and not jwt.bypass
    where room.relrowsecurity and not exists (
        select from pg_catalog.pg_policy p
        where p.polrelid = room.oid and p.polpermissive and p.polcmd in ('r', '*')
          and exists (select from unnest(p.polroles) as member (role)
                      where member.role = 0 or pg_has_role(jwt.oid, member.role, 'USAGE')))
    union all
    select 11, 'messages_publication', case when why = '' then 'ok' else 'warn' end,
           'publication supabase_realtime_messages_publication ' ||
               case when why = '' then 'holds realtime.messages' else why || ': nothing that the database sends arrives' end,
           case when why = '' then '' else 'walcast migrate' end
    from (select case when p.oid is null then 'does not exist'
                      when p.puballtables or exists (
                          select from pg_catalog.pg_publication_tables pt
                          where pt.pubname = p.pubname and (pt.schemaname <> 'realtime' or left(pt.tablename, 8) <> 'messages'))
                          then 'holds other tables'
                      when not exists (select from pg_catalog.pg_publication_rel r where r.prpubid = p.oid and r.prrelid = room.oid)
                          then 'does not hold realtime.messages'
                      when not p.pubinsert then 'does not publish inserts'
                      else '' end as why
          from room left join pg_catalog.pg_publication p on p.pubname = 'supabase_realtime_messages_publication') pub
    union all
    select 13, 'old_transaction', 'warn',
           coalesce('process ' || o.pid, 'prepared transaction ' || quote_literal(o.gid)) ||
               ' has had a transaction open for ' || floor(extract(epoch from clock_timestamp() - o.began))::bigint ||
               ' s: a new replication slot waits for it',
           coalesce('wait, or select pg_terminate_backend(' || o.pid || ')', 'rollback prepared ' || quote_literal(o.gid))
    from (select pid, null as gid, xact_start as began from pg_catalog.pg_stat_activity
          where backend_xid is not null and pid <> pg_backend_pid()
          union all
          select null, gid, prepared from pg_catalog.pg_prepared_xacts) o
    where o.began < clock_timestamp() - interval '10 s'
    union all
    select 12, 'slot', case when s.slot_name is null then 'info'
                    when coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost' then 'fail'
                    when s.plugin is distinct from 'pgoutput' or s.database <> current_database() then 'fail'
                    when s.active then 'warn' else 'ok' end,
           'slot ' || $2::text ||
               case when s.slot_name is null then ' does not exist yet'
                    when coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost' then ' has lost its WAL'
                    when s.plugin is distinct from 'pgoutput' or s.database <> current_database()
                        then ' belongs to another plugin or database'
                    when s.active then ' is being read by process ' || s.active_pid
                    else ' is ready' end,
           case when s.slot_name is null then 'it is created at the first start'
                when coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost'
                    then 'select pg_drop_replication_slot(''' || $2::text || '''); raise max_slot_wal_keep_size'
                when s.plugin is distinct from 'pgoutput' or s.database <> current_database()
                    then 'choose another SLOT_NAME'
                when s.active then 'only one server can read it: stop the other, or choose another SLOT_NAME'
                else '' end
    from (select $2::text as name) n
    left join pg_catalog.pg_replication_slots s on s.slot_name = n.name
    where n.name <> ''
)
select level, what, remedy, reason from finding order by place, what
