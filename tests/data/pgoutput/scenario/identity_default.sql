create table items (id int primary key, name text, price numeric(10,2));
create publication pub for table items;
-- capture
insert into items values (1, 'one', 12.5), (2, null, null);
update items set name = 'uno' where id = 1;
update items set id = 3 where id = 2;
delete from items where id = 3;
