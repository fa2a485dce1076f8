create type golden_enum as enum ('ok', 'not ok');
create domain golden_domain as int check (value > 0);
create table golden_plain (id int primary key, t text, j jsonb);
create table golden_filter (id int primary key, t text, n int);
alter table golden_filter replica identity full;
create table golden_rls (id int primary key, owner uuid, t text, s text);
alter table golden_rls enable row level security;
alter table golden_rls replica identity full;
create policy p on golden_rls for select to authenticated using (owner = auth.uid());
create table golden_nopk (id int, t text);
create table golden_secret (id int primary key, shown text, hidden text);
create table golden_toast (id int primary key, big text, n int);
alter table golden_toast alter big set storage external;
create table golden_toast_full (id int primary key, big text, n int);
alter table golden_toast_full alter big set storage external;
alter table golden_toast_full replica identity full;
create table golden_types (id int primary key, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8,
  fn float8, num numeric, t text, vc varchar(10), c char(4), by bytea, u uuid, d date, ti time,
  tiz timetz, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, ai int4[], at text[],
  aa int4[][], r int4range, ip inet, bi bit(4), m money, pt point, e golden_enum, dm golden_domain,
  ad date[], inf timestamptz, ninf date);
grant select on golden_plain, golden_filter, golden_rls, golden_nopk, golden_toast, golden_toast_full, golden_types
  to anon, authenticated, service_role;
grant select (id, shown) on golden_secret to authenticated;
grant select on golden_secret to service_role;
alter publication supabase_realtime add table golden_plain, golden_filter, golden_rls, golden_nopk, golden_secret,
  golden_toast, golden_toast_full, golden_types;
create policy golden_read on realtime.messages for select to authenticated
  using (realtime.topic() in ('golden-private', 'golden-readonly', 'golden-replay'));
create policy golden_write on realtime.messages for insert to authenticated
  with check (realtime.topic() in ('golden-private', 'golden-replay'));
