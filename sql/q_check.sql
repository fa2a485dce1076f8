-- `walcast check`: is this database ready to be streamed?
-- $1 publications (text[]), $2 name of a permanent slot, or empty
-- Columns, one row per finding in order: level (ok, info, warn, fail), finding, remedy or empty
with setting as (
    select name, setting from pg_catalog.pg_settings
), v as (
    select current_setting('server_version_num')::int as num
), me as (
    select * from pg_catalog.pg_roles where rolname = current_user
), wanted as (
    select n, name from unnest($1::text[]) with ordinality as w (name, n)
), t as (
    select distinct c.oid, p.schemaname, p.tablename, c.relrowsecurity,
           exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary) as pk
    from pg_catalog.pg_publication_tables p
    join wanted w on w.name = p.pubname
    join pg_catalog.pg_namespace n on n.nspname = p.schemaname
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
), finding (place, level, what, remedy) as (
    select 1, case when v.num >= 140000 then 'ok' when v.num >= 120000 then 'warn' else 'fail' end,
           'server version ' || current_setting('server_version'),
           case when v.num >= 140000 then '' else 'upgrade to 14 or later; 12 and 13 stream changes only' end
    from v
    union all
    select 2, case s.setting when 'logical' then 'ok' else 'fail' end, 'wal_level is ' || s.setting,
           case s.setting when 'logical' then '' else 'set wal_level = logical and restart the server' end
    from setting s where s.name = 'wal_level'
    union all
    select 3, case when free > 0 then 'ok' when made then 'info' else 'fail' end, free || ' replication slots free',
           case when free > 0 or made then '' else 'raise max_replication_slots, or drop a slot that is no longer used' end
    from (select s.setting::int - (select count(*) from pg_catalog.pg_replication_slots) as free,
                 exists (select from pg_catalog.pg_replication_slots where slot_name = $2::text) as made
          from setting s where s.name = 'max_replication_slots') f
    union all
    select 4, case when free > 0 then 'ok' else 'fail' end, free || ' WAL senders free',
           case when free > 0 then '' else 'raise max_wal_senders, or stop another consumer' end
    from (select s.setting::int - (select count(*) from pg_catalog.pg_stat_replication) as free
          from setting s where s.name = 'max_wal_senders') f
    union all
    select 5, case when me.rolreplication or me.rolsuper then 'ok' else 'fail' end,
           'role ' || quote_ident(me.rolname) ||
               case when me.rolreplication or me.rolsuper then ' may replicate' else ' may not replicate' end,
           case when me.rolreplication or me.rolsuper then ''
                else 'alter role ' || quote_ident(me.rolname) || ' with replication' end
    from me
    union all
    select 6, case when p.oid is null then 'fail' when p.pubinsert and p.pubupdate and p.pubdelete then 'ok' else 'warn' end,
           'publication ' || quote_ident(w.name) ||
               case when p.oid is null then ' does not exist'
                    when p.pubinsert and p.pubupdate and p.pubdelete then ' publishes inserts, updates and deletes'
                    else ' does not publish all of insert, update, delete' end,
           case when p.oid is null then 'create publication ' || quote_ident(w.name)
                when p.pubinsert and p.pubupdate and p.pubdelete then ''
                else 'alter publication ' || quote_ident(w.name) || ' set (publish = ''insert, update, delete'')' end
    from wanted w left join pg_catalog.pg_publication p on p.pubname = w.name
    union all
    select 7, case when count(*) > 0 then 'ok' else 'warn' end, count(*) || ' tables published',
           case when count(*) > 0 then '' else 'alter publication ' ||
               (select quote_ident(name) from wanted order by n limit 1) || ' add table ...' end
    from t
    union all
    select 8, 'warn', quote_ident(schemaname) || '.' || quote_ident(tablename) || ' has no primary key',
           'alter table ' || quote_ident(schemaname) || '.' || quote_ident(tablename) ||
               ' add primary key (...); until then inserts and updates arrive as error 400'
    from t where not pk
    union all
    select 9, 'warn', quote_ident(schemaname) || '.' || quote_ident(tablename) || ' has row level security',
           'policies are not evaluated yet: only roles that bypass it receive changes'
    from t where relrowsecurity
    union all
    select 10, case when u.usable then 'ok' else 'warn' end,
           'role ' || u.name ||
               case when u.usable then ' may be used'
                    when u.oid is null then ' does not exist'
                    else ' may not be used by ' || quote_ident(current_user) end,
           case when u.usable then ''
                when u.oid is null then 'create role ' || u.name || ' nologin; tokens that name it receive nothing until then'
                else 'grant ' || u.name || ' to ' || quote_ident(current_user) ||
                    case when u.num >= 160000 then ' with set true' else '' end end
    from (select w.name, r.oid, v.num, pg_has_role(current_user, r.oid, -- 16 and later can grant membership without SET ROLE
                     case when v.num >= 160000 then 'SET' else 'MEMBER' end) as usable
          from v cross join (values ('anon'), ('authenticated'), ('service_role')) w (name)
          left join pg_catalog.pg_roles r on r.rolname = w.name) u
    union all
    select 11, case when s.slot_name is null then 'info'
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
select level, what, remedy from finding order by place, what
