create table items (id int primary key, name text, price numeric(10,2));
alter table items replica identity full;
create publication pub for table items;
-- capture
insert into items values (1, 'one', 12.5);
update items set name = null where id = 1;
delete from items where id = 1;
