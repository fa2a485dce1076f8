-- The activation fence: which transactions are visible now, and a WAL position no transaction that
-- is not yet committed can have committed before. txid_current_snapshot exists on every version.
-- Columns: snapshot 'xmin:xmax:xip,...', WAL insert position
select pg_catalog.txid_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn()
