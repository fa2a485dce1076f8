-- A filter's value as its column's type reads and prints it; and that two such values can be
-- compared, which fails here and now or with every change.
-- $1 value (text)
-- Column 0: the value; NULL when it is none
select v, v <collate> <operator> v from (select $1::<type>) as q (v)
