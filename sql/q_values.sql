-- The elements of an `in` filter's list as its column's type reads and prints them, at most 101; and
-- that they can be compared. (unnest in FROM would make columns of a row.)
-- $1 array literal
-- Columns: an element, and on the first row the whole array
select v, case when nr = 1 then $1::<array> end,
       v <collate> <operator> any ($1::<array>), null::<type> <collate> <operator> any ($1::<array>)
from (select v, row_number() over () as nr from (select unnest($1::<array>) as v) as u) as q
order by nr limit 101
