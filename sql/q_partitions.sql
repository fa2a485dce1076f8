-- What there is to do so that realtime.messages has its daily partitions, as statements: those for
-- days to come first, then those whose rows have lived for three days. Days are UTC. A partition is
-- made beside the parent and attached to it, and detached from it before it is dropped: neither
-- takes a lock that would stop who reads or writes the parent. Without a partitioned table of that
-- name there is nothing to do.
-- $1 days ahead (int)
-- Columns: number of the step (statements of one number are one transaction), statement
with utc as (
    select (pg_catalog.now() at time zone 'UTC')::date as today
), parent as (
    select c.oid, c.relnamespace from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'realtime' and c.relname = 'messages' and c.relkind = 'p'
), part as (
    select c.oid, c.relname, i.inhparent is not null as attached,
           coalesce((pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::boolean, false) as half_detached, -- 14 and later
           pg_catalog.to_date(pg_catalog.substring(c.relname, '^messages_(\d{4}_\d{2}_\d{2})$'), 'YYYY_MM_DD') as day
    from parent join pg_catalog.pg_class c on c.relnamespace = parent.relnamespace and c.relkind = 'r'
    left join pg_catalog.pg_inherits i on i.inhrelid = c.oid and i.inhparent = parent.oid
), wanted as (
    select d::date as day, 'messages_' || pg_catalog.to_char(d, 'YYYY_MM_DD') as name
    from parent, utc, pg_catalog.generate_series(utc.today - 1, utc.today + $1::int, interval '1 day') as s (d)
), step (day, place, body) as (
    select w.day, 1, pg_catalog.format(
        'create table if not exists realtime.%I (like realtime.messages including defaults including constraints)', w.name)
    from wanted w where not exists (select from part p where p.relname = w.name and p.attached)
    union all
    select w.day, 2, pg_catalog.format(
        'alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', w.name, w.day, w.day + 1)
    from wanted w where not exists (select from part p where p.relname = w.name and p.attached)
    union all
    select p.day, 3, pg_catalog.format(
        'alter table realtime.messages detach partition realtime.%I%s', p.relname,
        case when p.half_detached then ' finalize'
             when pg_catalog.current_setting('server_version_num')::int >= 140000 then ' concurrently' else '' end)
    from part p, utc where p.attached and p.day < utc.today - 3
    union all
    select p.day, 4, pg_catalog.format('drop table realtime.%I', p.relname)
    from part p, utc where p.day < utc.today - 3
)
select pg_catalog.dense_rank() over (order by case when place <= 2 then 0 else 1 end, day, case when place <= 2 then 0 else place end),
       body
from step
order by 1, place
