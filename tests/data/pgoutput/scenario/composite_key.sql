create table parts (shop int, note text, sku text, primary key (shop, sku));
create publication pub for table parts;
-- capture
insert into parts values (7, 'n', 'k-1');
update parts set sku = 'k-2';
delete from parts;
