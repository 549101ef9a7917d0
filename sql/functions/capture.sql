-- Capture: the triggers that copy committed changes of the chat tables into the log.
--
-- Statement triggers with transition tables: one insert per statement, whatever its size. Each function is
-- `security definer`, so that a writer needs rights on the table alone and none on the log; being a trigger
-- function it can only be called by a trigger, and only the owner may attach it to one.
--
-- A writer never fails because of us: an error becomes a WARNING and a row in rowcast.failures.
-- Records are canonical: every wire dialect shapes its own from them, so a column is never added by accident.
--
-- A statement in here is planned once a session, for as many rows as the first call brought. So that a plan made
-- for one row serves a million and the other way round: old and new rows meet in a *full* join, which is never a
-- nested loop (that would be quadratic), and threads and users are looked up in lateral subqueries with a limit,
-- which are never a scan of the table. Transition tables give their rows in the order they were written.

create or replace function rowcast._failed(relation text, op text, state text, message text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    raise warning 'rowcast: a change of % (%) is missing in the log: % (%)', relation, op, message, state;
    insert into rowcast.failures (relation, op, sqlstate, message)
    values ($1, $2, $3, $4);
exception when others then
    raise warning 'rowcast: the failure could not be recorded: % (%)', sqlerrm, sqlstate;
end
$$;

comment on function rowcast._failed(text, text, text, text) is
    'Records an error of a capture function without ever raising one.';

create or replace function chat._capture_messages()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select 'thread:' || n.thread_id,
            'chat.messages',
            'INSERT',
            jsonb_build_object('id', n.id),
            to_jsonb(r),
            row_number() over () = 1
        from new_rows n
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = n.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid, u.username, u.first_name, u.last_name, u.full_name, u.role
            from chat.users u
            where u.id = n.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select n.id,
                n.uuid,
                n.thread_id,
                t.uuid as thread_uuid,
                n.seq,
                n.sender_id,
                u.uuid as sender_uuid,
                case when u.id is not null then jsonb_build_object(
                    'username', u.username,
                    'first_name', u.first_name,
                    'last_name', u.last_name,
                    'full_name', u.full_name,
                    'role', u.role) end as sender,
                n.content,
                n.message_type,
                n.attachments,
                to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(n.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(n.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r;

    elsif tg_op = 'UPDATE' then
        -- nothing changed: nothing to tell
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select 'thread:' || n.thread_id,
            'chat.messages',
            'UPDATE',
            jsonb_build_object('id', n.id),
            to_jsonb(r),
            jsonb_build_object(
                'deleted_at', to_char(o.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'edited_at', to_char(o.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            row_number() over (order by n.id) = 1
        from new_rows n
        full join old_rows o on o.id = n.id
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = n.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid, u.username, u.first_name, u.last_name, u.full_name, u.role
            from chat.users u
            where u.id = n.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select n.id,
                n.uuid,
                n.thread_id,
                t.uuid as thread_uuid,
                n.seq,
                n.sender_id,
                u.uuid as sender_uuid,
                case when u.id is not null then jsonb_build_object(
                    'username', u.username,
                    'first_name', u.first_name,
                    'last_name', u.last_name,
                    'full_name', u.full_name,
                    'role', u.role) end as sender,
                n.content,
                n.message_type,
                n.attachments,
                to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(n.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(n.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r
        where o is distinct from n
        order by n.id;

    elsif tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'thread:' || o.thread_id,
            'chat.messages',
            'DELETE',
            jsonb_build_object('id', o.id),
            to_jsonb(r),
            row_number() over () = 1
        from old_rows o
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = o.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid
            from chat.users u
            where u.id = o.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select o.id,
                o.uuid,
                o.thread_id,
                t.uuid as thread_uuid,
                o.seq,
                o.sender_id,
                u.uuid as sender_uuid,
                o.message_type,
                o.attachments,
                to_char(o.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(o.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(o.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r;

    else
        insert into rowcast.changes (topic, relation, op, ring)
        select 'thread:' || t.id, 'chat.messages', 'TRUNCATE', row_number() over () = 1
        from chat.threads t;
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.messages', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function chat._capture_messages() is
    'Puts messages on the topic of their thread.';

create or replace function chat._capture_emptying()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- row by row, for each row says who loses what
    execute format('delete from %s', tg_relid::regclass);
    return null;
exception when others then
    perform rowcast._failed(tg_relid::regclass::text, tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function chat._capture_emptying() is
    'Deletes before a TRUNCATE: whoever is put out by it must be told, and leaves live sockets at once.';
