-- Changes of rules in stream order: whatever DDL commits, a logical message says so at its place in the
-- log (14 and later; README.md here has the details). Best effort: only superusers make event triggers,
-- so where it may not be, nothing is made, and q_rules.sql says why.
do $do$
declare
    body constant text := $fn$
    begin
        if tg_event = 'sql_drop' then
            if not exists (select from pg_event_trigger_dropped_objects() where not is_temporary) then
                return;
            end if;
        elsif tg_tag in ('COMMENT', 'REINDEX', 'REFRESH MATERIALIZED VIEW') or tg_tag like 'DROP %' and tg_tag <> 'DROP OWNED' then
            return; -- what is dropped, sql_drop knows
        elsif exists (select from pg_event_trigger_ddl_commands())
              and not exists (select from pg_event_trigger_ddl_commands() where schema_name is distinct from 'pg_temp') then
            return;
        end if;
        perform pg_logical_emit_message(false, 'walcast.rules', (pg_current_xact_id()::xid)::text);
        perform pg_logical_emit_message(true, 'walcast.rules', '');
    exception when others then
        raise warning 'walcast does not see this change of rules at once: %', sqlerrm;
    end
    $fn$;
    event text;
    trigger name;
begin
    if pg_catalog.current_setting('server_version_num')::int < 140000 then
        return;
    end if;
    if pg_catalog.to_regnamespace('walcast') is null then
        execute (select pg_catalog.format('create schema walcast authorization %I', pg_catalog.pg_get_userbyid(c.relowner))
                 from pg_catalog.pg_class c where c.oid = 'realtime.messages'::pg_catalog.regclass);
    end if;
    if (select p.prosrc from pg_catalog.pg_proc p where p.oid = pg_catalog.to_regprocedure('walcast.rules_changed()')) is distinct from body then
        execute pg_catalog.format($make$create or replace function walcast.rules_changed() returns event_trigger
            language plpgsql security definer set search_path = pg_catalog, pg_temp as %L$make$, body);
    end if;
    foreach event in array array['ddl_command_end', 'sql_drop'] loop
        trigger := 'walcast_rules_' || event;
        if exists (select from pg_catalog.pg_event_trigger e where e.evtname = trigger and e.evtenabled = 'A' and e.evtevent = event
                   and e.evttags is null and e.evtfoid = pg_catalog.to_regprocedure('walcast.rules_changed()')) then
            continue;
        end if;
        if exists (select from pg_catalog.pg_event_trigger e where e.evtname = trigger) then
            execute pg_catalog.format('drop event trigger %I', trigger);
        end if;
        execute pg_catalog.format('create event trigger %I on %I execute function walcast.rules_changed()', trigger, event);
        execute pg_catalog.format('alter event trigger %I enable always', trigger);
    end loop;
    -- whose code it is that runs in everybody's sessions: the owner of the schema could have made one
    if exists (select from pg_catalog.pg_event_trigger e join pg_catalog.pg_proc p on p.oid = e.evtfoid
               join pg_catalog.pg_roles r on r.oid = p.proowner
               where e.evtname like 'walcast_rules_%' and not r.rolsuper and r.rolname <> current_user) then
        raise insufficient_privilege;
    end if;
exception when insufficient_privilege then
    null;
end
$do$
