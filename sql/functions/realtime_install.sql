-- The schemas `realtime` and `auth` as apps made for Supabase know them: only what is missing, only where we may.
--
-- On a Supabase database both are there and not ours: nothing of them is replaced or altered. What we made says
-- so in its comment, `Rowcast: …`, and only that is ever renewed. `migrate` calls install_realtime() every time,
-- so that rights given later are enough; it takes no lock where nothing is to be done.

create or replace function rowcast.install_realtime()
returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    step text;
begin
    return query select * from rowcast._make_roles();

    foreach step in array array[
        '_install_messages', '_install_realtime_functions', '_install_auth', '_install_grants', '_install_capture']
    loop
        begin
            execute format('select rowcast.%I()', step);
        exception when insufficient_privilege then
            return next format('%s: %s; `rowcast doctor` says what is missing', step, sqlerrm);
        end;
    end loop;

    perform rowcast.keep_messages(interval '72 hours');
end
$$;

comment on function rowcast.install_realtime() is
    'Makes what is missing for the supabase dialect; returns a sentence for all that it may not make.';

create or replace function rowcast._is_ours(described text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(described like 'Rowcast: %', false);
$$;

comment on function rowcast._is_ours(text) is
    'Whether an object of a schema that others use too was made by us, as its comment says.';

create or replace function rowcast._make_schema(name text, says text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regnamespace(name) is null then
        execute format('create schema %I', name);
        execute format('comment on schema %I is %L', name, 'Rowcast: ' || says);
    end if;
end
$$;

comment on function rowcast._make_schema(text, text) is
    'Makes a schema that is missing.';

create or replace function rowcast._offer(signature text, says text, definition text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    known regprocedure := to_regprocedure(signature);
    described text := obj_description(known, 'pg_proc');
    wanted text := format('Rowcast: %s (%s)', says, md5(definition));
begin
    if known is null or (rowcast._is_ours(described) and described <> wanted) then
        execute format('create or replace function %s', definition);
        execute format('comment on function %s is %L', signature, wanted);
    end if;
end
$$;

comment on function rowcast._offer(text, text, text) is
    'Makes a function that is missing, renews one of ours, leaves any other as it is.';

create or replace function rowcast._install_messages()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform rowcast._make_schema('realtime', 'broadcasts from SQL, and the policies of private channels.');
    if to_regclass('realtime.messages') is null then
        create table realtime.messages (
            topic text not null,
            extension text not null,
            payload jsonb,
            event text,
            private boolean default false,
            updated_at timestamp not null default timezone('utc', now()),
            inserted_at timestamp not null default timezone('utc', now()),
            id uuid not null default gen_random_uuid(),
            binary_payload bytea,
            constraint messages_payload_exclusive check (payload is null or binary_payload is null),
            primary key (id, inserted_at)
        ) partition by range (inserted_at);
        create index messages_inserted_at_topic on realtime.messages (inserted_at desc, topic)
            where extension = 'broadcast' and private;
        alter table realtime.messages enable row level security;
        comment on table realtime.messages is
            'Rowcast: broadcasts from SQL, one partition a day (UTC), kept for 72 hours. Its policies say who may '
            'listen and speak in private channels.';
    end if;
end
$$;

comment on function rowcast._install_messages() is
    'Makes realtime.messages.';

create or replace function rowcast._install_grants()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    client name;
    name text;
begin
    for client in
        select r.rolname
        from pg_roles r
        where r.rolname in ('anon', 'authenticated', 'service_role')
    loop
        foreach name in array array['realtime', 'auth'] loop
            if rowcast._is_ours(obj_description(to_regnamespace(name), 'pg_namespace'))
                and not has_schema_privilege(client, name, 'usage')
            then
                execute format('grant usage on schema %I to %I', name, client);
            end if;
        end loop;
        if rowcast._is_ours(obj_description(to_regclass('realtime.messages'), 'pg_class'))
            and not has_table_privilege(client, 'realtime.messages', 'update')
        then
            execute format('grant select, insert, update on realtime.messages to %I', client);
        end if;
    end loop;
end
$$;

comment on function rowcast._install_grants() is
    'Gives the roles of clients what they need of what is ours; who may see which row is up to policies.';

create or replace function rowcast._install_capture()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- added beside whatever is there, as rowcast.watch() does with any table
    if to_regclass('realtime.messages') is not null and not exists (
        select
        from pg_trigger t
        where t.tgrelid = to_regclass('realtime.messages')
            and t.tgname = '_900_rowcast_insert')
    then
        create trigger _900_rowcast_insert
            after insert on realtime.messages
            referencing new table as new_rows
            for each statement
            when (current_setting('rowcast.probe', true) is distinct from 'on')
            execute function rowcast._capture_broadcasts();
    end if;
end
$$;

comment on function rowcast._install_capture() is
    'Puts the rows of realtime.messages into the log.';

create or replace function rowcast._capture_broadcasts()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
begin
    -- a topic that no client can hold is nobody's
    insert into rowcast.changes (topic, relation, op, key, record, ring)
    select p.place,
        'realtime.messages',
        'INSERT',
        jsonb_build_object('id', n.id),
        to_jsonb(n) - 'extension' - 'updated_at',
        row_number() over () = 1
    from new_rows n
    cross join lateral (
        select case when n.private then 'channel:private:' else 'channel:public:' end || n.topic as place
    ) p
    where n.extension = 'broadcast'
        and n.topic <> ''
        and octet_length(p.place) <= 640
        and n.topic !~ '[\u0001-\u001f\u007f-\u009f]';
    return null;
exception when others then
    perform rowcast._failed('realtime.messages', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function rowcast._capture_broadcasts() is
    'Puts broadcasts from SQL on the topic of their channel.';
