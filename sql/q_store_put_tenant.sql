-- A new tenant, or in place of one, whose id and inserted_at stay.
-- $1 id of a new one; $2 external_id; $3 name; $4 jwt_secret, sealed; $5 jwt_jwks;
-- $6 postgres_cdc_default; $7 max_concurrent_users; $8 max_events_per_second;
-- $9 max_presence_events_per_second; $10 max_bytes_per_second; $11 max_channels_per_client;
-- $12 max_joins_per_second; $13 max_payload_size_in_kb; $14 max_client_presence_events_per_window;
-- $15 client_presence_window_ms; $16 migrations_ran; $17 suspend; $18 private_only;
-- $19 presence_enabled; $20 broadcast_adapter; $21 feature_flags; $22 all secrets are in AES-GCM
insert into _realtime.tenants as t
       (id, external_id, name, jwt_secret, jwt_jwks, postgres_cdc_default, max_concurrent_users,
        max_events_per_second, max_presence_events_per_second, max_bytes_per_second,
        max_channels_per_client, max_joins_per_second, max_payload_size_in_kb,
        max_client_presence_events_per_window, client_presence_window_ms, migrations_ran, suspend,
        private_only, presence_enabled, broadcast_adapter, feature_flags, gcm_migrated_at,
        inserted_at, updated_at)
select $1::uuid, $2, $3, $4, $5::jsonb, $6, $7::int, $8::int, $9::int, $10::int, $11::int, $12::int,
       $13::int, $14::int, $15::int, $16::int, $17::boolean, $18::boolean, $19::boolean, $20,
       $21::jsonb, case when $22::boolean then n.now end, n.now, n.now
  from (select pg_catalog.date_trunc('second', pg_catalog.timezone('utc', pg_catalog.now())) as now) as n
    on conflict (external_id) do update
   set name = excluded.name, jwt_secret = excluded.jwt_secret, jwt_jwks = excluded.jwt_jwks,
       postgres_cdc_default = excluded.postgres_cdc_default,
       max_concurrent_users = excluded.max_concurrent_users,
       max_events_per_second = excluded.max_events_per_second,
       max_presence_events_per_second = excluded.max_presence_events_per_second,
       max_bytes_per_second = excluded.max_bytes_per_second,
       max_channels_per_client = excluded.max_channels_per_client,
       max_joins_per_second = excluded.max_joins_per_second,
       max_payload_size_in_kb = excluded.max_payload_size_in_kb,
       max_client_presence_events_per_window = excluded.max_client_presence_events_per_window,
       client_presence_window_ms = excluded.client_presence_window_ms,
       migrations_ran = excluded.migrations_ran, suspend = excluded.suspend,
       private_only = excluded.private_only, presence_enabled = excluded.presence_enabled,
       broadcast_adapter = excluded.broadcast_adapter, feature_flags = excluded.feature_flags,
       gcm_migrated_at = case when excluded.gcm_migrated_at is not null
                              then coalesce(t.gcm_migrated_at, excluded.gcm_migrated_at) end,
       updated_at = excluded.updated_at
