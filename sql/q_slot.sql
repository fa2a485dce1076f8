-- Every replication slot of this server. On the replication connection, with the database's
-- search_path: every name and operator is qualified. to_jsonb: columns that not every version has.
-- Columns: slot_name, plugin, database, is this database, active_pid, wal_status (13+, else empty),
-- confirmed_flush_lsn, why it was invalidated (17+; 16: 'conflict' or empty; else empty), is a copy
-- of the primary's on a standby (17+)
select s.slot_name, s.plugin, s.database,
       s.database operator(pg_catalog.=) pg_catalog.current_database(), s.active_pid,
       coalesce(j.slot operator(pg_catalog.->>) 'wal_status', ''), s.confirmed_flush_lsn,
       coalesce(j.slot operator(pg_catalog.->>) 'invalidation_reason',
                case when j.slot operator(pg_catalog.->>) 'conflicting' operator(pg_catalog.=) 'true'
                     then 'conflict' else '' end),
       pg_catalog.pg_is_in_recovery()
           and coalesce(j.slot operator(pg_catalog.->>) 'synced', 'false') operator(pg_catalog.=) 'true'
from pg_catalog.pg_replication_slots s cross join lateral (select pg_catalog.to_jsonb(s) as slot) j
