create table items (id int primary key, name text);
create publication pub for table items;
-- capture
begin;
insert into items values (1, 'old shape');
alter table items add column qty int default 5;
insert into items values (2, 'new shape');
alter table items drop column name;
insert into items values (3, 7);
commit;
