-- The secret of signed messages. It counts only where it belongs to the owner of realtime.messages,
-- or to a superuser: anybody else could have made a schema of that name.
-- Columns, no row when there is none: secret in hex, oid of the database, microseconds since
-- 2000-01-01 UTC now
select pg_catalog.encode(s.value, 'hex'), d.oid,
       (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint - 946684800000000
from walcast.secret s
join pg_catalog.pg_class c on c.oid = s.tableoid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspowner = c.relowner
join pg_catalog.pg_roles r on r.oid = c.relowner
join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
where r.rolsuper
   or c.relowner = (select m.relowner from pg_catalog.pg_class m join pg_catalog.pg_namespace mn on mn.oid = m.relnamespace
                    where mn.nspname = 'realtime' and m.relname = 'messages')
