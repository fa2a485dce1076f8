-- With --roles only: the roles that tokens name, and the functions that policies call, for a Postgres
-- that has none of them. What is there already is left alone.
do $do$
declare
    wanted record;
begin
    for wanted in
        values ('anon', 'nologin noinherit'), ('authenticated', 'nologin noinherit'),
               ('service_role', 'nologin noinherit bypassrls')
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted.column1) then
            execute pg_catalog.format('create role %I %s', wanted.column1, wanted.column2);
        end if;
        -- 16 and later make the creator a member by itself, but one that may not SET ROLE
        if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
            execute pg_catalog.format('grant %I to %I', wanted.column1, current_user);
        end if;
    end loop;
    create schema if not exists auth;
    grant usage on schema auth to anon, authenticated, service_role;
    if pg_catalog.to_regprocedure('auth.jwt()') is null then
        create function auth.jwt() returns jsonb language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
                            nullif(current_setting('request.jwt.claims', true), ''))::jsonb
        $fn$;
    end if;
    if pg_catalog.to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
        $fn$;
    end if;
    if pg_catalog.to_regprocedure('auth.role()') is null then
        create function auth.role() returns text language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
                            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
        $fn$;
    end if;
    if pg_catalog.to_regprocedure('auth.email()') is null then
        create function auth.email() returns text language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim.email', true), ''),
                            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
        $fn$;
    end if;
end
$do$
