-- Whole tenants, with the extension that says where their databases are.
-- $1 external_ids
-- Columns: as enum column in bridge/store/row.c
select t.external_id,
       pg_catalog.hashtextextended(t::text || coalesce(e::text, ''), 0),
       t.id, coalesce(t.name, ''), t.jwt_secret, nullif(t.jwt_jwks, 'null'),
       coalesce(t.postgres_cdc_default, 'postgres_cdc_rls'),
       t.max_concurrent_users, t.max_events_per_second,
       coalesce(t.max_presence_events_per_second, 1000), t.max_bytes_per_second,
       t.max_channels_per_client, t.max_joins_per_second,
       coalesce(t.max_payload_size_in_kb, 3000),
       coalesce(t.max_client_presence_events_per_window, 0),
       coalesce(t.client_presence_window_ms, 0), coalesce(t.migrations_ran, 0),
       coalesce(t.suspend, false), t.private_only, t.presence_enabled,
       coalesce(t.broadcast_adapter, ''), t.feature_flags,
       pg_catalog.to_char(t.inserted_at, 'YYYY-MM-DD"T"HH24:MI:SS'),
       pg_catalog.to_char(t.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS'),
       e.type, e.settings,
       pg_catalog.to_char(e.inserted_at, 'YYYY-MM-DD"T"HH24:MI:SS'),
       pg_catalog.to_char(e.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS')
  from _realtime.tenants as t
  left join lateral (
       select * from _realtime.extensions as x
        where x.tenant_external_id = t.external_id and x.type in ('postgres_cdc_rls', 'postgres')
        order by x.type desc limit 1) as e on true
 where t.external_id = any ($1::text[])
