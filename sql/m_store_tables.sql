-- The control store: schema _realtime as the reference has it. What is missing is made, down to the
-- column; what is there is left alone. One migration of a database at a time.
do $do$
declare
    wanted record;
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('walcast migrate'));
    if pg_catalog.to_regnamespace('_realtime') is null then
        create schema _realtime;
    end if;
    if pg_catalog.to_regclass('_realtime.tenants') is null then
        create table _realtime.tenants (
            id uuid primary key,
            external_id text,
            inserted_at timestamp(0) not null,
            updated_at timestamp(0) not null);
        create unique index tenants_external_id_index on _realtime.tenants (external_id);
    end if;
    if pg_catalog.to_regclass('_realtime.extensions') is null then
        create table _realtime.extensions (
            id uuid primary key,
            type text,
            settings jsonb,
            tenant_external_id text references _realtime.tenants (external_id) on delete cascade,
            inserted_at timestamp(0) not null,
            updated_at timestamp(0) not null);
        create index extensions_tenant_external_id_index
            on _realtime.extensions (tenant_external_id);
        create unique index extensions_tenant_external_id_type_index
            on _realtime.extensions (tenant_external_id, type);
    end if;
    if pg_catalog.to_regclass('_realtime.feature_flags') is null then
        create table _realtime.feature_flags (
            id uuid primary key,
            name varchar(255) not null,
            enabled boolean not null default false,
            inserted_at timestamp(0) not null,
            updated_at timestamp(0) not null);
        create unique index feature_flags_name_index on _realtime.feature_flags (name);
    end if;
    for wanted in
        select of_table, of_column, is_a
          from (values
               ('tenants', 'name', 'text'),
               ('tenants', 'jwt_secret', 'text'),
               ('tenants', 'jwt_jwks', 'jsonb'),
               ('tenants', 'postgres_cdc_default', 'text default ''postgres_cdc_rls'''),
               ('tenants', 'max_concurrent_users', 'int not null default 200'),
               ('tenants', 'max_events_per_second', 'int not null default 100'),
               ('tenants', 'max_presence_events_per_second', 'int default 1000'),
               ('tenants', 'max_bytes_per_second', 'int not null default 100000'),
               ('tenants', 'max_channels_per_client', 'int not null default 100'),
               ('tenants', 'max_joins_per_second', 'int not null default 500'),
               ('tenants', 'max_payload_size_in_kb', 'int default 3000'),
               ('tenants', 'max_client_presence_events_per_window', 'int'),
               ('tenants', 'client_presence_window_ms', 'int'),
               ('tenants', 'suspend', 'boolean default false'),
               ('tenants', 'private_only', 'boolean not null default false'),
               ('tenants', 'presence_enabled', 'boolean not null default false'),
               ('tenants', 'notify_private_alpha', 'boolean default false'),
               ('tenants', 'migrations_ran', 'int default 0'),
               ('tenants', 'broadcast_adapter', 'varchar(255) default ''gen_rpc'''),
               ('tenants', 'feature_flags', 'jsonb not null default ''{}'''),
               ('tenants', 'gcm_migrated_at', 'timestamp(0)'),
               ('feature_flags', 'rollout_percentage', 'int not null default 100'),
               ('feature_flags', 'bucket_key', 'varchar')
               ) as w (of_table, of_column, is_a)
         where not exists (
                   select from pg_catalog.pg_attribute
                    where attrelid = pg_catalog.to_regclass('_realtime.' || of_table)
                      and attname = of_column and not attisdropped)
    loop
        execute pg_catalog.format('alter table _realtime.%I add column %I %s',
                                  wanted.of_table, wanted.of_column, wanted.is_a);
    end loop;
    for wanted in
        select of_table, named, holds
          from (values
               ('tenants', 'jwt_secret_or_jwt_jwks_required',
                'jwt_secret is not null or jwt_jwks is not null'),
               ('feature_flags', 'rollout_percentage_must_be_between_0_and_100',
                'rollout_percentage between 0 and 100')
               ) as w (of_table, named, holds)
         where not exists (
                   select from pg_catalog.pg_constraint
                    where conrelid = pg_catalog.to_regclass('_realtime.' || of_table)
                      and conname = named)
    loop
        execute pg_catalog.format('alter table _realtime.%I add constraint %I check (%s)',
                                  wanted.of_table, wanted.named, wanted.holds);
    end loop;
end
$do$
