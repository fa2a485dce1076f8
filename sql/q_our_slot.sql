-- Is the slot $1 read by somebody? No row: this database has none of that name that we could have made.
select active
  from pg_catalog.pg_replication_slots
 where slot_name = $1::pg_catalog.name
   and plugin = 'pgoutput'
   and database = pg_catalog.current_database()
