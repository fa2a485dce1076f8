-- First statement of a segment: for its rest the session is a role with claims and may not write.
-- $1 role (never empty), $2 claims (JSON text), $3 statement_timeout and $4 lock_timeout, which code
-- that ran in the session before may have changed, $5 plan_cache_mode likewise
-- Columns: one row, the new values. All but the role come first: a role may change less.
select pg_catalog.set_config('transaction_read_only', 'on', true),
       pg_catalog.set_config('statement_timeout', $3, true),
       pg_catalog.set_config('lock_timeout', $4, true),
       pg_catalog.set_config('plan_cache_mode', $5, true),
       pg_catalog.set_config('request.jwt.claims', $2, true),
       pg_catalog.set_config('role', $1, true)
