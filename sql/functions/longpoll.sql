-- The long-polling dialect (guide 000): each function returns the `result` of an answer, ready to send.
--
-- A message is new to a poll when its number in the thread is higher than that of the last one the client has.
-- Numbers are given under the thread's row lock, hence in commit order: nothing is ever skipped, and a message id
-- out of order (two transactions at once) does not matter.

create or replace function chat._seq_of(thread bigint, message bigint)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(
            (select m.seq from chat.messages m where m.id = message and m.thread_id = thread),
            -- its row is gone: the log remembers
            (select (c.old_record ->> 'seq')::bigint
                from rowcast.changes c
                where c.topic = 'thread:' || thread
                    and c.relation = 'chat.messages'
                    and c.op = 'DELETE'
                    and c.key = jsonb_build_object('id', message)
                limit 1),
            -- never known here: before the first one with a higher id
            (select min(m.seq) - 1 from chat.messages m where m.thread_id = thread and m.id > message),
            (select t.last_seq from chat.threads t where t.id = thread)));
end
$$;

comment on function chat._seq_of(bigint, bigint) is
    'The number in its thread of the last message that a client has, from the message''s id.';

create or replace function chat._longpoll_thread_name(thread bigint, reader bigint)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(
            nullif(t.name, ''),
            (select string_agg(o.full_name, ', ' order by o.id)
                from (
                    select u.id, u.full_name
                    from chat.members m
                    join chat.users u on u.id = m.user_id
                    where m.thread_id = t.id
                        and m.user_id <> reader
                    order by u.id
                    limit 5
                ) o),
            'Thread ' || t.id)
        from chat.threads t
        where t.id = thread);
end
$$;

comment on function chat._longpoll_thread_name(bigint, bigint) is
    'A thread''s name as a member sees it: its own, else the others'' names.';

-- By a generic plan: all goes by keys, and planning for each list of numbers took longer than reading them.
create or replace function chat._longpoll_messages(reader bigint, thread bigint, seqs bigint[])
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
    return (
        select coalesce(json_agg(l), '[]')
        from (
            select m.id,
                m.sender_id as author_id,
                coalesce(u.full_name, 'System') as author_name,
                m.content as body,
                m.message_type,
                m.seq <= case when m.sender_id = reader then r.others else r.own end as is_read,
                to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as created_date,
                m.attachments
            from chat.messages m
            left join chat.users u on u.id = m.sender_id
            cross join (
                select
                    coalesce(max(o.last_read_seq) filter (where o.user_id = reader), 0) as own,
                    coalesce(min(o.last_read_seq) filter (where o.user_id <> reader), 9223372036854775807) as others
                from chat.members o
                where o.thread_id = thread
            ) r
            where m.thread_id = thread
                and m.seq = any (seqs)
            order by m.seq
        ) l);
end
$$;

comment on function chat._longpoll_messages(bigint, bigint, bigint[]) is
    'Messages of a thread by their numbers, as a member sees them.';

-- By a generic plan: all that is asked goes by keys, and planning each page anew took a third of it.
create or replace function chat.longpoll_messages(
    reader bigint,
    thread bigint,
    last_message bigint,
    after_seq bigint,
    max int)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    beyond bigint := after_seq;
    seqs bigint[];
begin
    if not chat.member_of(reader, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    if beyond is null then
        beyond := case when coalesce(last_message, 0) > 0 then chat._seq_of(thread, last_message) else 0 end;
    end if;

    -- one more than asked for tells of more
    seqs := array(
        select m.seq
        from chat.messages m
        where m.thread_id = thread
            and m.seq > beyond
            and m.deleted_at is null
        order by m.seq
        limit max + 1);

    return json_build_object(
        'seq', beyond,
        'count', least(cardinality(seqs), max),
        'answer', json_build_object(
            'has_new', cardinality(seqs) > 0,
            'count', least(cardinality(seqs), max),
            'messages', chat._longpoll_messages(reader, thread, seqs[1:max]),
            'has_more', cardinality(seqs) > max));
end
$$;

comment on function chat.longpoll_messages(bigint, bigint, bigint, bigint, int) is
    'A thread''s messages after one, ascending, and the number that the wait for more goes on from.';

create or replace function chat.longpoll_send(sender bigint, thread bigint, content text)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    sent bigint;
    nth bigint;
begin
    if not chat.member_of(sender, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;

    insert into chat.messages as m (thread_id, sender_id, content)
    values (longpoll_send.thread, longpoll_send.sender, longpoll_send.content)
    returning m.id, m.seq
    into sent, nth;

    return jsonb_build_object(
        'success', true,
        'message_id', sent,
        'message', chat._longpoll_messages(sender, thread, array[nth]) -> 0);
end
$$;

comment on function chat.longpoll_send(bigint, bigint, text) is
    'Adds a message of a member; RC403 for anyone else.';

create or replace function chat.longpoll_threads(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'threads',
            coalesce(jsonb_agg(
                jsonb_build_object(
                    'thread_id', t.id,
                    'thread_name', chat._longpoll_thread_name(t.id, reader),
                    'thread_type', t.kind,
                    'unread_count', n.unread,
                    'last_message_id', l.id,
                    'last_message', l.content,
                    'last_message_date', to_char(l.created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                    'partners', p.partners)
                order by t.updated_at desc, t.id desc), '[]'))
        from chat.members m
        join chat.threads t on t.id = m.thread_id
        join chat.unread_counts n on n.user_id = m.user_id and n.thread_id = m.thread_id
        left join lateral (
            select x.id, x.content, x.created_at
            from chat.messages x
            where x.thread_id = t.id
                and x.deleted_at is null
            order by x.seq desc
            limit 1
        ) l on true
        cross join lateral (
            select jsonb_agg(jsonb_build_object('partner_id', u.id, 'name', u.full_name) order by u.id) as partners
            from chat.members o
            join chat.users u on u.id = o.user_id
            where o.thread_id = t.id
        ) p
        where m.user_id = reader);
end
$$;

comment on function chat.longpoll_threads(bigint) is
    'The threads of a user, newest activity first, each with its members, last message and unread count.';

create or replace function chat.longpoll_count(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'total_count', coalesce(sum(n.unread), 0),
            'by_type', jsonb_build_object(
                'chat', coalesce(sum(n.unread) filter (where t.kind = 'chat'), 0),
                'group', coalesce(sum(n.unread) filter (where t.kind = 'group'), 0),
                'sms', coalesce(sum(n.unread) filter (where t.kind = 'sms'), 0)))
        from chat.unread_counts n
        join chat.threads t on t.id = n.thread_id
        where n.user_id = reader);
end
$$;

comment on function chat.longpoll_count(bigint) is
    'Unread messages of a user, in all and by kind of thread.';

create or replace function chat.longpoll_read(reader bigint, thread bigint)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    marked bigint := 0;
    one bigint;
begin
    if thread is not null then
        marked := (chat.mark_read(reader, thread) ->> 'marked_count')::bigint;
    else
        -- always in the same order: two devices at it at once must not wait for each other
        for one in
            select n.thread_id
            from chat.unread_counts n
            where n.user_id = reader
                and n.unread > 0
            order by n.thread_id
        loop
            marked := marked + (chat.mark_read(reader, one) ->> 'marked_count')::bigint;
        end loop;
    end if;
    return jsonb_build_object('success', true, 'marked_count', marked);
end
$$;

comment on function chat.longpoll_read(bigint, bigint) is
    'Marks a thread as read, or all threads of the reader (null); how many messages that covered.';

create or replace function chat.longpoll_typing(reader bigint, thread bigint, typists bigint[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not chat.member_of(reader, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    return (
        select jsonb_build_object(
            'thread_id', thread,
            'typing_users', coalesce(
                jsonb_agg(jsonb_build_object('partner_id', u.id, 'name', u.full_name) order by t.nth), '[]'))
        from unnest(typists) with ordinality t (id, nth)
        join chat.users u on u.id = t.id
        where u.id <> reader);
end
$$;

comment on function chat.longpoll_typing(bigint, bigint, bigint[]) is
    'Names who types in a thread, in the order given, without the reader.';

create or replace function chat.longpoll_presence(
    reader bigint,
    partners bigint[],
    here bigint[],
    shown text[],
    idle double precision[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'presence',
            coalesce(jsonb_agg(
                jsonb_build_object(
                    'partner_id', u.id,
                    'name', u.full_name,
                    'status', s.status,
                    'last_seen', to_char(
                        case
                            when s.status = 'offline' then u.last_seen_at
                            else now() - make_interval(secs => a.idle)
                        end at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
                order by p.nth), '[]'))
        from (
            select q.id, min(q.nth) as nth
            from unnest(partners) with ordinality q (id, nth)
            group by q.id
        ) p
        join chat.users u on u.id = p.id
        left join unnest(here, shown, idle) a (id, shown, idle) on a.id = u.id
        cross join lateral (
            select case
                when a.id is null or not u.active then 'offline'
                else coalesce(a.shown, u.status, 'online')
            end as status
        ) s
        where u.id = reader
            or exists (
                select
                from chat.members mine
                join chat.members theirs on theirs.thread_id = mine.thread_id
                where mine.user_id = reader
                    and theirs.user_id = u.id));
end
$$;

comment on function chat.longpoll_presence(bigint, bigint[], bigint[], text[], double precision[]) is
    'Presence of users who share a thread with the reader; others are left out. `here`: known to be here, with what they show (null: what they said) and for how long they have been silent.';
