-- One migration of a database at a time; held until the connection ends.
select pg_catalog.pg_advisory_lock(pg_catalog.hashtext('walcast migrate'))
