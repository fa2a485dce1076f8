-- For the rest of the transaction the session is a role with what policies may read of a request.
-- $1 role (never empty, nor `none`), $2 topic, $3 claims (JSON text), $4 claim sub, $5 headers (JSON
-- object), $6 statement_timeout, which triggers of the probes may have changed
-- Columns: one row, the new values. All but the role come first: a role may change less.
select pg_catalog.set_config('statement_timeout', $6, true),
       pg_catalog.set_config('realtime.topic', $2, true),
       pg_catalog.set_config('request.jwt.claims', $3, true),
       pg_catalog.set_config('request.jwt.claim.sub', $4, true),
       pg_catalog.set_config('request.jwt.claim.role', $1, true),
       pg_catalog.set_config('request.headers', $5, true),
       pg_catalog.set_config('role', $1, true)
