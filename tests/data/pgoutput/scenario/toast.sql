create table docs (id int primary key, title text, body text);
alter table docs alter body set storage external;
create table docs_full (id int primary key, title text, body text);
alter table docs_full alter body set storage external;
alter table docs_full replica identity full;
insert into docs values (1, 'a', repeat('x', 2500));
insert into docs_full values (1, 'a', repeat('y', 2500));
create publication pub for table docs, docs_full;
-- capture
update docs set title = 'b';
update docs_full set title = 'b';
update docs set body = 'short';
