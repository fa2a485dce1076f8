-- Drops the slot $1; 55006 when somebody has begun to read it.
select pg_catalog.pg_drop_replication_slot($1)
