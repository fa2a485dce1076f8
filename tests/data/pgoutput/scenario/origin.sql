create table items (id int primary key);
create publication pub for table items;
select pg_replication_origin_create('upstream');
select pg_replication_origin_session_setup('upstream');
-- capture
begin;
select pg_replication_origin_xact_setup('1/2A', '2024-02-29 13:14:15+00');
insert into items values (1);
commit;
