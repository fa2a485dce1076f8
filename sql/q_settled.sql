-- Which transactions are over for every session (bridge/rls/barriers.h)?
-- Columns, one row: the statement's snapshot, taken first; transactions that still hold the lock on their
-- own id, or NULL; how far the log was replayed, on a standby, else NULL
select pg_catalog.txid_current_snapshot(),
       (select pg_catalog.string_agg(l.transactionid::text, ',') from pg_catalog.pg_locks l
        where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted),
       case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() end
