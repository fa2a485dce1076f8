-- What applications call: realtime.topic in policies, send, send_binary and broadcast_changes in
-- their SQL. Functions of a schema that somebody else owns are left alone.
do $do$
begin
    if pg_catalog.to_regprocedure('realtime.topic()') is null then
        create function realtime.topic() returns text language sql stable as $fn$
            select nullif(current_setting('realtime.topic', true), '')
        $fn$;
    end if;
    -- Whatever goes wrong is a warning: the caller's own transaction goes on.
    -- What an earlier walcast made here is replaced, known by its text.
    if coalesce((select pg_catalog.md5(p.prosrc) = '1d5d6f1348aee7b672acb28648886c05' and pg_catalog.pg_has_role(p.proowner, 'USAGE')
                 from pg_catalog.pg_proc p where p.oid = pg_catalog.to_regprocedure('realtime.send(jsonb, text, text, boolean)')), true) then
        create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
        returns void language plpgsql as $fn$
        declare
            message_id uuid := gen_random_uuid();
        begin
            if payload is not null and not coalesce(payload ? 'id' and jsonb_typeof(payload) = 'object', false) then
                payload := jsonb_set(payload, '{id}', to_jsonb(message_id));
            end if;
            perform set_config('realtime.topic', topic, true);
            if coalesce(current_setting('realtime.send_via', true), '') in ('message', 'message_immediate') then
                perform walcast.emit(message_id, send.payload, null, send.event, send.topic, send.private);
                return;
            end if;
            insert into realtime.messages (id, payload, event, topic, private, extension)
            values (message_id, send.payload, send.event, send.topic, send.private, 'broadcast');
        exception when others then
            raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $fn$;
    end if;
    if coalesce((select pg_catalog.md5(p.prosrc) = '10f6068b1c0385e221bd32b3ef57016d' and pg_catalog.pg_has_role(p.proowner, 'USAGE')
                 from pg_catalog.pg_proc p where p.oid = pg_catalog.to_regprocedure('realtime.send_binary(bytea, text, text, boolean)')), true) then
        create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
        returns void language plpgsql as $fn$
        begin
            perform set_config('realtime.topic', topic, true);
            if coalesce(current_setting('realtime.send_via', true), '') in ('message', 'message_immediate') then
                perform walcast.emit(gen_random_uuid(), null, send_binary.payload, send_binary.event, send_binary.topic, send_binary.private);
                return;
            end if;
            insert into realtime.messages (binary_payload, event, topic, private, extension)
            values (send_binary.payload, send_binary.event, send_binary.topic, send_binary.private, 'broadcast');
        exception when others then
            raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $fn$;
    end if;
    if pg_catalog.to_regprocedure('realtime.broadcast_changes(text, text, text, text, text, record, record, text)') is null then
        create function realtime.broadcast_changes(topic_name text, event_name text, operation text, table_name text,
                                                   table_schema text, new record, old record, level text default 'ROW')
        returns void language plpgsql as $fn$
        begin
            if level = 'STATEMENT' then
                raise exception 'Failed to process the row: function can only be triggered for each row, not for each statement';
            end if;
            if operation not in ('INSERT', 'UPDATE', 'DELETE') then
                raise exception 'Failed to process the row: Unexpected operation type: %', operation;
            end if;
            perform realtime.send(jsonb_build_object('old_record', old, 'record', new, 'operation', operation,
                                                     'table', table_name, 'schema', table_schema),
                                  event_name, topic_name);
        end
        $fn$;
    end if;
end
$do$
