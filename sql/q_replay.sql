-- What a private room is shown again, oldest first: of its newest broadcasts those that the tenant
-- may still send, as many of the newest as fit. Nothing while the snapshot does not see all of the
-- committed transactions $6: they are not visible yet.
-- $1 topic, $2 since (Unix ms), $3 rows at most, $4 bytes of a row's payload at most, $5 bytes after
-- which no older row is taken, $6 transaction ids, 32 bits of each, taken to be within 2^31 of the
-- snapshot
-- Columns: id, event, payload (JSON text), binary_payload (one of the two), whether all are seen.
-- Without rows there is one whose id is null.
select shown.id, shown.event, shown.payload, shown.binary_payload, sight.is_whole
from (
    select coalesce(pg_catalog.bool_and(pg_catalog.txid_visible_in_snapshot(
               xmax + ((xid - xmax + 2147483648) & 4294967295) - 2147483648, snapshot)), true) as is_whole
    from (select snapshot, pg_catalog.txid_snapshot_xmax(snapshot) as xmax
          from pg_catalog.txid_current_snapshot() as snapshot) as now
    cross join pg_catalog.unnest($6::bigint[]) as xid
) as sight
left join lateral (
    select id, event, payload, binary_payload, inserted_at
    from (
        select id, event, payload, binary_payload, inserted_at,
               coalesce(pg_catalog.sum(size) over (order by inserted_at desc, id
                                                   rows between unbounded preceding and 1 preceding), 0) as newer
        from (
            -- whatever type somebody gave the column, what comes is JSON
            select id, event, pg_catalog.to_jsonb(payload)::text as payload, binary_payload, inserted_at,
                   coalesce(pg_catalog.octet_length(binary_payload), pg_catalog.octet_length(payload::text)) as size
            from realtime.messages
            where sight.is_whole
              and topic = $1::text and private is true and extension = 'broadcast'
              and event is not null and (payload is not null or binary_payload is not null)
              and inserted_at >= timestamp '1970-01-01' + $2::float8 * interval '1 millisecond'
              and inserted_at < (pg_catalog.now() at time zone 'UTC') + interval '1 minute'
            order by inserted_at desc
            limit $3::int
        ) as newest
        where size <= $4::bigint
    ) as counted
    where newer <= $5::bigint
) as shown on true
order by shown.inserted_at, shown.id desc
