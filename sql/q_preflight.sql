-- What must be true before streaming begins. On the replication connection (no parameters there),
-- with the database's search_path: every name and operator is qualified. Tables are not looked up
-- by name, which would need USAGE on their schema.
-- Columns: wal_level, server_version_num, is in recovery, hot_standby_feedback, pid of the
-- connection, and of each publication, one per row (NULL when there is none): its name, holds other
-- tables than realtime.messages and its partitions, holds these; then, the same in every row,
-- max_slot_wal_keep_size in bytes (negative: no limit; NULL before 13)
select pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('server_version_num'),
       pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('hot_standby_feedback'),
       pg_catalog.pg_backend_pid(), p.pubname,
       p.puballtables
           or exists (select from pg_catalog.pg_get_publication_tables(p.pubname) g
                      join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) g.relid
                      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
                      where not (n.nspname operator(pg_catalog.=) 'realtime'
                                 and (c.relname operator(pg_catalog.=) 'messages'
                                      or pg_catalog.left(c.relname, 9) operator(pg_catalog.=) 'messages_'))),
       exists (select from pg_catalog.pg_publication_rel r
               join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) r.prrelid
               join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
               where r.prpubid operator(pg_catalog.=) p.oid and n.nspname operator(pg_catalog.=) 'realtime'
                 and c.relname operator(pg_catalog.=) 'messages')
           or exists (select from pg_catalog.pg_get_publication_tables(p.pubname)),
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size', true))
from (select 1) one left join pg_catalog.pg_publication p on true
