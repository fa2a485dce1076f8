-- The extension that says where a tenant's database is: a new one, or in place of that of its type.
-- $1 id of a new one; $2 external_id; $3 type; $4 settings, with sealed secrets
insert into _realtime.extensions as e (id, tenant_external_id, type, settings, inserted_at, updated_at)
select $1::uuid, $2, $3, $4::jsonb, n.now, n.now
  from (select pg_catalog.date_trunc('second', pg_catalog.timezone('utc', pg_catalog.now())) as now) as n
    on conflict (tenant_external_id, type) do update
   set settings = excluded.settings, updated_at = excluded.updated_at
