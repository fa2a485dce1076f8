-- What must be true before streaming begins. On the replication connection (no parameters there).
-- Columns: wal_level, publication names one per row (NULL when there is none)
select pg_catalog.current_setting('wal_level'), p.pubname
from (select 1) one left join pg_catalog.pg_publication p on true
