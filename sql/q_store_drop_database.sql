-- Extensions that say where a tenant's database is, but the one of the type to be kept.
-- $1 external_id; $2 the type, or null
delete from _realtime.extensions
 where tenant_external_id = $1 and type in ('postgres_cdc_rls', 'postgres')
   and type is distinct from $2::text
