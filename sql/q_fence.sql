-- The activation fence: which transactions are visible now, and a WAL position no transaction that
-- is not yet visible can have committed before. txid_current_snapshot exists on every version. On a
-- standby it leaves out what is in progress, and the position alone is exact: a commit is visible
-- there, and streamed from there, exactly when it has been replayed; so whatever is withheld by
-- mistake before the stream reaches the position was visible before "Subscribed".
-- Columns: snapshot 'xmin:xmax:xip,...', WAL position
select pg_catalog.txid_current_snapshot(),
       case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_insert_lsn() end
