-- Tenants whose secrets are to be sealed anew: not all of them are known to be in AES-GCM, and the
-- flag gcm_encryption_backfill is on for them: theirs, else that of all, for the share of tenants it
-- names.
-- Columns: external_id; fingerprint; jwt_secret, sealed; type of the extension; its settings
select t.external_id, pg_catalog.hashtextextended(t::text || coalesce(e::text, ''), 0),
       t.jwt_secret, e.type, e.settings
  from _realtime.tenants as t
  left join lateral (
       select * from _realtime.extensions as x
        where x.tenant_external_id = t.external_id and x.type in ('postgres_cdc_rls', 'postgres')
        order by x.type desc limit 1) as e on true
 where t.gcm_migrated_at is null
   and case pg_catalog.jsonb_typeof(t.feature_flags -> 'gcm_encryption_backfill')
       when 'boolean' then (t.feature_flags -> 'gcm_encryption_backfill')::boolean
       else exists (
           select from _realtime.feature_flags as f
            where f.name = 'gcm_encryption_backfill' and f.enabled
              and (pg_catalog.hashtextextended(
                       coalesce(f.bucket_key, f.name) || t.external_id, 0) & 65535) % 100
                  < f.rollout_percentage)
       end
 limit 1000
