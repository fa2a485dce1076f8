-- Whether the publication of realtime.messages can become part of a stream that runs: it must be
-- older than every transaction that the stream may still bring, since the stream reads it as it was
-- when a row was written. Tables are not looked up by name, which would need USAGE on their schema.
-- $1 its name
-- Columns, no row when it is missing: holds other tables, holds realtime.messages, every running
-- transaction is younger, end of the log on disk
select p.puballtables
           or exists (select from pg_catalog.pg_get_publication_tables(p.pubname) g
                      join pg_catalog.pg_class c on c.oid = g.relid
                      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                      where not (n.nspname = 'realtime' and (c.relname = 'messages' or left(c.relname, 9) = 'messages_'))),
       exists (select from pg_catalog.pg_publication_rel r
               join pg_catalog.pg_class c on c.oid = r.prrelid
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where r.prpubid = p.oid and n.nspname = 'realtime' and c.relname = 'messages')
           or exists (select from pg_catalog.pg_get_publication_tables(p.pubname)),
       pg_catalog.age(p.xmin) > pg_catalog.age((s.xmin % 4294967296)::text::xid),
       case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_flush_lsn() end
from pg_catalog.pg_publication p
cross join (select pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) as xmin) s
where p.pubname = $1::name
