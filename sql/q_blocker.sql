-- What the walsender that creates a slot waits for: the transaction that it wants to lock.
-- $1 pid of the walsender (int)
-- Columns, one row: is in recovery, transaction id (NULL: it waits for none), pid of its session
-- (NULL: a prepared transaction), age in seconds (NULL when the login may not know)
select pg_is_in_recovery(), b.transactionid::text, h.pid,
       floor(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)))::bigint
from (select 1) one
left join pg_catalog.pg_locks b on b.pid = $1::int and not b.granted and b.locktype = 'transactionid'
left join pg_catalog.pg_locks h on h.transactionid = b.transactionid and h.granted and h.mode = 'ExclusiveLock'
left join pg_catalog.pg_stat_activity a on a.pid = h.pid
left join pg_catalog.pg_prepared_xacts p on p.transaction = b.transactionid
limit 1
