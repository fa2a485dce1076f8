-- The two publications that are streamed: the application's tables, and realtime.messages. That of
-- realtime.messages holds nothing else; what else was put into it is taken out, by its owner, and
-- its tables are set in place: an older stream must find it wherever it reads.
do $do$
declare
    own record;
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    select p.oid, p.puballtables, pg_catalog.pg_get_userbyid(p.pubowner) as owner,
           pg_catalog.pg_has_role(p.pubowner, 'USAGE') as is_ours,
           (exists (select from pg_catalog.pg_publication_rel r
                    where r.prpubid = p.oid and r.prrelid = 'realtime.messages'::pg_catalog.regclass)
            or exists (select from pg_catalog.pg_get_publication_tables(p.pubname)))
           and not exists (select from pg_catalog.pg_get_publication_tables(p.pubname) g
                           join pg_catalog.pg_class c on c.oid = g.relid
                           where c.relnamespace <> 'realtime'::pg_catalog.regnamespace
                              or (c.relname <> 'messages' and pg_catalog.left(c.relname, 9) <> 'messages_')) as is_right
    into own
    from pg_catalog.pg_publication p where p.pubname = 'supabase_realtime_messages_publication';
    if own.oid is null then
        create publication supabase_realtime_messages_publication for table realtime.messages;
    elsif own.puballtables or not own.is_right then
        if not own.is_ours then
            raise insufficient_privilege using message = pg_catalog.format(
                'publication supabase_realtime_messages_publication should hold realtime.messages and nothing else, and belongs to %I', own.owner);
        elsif own.puballtables then
            drop publication supabase_realtime_messages_publication;
            create publication supabase_realtime_messages_publication for table realtime.messages;
        else
            alter publication supabase_realtime_messages_publication set table realtime.messages;
        end if;
    end if;
end
$do$
