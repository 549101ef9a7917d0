-- The `direct` dialect: messages between two people, paid in credits.
--
-- A direct thread is the one that chat.direct_thread() makes. Somebody who is blocked, deactivated or oneself is refused
-- with the same words as nobody at all.

create or replace function chat._direct_peer(caller bigint, partner text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    peer chat.users;
begin
    select u.*
    into peer
    from chat.users u
    where u.id = chat."user"(partner);

    if not found then
        raise exception 'Access denied' using errcode = 'RC404';
    end if;
    if peer.id = caller or not peer.active or exists (
        select
        from chat.blocks b
        where (b.blocker_id, b.blocked_id) in ((caller, peer.id), (peer.id, caller)))
    then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;
    return peer.id;
end
$$;

comment on function chat._direct_peer(bigint, text) is
    'The user whom the caller may write to; RC404 for nobody, RC403 for oneself, the deactivated and the blocked.';

create or replace function chat._direct_with(caller bigint, partner text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    peer bigint := chat."user"(partner);
    opened bigint;
begin
    if peer is null then
        raise exception 'Access denied' using errcode = 'RC404';
    end if;
    if peer = caller then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;

    select t.id
    into opened
    from chat.threads t
    where t.direct_key = least(caller, peer) || ':' || greatest(caller, peer);
    if found and not chat.member_of(caller, opened) then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;
    return opened;
end
$$;

comment on function chat._direct_with(bigint, text) is
    'The direct thread with somebody, null when there is none yet; what was said can be read whatever happened since.';

-- Who a message is for follows from the thread's key; who has read it, from the receiver's watermark.
-- `line` is text, as in chat.native_messages.
create or replace view chat.direct_messages as
select m.id,
    m.thread_id,
    m.seq,
    m.created_at,
    l.line::jsonb as body,
    l.line
from chat.messages m
join lateral (
    select split_part(x.direct_key, ':', 1)::bigint as one,
        split_part(x.direct_key, ':', 2)::bigint as two
    from chat.threads x
    where x.id = m.thread_id
        and x.direct_key is not null
    offset 0
) t on true
left join lateral (
    select ',"sender_id":"' || x.uuid || '"' as part
    from chat.users x
    where x.id = m.sender_id
    offset 0
) s on true
left join lateral (
    select ',"receiver_id":"' || x.uuid || '"' as part,
        w.last_read_seq
    from chat.users x
    left join chat.members w on w.thread_id = m.thread_id and w.user_id = x.id
    where x.id = case m.sender_id when t.one then t.two when t.two then t.one end
    offset 0
) r on true
cross join lateral (
    select '{"id":"' || m.uuid || '"'
        || coalesce(s.part, ',"sender_id":null')
        || coalesce(r.part, ',"receiver_id":null')
        || ',"content":' || to_json(m.content)::text
        || case when r.last_read_seq >= m.seq then ',"is_read":true' else ',"is_read":false' end
        || ',"created_at":"' || to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '"}' as line
) l
where m.deleted_at is null;

comment on view chat.direct_messages is
    'Messages of direct threads that are not deleted, each as the JSON of the direct dialect: `line` as text, `body` as jsonb.';

create or replace function chat.direct_view(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'threads', coalesce((
                select jsonb_agg(jsonb_build_object('thread', t.id, 'id', u.id, 'uuid', u.uuid))
                from chat.members m
                join chat.threads t on t.id = m.thread_id and t.direct_key is not null
                join chat.users u
                    on u.id <> reader
                    and u.id in (split_part(t.direct_key, ':', 1)::bigint, split_part(t.direct_key, ':', 2)::bigint)
                where m.user_id = reader
                    -- whom SQL put in beside the two sees the thread in the other dialects only
                    and reader::text in (split_part(t.direct_key, ':', 1), split_part(t.direct_key, ':', 2))), '[]'),
            'refused', coalesce((
                select jsonb_agg(case b.blocker_id when reader then b.blocked_id else b.blocker_id end)
                from chat.blocks b
                where reader in (b.blocker_id, b.blocked_id)), '[]')));
end
$$;

comment on function chat.direct_view(bigint) is
    'What a connection has to know: whose direct thread is which, and who has blocked or is blocked.';

create or replace function chat.direct_open(
    caller bigint,
    partner text,
    out thread_id bigint,
    out thread_uuid uuid,
    out partner_id bigint,
    out partner_uuid uuid,
    out made_by xid8)
returns record
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    partner_id := chat._direct_peer(caller, partner);
    thread_id := chat.direct_thread(caller, partner_id);
    select t.uuid into thread_uuid from chat.threads t where t.id = thread_id;
    select u.uuid into partner_uuid from chat.users u where u.id = partner_id;
    made_by := pg_current_xact_id_if_assigned();
end
$$;

comment on function chat.direct_open(bigint, text) is
    'The direct thread with somebody who may be written to, made when there is none yet: then `made_by` says in which transaction.';

create or replace function chat.direct_send(sender bigint, receiver text, content text, price bigint)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    peer bigint := chat._direct_peer(sender, receiver);
    sent bigint;
begin
    if content is null or content = '' then
        raise exception 'content must not be empty' using errcode = 'RC400';
    end if;

    -- a balance never goes below zero, however many devices send at once: the row is locked until commit
    update chat.users u
    set credits = u.credits - price
    where u.id = sender
        and u.credits >= price
        and price > 0;
    if not found and price > 0
        and (select u.credits from chat.users u where u.id = sender) is not null
    then
        raise exception 'Insufficient credits' using errcode = 'RC402';
    end if;

    insert into chat.messages as m (thread_id, sender_id, content)
    values (chat.direct_thread(sender, peer), sender, direct_send.content)
    returning m.id
    into sent;

    return (
        select jsonb_build_object('message_id', v.body -> 'id', 'message', v.body)
        from chat.direct_messages v
        where v.id = sent);
end
$$;

comment on function chat.direct_send(bigint, text, text, bigint) is
    'Writes to somebody and takes the price in the same transaction; RC402 when it is too much, and nothing is written.';

create or replace function chat.direct_read(reader bigint, partner text)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    thread bigint := chat._direct_with(reader, partner);
begin
    if thread is null then
        return jsonb_build_object('success', true, 'marked_read', 0);
    end if;
    return jsonb_build_object(
        'success', true,
        'marked_read', chat.mark_read(reader, thread) -> 'marked_count');
end
$$;

comment on function chat.direct_read(bigint, text) is
    'Marks all that somebody wrote to the reader as read: {"success", "marked_read"}.';

create or replace function chat.direct_delivered(reader bigint, message text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    arrived chat.messages;
begin
    select m.*
    into arrived
    from chat.messages m
    where m.id = chat.message(message)
        and m.sender_id is distinct from reader
        and chat.member_of(reader, m.thread_id);
    if not found then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;
    perform chat.mark_delivered(reader, arrived.thread_id, arrived.id);
end
$$;

comment on function chat.direct_delivered(bigint, text) is
    'Notes that somebody else''s message has reached a device of the reader.';

-- By a generic plan: all that is asked goes by keys, and planning each page anew took a third of it.
create or replace function chat.direct_history(
    reader bigint,
    partner text,
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
    thread bigint := chat._direct_with(reader, partner);
    upper_seq bigint := 9223372036854775807;
    lower_seq bigint;
    page_ids bigint[];
    more boolean;
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

    if since is not null then
        select s.ids, s.more
        into page_ids, more
        from chat._messages_since(thread, since, page) s;

        -- the last one's time is where the next page begins
        select string_agg(p.line, ',')
        into lines
        from (
            select v.line
            from chat.direct_messages v
            where v.id = any (page_ids)
                and v.seq < upper_seq
            order by v.created_at, v.seq
        ) p;
    else
        -- the first one beyond the page tells of more, and bounds it
        select m.seq
        into lower_seq
        from chat.messages m
        where m.thread_id = thread
            and m.seq < upper_seq
            and m.deleted_at is null
        order by m.seq desc
        offset page
        limit 1;
        more := found;

        select string_agg(p.line, ',')
        into lines
        from (
            select v.line
            from chat.direct_messages v
            where v.thread_id = thread
                and v.seq > coalesce(lower_seq, 0)
                and v.seq < upper_seq
            order by v.seq
        ) p;
    end if;
    return '{"messages":[' || coalesce(lines, '') || '],"has_more":' || more || '}';
end
$$;

comment on function chat.direct_history(bigint, text, text, timestamptz, int) is
    'A page of what two people said, ascending: the newest, those before a message, or those since a time (never skips).';

create or replace function chat.direct_conversations(reader bigint)
returns table (partner_id bigint, body jsonb)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select u.id,
        jsonb_build_object(
            'room_id', t.uuid,
            'user', chat._profile(u),
            'last_message', l.body,
            'unread_count', n.unread,
            'updated_at', to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    from chat.members m
    join chat.threads t on t.id = m.thread_id and t.direct_key is not null
    join chat.users u
        on u.id <> reader
        and u.id in (split_part(t.direct_key, ':', 1)::bigint, split_part(t.direct_key, ':', 2)::bigint)
    join chat.unread_counts n on n.user_id = m.user_id and n.thread_id = m.thread_id
    left join lateral (
        select v.body
        from chat.direct_messages v
        where v.thread_id = t.id
        order by v.seq desc
        limit 1
    ) l on true
    where m.user_id = reader
        and reader::text in (split_part(t.direct_key, ':', 1), split_part(t.direct_key, ':', 2))
    order by t.updated_at desc, t.id desc;
end
$$;

comment on function chat.direct_conversations(bigint) is
    'The direct threads of a user, newest activity first, each with the partner''s id for the bridge to add who is online.';
