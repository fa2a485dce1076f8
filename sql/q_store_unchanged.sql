-- Begins a write of values that were made from those read before: fails with 22012, division by
-- zero, when the tenant has changed since, so that nobody's change is taken back unseen.
-- $1 external_id; $2 fingerprint of what was read
select 1 / pg_catalog.count(*)
  from (select t.external_id
          from _realtime.tenants as t
          left join lateral (
               select * from _realtime.extensions as x
                where x.tenant_external_id = t.external_id
                  and x.type in ('postgres_cdc_rls', 'postgres')
                order by x.type desc limit 1) as e on true
         where t.external_id = $1
           and pg_catalog.hashtextextended(t::text || coalesce(e::text, ''), 0) = $2::bigint
           for update of t) as unchanged
