-- Whoever changes a tenant in the control store, be it the reference or psql, notifies the servers
-- that hold it in memory: its external_id on channel walcast_store, or nothing when all may have
-- changed. The function is ours, so it is in our schema.
do $do$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('walcast migrate'));
    if pg_catalog.to_regnamespace('walcast') is null then
        create schema walcast;
    end if;
    if pg_catalog.to_regprocedure('walcast.tell_tenant()') is null then
        create function walcast.tell_tenant() returns trigger language plpgsql
            set search_path = pg_catalog, pg_temp as $fn$
        declare
            id text;
        begin
            if tg_op = 'TRUNCATE' then
                perform pg_notify('walcast_store', '');
                return null;
            end if;
            for id in
                select distinct column1
                  from (values (to_jsonb(old) ->> tg_argv[0]), (to_jsonb(new) ->> tg_argv[0])) as v
                 where column1 is not null
            loop
                -- a payload has less than 8,000 bytes
                perform pg_notify('walcast_store', case when octet_length(id) < 7000 then id else '' end);
            end loop;
            return null;
        end
        $fn$;
    end if;
    if not exists (select from pg_catalog.pg_trigger
                    where tgrelid = '_realtime.tenants'::regclass and tgname = 'walcast_tell') then
        create trigger walcast_tell after insert or update or delete on _realtime.tenants
            for each row execute function walcast.tell_tenant('external_id');
    end if;
    if not exists (select from pg_catalog.pg_trigger
                    where tgrelid = '_realtime.tenants'::regclass and tgname = 'walcast_tell_all') then
        create trigger walcast_tell_all after truncate on _realtime.tenants
            for each statement execute function walcast.tell_tenant();
    end if;
    if not exists (select from pg_catalog.pg_trigger
                    where tgrelid = '_realtime.extensions'::regclass and tgname = 'walcast_tell') then
        create trigger walcast_tell after insert or update or delete on _realtime.extensions
            for each row execute function walcast.tell_tenant('tenant_external_id');
    end if;
    if not exists (select from pg_catalog.pg_trigger
                    where tgrelid = '_realtime.extensions'::regclass and tgname = 'walcast_tell_all') then
        create trigger walcast_tell_all after truncate on _realtime.extensions
            for each statement execute function walcast.tell_tenant();
    end if;
end
$do$
