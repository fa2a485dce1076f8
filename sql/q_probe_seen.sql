-- Which probes may the role read? The days leave all partitions but theirs out of the plan, which is
-- most of its cost.
-- $1 ids (uuid[]), $2 and $3 the day they are of: from, before
-- Columns: id
select id from realtime.messages
where id = any ($1::uuid[]) and inserted_at >= $2::timestamp and inserted_at < $3::timestamp
