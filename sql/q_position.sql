-- How far the log reaches, for the lag: a stream that is not read does not tell.
-- Columns: end of the flushed WAL
select pg_catalog.pg_current_wal_flush_lsn()
