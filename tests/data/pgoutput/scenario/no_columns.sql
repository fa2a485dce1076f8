create table bare ();
create publication pub for table bare;
-- capture
insert into bare default values;
