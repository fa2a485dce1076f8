create table items (id int primary key, name text);
alter table items replica identity nothing;
create publication pub for table items with (publish = 'insert');
-- capture
insert into items values (1, 'one');
update items set name = 'not published';
insert into items values (2, 'two');
