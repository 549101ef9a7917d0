-- `poll/updates` of the long-polling dialect: what differs from the unread state that a session was last given.
--
-- The state is {"<thread id>": [unread, last seq]} of the threads with unread messages. A poll that has nothing to
-- answer waits with its state; when one of its threads changes, its user's threads are counted again, for many waiting
-- polls in one call.

create or replace function chat._longpoll_state(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(
            jsonb_object_agg(n.thread_id, jsonb_build_array(n.unread, t.last_seq)) filter (where n.unread > 0),
            '{}')
        from chat.unread_counts n
        join chat.threads t on t.id = n.thread_id
        where n.user_id = reader);
end
$$;

comment on function chat._longpoll_state(bigint) is
    'The unread state of a user: {"<thread id>": [unread, last seq]}.';

create or replace function chat._longpoll_unread(state jsonb)
returns bigint
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(sum((e.value ->> 0)::bigint), 0)::bigint
        from jsonb_each(state) e);
end
$$;

comment on function chat._longpoll_unread(jsonb) is
    'All unread messages of a state.';

create or replace function chat._longpoll_update(
    reader bigint,
    threads bigint[],
    state jsonb,
    last_check timestamptz)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'has_updates', true,
            'unread_count', chat._longpoll_unread(state),
            'last_check', to_char(last_check at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'threads_with_updates', coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'thread_id', t.id,
                        'thread_name', chat._longpoll_thread_name(t.id, reader),
                        'unread_count', coalesce((state -> t.id::text ->> 0)::bigint, 0),
                        'last_message', l.content,
                        'last_message_date', to_char(l.created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
                    order by l.created_at desc nulls last, t.id desc),
                '[]'))
        from chat.threads t
        left join lateral (
            select x.content, x.created_at
            from chat.messages x
            where x.thread_id = t.id
                and x.deleted_at is null
                -- who has left gets the zero, not the words
                and chat.member_of(reader, t.id)
            order by x.seq desc
            limit 1
        ) l on true
        where t.id = any (threads));
end
$$;

comment on function chat._longpoll_update(bigint, bigint[], jsonb, timestamptz) is
    'An answer that tells of some threads of a user.';

create or replace function chat._longpoll_since(reader bigint, since timestamptz, state jsonb)
returns bigint[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    base pg_snapshot;
    base_at timestamptz;
    found_threads bigint[];
begin
    select c.snapshot, c.at
    into base, base_at
    from rowcast.checkpoint_at(since) c;

    select array_agg(distinct c.thread_id)
    into found_threads
    from (
        select 'thread:' || m.thread_id as topic
        from chat.members m
        where m.user_id = reader
        union all
        select 'user:' || reader
    ) t
    cross join lateral (
        select coalesce((l.key ->> 'thread_id')::bigint, substr(l.topic, 8)::bigint) as thread_id
        from rowcast.changes l
        where (l.topic, l.xid) >= (t.topic, pg_snapshot_xmin(base))
            and (l.topic, l.xid) <= (t.topic, '18446744073709551615'::xid8)
            and not pg_visible_in_snapshot(l.xid, base)
            and (l.relation = 'chat.messages'
                or (l.relation = 'chat.members' and l.key ->> 'user_id' = reader::text))
        offset 0
    ) c;

    -- asked after the read: what was pruned before it shows now
    if base is null or not chat._is_whole(base, base_at) then
        select array_agg(t.id)
        into found_threads
        from chat.members m
        join chat.threads t on t.id = m.thread_id
        where m.user_id = reader
            and (t.updated_at >= since - interval '1 hour' or state ? t.id::text);
    end if;
    return coalesce(found_threads, '{}');
end
$$;

comment on function chat._longpoll_since(bigint, timestamptz, jsonb) is
    'The threads of a user where something may have changed since a time; never one too few.';

create or replace function chat.longpoll_updates(reader bigint, session text, last_check timestamptz)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    checked timestamptz := now();
    given chat.poll_states;
    state jsonb;
    changed bigint[];
begin
    select s.*
    into given
    from chat.poll_states s
    where s.session = longpoll_updates.session
        and s.user_id = reader;
    state := chat._longpoll_state(reader);

    if last_check is null or last_check = given.last_check then
        select coalesce(array_agg(k.thread::bigint), '{}')
        into changed
        from (
            select jsonb_object_keys(state)
            union
            select jsonb_object_keys(given.state)
        ) k (thread)
        where state -> k.thread is distinct from given.state -> k.thread;
        checked := coalesce(given.last_check, checked);
    else
        changed := chat._longpoll_since(reader, last_check, state);
    end if;

    if cardinality(changed) > 0 then
        checked := now();
        perform chat._longpoll_given(array[session], array[reader], array[state], checked);
        return jsonb_build_object('answer', chat._longpoll_update(reader, changed, state, checked));
    end if;
    return jsonb_build_object(
        'state', state,
        -- what a wait that ends without news answers: nothing in it changes meanwhile
        'quiet', jsonb_build_object(
            'has_updates', false,
            'unread_count', chat._longpoll_unread(state),
            'threads_with_updates', '[]'::jsonb,
            'last_check', to_char(checked at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
end
$$;

comment on function chat.longpoll_updates(bigint, text, timestamptz) is
    'The update that a session lacks, which is noted as given; without one, the state to wait with.';

create or replace function chat._longpoll_given(
    sessions text[],
    readers bigint[],
    states jsonb[],
    checked timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- in one order everywhere: two nodes at it at once must not wait for each other
    insert into chat.poll_states as s (session, user_id, state, last_check)
    select distinct on (g.session) g.session, g.reader, g.state, checked
    from unnest(sessions, readers, states) g (session, reader, state)
    order by g.session
    on conflict (session) do update
    set user_id = excluded.user_id,
        state = excluded.state,
        last_check = excluded.last_check;
end
$$;

comment on function chat._longpoll_given(text[], bigint[], jsonb[], timestamptz) is
    'Notes what sessions were given.';

-- up to 0.1.0 only the threads that had changed were counted
drop function if exists chat.longpoll_recount(text[], bigint[], jsonb[], bigint[], bigint[]);

create or replace function chat.longpoll_recount(sessions text[], readers bigint[], states jsonb[])
returns table (nth bigint, answer jsonb)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    checked timestamptz := now();
    nths bigint[];
    new_states jsonb[];
    changes jsonb[];
begin
    -- All threads are looked at, not only the one that woke the poll: the answer speaks for this moment, and the
    -- bridge may have heard of one commit and not yet of an earlier one.
    select array_agg(n.nth order by n.nth),
        array_agg(n.state order by n.nth),
        array_agg(n.threads order by n.nth)
    into nths, new_states, changes
    from (
        select a.nth, s.state, jsonb_agg(k.thread) as threads
        from unnest(states) with ordinality a (state, nth)
        cross join lateral (select chat._longpoll_state(readers[a.nth]) as state offset 0) s
        cross join lateral (
            select jsonb_object_keys(s.state)
            union
            select jsonb_object_keys(a.state)
        ) k (thread)
        where s.state -> k.thread is distinct from a.state -> k.thread
        group by a.nth, s.state
    ) n;

    perform chat._longpoll_given(
        array(select sessions[n.nth] from unnest(nths) with ordinality n (nth, place) order by n.place),
        array(select readers[n.nth] from unnest(nths) with ordinality n (nth, place) order by n.place),
        new_states,
        checked);

    return query
    select n.nth,
        chat._longpoll_update(
            readers[n.nth],
            array(select t.id::bigint from jsonb_array_elements_text(n.threads) t (id)),
            n.state,
            checked)
    from unnest(nths, new_states, changes) n (nth, state, threads);
end
$$;

comment on function chat.longpoll_recount(text[], bigint[], jsonb[]) is
    'Counts again for many waiting polls; a row for each (from 1) whose state differs now.';
