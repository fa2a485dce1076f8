create table events (id int, day date, primary key (id, day)) partition by range (day);
create table events_1 partition of events for values from ('2024-01-01') to ('2024-02-01');
create table events_2 partition of events for values from ('2024-02-01') to ('2024-03-01');
create publication pub for table events with (publish_via_partition_root = true);
-- capture
insert into events values (1, '2024-01-31'), (2, '2024-02-29');
