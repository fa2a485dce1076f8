-- How far the log reaches, for the lag: a stream that is not read does not tell. A standby streams
-- what it has replayed.
-- Columns: end of the flushed, or replayed, WAL
select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_flush_lsn() end
