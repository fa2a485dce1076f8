-- First statement of a segment whose second may take long.
-- $1 statement_timeout, for the rest of the segment
-- Column 0: the new value
select pg_catalog.set_config('statement_timeout', $1, true)
