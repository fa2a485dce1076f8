-- Has code that ran in the session prepared statements, perhaps in the place of ours? Ours are
-- prepared by messages of the protocol, which no code in the session can send.
-- Columns: none; a row for each such statement
select from pg_catalog.pg_prepared_statement() where from_sql
