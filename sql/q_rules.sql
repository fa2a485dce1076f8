-- Do changes of rules show in the stream (m_rules.sql)?
-- Columns, one row: NULL if they do; else why not
select case when pg_catalog.current_setting('server_version_num')::int < 140000 then 'Postgres 14 or later can show them'
            when t.found = 2 and coalesce(pg_catalog.current_setting('event_triggers', true), 'on') = 'on' then null
            when t.found = 2 then 'event_triggers is off'
            when not me.rolsuper then 'run it once as a superuser, who may make event triggers'
            else 'function walcast.rules_changed, or its schema, is somebody else''s: see who made it, and drop it' end
from (select count(*) as found from pg_catalog.pg_event_trigger e
      join pg_catalog.pg_proc p on p.oid = e.evtfoid and p.proname = 'rules_changed'
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'walcast'
      where e.evtevent in ('ddl_command_end', 'sql_drop') and e.evtenabled = 'A') t
join pg_catalog.pg_roles me on me.rolname = current_user
