-- Until the end of the transaction locks are hardly waited for. One column, of no interest.
select pg_catalog.set_config('lock_timeout', '20ms', true)
