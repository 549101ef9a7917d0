-- Offline sync: what a client missed, exactly, by cursor or by time.
--
-- A position says what its holder has: every transaction finished in `base`, and of those finished in `upto`
-- the rows up to `last_id` (only while a page is not the last). What the holder lacks is read from the log:
-- rows whose transaction `base` does not see, in the order: finished in `upto` first, then id. `base_at` and `upto_at`
-- say when each was taken, or a little later.
--
-- `base_at` guards against one thing: a crash forgets transactions that were never flushed, and their ids are
-- used again. So rows written after `base_at` are lacking too, however low their id, down to the ids of the
-- newest checkpoint at that time (which is on disk, hence not used again). Without a crash there are no such
-- rows: who sees a row as finished took the time after it was written. The check is not tied to
-- pg_postmaster_start_time(), which stays the same when a backend crashes and the server recovers by itself.
--
-- A time T means: everything not finished in the newest checkpoint at or before T. When a page is not the last,
-- the last_check_time handed out is a time near T, unique for this user, and a bookmark remembers the
-- position it stands for; losing the bookmark repeats messages, never skips one. It has whole milliseconds, for
-- clients that keep no more.
--
-- Older than the log, or where the log has a gap: from the tables, by created_at, with an hour's overlap for transactions open that long.

-- The answer is the text of one JSON object in parts of a hundred messages, one row each, to be put together as they
-- are; the last row has the position. One text of a megabyte is copied half a dozen times on its way out.

-- what it returns has changed: that cannot be replaced
drop function if exists chat.offline_messages(
    bigint, timestamptz, pg_snapshot, timestamptz, pg_snapshot, bigint, int);
drop function if exists chat._bookmark(
    bigint, timestamptz, pg_snapshot, timestamptz, pg_snapshot, bigint, timestamptz, timestamptz, bigint);

create or replace function chat.offline_messages(
    out part text,
    reader bigint,
    since timestamptz,
    inout base pg_snapshot,
    inout base_at timestamptz,
    inout upto pg_snapshot,
    inout upto_at timestamptz,
    inout last_id bigint,
    max int)
returns setof record
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    page int := least(greatest(coalesce(max, 500), 1), 5000);
    -- fixed here: later statements see more, and leave out what this one does not see
    here pg_snapshot := pg_current_snapshot();
    here_at timestamptz := rowcast.moment();
    checked timestamptz := now();
    own xid8 := pg_current_xact_id_if_assigned();
    by_cursor boolean := base is not null;
    threads bigint[];
    topics text[];
    mark chat.check_bookmarks;
    floor_xid xid8;
    held_below xid8;
    low xid8;
    open_in_base xid8[];
    ids bigint[];
    messages bigint[];
    old_rows bigint;
    later bigint[];
    more boolean;
    from_at timestamptz;
    from_id bigint;
    after_at timestamptz;
    after_id bigint;
    began timestamptz;
    reached record;
    lines text;
    told bigint;
    total bigint := 0;
begin
    if since is null and base is null then
        raise exception 'last_check_time or cursor is required' using errcode = 'RC400';
    end if;
    threads := array(
        select m.thread_id
        from chat.members m
        where m.user_id = reader);
    topics := array(
        select 'thread:' || t.id
        from unnest(threads) t (id));

    if not by_cursor then
        select b.*
        into mark
        from chat.check_bookmarks b
        where b.user_id = reader
            and b.at = since;
        if found then
            base := mark.base;
            base_at := mark.base_at;
            upto := mark.upto;
            upto_at := mark.upto_at;
            last_id := mark.last_id;
            from_at := mark.after_at;
            from_id := mark.after_id;
            began := mark.began;
        else
            select c.snapshot, c.at
            into base, base_at
            from rowcast.checkpoint_at(since) c;
        end if;
    end if;

    if base is not null and from_at is null then
        held_below := pg_snapshot_xmax(base);
        open_in_base := array(select pg_snapshot_xip(base));
        select pg_snapshot_xmax(c.snapshot)
        into floor_xid
        from rowcast.checkpoints c
        where c.at <= offline_messages.base_at
        order by c.at desc
        limit 1;
        low := least(held_below, coalesce(floor_xid, '0'::xid8));

        -- Two ranges of the index (topic, xid) for each topic; compared as pairs, each topic by itself, so that no
        -- statistics can lead the planner to wade through everybody's changes. One row more tells of more.
        -- The aggregates take the rows as the sub-select sorted them: sorting them again for each took a fifth of the time.
        select array_agg(l.id),
            array_agg((l.key -> 'id')::bigint),
            count(*) filter (where l.old)
        into ids, messages, old_rows
        from (
            select c.id, c.key, c.old
            from (
                select c.id, c.xid, c.key,
                    upto is null or pg_visible_in_snapshot(c.xid, upto) as old
                from unnest(topics) t (topic)
                cross join lateral (
                    select l.id, l.xid, l.key
                    from rowcast.changes l
                    where (l.topic, l.xid) >= (t.topic, low)
                        and (l.topic, l.xid) <= (t.topic, '18446744073709551615'::xid8)
                        and (l.xid >= held_below or l.xid = any (open_in_base) or l.at > offline_messages.base_at)
                        and l.relation = 'chat.messages'
                        and l.op = 'INSERT'
                    offset 0
                ) c
                union all
                select c.id, c.xid, c.key,
                    upto is null or pg_visible_in_snapshot(c.xid, upto)
                from unnest(open_in_base) o (xid)
                cross join unnest(topics) t (topic)
                cross join lateral (
                    select l.id, l.xid, l.key
                    from rowcast.changes l
                    where (l.topic, l.xid) >= (t.topic, o.xid)
                        and (l.topic, l.xid) <= (t.topic, o.xid)
                        and l.relation = 'chat.messages'
                        and l.op = 'INSERT'
                    offset 0
                ) c
                where o.xid < low
            ) c
            where (pg_visible_in_snapshot(c.xid, here) or c.xid = own)
                and (last_id is null or not c.old or c.id > last_id)
            order by c.old desc, c.id
            limit page + 1
        ) l;

        -- asked after the read: what was pruned before it shows now, and whose capture failed
        if not chat._is_whole(base, base_at) then
            if by_cursor then
                raise exception 'resync required' using errcode = 'RC409';
            end if;
            base := null;
        end if;
    end if;

    if base is null or from_at is not null then
        -- From the tables. The position reached is that of the first page, whose snapshot is the one that it was read in,
        -- so nothing is lost or repeated; later pages leave out what came since, which that position brings.
        if from_at is null then
            began := checked;
        else
            later := array(
                select (l.key -> 'id')::bigint
                from unnest(topics) t (topic)
                join rowcast.changes l
                    on l.topic = t.topic
                    and l.xid >= pg_snapshot_xmin(base)
                    and not pg_visible_in_snapshot(l.xid, base)
                    and l.relation = 'chat.messages'
                    and l.op = 'INSERT');
        end if;
        upto := null;
        upto_at := null;
        last_id := null;

        select case when from_at is null then pg_current_snapshot() else base end,
            array_agg(l.id order by l.created_at, l.id),
            (array_agg(l.created_at order by l.created_at, l.id))[page]
        into base, messages, after_at
        from (
            select m.id, m.created_at
            from unnest(threads) t (id)
            cross join lateral (
                select m.id, m.created_at
                from chat.messages m
                where m.thread_id = t.id
                    and (m.created_at, m.id) > (coalesce(from_at, since - interval '1 hour'),
                        coalesce(from_id, 0))
                    and (later is null or m.id <> all (later))
                order by m.created_at, m.id
                limit page + 1
            ) m
            order by m.created_at, m.id
            limit page + 1
        ) l;
        if from_at is null then
            base_at := rowcast.moment();
        end if;
        more := coalesce(cardinality(messages), 0) > page;
        after_id := messages[page];
        checked := began;
    else
        more := coalesce(cardinality(ids), 0) > page;
        if not more then
            base := here;
            base_at := here_at;
            upto := null;
            upto_at := null;
            last_id := null;
        elsif old_rows = 0 then
            -- `upto` was used up exactly: its holder has all of it
            base := upto;
            base_at := coalesce(upto_at, base_at);
            upto := here;
            upto_at := here_at;
            last_id := ids[page];
        else
            -- a page ends where `upto` does
            page := least(page, old_rows);
            upto_at := case when upto is null then here_at else upto_at end;
            upto := coalesce(upto, here);
            last_id := ids[page];
        end if;
    end if;

    if more then
        checked := chat._bookmark(reader, since, base, base_at, upto, upto_at, last_id, began, after_at, after_id);
    end if;

    -- a page that started from the tables has no position of its own until it is done
    if more and after_at is not null then
        base := null;
        base_at := null;
    end if;

    -- text, not json: it goes to the client as it is, and a cast would parse all of it
    select base, base_at, upto, upto_at, last_id into reached;
    base := null;
    base_at := null;
    upto := null;
    upto_at := null;
    last_id := null;
    part := '{"messages":[';
    for lines, told in
        select string_agg(p.line, ',' order by p.nth), count(*)
        from (
            select v.line, row_number() over (order by v.created_at, v.id) - 1 as nth
            from chat.native_messages v
            -- a sub-select, or the planner looks at every id in turn
            where v.id = any (array(select unnest(case when more then messages[1:page] else messages end)))
        ) p
        group by p.nth / 100
        order by p.nth / 100
    loop
        part := part || lines;
        return next;
        part := ',';
        total := total + told;
    end loop;
    part := case when total = 0 then '{"messages":[' else '' end
        || '],"count":' || total
        || ',"has_more":' || more
        || ',"last_check_time":"' || to_char(checked at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '"}';
    base := reached.base;
    base_at := reached.base_at;
    upto := reached.upto;
    upto_at := reached.upto_at;
    last_id := reached.last_id;
    return next;
end
$$;

comment on function chat.offline_messages(
    bigint, timestamptz, pg_snapshot, timestamptz, pg_snapshot, timestamptz, bigint, int) is
    'One page of what a user missed, by time or by position, in parts, and the position to go on from. Never skips.';

create or replace function chat._bookmark(
    reader bigint,
    since timestamptz,
    base pg_snapshot,
    base_at timestamptz,
    upto pg_snapshot,
    upto_at timestamptz,
    last_id bigint,
    began timestamptz,
    after_at timestamptz,
    after_id bigint)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    lower_at timestamptz := since;
    upper_at timestamptz;
    handed_out timestamptz;
    tries int := 0;
begin
    -- By position: the newest checkpoint whose finished transactions the holder has all. What a checkpoint sees
    -- is within `base` when it was not taken later and none that is open in `base` is finished in it.
    if lower_at is null then
        select c.at
        into lower_at
        from rowcast.checkpoints c
        where c.at <= _bookmark.base_at
            and pg_snapshot_xmax(c.snapshot) <= pg_snapshot_xmax(base)
            and not exists (
                select
                from pg_snapshot_xip(base) x (xid)
                where pg_visible_in_snapshot(x.xid, c.snapshot))
        order by c.at desc
        limit 1;
        lower_at := coalesce(lower_at, base_at - interval '1 minute');
    end if;

    select coalesce(min(c.at), 'infinity')
    into upper_at
    from rowcast.checkpoints c
    where c.at > lower_at;

    loop
        select greatest(lower_at, max(b.at))
        into handed_out
        from chat.check_bookmarks b
        where b.user_id = reader
            and b.at >= lower_at
            and b.at < upper_at;
        handed_out := date_trunc('milliseconds', handed_out) + interval '1 millisecond';

        -- No room before the next checkpoint: an earlier time will do, it stands for an earlier checkpoint.
        if handed_out >= upper_at then
            tries := tries + 1;
            handed_out := date_trunc('milliseconds', lower_at - random() * tries * interval '1 second');
        end if;

        insert into chat.check_bookmarks (user_id, at, base, base_at, upto, upto_at, last_id, began, after_at, after_id)
        values (reader, handed_out, base, base_at, upto, upto_at, last_id, began, after_at, after_id)
        on conflict do nothing;
        exit when found;
    end loop;
    return handed_out;
end
$$;

comment on function chat._bookmark(
    bigint, timestamptz, pg_snapshot, timestamptz, pg_snapshot, timestamptz, bigint, timestamptz, timestamptz, bigint) is
    'Stores a position and returns the time that stands for it: after `since`, before the next checkpoint; else earlier.';
