-- The rooms dialect (guide 003): rooms are threads, and each function returns JSON that is ready to send.
--
-- A `since` stands for the number of the last message that its holder has: the one that was handed out with it, or,
-- for any other time, what the newest checkpoint at or before that time sees. Within a thread numbers are in commit
-- order, so what comes after that number is exactly what is lacking, however long a transaction stayed open.

create or replace function chat._rooms_user(member chat.users)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return jsonb_build_object(
        'id', member.id,
        'username', member.username,
        'first_name', member.first_name,
        'last_name', member.last_name);
end
$$;

comment on function chat._rooms_user(chat.users) is
    'A user as this dialect shows one.';

-- By a generic plan, as rooms_poll(): all goes by keys, and planning for each list of numbers took longer than reading.
create or replace function chat._rooms_messages(reader bigint, room bigint, seqs bigint[])
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
                m.thread_id as room,
                u.sender,
                m.content,
                to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                m.seq <= case when m.sender_id = reader then r.others else r.own end as is_read
            from chat.messages m
            left join lateral (
                -- `offset 0`: made once for each sender (memoized)
                select chat._rooms_user(x)::json as sender
                from chat.users x
                where x.id = m.sender_id
                offset 0
            ) u on true
            cross join (
                select
                    coalesce(max(o.last_read_seq) filter (where o.user_id = reader), 0) as own,
                    coalesce(min(o.last_read_seq) filter (where o.user_id <> reader), 9223372036854775807) as others
                from chat.members o
                where o.thread_id = room
            ) r
            where m.thread_id = room
                and m.seq = any (seqs)
            order by m.seq
        ) l);
end
$$;

comment on function chat._rooms_messages(bigint, bigint, bigint[]) is
    'Messages of a room by their numbers, as a member sees them.';

create or replace function chat.rooms_list(
    reader bigint,
    room bigint,
    typing_rooms bigint[],
    typists bigint[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if room is not null and not chat.member_of(reader, room) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    return (
        select coalesce(jsonb_agg(
            jsonb_build_object(
                'id', t.id,
                'type', t.kind,
                'name', coalesce(t.name, ''),
                'participants', p.participants,
                'last_message', (
                    select chat._rooms_messages(reader, t.id, array[x.seq]) -> 0
                    from chat.messages x
                    where x.thread_id = t.id
                        and x.deleted_at is null
                    order by x.seq desc
                    limit 1),
                'unread_count', n.unread,
                'updated_at', to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'created_at', to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'typing_user', y.users -> 0,
                'typing_users', coalesce(y.users, '[]'))
            order by t.updated_at desc, t.id desc), '[]')
        from chat.members m
        join chat.threads t on t.id = m.thread_id
        join chat.unread_counts n on n.user_id = m.user_id and n.thread_id = m.thread_id
        cross join lateral (
            select jsonb_agg(chat._rooms_user(u) order by u.id) as participants
            from chat.members o
            join chat.users u on u.id = o.user_id
            where o.thread_id = t.id
        ) p
        cross join lateral (
            select jsonb_agg(chat._rooms_user(u) order by w.nth) as users
            from unnest(typing_rooms, typists) with ordinality w (room, typist, nth)
            join chat.users u on u.id = w.typist
            where w.room = t.id
                and u.id <> reader
        ) y
        where m.user_id = reader
            and (rooms_list.room is null or t.id = rooms_list.room));
end
$$;

comment on function chat.rooms_list(bigint, bigint, bigint[], bigint[]) is
    'The rooms of a user, or one of them, newest activity first; who types, the latest first, is given.';

-- Its caller has another plan_cache_mode; here how much a time brings decides.
create or replace function chat._rooms_seq_at(reader bigint, room bigint, since timestamptz)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = auto
as $$
declare
    known bigint;
    base pg_snapshot;
    base_at timestamptz;
begin
    select p.seq
    into known
    from chat.poll_marks p
    where p.user_id = reader
        and p.thread_id = room
        and p.at = since;
    if found then
        return known;
    end if;

    select c.snapshot, c.at
    into base, base_at
    from rowcast.checkpoint_at(since) c;

    -- the first one that the holder of that time lacks; compared as pairs, so that the index (topic, xid) is used
    select min((l.record ->> 'seq')::bigint) - 1
    into known
    from rowcast.changes l
    where (l.topic, l.xid) >= ('thread:' || room, pg_snapshot_xmin(base))
        and (l.topic, l.xid) <= ('thread:' || room, '18446744073709551615'::xid8)
        and not pg_visible_in_snapshot(l.xid, base)
        and l.relation = 'chat.messages'
        and l.op = 'INSERT';

    -- asked after the read: what was pruned before it shows now
    if base is null or not chat._is_whole(base, base_at) then
        -- older than the log: by the tables, with an hour for transactions that were open that long
        select min(m.seq) - 1
        into known
        from chat.messages m
        where m.thread_id = room
            and m.created_at >= since - interval '1 hour';
    end if;

    return coalesce(known, (select max(m.seq) from chat.messages m where m.thread_id = room), 0);
end
$$;

comment on function chat._rooms_seq_at(bigint, bigint, timestamptz) is
    'The number of the last message of a room that the holder of a timestamp has; never one too high.';

create or replace function chat._rooms_mark(reader bigint, room bigint, reached bigint)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    handed_out timestamptz := date_trunc('milliseconds', now());
    tries int := 0;
begin
    delete from chat.poll_marks p
    where p.user_id = reader
        and p.thread_id = room
        and p.at < now() - interval '1 day';

    -- Before now, and not in whole milliseconds. Should it be lost, the time alone is early enough to skip nothing.
    loop
        insert into chat.poll_marks (user_id, thread_id, at, seq)
        values (
            reader,
            room,
            handed_out - (tries + 1) * interval '1 millisecond' + (1 + random() * 998)::int * interval '1 microsecond',
            reached)
        on conflict do nothing
        returning at
        into handed_out;
        exit when found;
        handed_out := date_trunc('milliseconds', now());
        tries := tries + 1;
    end loop;
    return handed_out;
end
$$;

comment on function chat._rooms_mark(bigint, bigint, bigint) is
    'A timestamp that stands for having a room''s messages up to a number.';

create or replace function chat.rooms_poll(
    reader bigint,
    room bigint,
    since timestamptz,
    after_seq bigint,
    max int)
returns json
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    beyond bigint := after_seq;
    reached bigint;
    seqs bigint[];
    stamp timestamptz := now();
begin
    if not chat.member_of(reader, room) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    -- fixed first: what commits between the two reads has a higher number
    select coalesce(pg_catalog.max(m.seq), 0)
    into reached
    from chat.messages m
    where m.thread_id = room;

    if beyond is null and since is not null then
        beyond := chat._rooms_seq_at(reader, room, since);
    end if;
    if beyond is null then
        -- no `since`: the newest page
        seqs := array(
            select p.seq
            from (
                select m.seq
                from chat.messages m
                where m.thread_id = room
                    and m.deleted_at is null
                order by m.seq desc
                limit max
            ) p
            order by p.seq);
        beyond := reached;
    else
        seqs := array(
            select m.seq
            from chat.messages m
            where m.thread_id = room
                and m.seq > beyond
                and m.deleted_at is null
            order by m.seq
            limit max);
    end if;

    if cardinality(seqs) > 0 then
        reached := greatest(beyond, seqs[cardinality(seqs)]);
        stamp := chat._rooms_mark(reader, room, reached);
    elsif since is not null
        and exists (
            select
            from chat.poll_marks p
            where p.user_id = reader
                and p.thread_id = room
                and p.at = since
                and p.at > now() - interval '1 hour')
    then
        -- still exact, and nothing to write
        stamp := since;
    end if;

    return json_build_object(
        'seq', case when cardinality(seqs) > 0 then reached else beyond end,
        'count', cardinality(seqs),
        'timestamp', to_char(stamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'messages', chat._rooms_messages(reader, room, seqs));
end
$$;

comment on function chat.rooms_poll(bigint, bigint, timestamptz, bigint, int) is
    'A room''s messages since a time, or after a number, ascending, with the timestamp to send next.';

create or replace function chat.rooms_marks(readers bigint[], rooms bigint[], reached bigint[])
returns setof text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select to_char(
        chat._rooms_mark(r.reader, r.room, r.reached) at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from unnest(readers, rooms, reached) with ordinality r (reader, room, reached, nth)
    order by r.nth;
$$;

comment on function chat.rooms_marks(bigint[], bigint[], bigint[]) is
    'Timestamps for many waiting polls that messages have answered, in one call, in the order given.';

create or replace function chat.rooms_history(
    reader bigint,
    room bigint,
    before bigint,
    after bigint,
    max int)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    lower_seq bigint;
    upper_seq bigint;
    seqs bigint[];
begin
    if not chat.member_of(reader, room) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    if before is not null then
        select m.seq into upper_seq from chat.messages m where m.id = before and m.thread_id = room;
        if not found then
            raise exception 'before: no such message in this room' using errcode = 'RC404';
        end if;
    end if;
    if after is not null then
        select m.seq into lower_seq from chat.messages m where m.id = after and m.thread_id = room;
        if not found then
            raise exception 'after: no such message in this room' using errcode = 'RC404';
        end if;
    end if;

    -- towards the newest after `after`, else away from it
    if lower_seq is not null and upper_seq is null then
        seqs := array(
            select m.seq
            from chat.messages m
            where m.thread_id = room
                and m.seq > lower_seq
                and m.deleted_at is null
            order by m.seq
            limit max);
    else
        seqs := array(
            select m.seq
            from chat.messages m
            where m.thread_id = room
                and m.seq > coalesce(lower_seq, 0)
                and m.seq < coalesce(upper_seq, 9223372036854775807)
                and m.deleted_at is null
            order by m.seq desc
            limit max);
    end if;
    return chat._rooms_messages(reader, room, seqs);
end
$$;

comment on function chat.rooms_history(bigint, bigint, bigint, bigint, int) is
    'A page of a room, ascending: the newest, those before a message id, or those after one.';

create or replace function chat.rooms_send(sender bigint, room bigint, content text)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    nth bigint;
begin
    if not chat.member_of(sender, room) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    insert into chat.messages as m (thread_id, sender_id, content)
    values (rooms_send.room, rooms_send.sender, rooms_send.content)
    returning m.seq
    into nth;
    return chat._rooms_messages(sender, room, array[nth]) -> 0;
end
$$;

comment on function chat.rooms_send(bigint, bigint, text) is
    'Adds a message of a member; RC403 for anyone else.';
