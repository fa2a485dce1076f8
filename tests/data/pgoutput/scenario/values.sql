create table v (
    id int primary key, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text, c char(5),
    u uuid, d date, tm time, tz timetz, ts timestamp, tstz timestamptz, iv interval, js json,
    jb jsonb, by bytea, o oid);
create publication pub for table v;
-- capture
insert into v values (
    1, true, -32768, 9007199254740993, 1.5, 1e20, '123456789012345678901234567890.1234500',
    E'he said "hi"\n\ttab \\ é 😀', 'ab', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2024-02-29',
    '13:14:15.123456', '13:14:15.123+05:30', '2024-02-29 13:14:15.1', '2024-02-29 13:14:15.123456+05:30',
    '1 year 2 mons 3 days 04:05:06.789', '{"b": 1, "a": [1, 2.50, null],
 "b": 2}', '{"b": 1, "a": 1e2}', '\xdeadbeef', 12345);
insert into v values (
    2, false, 0, -1, 'NaN', '-Infinity', 'NaN', '', '', null, '0044-03-15 BC', '24:00',
    '00:00:00+00', '-infinity', '0044-03-15 01:02:03+00 BC', '-1 days +02:03', 'null', '"x"', '', 0);
insert into v (id, f4, f8, n, ts, tstz) values (
    3, 'Infinity', 1e-7, 1e-10, '10000-01-01 00:00:00', 'infinity');
