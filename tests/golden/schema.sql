create table golden_plain (id int primary key, t text, j jsonb);
grant select on golden_plain to anon, authenticated, service_role;
alter publication supabase_realtime add table golden_plain;
