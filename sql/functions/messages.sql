-- Messages: numbering, the shape clients get, sending, history.

create or replace function chat._number_message()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The row lock is held until commit: numbers are in commit order. `last_seq` knows all earlier statements,
    -- the table the earlier rows of this one; a row that ON CONFLICT skips leaves no gap.
    select greatest(t.last_seq, (
            select m.seq
            from chat.messages m
            where m.thread_id = new.thread_id
            order by m.seq desc
            limit 1)) + 1
    into new.seq
    from chat.threads t
    where t.id = new.thread_id
    for no key update;

    if not found then
        raise exception 'Unknown thread %', new.thread_id
            using errcode = 'foreign_key_violation';
    end if;
    return new;
end
$$;

comment on function chat._number_message() is
    'Gives a message the next number of its thread.';

create or replace function chat._count_messages()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Once per statement and thread: a row updated a thousand times in a transaction gets slow to find. By the
    -- key, not by a join: the plan is kept, and was made for as many rows as the session's first insert had.
    update chat.threads t
    set last_seq = greatest(t.last_seq, (
            select m.seq
            from chat.messages m
            where m.thread_id = t.id
            order by m.seq desc
            limit 1)),
        updated_at = now()
    where t.id = any (array(select r.thread_id from new_rows r));
    return null;
end
$$;

comment on function chat._count_messages() is
    'Notes the newest number of each thread a statement wrote to.';

create or replace function chat._edit_message()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if (new.thread_id, new.seq, new.id, new.uuid) is distinct from (old.thread_id, old.seq, old.id, old.uuid) then
        raise exception 'A message keeps its thread, number and ids'
            using errcode = 'RC409';
    end if;
    if new.content is distinct from old.content and new.edited_at is not distinct from old.edited_at then
        new.edited_at := now();
    end if;
    return new;
end
$$;

comment on function chat._edit_message() is
    'Stamps an edit, and keeps a message where it is: its number is its place.';

create or replace function chat._note_gaps()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- below a thread's oldest message nobody counts, and a thread that is going takes its gaps along
    insert into chat.gaps (thread_id, seq)
    select o.thread_id, o.seq
    from old_rows o
    join chat.threads t on t.id = o.thread_id
    where o.seq > (
        select m.seq
        from chat.messages m
        where m.thread_id = o.thread_id
        order by m.seq
        limit 1)
    on conflict do nothing;
    return null;
exception when others then
    perform rowcast._failed('chat.gaps', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function chat._note_gaps() is
    'Remembers the numbers of deleted rows, for the unread counts.';

-- The one home of the native shape. A view, because a function with a pinned search_path is called row by row
-- and a view is planned into its query; text put together by hand, because building jsonb costs three times as
-- much; the sub-selects with `offset 0` so that their text is made once per thread and sender (memoized).
create or replace view chat.native_messages as
select m.id,
    m.thread_id,
    m.seq,
    m.sender_id,
    m.created_at,
    l.line,
    l.line::jsonb as body
from chat.messages m
cross join lateral (
    select '","thread_id":"' || x.uuid || '","sender_id":' as part
    from chat.threads x
    where x.id = m.thread_id
    offset 0
) t
left join lateral (
    select '"' || x.uuid || '"' as id,
        json_build_object('full_name', x.full_name, 'role', x.role)::text as sender
    from chat.users x
    where x.id = m.sender_id
    offset 0
) u on true
cross join lateral (
    select '{"id":"' || m.uuid || t.part || coalesce(u.id, 'null')
        || ',"content":' || to_json(m.content)::text
        || case m.message_type
            when 'text' then ',"message_type":"text","created_at":"'
            else ',"message_type":' || to_json(m.message_type)::text || ',"created_at":"'
        end
        || to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","sender":' || coalesce(u.sender, 'null')
        || case
            when m.edited_at is null then ''
            else ',"edited_at":"'
                || to_char(m.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'
        end
        || case
            when m.attachments = '[]' then '}'
            else ',"attachments":' || m.attachments::text || '}'
        end as line
) l
where m.deleted_at is null;

comment on view chat.native_messages is
    'Messages that are not deleted, each as the JSON of the native dialect: `line` as text, `body` as jsonb.';

-- In PL/pgSQL for its plan to be kept.
create or replace function chat.message(ref text)
returns bigint
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select m.id from chat.messages m where m.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select m.id from chat.messages m where m.uuid = ref::uuid);
    end if;
    return null;
end
$$;

comment on function chat.message(text) is
    'The message of a uuid or integer id; null when there is none or the text is neither.';

create or replace function chat.message_of(thread bigint, ref text)
returns bigint
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select m.id
        from chat.messages m
        where m.id = chat.message(ref)
            and m.thread_id = thread);
end
$$;

comment on function chat.message_of(bigint, text) is
    'The same, of one thread: a message of another is as one that is not there.';

-- as it was before a message could be given an id
drop function if exists chat.send(bigint, bigint, text, text, jsonb);

create or replace function chat.send(
    sender bigint,
    thread bigint,
    content text,
    message_type text,
    attachments jsonb,
    public_id uuid default null)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    sent bigint;
begin
    if not chat.member_of(sender, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    if content is null or content = '' then
        raise exception 'content must not be empty' using errcode = 'RC400';
    end if;
    if jsonb_typeof(attachments) not in ('array', 'null') then
        raise exception 'attachments must be a list' using errcode = 'RC400';
    end if;

    insert into chat.messages as m (uuid, thread_id, sender_id, content, message_type, attachments)
    values (
        coalesce(send.public_id, gen_random_uuid()),
        send.thread,
        send.sender,
        send.content,
        coalesce(send.message_type, 'text'),
        coalesce(nullif(send.attachments, 'null'), '[]'))
    on conflict (uuid) do nothing
    returning m.id
    into sent;

    if sent is null then
        -- sent again by who does not know whether it arrived
        select m.id
        into sent
        from chat.messages m
        where m.uuid = send.public_id
            and m.thread_id = send.thread
            and m.sender_id = send.sender
            and m.deleted_at is null;
        if not found then
            raise exception 'id is that of another message, or of a deleted one' using errcode = 'RC400';
        end if;
    end if;

    return (select v.body from chat.native_messages v where v.id = sent);
end
$$;

comment on function chat.send(bigint, bigint, text, text, jsonb, uuid) is
    'Adds a message of a member and returns it in native form; RC403 for anyone else. With an id of the sender''s choice it is added once, however often it is sent.';

create or replace function chat.history_page(
    reader bigint,
    thread bigint,
    before bigint,
    after bigint,
    max int)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    page int := least(greatest(coalesce(max, 50), 1), 5000);
    lower_seq bigint := 0;
    upper_seq bigint := 9223372036854775807;
    beyond bigint;
begin
    if not chat.member_of(reader, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;

    if before is not null then
        select m.seq into upper_seq from chat.messages m where m.id = before and m.thread_id = thread;
        if not found then
            raise exception 'before: no such message in this thread' using errcode = 'RC404';
        end if;
    end if;
    if after is not null then
        select m.seq into lower_seq from chat.messages m where m.id = after and m.thread_id = thread;
        if not found then
            raise exception 'after: no such message in this thread' using errcode = 'RC404';
        end if;
    end if;

    -- the first one beyond the page tells of more, and bounds it; towards the newest after `after`, else away from it
    if after is not null and before is null then
        select m.seq
        into beyond
        from chat.messages m
        where m.thread_id = thread
            and m.seq > lower_seq
            and m.deleted_at is null
        order by m.seq
        offset page
        limit 1;
        upper_seq := coalesce(beyond, upper_seq);
    else
        select m.seq
        into beyond
        from chat.messages m
        where m.thread_id = thread
            and m.seq > lower_seq
            and m.seq < upper_seq
            and m.deleted_at is null
        order by m.seq desc
        offset page
        limit 1;
        lower_seq := coalesce(beyond, lower_seq);
    end if;

    return (
        select '{"messages":[' || coalesce(string_agg(p.line, ','), '') || '],"has_more":' || (beyond is not null) || '}'
        from (
            select v.line
            from chat.native_messages v
            where v.thread_id = thread
                and v.seq > lower_seq
                and v.seq < upper_seq
            order by v.seq
        ) p);
end
$$;

comment on function chat.history_page(bigint, bigint, bigint, bigint, int) is
    'A page of a thread, ascending: the newest, those before a message id, or those after one.';
