-- May the role insert? Without RETURNING, which would ask the policies for SELECT, too.
-- $1 topic, $2 extension, $3 now, UTC
insert into realtime.messages (topic, extension, inserted_at, updated_at)
values ($1::text, $2::text, $3::timestamp, $3::timestamp)
