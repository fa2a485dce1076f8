create table a (id int primary key);
create table b (id int primary key, a int references a);
create publication pub for table a, b;
-- capture
truncate a restart identity cascade;
truncate b;
