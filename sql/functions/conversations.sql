-- The `conversations` dialect: lists and pages with camelCase keys, sending, reading, and counts for live connections.

-- Whether a message is read depends on who looks: one's own when all others have read it, another's when oneself has.
-- So the view has the watermarks' place, and the functions fill it in.
-- `line` is text, as in chat.native_messages, and ends where that comes.
create or replace view chat.conversation_messages as
select m.id,
    m.thread_id,
    m.seq,
    m.sender_id,
    m.created_at,
    (l.line || 'false}')::jsonb as body,
    l.line
from chat.messages m
cross join lateral (
    select '","conversationId":"' || x.uuid || '","senderId":' as part
    from chat.threads x
    where x.id = m.thread_id
    offset 0
) t
left join lateral (
    select '"' || x.uuid || '"' as id
    from chat.users x
    where x.id = m.sender_id
    offset 0
) u on true
cross join lateral (
    select '{"id":"' || m.uuid || t.part || coalesce(u.id, 'null')
        || ',"content":' || to_json(m.content)::text
        || ',"messageType":' || to_json(m.message_type)::text
        || ',"createdAt":"' || to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","isRead":' as line
) l
where m.deleted_at is null;

comment on view chat.conversation_messages is
    'Messages that are not deleted, each as the JSON of the conversations dialect: `body` unread, `line` up to whether it is read.';

create or replace view chat.conversation_watermarks as
select m.user_id,
    m.thread_id,
    m.last_read_seq as mine,
    (select min(o.last_read_seq)
        from chat.members o
        where o.thread_id = m.thread_id
            and o.user_id <> m.user_id) as others
from chat.members m;

comment on view chat.conversation_watermarks is
    'For each membership how far its user has read, and how far all others have.';

create or replace function chat._conversation_of(reader bigint, conversation text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    thread bigint := chat.thread(conversation);
begin
    if not chat.member_of(reader, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    return thread;
end
$$;

comment on function chat._conversation_of(bigint, text) is
    'The thread of a uuid or integer id that the reader is in; RC403 for any other, there or not.';

create or replace function chat.conversations(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(jsonb_agg(
            jsonb_build_object(
                'id', t.uuid,
                'kind', t.kind,
                'name', t.name,
                'participants', p.participants,
                'lastMessage', l.body,
                'unreadCount', n.unread,
                'updatedAt', to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
            order by t.updated_at desc, t.id desc), '[]')
        from chat.members m
        join chat.threads t on t.id = m.thread_id
        join chat.unread_counts n on n.user_id = m.user_id and n.thread_id = m.thread_id
        join chat.conversation_watermarks w on w.user_id = m.user_id and w.thread_id = m.thread_id
        left join lateral (
            select v.body || jsonb_build_object('isRead', case v.sender_id
                when reader then coalesce(w.others >= v.seq, false)
                else w.mine >= v.seq end) as body
            from chat.conversation_messages v
            where v.thread_id = t.id
            order by v.seq desc
            limit 1
        ) l on true
        cross join lateral (
            select jsonb_agg(
                jsonb_build_object('id', u.uuid, 'username', u.username, 'fullName', u.full_name, 'role', u.role)
                order by u.id) as participants
            from chat.members o
            join chat.users u on u.id = o.user_id
            where o.thread_id = t.id
        ) p
        where m.user_id = reader);
end
$$;

comment on function chat.conversations(bigint) is
    'The conversations of a user, newest activity first, each with its last message, participants and unread count.';

create or replace function chat.conversation(reader bigint, thread bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'conversationId', t.uuid,
            'lastMessage', l.body,
            'updatedAt', to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'unreadCount', n.unread)
        from chat.threads t
        join chat.unread_counts n on n.user_id = reader and n.thread_id = t.id
        join chat.conversation_watermarks w on w.user_id = reader and w.thread_id = t.id
        left join lateral (
            select v.body || jsonb_build_object('isRead', case v.sender_id
                when reader then coalesce(w.others >= v.seq, false)
                else w.mine >= v.seq end) as body
            from chat.conversation_messages v
            where v.thread_id = t.id
            order by v.seq desc
            limit 1
        ) l on true
        where t.id = thread);
end
$$;

comment on function chat.conversation(bigint, bigint) is
    'One conversation as conversation:updated tells of it; null for a thread that the reader is not in.';

create or replace function chat.conversation_counts(
    reader bigint,
    out threads bigint[],
    out counts bigint[],
    out marks bigint[],
    out snapshot pg_snapshot)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    select coalesce(array_agg(n.thread_id order by n.thread_id), '{}'),
        coalesce(array_agg(n.unread order by n.thread_id), '{}'),
        coalesce(array_agg(m.last_read_seq order by n.thread_id), '{}'),
        pg_current_snapshot()
    into threads, counts, marks, snapshot
    from chat.unread_counts n
    join chat.members m on m.user_id = n.user_id and m.thread_id = n.thread_id
    where n.user_id = reader;
end
$$;

comment on function chat.conversation_counts(bigint) is
    'What is unread in each thread of a user, as of `snapshot`: a connection counts on from there by itself.';

-- By a generic plan: all that is asked goes by keys, and planning each page anew took a third of it.
create or replace function chat.conversation_page(
    reader bigint,
    conversation text,
    before text,
    since timestamptz,
    max int)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    page int := least(greatest(coalesce(max, 50), 1), 200);
    thread bigint := chat._conversation_of(reader, conversation);
    lower_seq bigint;
    upper_seq bigint := 9223372036854775807;
    mark chat.conversation_watermarks;
    lines text;
begin
    if before is not null then
        select m.seq
        into upper_seq
        from chat.messages m
        where m.id = chat.message(before)
            and m.thread_id = thread;
        if not found then
            raise exception 'before: no such message in this conversation' using errcode = 'RC404';
        end if;
    end if;

    select w.*
    into mark
    from chat.conversation_watermarks w
    where w.thread_id = thread
        and w.user_id = reader;
    if not found then
        return '[]';
    end if;

    if since is not null then
        -- the last one's time is where the next page begins
        select string_agg(p.line, ',')
        into lines
        from (
            select v.line || (case when v.sender_id = reader then mark.others else mark.mine end >= v.seq is true) || '}' as line
            from chat.conversation_messages v
            where v.id = any ((select s.ids from chat._messages_since(thread, since, page) s)::bigint[])
                and v.seq < upper_seq
            order by v.created_at, v.seq
        ) p;
    else
        -- the first one beyond the page bounds it
        select m.seq
        into lower_seq
        from chat.messages m
        where m.thread_id = thread
            and m.seq < upper_seq
            and m.deleted_at is null
        order by m.seq desc
        offset page
        limit 1;

        select string_agg(p.line, ',')
        into lines
        from (
            select v.line || (case when v.sender_id = reader then mark.others else mark.mine end >= v.seq is true) || '}' as line
            from chat.conversation_messages v
            where v.thread_id = thread
                and v.seq > coalesce(lower_seq, 0)
                and v.seq < upper_seq
            order by v.seq
        ) p;
    end if;
    return '[' || coalesce(lines, '') || ']';
end
$$;

comment on function chat.conversation_page(bigint, text, text, timestamptz, int) is
    'A page of a conversation, ascending: the newest, those before a message, or those since a time (never skips).';

create or replace function chat.conversation_send(
    sender bigint,
    conversation text,
    content text,
    message_type text)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    thread bigint := chat._conversation_of(sender, conversation);
    sent bigint;
begin
    if content is null or content = '' then
        raise exception 'content must not be empty' using errcode = 'RC400';
    end if;

    insert into chat.messages as m (thread_id, sender_id, content, message_type)
    values (thread, sender, conversation_send.content, coalesce(conversation_send.message_type, 'text'))
    returning m.id
    into sent;

    return (select v.body from chat.conversation_messages v where v.id = sent);
end
$$;

comment on function chat.conversation_send(bigint, text, text, text) is
    'Adds a message of a member and returns it in the dialect''s form; RC403 for anyone else.';

create or replace function chat.conversation_read(reader bigint, conversation text, upto text)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    thread bigint := chat._conversation_of(reader, conversation);
    last bigint;
begin
    if upto is not null then
        last := chat.message_of(thread, upto);
        if last is null then
            raise exception 'No such message in this conversation' using errcode = 'RC404';
        end if;
    end if;
    return jsonb_build_object('success', true, 'markedCount', chat.mark_read(reader, thread, last) -> 'marked_count');
end
$$;

comment on function chat.conversation_read(bigint, text, text) is
    'Marks a conversation as read, all of it or up to a message: {"success", "markedCount"}.';
