-- The demo's database: the roles a Supabase project has, and one published table.
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;

create table public.messages (
    id bigint generated always as identity primary key,
    author text not null,
    body text not null,
    likes int not null default 0
);
grant select on public.messages to anon, authenticated, service_role;
create publication supabase_realtime for table public.messages;
