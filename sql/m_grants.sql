-- What the roles that tokens name may do: whether a row is theirs, the policies say. Applied at each
-- run, since roles may have been created since.
do $do$
declare
    api_role text;
begin
    for api_role in
        select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role')
    loop
        if not pg_catalog.has_schema_privilege(api_role, 'realtime', 'USAGE') then
            execute pg_catalog.format('grant usage on schema realtime to %I', api_role);
        end if;
        if not (pg_catalog.has_table_privilege(api_role, 'realtime.messages', 'SELECT')
                and pg_catalog.has_table_privilege(api_role, 'realtime.messages', 'INSERT')
                and pg_catalog.has_table_privilege(api_role, 'realtime.messages', 'UPDATE')) then
            execute pg_catalog.format('grant select, insert, update on realtime.messages to %I', api_role);
        end if;
    end loop;
end
$do$
