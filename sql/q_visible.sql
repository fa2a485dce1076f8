-- Which transactions are visible to this session now.
-- Columns: snapshot 'xmin:xmax:xip,...'
select pg_catalog.txid_current_snapshot()
