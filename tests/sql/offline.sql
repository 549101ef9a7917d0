-- Offline sync, by results in one transaction: shapes, pages, positions, bookmarks, errors, what lies beyond the log.
-- That nothing is ever skipped under concurrent writers needs several sessions: the history checker shows it.

begin;

-- the parts put together, as the bridge does
create function pg_temp.offline(
    reader bigint, since timestamptz, base pg_snapshot, base_at timestamptz, upto pg_snapshot, upto_at timestamptz, last_id bigint, max int)
returns table (body json, base pg_snapshot, base_at timestamptz, upto pg_snapshot, upto_at timestamptz, last_id bigint)
language sql
as $$
    select string_agg(o.part, '' order by o.nth)::json,
        max(o.base::text)::pg_snapshot, max(o.base_at), max(o.upto::text)::pg_snapshot, max(o.upto_at), max(o.last_id)
    from chat.offline_messages($1, $2, $3, $4, $5, $6, $7, $8)
        with ordinality o (part, base, base_at, upto, upto_at, last_id, nth);
$$;

do $$
declare
    ada bigint;
    t bigint;
    since timestamptz;
    a record;
    b record;
    seen text[];
    asked text;
    past xid8;
begin
    insert into chat.users (username, full_name) values ('t_ada', 'Ada L') returning id into ada;
    insert into chat.threads default values returning id into t;
    insert into chat.members (thread_id, user_id) values (t, ada);
    delete from rowcast.checkpoints;
    perform rowcast.checkpoint();
    since := clock_timestamp();
    insert into chat.messages (thread_id, sender_id, content)
    select t, ada, g::text from generate_series(1, 5) g;
    update chat.messages set deleted_at = now() where thread_id = t and content = '4';

    -- as if another transaction had written them, after the checkpoint, and committed
    past := (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8;
    update rowcast.checkpoints set snapshot = format('%s:%s:', past, past)::pg_snapshot;
    update rowcast.changes set xid = past where topic = 'thread:' || t;

    -- all at once
    select * into a from pg_temp.offline(ada, since, null, null, null, null, null, 500);
    assert a.body ->> 'count' = '4' and a.body ->> 'has_more' = 'false', 'deleted ones are left out';
    assert a.body -> 'messages' -> 0 ->> 'content' = '1';
    assert (a.body -> 'messages' -> 0)::jsonb - 'created_at' = jsonb_build_object(
        'id', (select uuid from chat.messages where thread_id = t and seq = 1),
        'thread_id', (select uuid from chat.threads where id = t),
        'sender_id', (select uuid from chat.users where id = ada),
        'content', '1', 'message_type', 'text', 'sender', '{"full_name": "Ada L", "role": "user"}'::jsonb);
    assert a.base is not null and a.base_at is not null and a.upto is null and a.last_id is null;

    -- by position, two by two
    select * into a from pg_temp.offline(ada, since, null, null, null, null, null, 2);
    assert a.body ->> 'has_more' = 'true' and a.upto is not null and a.last_id is not null;
    asked := a.body ->> 'last_check_time';
    select * into b from pg_temp.offline(ada, null, a.base, a.base_at, a.upto, a.upto_at, a.last_id, 2);
    assert b.body -> 'messages' -> 0 ->> 'content' = '3' and b.body ->> 'count' = '1' and b.body ->> 'has_more' = 'true';
    select * into b from pg_temp.offline(ada, null, b.base, b.base_at, b.upto, b.upto_at, b.last_id, 2);
    assert b.body -> 'messages' -> 0 ->> 'content' = '5' and b.body ->> 'has_more' = 'false' and b.upto is null;

    -- by nothing but the time that was handed out, to the millisecond
    assert asked::timestamptz = date_trunc('milliseconds', asked::timestamptz);
    assert exists (select from chat.check_bookmarks where user_id = ada and at = asked::timestamptz);
    seen := array(select m ->> 'content' from json_array_elements(a.body -> 'messages') m);
    loop
        select * into b from pg_temp.offline(ada, asked::timestamptz, null, null, null, null, null, 2);
        seen := seen || array(select m ->> 'content' from json_array_elements(b.body -> 'messages') m);
        exit when b.body ->> 'has_more' = 'false';
        assert asked <> b.body ->> 'last_check_time', 'no progress';
        asked := b.body ->> 'last_check_time';
    end loop;
    assert seen = '{1,2,3,5}';

    -- a lost bookmark only repeats
    delete from chat.check_bookmarks;
    select * into b from pg_temp.offline(ada, asked::timestamptz, null, null, null, null, null, 500);
    assert b.body ->> 'count' = '4';

    -- no room before the next checkpoint: still unique, still safe
    insert into rowcast.checkpoints
    select c.at + interval '1 microsecond', c.snapshot from rowcast.checkpoints c;
    since := (select min(at) from rowcast.checkpoints);
    for i in 1 .. 5 loop
        perform pg_temp.offline(ada, since, null, null, null, null, null, 1);
    end loop;
    assert (select count(*) from chat.check_bookmarks where at < since) = 5;

    -- beyond the log: from the tables
    delete from rowcast.checkpoints;
    select * into a from pg_temp.offline(ada, since, null, null, null, null, null, 3);
    assert a.body ->> 'count' = '3' and a.body ->> 'has_more' = 'true' and a.base is null;
    insert into chat.messages (thread_id, sender_id, content) values (t, ada, '6');
    select * into b from pg_temp.offline(
        ada, (a.body ->> 'last_check_time')::timestamptz, null, null, null, null, null, 3);
    assert b.body ->> 'has_more' = 'false' and b.body -> 'messages' -> 0 ->> 'content' = '5' and b.base is not null;
    assert b.body ->> 'count' = '1', 'what came after the first page comes by the position reached, not twice';
    select * into b from pg_temp.offline(ada, '-infinity', null, null, null, null, null, 500);
    assert b.body ->> 'count' = '5' and b.base is not null;

    -- within a thread: many of one time are one place, and what comes after them is another page
    update chat.messages set created_at = now() + interval '1 second' where thread_id = t and content = '6';
    select * into a from chat._messages_since(t, now() - interval '1 minute', 3);
    assert cardinality(a.ids) = 4 and a.more;
    select * into a from chat._messages_since(t, now(), 3);
    assert cardinality(a.ids) = 5 and not a.more;
    select * into b from pg_temp.offline(ada, now() + interval '2 hours', null, null, null, null, null, 500);
    assert b.body ->> 'count' = '0';

    -- a position older than the log
    update rowcast.state set pruned_below = '1000000000';
    begin
        perform pg_temp.offline(ada, null, '10:10:', now(), null, null, null, 10);
        assert false, 'a cursor that is too old';
    exception when sqlstate 'RC409' then
        assert sqlerrm = 'resync required';
    end;
    begin
        perform pg_temp.offline(ada, null, null, null, null, null, null, 10);
        assert false, 'since nothing';
    exception when sqlstate 'RC400' then
        null;
    end;
end
$$;

rollback;
