-- The other way of realtime.send: a signed logical message instead of a row (14 and later; sql/README.md
-- says why it is sound). Only where realtime.messages is ours.
do $do$
declare
    owner name;
    material bytea;
    given record;
begin
    if pg_catalog.current_setting('server_version_num')::int < 140000
       or not (select pg_catalog.pg_has_role(relowner, 'USAGE') from pg_catalog.pg_class
               where oid = 'realtime.messages'::pg_catalog.regclass) then
        return;
    end if;
    select pg_catalog.pg_get_userbyid(nspowner) into owner from pg_catalog.pg_namespace where nspname = 'walcast';
    if owner is null then
        create schema walcast;
    elsif owner = (select pg_catalog.pg_get_userbyid(relowner) from pg_catalog.pg_class
                   where oid = 'realtime.messages'::pg_catalog.regclass) and owner <> current_user then
        return; -- a superuser's run: the owner's own run makes them
    elsif owner <> current_user then
        raise insufficient_privilege using message = pg_catalog.format(
            'schema walcast belongs to %I, who could read and replace what is in it', owner);
    end if;
    -- also one that the control store has made in this database
    if not pg_catalog.has_schema_privilege('public', 'walcast', 'USAGE') then
        grant usage on schema walcast to public;
    end if;

    if pg_catalog.to_regclass('walcast.secret') is null then
        create table walcast.secret (
            is_only boolean primary key default true check (is_only),
            value bytea not null,
            inner_pad bytea not null, -- as HMAC has it: value and zeros, with 0x36
            outer_pad bytea not null, -- with 0x5c
            made_at timestamptz not null default now()
        );
        -- whatever default privileges say, nobody but the owner
        for given in
            select distinct case when a.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end as role
            from pg_catalog.pg_class c cross join lateral pg_catalog.aclexplode(c.relacl) a
            where c.oid = 'walcast.secret'::pg_catalog.regclass and a.grantee <> c.relowner
        loop
            execute pg_catalog.format('revoke all on walcast.secret from %s', given.role);
        end loop;
        material := pg_catalog.sha256(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) || pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
                                      || pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) || pg_catalog.uuid_send(pg_catalog.gen_random_uuid()));
        insert into walcast.secret (value, inner_pad, outer_pad) values (material, material, material);
        for i in 32 .. 63 loop
            update walcast.secret set inner_pad = inner_pad || '\x00', outer_pad = outer_pad || '\x00';
        end loop;
        for i in 0 .. 63 loop
            update walcast.secret set inner_pad = pg_catalog.set_byte(inner_pad, i, pg_catalog.get_byte(inner_pad, i) # 54),
                                      outer_pad = pg_catalog.set_byte(outer_pad, i, pg_catalog.get_byte(outer_pad, i) # 92);
        end loop;
    end if;

    -- pg_read_all_data may read every table, but only the rows that policies show it: here none, unless
    -- the right to read this one was granted
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'walcast.secret'::pg_catalog.regclass) then
        create policy granted on walcast.secret for select using (exists (
            select from pg_catalog.pg_class c cross join lateral pg_catalog.aclexplode(c.relacl) a
            where c.oid = 'walcast.secret'::pg_catalog.regclass and a.grantee <> 0 and a.privilege_type = 'SELECT'
              and pg_catalog.pg_has_role(a.grantee, 'USAGE')));
        alter table walcast.secret enable row level security;
    end if;

    create or replace function walcast.seal(is_immediate boolean, is_private boolean, id uuid, topic text, event text,
                                            payload jsonb, binary_payload bytea)
    returns bytea language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
    declare
        topic_bytes bytea := convert_to(topic, 'UTF8');
        event_bytes bytea := convert_to(event, 'UTF8');
        content bytea;
        secret record;
    begin
        content := '\x01'::bytea
            || set_byte('\x00'::bytea, 0, is_immediate::int + 2 * is_private::int + 4 * (binary_payload is not null)::int)
            || oidsend((select d.oid from pg_database d where d.datname = current_database()))
            || int8send(case when is_immediate then 0 else txid_current() end)
            || timestamptz_send(case when is_immediate then clock_timestamp() else now() end)
            || uuid_send(id)
            || int4send(octet_length(topic_bytes)) || topic_bytes
            || int4send(octet_length(event_bytes)) || event_bytes
            || coalesce(binary_payload, convert_to(payload::text, 'UTF8'));
        select s.inner_pad, s.outer_pad into strict secret from walcast.secret s;
        return sha256(secret.outer_pad || sha256(secret.inner_pad || 'walcast.broadcast\000'::bytea || content)) || content;
    end
    $fn$;
    create or replace function walcast.prove() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $fn$
    begin
        raise exception sqlstate 'WCPRF' using message = 'the message may be sent', detail = encode(
            walcast.seal(current_setting('walcast.probe') = 'message_immediate', new.private, new.id, new.topic,
                         new.event, new.payload, new.binary_payload), 'base64');
    end
    $fn$;
    for given in
        select p.oid::pg_catalog.regprocedure as function,
               case when a.grantee = 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end as role
        from pg_catalog.pg_proc p
        cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
        where p.pronamespace = 'walcast'::pg_catalog.regnamespace and p.proname in ('seal', 'prove') and a.grantee <> p.proowner
    loop
        execute pg_catalog.format('revoke all on function %s from %s', given.function, given.role);
    end loop;

    create or replace function walcast.emit(id uuid, payload jsonb, binary_payload bytea, event text, topic text, private boolean)
    returns void language plpgsql as $fn$
    declare
        via text := pg_catalog.current_setting('realtime.send_via');
        proof text;
        sealed bytea;
    begin
        if topic is null or event is null or private is null or (payload is null and binary_payload is null) then
            raise exception 'a message needs a topic, an event, a payload, and to be private or not';
        end if;
        if pg_catalog.has_function_privilege('walcast.seal(boolean,boolean,uuid,text,text,jsonb,bytea)', 'EXECUTE') then
            sealed := walcast.seal(via operator(pg_catalog.=) 'message_immediate', private, id, topic, event, payload, binary_payload);
        else
            begin
                perform pg_catalog.set_config('walcast.probe', via, true);
                insert into realtime.messages (id, payload, binary_payload, event, topic, private, extension)
                values (emit.id, emit.payload, emit.binary_payload, emit.event, emit.topic, emit.private, 'broadcast');
                raise exception 'realtime.messages has lost its trigger: run walcast migrate';
            exception when sqlstate 'WCPRF' then
                get stacked diagnostics proof = pg_exception_detail;
            end;
            sealed := pg_catalog.decode(proof, 'base64');
        end if;
        if via operator(pg_catalog.=) 'message' then
            perform pg_catalog.pg_logical_emit_message(true, 'walcast.broadcast', sealed);
        elsif pg_catalog.current_setting('server_version_num')::int operator(pg_catalog.>=) 170000 then
            perform pg_catalog.pg_logical_emit_message(false, 'walcast.broadcast', sealed, true);
        else
            perform pg_catalog.pg_logical_emit_message(false, 'walcast.broadcast', sealed);
            perform pg_catalog.txid_current(); -- so that a commit flushes the log
        end if;
    end
    $fn$;
    grant execute on function walcast.emit to public;

    if not exists (select from pg_catalog.pg_trigger
                   where tgrelid = 'realtime.messages'::pg_catalog.regclass and tgname = 'walcast_prove') then
        create trigger walcast_prove after insert on realtime.messages for each row
            when (pg_catalog.current_setting('walcast.probe', true) in ('message', 'message_immediate'))
            execute function walcast.prove();
    end if;
end
$do$
