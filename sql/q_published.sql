-- Which tables the publications hold, when that is not what is known already.
-- $1 publications (text[]), $2 print of what is known (empty: nothing is)
-- Columns, one row per table, or one with NULL table when the print is the same or nothing is published:
--   print, end of the log, end of the log on disk, relation oid, schema, name
with t as materialized (
    select distinct c.oid, n.nspname, c.relname
    from pg_catalog.pg_publication p
    cross join lateral pg_catalog.pg_get_publication_tables(p.pubname) g
    join pg_catalog.pg_class c on c.oid = g.relid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where p.pubname = any ($1::name[])
), f as (
    select count(*) || ':' || coalesce(sum(pg_catalog.hashtextextended(nspname || '.' || relname, oid::bigint)), 0) as print
    from t
)
select f.print,
       case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_insert_lsn() end,
       case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
            else pg_catalog.pg_current_wal_flush_lsn() end,
       t.oid, t.nspname, t.relname
from f left join t on f.print <> $2
