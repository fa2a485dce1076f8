-- Rows that policies are asked about, inserted as ourselves: what they do not name is as in the table's defaults.
-- $1 ids (uuid[]), $2 their extensions (text[]), $3 topic, $4 now, UTC
insert into realtime.messages (id, topic, extension, inserted_at, updated_at)
select p.id, $3::text, p.extension, $4::timestamp, $4::timestamp
from rows from (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::text[])) as p (id, extension)
