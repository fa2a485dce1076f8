create table items (id int primary key, code text not null, name text);
create unique index items_code on items (code);
alter table items replica identity using index items_code;
create publication pub for table items;
-- capture
insert into items values (1, 'a', 'one');
update items set name = 'uno';
update items set code = 'b';
delete from items;
