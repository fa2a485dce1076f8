-- What a private room is shown again, oldest first: of its newest broadcasts those that the tenant
-- may still send, as many of the newest as fit.
-- $1 topic, $2 since (Unix ms), $3 rows at most, $4 bytes of a row's payload at most, $5 bytes after
-- which no older row is taken
-- Columns: id, event, payload (JSON text), binary_payload (one of the two)
select id, event, payload, binary_payload
from (
    select id, event, payload, binary_payload, inserted_at,
           coalesce(pg_catalog.sum(size) over (order by inserted_at desc, id
                                               rows between unbounded preceding and 1 preceding), 0) as newer
    from (
        select id, event, payload::text, binary_payload, inserted_at,
               coalesce(pg_catalog.octet_length(binary_payload), pg_catalog.octet_length(payload::text)) as size
        from realtime.messages
        where topic = $1::text and private is true and extension = 'broadcast'
          and event is not null and (payload is not null or binary_payload is not null)
          and inserted_at >= timestamp '1970-01-01' + $2::float8 * interval '1 millisecond'
          and inserted_at < (pg_catalog.now() at time zone 'UTC') + interval '1 minute'
        order by inserted_at desc
        limit $3::int
    ) as newest
    where size <= $4::bigint
) as counted
where newer <= $5::bigint
order by inserted_at, id desc
