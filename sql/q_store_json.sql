-- A JSON text as the store has it once it was stored.
-- $1 the text
select $1::jsonb
