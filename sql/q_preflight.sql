-- What must be true before streaming begins. On the replication connection (no parameters there),
-- with the database's search_path: every name and operator is qualified.
-- Columns: wal_level, server_version_num, is in recovery, hot_standby_feedback, pid of the
-- connection, publication names one per row (NULL when there is none)
select pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('server_version_num'),
       pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('hot_standby_feedback'),
       pg_catalog.pg_backend_pid(), p.pubname
from (select 1) one left join pg_catalog.pg_publication p on true
