-- Reading: watermarks that never go back, and the counts that follow from them.

-- A subtraction, not a scan: all numbers after the watermark, less one's own, the deleted and the gaps. A view,
-- so that it is planned into the query of 50 threads instead of being called 50 times.
create or replace view chat.unread_counts as
select m.user_id,
    m.thread_id,
    t.uuid as thread_uuid,
    case
        when f.seq is null or t.last_seq <= w.seq then 0
        else t.last_seq - w.seq
            - (select count(*)
                from chat.messages o
                where o.thread_id = m.thread_id
                    and o.sender_id = m.user_id
                    and o.seq > w.seq)
            - (select count(*)
                from chat.messages d
                where d.thread_id = m.thread_id
                    and d.seq > w.seq
                    and d.deleted_at is not null
                    and d.sender_id is distinct from m.user_id)
            - (select count(*)
                from chat.gaps g
                where g.thread_id = m.thread_id
                    and g.seq > w.seq)
    end as unread
from chat.members m
join chat.threads t on t.id = m.thread_id
left join lateral (
    select a.seq
    from chat.messages a
    where a.thread_id = m.thread_id
    order by a.seq
    limit 1
) f on true
cross join lateral (
    select greatest(m.last_read_seq, f.seq - 1) as seq
) w;

comment on view chat.unread_counts is
    'For each membership how many messages by others are not read yet.';

-- In PL/pgSQL for its plan to be kept.
create or replace function chat.unread(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'unread_count', coalesce(sum(c.unread), 0),
            'threads', coalesce(jsonb_object_agg(c.thread_uuid, c.unread) filter (where c.unread > 0), '{}'))
        from (
            select n.thread_uuid, n.unread
            from chat.unread_counts n
            where n.user_id = reader
            offset 0
        ) c);
end
$$;

comment on function chat.unread(bigint) is
    'Unread messages of a user: {"unread_count": n, "threads": {uuid: n}}, threads without any left out.';

create or replace function chat.mark_read(reader bigint, thread bigint, upto bigint default null)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    mark bigint;
    was bigint;
    covered bigint := 0;
begin
    select m.last_read_seq
    into was
    from chat.members m
    where m.thread_id = mark_read.thread
        and m.user_id = reader
    for no key update;
    if not found then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;

    if upto is null then
        select t.last_seq into mark from chat.threads t where t.id = mark_read.thread;
    else
        select x.seq into mark from chat.messages x where x.id = upto and x.thread_id = mark_read.thread;
        if not found then
            raise exception 'No such message in this thread' using errcode = 'RC404';
        end if;
    end if;

    if mark > was then
        select count(*)
        into covered
        from chat.messages x
        where x.thread_id = mark_read.thread
            and x.seq > was
            and x.seq <= mark
            and x.sender_id is distinct from reader
            and x.deleted_at is null;

        update chat.members m
        set last_read_seq = mark,
            last_delivered_seq = greatest(m.last_delivered_seq, mark)
        where m.thread_id = mark_read.thread
            and m.user_id = reader;
    end if;

    return (
        select jsonb_build_object('thread_id', t.uuid, 'user_id', u.uuid, 'marked_count', covered)
        from chat.threads t, chat.users u
        where t.id = mark_read.thread
            and u.id = reader);
end
$$;

comment on function chat.mark_read(bigint, bigint, bigint) is
    'Moves the reader''s watermark forward, to the end or to a message id, never back; the feed tells the others.';

create or replace function chat.mark_delivered(reader bigint, thread bigint, upto bigint)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    mark bigint;
begin
    if not chat.member_of(reader, mark_delivered.thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    select x.seq into mark from chat.messages x where x.id = upto and x.thread_id = mark_delivered.thread;
    if not found then
        raise exception 'No such message in this thread' using errcode = 'RC404';
    end if;

    update chat.members m
    set last_delivered_seq = mark
    where m.thread_id = mark_delivered.thread
        and m.user_id = reader
        and m.last_delivered_seq < mark;
end
$$;

comment on function chat.mark_delivered(bigint, bigint, bigint) is
    'Notes that everything up to a message id has reached a device of the reader.';
