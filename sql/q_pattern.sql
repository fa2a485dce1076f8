-- A pattern, and that it is one: it is matched with the empty text.
-- $1 pattern
-- Column 0: the pattern
select p, ''::<type> <collate> <operator> p from (select $1::<pattern>) as q (p)
