-- The tenants behind one in the order of their names, a page of them, each with what tells whether
-- its rows are those read before.
-- $1 the last external_id of the page before; $2 how many
-- Columns: external_id; fingerprint
select t.external_id, pg_catalog.hashtextextended(t::text || coalesce(e::text, ''), 0)
  from _realtime.tenants as t
  left join lateral (
       select * from _realtime.extensions as x
        where x.tenant_external_id = t.external_id and x.type in ('postgres_cdc_rls', 'postgres')
        order by x.type desc limit 1) as e on true
 where t.external_id > $1
 order by t.external_id
 limit $2::int
