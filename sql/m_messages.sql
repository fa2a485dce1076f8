-- realtime.messages as applications know it: rows are broadcasts, its policies say who may send and
-- receive on private channels. Partitioned by day (q_partitions.sql).
do $do$
begin
    if pg_catalog.to_regnamespace('realtime') is null then
        create schema realtime;
    end if;
    if pg_catalog.to_regclass('realtime.messages') is null then
        create table realtime.messages (
            topic text not null,
            extension text not null,
            payload jsonb,
            event text,
            private boolean default false,
            updated_at timestamp not null default now(),
            inserted_at timestamp not null default now(),
            id uuid not null default gen_random_uuid(),
            binary_payload bytea,
            constraint messages_pkey primary key (id, inserted_at),
            constraint messages_payload_exclusive check (payload is null or binary_payload is null)
        ) partition by range (inserted_at);
        create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
            where extension = 'broadcast' and private is true;
        alter table realtime.messages enable row level security;
    end if;
end
$do$
