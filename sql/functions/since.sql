-- "Since a time", within one thread: what somebody lacks who had everything at that moment, never skipping.
--
-- A time T means: everything not finished in the newest checkpoint at or before T, as in offline sync. A message whose
-- transaction was open then is among it, however old its created_at. Older than the log, or where the log has a gap: by
-- created_at, and the newest of the hour before it once more, for transactions open that long.

-- In PL/pgSQL for its plan to be kept.
create or replace function chat._is_whole(base pg_snapshot, base_at timestamptz)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return not exists (
            select
            from rowcast.state s
            where pg_snapshot_xmin(base) < s.pruned_below)
        and not exists (
            select
            from rowcast.failures f
            where f.relation like 'chat.%'
                and f.xid >= pg_snapshot_xmin(base)
                and not pg_visible_in_snapshot(f.xid, base))
        -- clients hear of a failure at most half a minute late: until then they hold positions behind it, unknowing
        and not exists (
            select
            from rowcast.failures f
            where f.relation like 'chat.%'
                and f.at > base_at - interval '30 seconds'
                and f.xid is not null);
end
$$;

comment on function chat._is_whole(pg_snapshot, timestamptz) is
    'Whether the log has every change of the chat since a position: nothing of that was pruned, and no capture failed.';

-- Its caller has another plan_cache_mode; here how many rows a time brings decides.
create or replace function chat._messages_since(
    thread bigint,
    since timestamptz,
    max int,
    out ids bigint[],
    out more boolean)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = auto
as $$
declare
    base pg_snapshot;
    base_at timestamptz;
    found_ids bigint[];
    beyond boolean := false;
begin
    select c.snapshot, c.at
    into base, base_at
    from rowcast.checkpoint_at(since) c;

    if base is not null
        and chat._is_whole(base, base_at)
    then
        found_ids := array(
            select (l.key ->> 'id')::bigint
            from rowcast.changes l
            where l.topic = 'thread:' || thread
                and l.xid >= pg_snapshot_xmin(base)
                and (not pg_visible_in_snapshot(l.xid, base) or l.at > base_at)
                and l.relation = 'chat.messages'
                and l.op = 'INSERT');
    else
        found_ids := array(
            select m.id
            from chat.messages m
            where m.thread_id = thread
                and m.created_at > since
                and m.deleted_at is null
            order by m.created_at
            fetch first (max + 1) rows with ties
        ) || array(
            select m.id
            from chat.messages m
            where m.thread_id = thread
                and m.created_at >= since - interval '1 hour'
                and m.created_at <= since
                and m.deleted_at is null
            order by m.created_at desc
            limit 1000);
        -- many of one time fill a page with one rank: whether it is the last, the rows behind it say
        beyond := exists (
            select
            from chat.messages m
            where m.thread_id = thread
                and m.deleted_at is null
                and m.created_at > (select max(f.created_at) from chat.messages f where f.id = any (found_ids)));
    end if;

    -- Those up to `since` do not count, and equals are not parted: the next page, which begins at the time of this
    -- one's latest, gets further.
    select coalesce(array_agg(o.id order by o.created_at, o.id) filter (where o.rank <= max), '{}'),
        beyond or coalesce(bool_or(o.rank > max), false)
    into ids, more
    from (
        select m.id, m.created_at, 0 as rank
        from chat.messages m
        where m.id = any (found_ids)
            and m.created_at <= since
            and m.deleted_at is null
        union all
        select m.id, m.created_at, rank() over (order by m.created_at)
        from chat.messages m
        where m.id = any (found_ids)
            and m.created_at > since
            and m.deleted_at is null
    ) o;
end
$$;

comment on function chat._messages_since(bigint, timestamptz, int) is
    'Ids of a thread''s messages since a time, at most about `max`, and whether there are more; the latest is the next `since`. May repeat, never skips.';
