-- Every replication slot of this server. On the replication connection.
-- Columns: slot_name, plugin, database, is this database, active_pid, wal_status (13+, else empty), confirmed_flush_lsn
select s.slot_name, s.plugin, s.database, s.database = pg_catalog.current_database(), s.active_pid,
       coalesce(pg_catalog.to_jsonb(s) ->> 'wal_status', ''), s.confirmed_flush_lsn
from pg_catalog.pg_replication_slots s
