-- Telling: how rows of a team's own tables come to the log, where those stand in the place of the chat's.
--
-- A trigger on such a table hands over what was and what is, in the form of the chat's relations; rows that are only
-- in the first are gone, rows only in the second are new. See docs/bring-your-own-tables.md.
-- A writer never fails because of us, as in capture.sql; the shapes are the same.

create or replace function chat.tell_messages(before chat.messages[], after chat.messages[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- a number that is no more is left out of the unread counts
    insert into chat.gaps (thread_id, seq)
    select o.thread_id, o.seq
    from unnest(before) o
    join chat.threads t on t.id = o.thread_id
    where not exists (select from unnest(after) n where n.id = o.id)
    on conflict do nothing;

    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'thread:' || m.thread_id,
        'chat.messages',
        m.op,
        jsonb_build_object('id', m.id),
        case when m.op <> 'DELETE' then to_jsonb(r) end,
        case m.op
            when 'UPDATE' then jsonb_build_object(
                'deleted_at', to_char(m.was_deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'edited_at', to_char(m.was_edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
            when 'DELETE' then to_jsonb(r) - 'content' - 'sender'
        end,
        row_number() over (order by m.seq, m.id) = 1
    from (
        select (coalesce(n, o)).*,
            case
                when o.id is null then 'INSERT'
                when n.id is null then 'DELETE'
                else 'UPDATE'
            end as op,
            o.deleted_at as was_deleted_at,
            o.edited_at as was_edited_at
        from unnest(after) n
        full join unnest(before) o on o.id = n.id
        where o is distinct from n
    ) m
    join chat.threads t on t.id = m.thread_id
    left join chat.users u on u.id = m.sender_id
    cross join lateral (
        select m.id,
            m.uuid,
            m.thread_id,
            t.uuid as thread_uuid,
            m.seq,
            m.sender_id,
            u.uuid as sender_uuid,
            case when u.id is not null then jsonb_build_object(
                'username', u.username,
                'first_name', u.first_name,
                'last_name', u.last_name,
                'full_name', u.full_name,
                'role', u.role) end as sender,
            m.content,
            m.message_type,
            m.attachments,
            to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
            to_char(m.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
            to_char(m.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
    ) r
    order by m.seq, m.id;
exception when others then
    perform rowcast._failed('chat.messages', 'tell', sqlstate, sqlerrm);
end
$$;

comment on function chat.tell_messages(chat.messages[], chat.messages[]) is
    'For triggers of a team''s own tables: puts messages that came, changed or went on the topic of their thread.';

create or replace function chat.tell_members(before chat.members[], after chat.members[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, link, ring)
    select w.topic,
        'chat.members',
        m.op,
        jsonb_build_object('thread_id', m.thread_id, 'user_id', m.user_id),
        case m.op
            when 'INSERT' then r.record
            when 'UPDATE' then r.record || jsonb_build_object('read_count', c.covered)
        end,
        case m.op
            when 'DELETE' then r.record
            when 'UPDATE' then jsonb_build_object(
                'last_read_seq', m.was_read,
                'last_delivered_seq', m.was_delivered,
                'last_read_count', c.covered)
        end,
        w.link,
        row_number() over () = 1
    from (
        select (coalesce(n, o)).*,
            case
                when o.user_id is null then 'INSERT'
                when n.user_id is null then 'DELETE'
                else 'UPDATE'
            end as op,
            o.last_read_seq as was_read,
            o.last_delivered_seq as was_delivered
        from unnest(after) n
        full join unnest(before) o on o.thread_id = n.thread_id and o.user_id = n.user_id
        where (o.thread_id, o.last_read_seq, o.last_delivered_seq)
            is distinct from (n.thread_id, n.last_read_seq, n.last_delivered_seq)
    ) m
    cross join lateral (
        select chat._member_record(m.thread_id, m.user_id, m.last_read_seq, m.last_delivered_seq) as record
    ) r
    cross join lateral (
        select count(*) as covered
        from chat.messages x
        where x.thread_id = m.thread_id
            and x.seq > m.was_read
            and x.seq <= m.last_read_seq
            and x.sender_id is distinct from m.user_id
            and x.deleted_at is null
    ) c
    -- who comes or goes is told on their own topic as well, with what they hold from there on
    cross join lateral (
        select 'thread:' || m.thread_id as topic, null as link
        union all
        select 'user:' || m.user_id, case m.op when 'INSERT' then '+' else '-' end || 'thread:' || m.thread_id
        where m.op <> 'UPDATE'
    ) w;
exception when others then
    perform rowcast._failed('chat.members', 'tell', sqlstate, sqlerrm);
end
$$;

comment on function chat.tell_members(chat.members[], chat.members[]) is
    'For triggers of a team''s own tables: tells who came, went, read and received; live sockets follow at once.';

create or replace function chat.tell_users(before chat.users[], after chat.users[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'user:' || o.id,
        'chat.users',
        case when n.id is null then 'DELETE' else 'UPDATE' end,
        jsonb_build_object('id', o.id),
        case when n.id is not null then chat._user_record(n) end,
        chat._user_record(o),
        row_number() over (order by o.id) = 1
    from unnest(before) o
    left join unnest(after) n on n.id = o.id
    where (o.id, o.active, o.feed, o.status, o.last_seen_at, o.tokens_valid_after, o.role, o.full_name)
        is distinct from
        (n.id, n.active, n.feed, n.status, n.last_seen_at, n.tokens_valid_after, n.role, n.full_name)
    order by o.id;
exception when others then
    perform rowcast._failed('chat.users', 'tell', sqlstate, sqlerrm);
end
$$;

comment on function chat.tell_users(chat.users[], chat.users[]) is
    'For triggers of a team''s own tables: tells standing, presence and names that changed, and who is no more.';

create or replace function chat.tell_threads(before chat.threads[], after chat.threads[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'thread:' || n.id,
        'chat.threads',
        'UPDATE',
        jsonb_build_object('id', n.id),
        jsonb_build_object('id', n.id, 'uuid', n.uuid, 'kind', n.kind, 'name', n.name),
        jsonb_build_object('name', o.name),
        row_number() over (order by n.id) = 1
    from unnest(before) o
    join unnest(after) n on n.id = o.id
    where n.name is distinct from o.name
    order by n.id;
exception when others then
    perform rowcast._failed('chat.threads', 'tell', sqlstate, sqlerrm);
end
$$;

comment on function chat.tell_threads(chat.threads[], chat.threads[]) is
    'For triggers of a team''s own tables: tells a thread its new name.';
