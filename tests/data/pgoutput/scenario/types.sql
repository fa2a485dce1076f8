create type mood as enum ('sad', 'very happy');
create domain score as int check (value >= 0);
create table people (id int primary key, feels mood, points score);
create publication pub for table people;
-- capture
insert into people values (1, 'very happy', 7);
