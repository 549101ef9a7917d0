-- Capture of memberships: who joined, left, read and received.
--
-- A membership is on two topics: the thread tells those in it, the user row tells the user's own sockets, with
-- a `link` that says which topic they hold from here on, or no longer.

create or replace function chat._capture_members()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        -- the reader's other devices hold the thread too: one row is enough
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select 'thread:' || n.thread_id,
            'chat.members',
            'UPDATE',
            jsonb_build_object('thread_id', n.thread_id, 'user_id', n.user_id),
            chat._member_record(n.thread_id, n.user_id, n.last_read_seq, n.last_delivered_seq)
                || jsonb_build_object('read_count', c.covered),
            jsonb_build_object(
                'last_read_seq', o.last_read_seq,
                'last_delivered_seq', o.last_delivered_seq,
                'last_read_count', c.covered),
            row_number() over () = 1
        from new_rows n
        full join old_rows o
            on o.thread_id = n.thread_id
            and o.user_id = n.user_id
        cross join lateral (
            select count(*) as covered
            from chat.messages m
            where m.thread_id = n.thread_id
                and m.seq > o.last_read_seq
                and m.seq <= n.last_read_seq
                and m.sender_id is distinct from n.user_id
                and m.deleted_at is null
        ) c
        where (o.last_read_seq, o.last_delivered_seq) is distinct from (n.last_read_seq, n.last_delivered_seq);

    elsif tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, link, ring)
        select w.topic,
            'chat.members',
            'INSERT',
            jsonb_build_object('thread_id', n.thread_id, 'user_id', n.user_id),
            chat._member_record(n.thread_id, n.user_id, n.last_read_seq, n.last_delivered_seq),
            w.link,
            row_number() over () = 1
        from new_rows n
        cross join lateral (
            values ('thread:' || n.thread_id, null), ('user:' || n.user_id, '+thread:' || n.thread_id)
        ) w (topic, link);

    else
        insert into rowcast.changes (topic, relation, op, key, old_record, link, ring)
        select w.topic,
            'chat.members',
            'DELETE',
            jsonb_build_object('thread_id', o.thread_id, 'user_id', o.user_id),
            chat._member_record(o.thread_id, o.user_id, o.last_read_seq, o.last_delivered_seq),
            w.link,
            row_number() over () = 1
        from old_rows o
        cross join lateral (
            values ('thread:' || o.thread_id, null), ('user:' || o.user_id, '-thread:' || o.thread_id)
        ) w (topic, link);
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.members', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function chat._capture_members() is
    'Puts joining, leaving and reading on the thread; joining and leaving on the user as well, with a link.';

create or replace function chat._member_record(
    thread bigint,
    member bigint,
    read_seq bigint,
    delivered_seq bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'thread_id', thread,
            'thread_uuid', (select t.uuid from chat.threads t where t.id = thread),
            'user_id', member,
            'user_uuid', (select u.uuid from chat.users u where u.id = member),
            'last_read_seq', read_seq,
            'last_read_message_id', r.id,
            'last_read_message_uuid', r.uuid,
            'last_delivered_seq', delivered_seq,
            'last_delivered_message_id', d.id,
            'last_delivered_message_uuid', d.uuid,
            'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        from (values (1)) one
        left join lateral (
            select m.id, m.uuid
            from chat.messages m
            where m.thread_id = thread
                and m.seq <= read_seq
            order by m.seq desc
            limit 1
        ) r on true
        left join lateral (
            select m.id, m.uuid
            from chat.messages m
            where m.thread_id = thread
                and m.seq <= delivered_seq
            order by m.seq desc
            limit 1
        ) d on true);
end
$$;

comment on function chat._member_record(bigint, bigint, bigint, bigint) is
    'The log record of a membership: who, where, and the messages its watermarks stand on.';
