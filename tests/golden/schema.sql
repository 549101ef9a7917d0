CREATE SCHEMA chat;

COMMENT ON SCHEMA chat IS 'Users, threads, members, messages; written by any service, read by the bridge through functions.';

CREATE SCHEMA rowcast;

COMMENT ON SCHEMA rowcast IS 'The realtime bridge: the change log, its checkpoints, watched tables, running nodes.';

CREATE FUNCTION chat._bookmark(reader bigint, since timestamp with time zone, base pg_snapshot, base_at timestamp with time zone, upto pg_snapshot, upto_at timestamp with time zone, last_id bigint, began timestamp with time zone, after_at timestamp with time zone, after_id bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._bookmark(reader bigint, since timestamp with time zone, base pg_snapshot, base_at timestamp with time zone, upto pg_snapshot, upto_at timestamp with time zone, last_id bigint, began timestamp with time zone, after_at timestamp with time zone, after_id bigint) IS 'Stores a position and returns the time that stands for it: after `since`, before the next checkpoint; else earlier.';

CREATE FUNCTION chat._capture_blocks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select 'user:' || w.member, 'chat.blocks', 'INSERT', w.pair, w.pair, row_number() over () = 1
        from new_rows n
        cross join lateral (
            select p.member, jsonb_build_object('blocker_id', n.blocker_id, 'blocked_id', n.blocked_id) as pair
            from (values (n.blocked_id), (n.blocker_id)) p (member)
        ) w;
    else
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'user:' || w.member, 'chat.blocks', 'DELETE', w.pair, w.pair, row_number() over () = 1
        from old_rows o
        cross join lateral (
            select p.member, jsonb_build_object('blocker_id', o.blocker_id, 'blocked_id', o.blocked_id) as pair
            from (values (o.blocked_id), (o.blocker_id)) p (member)
        ) w;
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.blocks', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_blocks() IS 'Tells both sides of a block, made or lifted.';

CREATE FUNCTION chat._capture_emptying() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- row by row, for each row says who loses what
    execute format('delete from %s', tg_relid::regclass);
    return null;
exception when others then
    perform rowcast._failed(tg_relid::regclass::text, tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_emptying() IS 'Deletes before a TRUNCATE: whoever is put out by it must be told, and leaves live sockets at once.';

CREATE FUNCTION chat._capture_members() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'UPDATE' then
        -- the reader's other devices hold the thread too: one row is enough
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select 'thread:' || n.thread_id,
            'chat.members',
            'UPDATE',
            jsonb_build_object('thread_id', n.thread_id, 'user_id', n.user_id),
            chat._member_record(n.thread_id, n.user_id, n.last_read_seq, n.last_delivered_seq)
                || jsonb_build_object('read_count', c.covered),
            jsonb_build_object(
                'last_read_seq', o.last_read_seq,
                'last_delivered_seq', o.last_delivered_seq,
                'last_read_count', c.covered),
            row_number() over () = 1
        from new_rows n
        full join old_rows o
            on o.thread_id = n.thread_id
            and o.user_id = n.user_id
        cross join lateral (
            select count(*) as covered
            from chat.messages m
            where m.thread_id = n.thread_id
                and m.seq > o.last_read_seq
                and m.seq <= n.last_read_seq
                and m.sender_id is distinct from n.user_id
                and m.deleted_at is null
        ) c
        where (o.last_read_seq, o.last_delivered_seq) is distinct from (n.last_read_seq, n.last_delivered_seq);

    elsif tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, link, ring)
        select w.topic,
            'chat.members',
            'INSERT',
            jsonb_build_object('thread_id', n.thread_id, 'user_id', n.user_id),
            chat._member_record(n.thread_id, n.user_id, n.last_read_seq, n.last_delivered_seq),
            w.link,
            row_number() over () = 1
        from new_rows n
        cross join lateral (
            values ('thread:' || n.thread_id, null), ('user:' || n.user_id, '+thread:' || n.thread_id)
        ) w (topic, link);

    else
        insert into rowcast.changes (topic, relation, op, key, old_record, link, ring)
        select w.topic,
            'chat.members',
            'DELETE',
            jsonb_build_object('thread_id', o.thread_id, 'user_id', o.user_id),
            chat._member_record(o.thread_id, o.user_id, o.last_read_seq, o.last_delivered_seq),
            w.link,
            row_number() over () = 1
        from old_rows o
        cross join lateral (
            values ('thread:' || o.thread_id, null), ('user:' || o.user_id, '-thread:' || o.thread_id)
        ) w (topic, link);
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.members', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_members() IS 'Puts joining, leaving and reading on the thread; joining and leaving on the user as well, with a link.';

CREATE FUNCTION chat._capture_messages() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select 'thread:' || n.thread_id,
            'chat.messages',
            'INSERT',
            jsonb_build_object('id', n.id),
            to_jsonb(r),
            row_number() over () = 1
        from new_rows n
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = n.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid, u.username, u.first_name, u.last_name, u.full_name, u.role
            from chat.users u
            where u.id = n.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select n.id,
                n.uuid,
                n.thread_id,
                t.uuid as thread_uuid,
                n.seq,
                n.sender_id,
                u.uuid as sender_uuid,
                case when u.id is not null then jsonb_build_object(
                    'username', u.username,
                    'first_name', u.first_name,
                    'last_name', u.last_name,
                    'full_name', u.full_name,
                    'role', u.role) end as sender,
                n.content,
                n.message_type,
                n.attachments,
                to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(n.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(n.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r;

    elsif tg_op = 'UPDATE' then
        -- nothing changed: nothing to tell
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select 'thread:' || n.thread_id,
            'chat.messages',
            'UPDATE',
            jsonb_build_object('id', n.id),
            to_jsonb(r),
            jsonb_build_object(
                'deleted_at', to_char(o.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'edited_at', to_char(o.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            row_number() over (order by n.id) = 1
        from new_rows n
        full join old_rows o on o.id = n.id
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = n.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid, u.username, u.first_name, u.last_name, u.full_name, u.role
            from chat.users u
            where u.id = n.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select n.id,
                n.uuid,
                n.thread_id,
                t.uuid as thread_uuid,
                n.seq,
                n.sender_id,
                u.uuid as sender_uuid,
                case when u.id is not null then jsonb_build_object(
                    'username', u.username,
                    'first_name', u.first_name,
                    'last_name', u.last_name,
                    'full_name', u.full_name,
                    'role', u.role) end as sender,
                n.content,
                n.message_type,
                n.attachments,
                to_char(n.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(n.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(n.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r
        where o is distinct from n
        order by n.id;

    elsif tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'thread:' || o.thread_id,
            'chat.messages',
            'DELETE',
            jsonb_build_object('id', o.id),
            to_jsonb(r),
            row_number() over () = 1
        from old_rows o
        cross join lateral (
            select t.uuid
            from chat.threads t
            where t.id = o.thread_id
            limit 1
        ) t
        left join lateral (
            select u.id, u.uuid
            from chat.users u
            where u.id = o.sender_id
            limit 1
        ) u on true
        cross join lateral (
            select o.id,
                o.uuid,
                o.thread_id,
                t.uuid as thread_uuid,
                o.seq,
                o.sender_id,
                u.uuid as sender_uuid,
                o.message_type,
                o.attachments,
                to_char(o.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                to_char(o.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
                to_char(o.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
        ) r;

    else
        insert into rowcast.changes (topic, relation, op, ring)
        select 'thread:' || t.id, 'chat.messages', 'TRUNCATE', row_number() over () = 1
        from chat.threads t;
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.messages', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_messages() IS 'Puts messages on the topic of their thread.';

CREATE FUNCTION chat._capture_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, ring)
    select 'login:' || md5(o.session_id), 'chat.login_sessions', 'DELETE', row_number() over () = 1
    from old_rows o;
    return null;
exception when others then
    perform rowcast._failed('chat.login_sessions', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_sessions() IS 'Tells the sockets of a login session that it ended; by md5, the secret never reaches the log.';

CREATE FUNCTION chat._capture_thread() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    values (
        'thread:' || new.id,
        'chat.threads',
        'UPDATE',
        jsonb_build_object('id', new.id),
        jsonb_build_object('id', new.id, 'uuid', new.uuid, 'kind', new.kind, 'name', new.name),
        jsonb_build_object('name', old.name),
        true);
    return null;
exception when others then
    perform rowcast._failed('chat.threads', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_thread() IS 'Tells a thread its new name. A row trigger on `name`: moving last_seq must cost nothing.';

CREATE FUNCTION chat._capture_tokens() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, ring)
    select 'token:' || n.jti,
        'chat.revoked_tokens',
        'INSERT',
        jsonb_build_object('jti', n.jti),
        jsonb_build_object('jti', n.jti),
        row_number() over () = 1
    from new_rows n;
    return null;
exception when others then
    perform rowcast._failed('chat.revoked_tokens', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_tokens() IS 'Tells the sockets of a token that it was revoked.';

CREATE FUNCTION chat._capture_users() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'UPDATE' then
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select 'user:' || n.id,
            'chat.users',
            'UPDATE',
            jsonb_build_object('id', n.id),
            chat._user_record(n),
            chat._user_record(o),
            row_number() over (order by n.id) = 1
        from new_rows n
        full join old_rows o on o.id = n.id
        where (o.active, o.feed, o.status, o.last_seen_at, o.tokens_valid_after, o.role, o.full_name)
            is distinct from
            (n.active, n.feed, n.status, n.last_seen_at, n.tokens_valid_after, n.role, n.full_name)
        order by n.id;
    else
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'user:' || o.id,
            'chat.users',
            'DELETE',
            jsonb_build_object('id', o.id),
            chat._user_record(o),
            row_number() over (order by o.id) = 1
        from old_rows o
        order by o.id;
    end if;
    return null;
exception when others then
    perform rowcast._failed('chat.users', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION chat._capture_users() IS 'Puts a user''s standing, presence and name on their own topic, when one of these changed.';

CREATE FUNCTION chat._clear_thread() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from chat.messages m
    where m.thread_id = old.id;
    delete from chat.members m
    where m.thread_id = old.id;
    return old;
end
$$;

COMMENT ON FUNCTION chat._clear_thread() IS 'Empties a thread before it goes: the log can still name it.';

CREATE FUNCTION chat._clear_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from chat.members m
    where m.user_id = old.id;
    return old;
end
$$;

COMMENT ON FUNCTION chat._clear_user() IS 'Ends a user''s memberships before the user goes: the log can still name both.';

CREATE FUNCTION chat._conversation_of(reader bigint, conversation text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    thread bigint := chat.thread(conversation);
begin
    if not chat.member_of(reader, thread) then
        raise exception 'Not a participant' using errcode = 'RC403';
    end if;
    return thread;
end
$$;

COMMENT ON FUNCTION chat._conversation_of(reader bigint, conversation text) IS 'The thread of a uuid or integer id that the reader is in; RC403 for any other, there or not.';

CREATE FUNCTION chat._count_messages() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._count_messages() IS 'Notes the newest number of each thread a statement wrote to.';

CREATE FUNCTION chat._direct_peer(caller bigint, partner text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._direct_peer(caller bigint, partner text) IS 'The user whom the caller may write to; RC404 for nobody, RC403 for oneself, the deactivated and the blocked.';

CREATE FUNCTION chat._direct_with(caller bigint, partner text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._direct_with(caller bigint, partner text) IS 'The direct thread with somebody, null when there is none yet; what was said can be read whatever happened since.';

CREATE FUNCTION chat._edit_message() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._edit_message() IS 'Stamps an edit, and keeps a message where it is: its number is its place.';

CREATE FUNCTION chat._is_whole(base pg_snapshot, base_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._is_whole(base pg_snapshot, base_at timestamp with time zone) IS 'Whether the log has every change of the chat since a position: nothing of that was pruned, and no capture failed.';

CREATE FUNCTION chat._longpoll_given(sessions text[], readers bigint[], states jsonb[], checked timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_given(sessions text[], readers bigint[], states jsonb[], checked timestamp with time zone) IS 'Notes what sessions were given.';

CREATE FUNCTION chat._longpoll_messages(reader bigint, thread bigint, seqs bigint[]) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_messages(reader bigint, thread bigint, seqs bigint[]) IS 'Messages of a thread by their numbers, as a member sees them.';

CREATE FUNCTION chat._longpoll_since(reader bigint, since timestamp with time zone, state jsonb) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_since(reader bigint, since timestamp with time zone, state jsonb) IS 'The threads of a user where something may have changed since a time; never one too few.';

CREATE FUNCTION chat._longpoll_state(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_state(reader bigint) IS 'The unread state of a user: {"<thread id>": [unread, last seq]}.';

CREATE FUNCTION chat._longpoll_thread_name(thread bigint, reader bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_thread_name(thread bigint, reader bigint) IS 'A thread''s name as a member sees it: its own, else the others'' names.';

CREATE FUNCTION chat._longpoll_unread(state jsonb) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select coalesce(sum((e.value ->> 0)::bigint), 0)::bigint
        from jsonb_each(state) e);
end
$$;

COMMENT ON FUNCTION chat._longpoll_unread(state jsonb) IS 'All unread messages of a state.';

CREATE FUNCTION chat._longpoll_update(reader bigint, threads bigint[], state jsonb, last_check timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._longpoll_update(reader bigint, threads bigint[], state jsonb, last_check timestamp with time zone) IS 'An answer that tells of some threads of a user.';

CREATE FUNCTION chat._member_record(thread bigint, member bigint, read_seq bigint, delivered_seq bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select jsonb_build_object(
            'thread_id', thread,
            'thread_uuid', (select t.uuid from chat.threads t where t.id = thread),
            'user_id', member,
            'user_uuid', (select u.uuid from chat.users u where u.id = member),
            'last_read_seq', read_seq,
            'last_read_message_id', r.id,
            'last_read_message_uuid', r.uuid,
            'last_delivered_seq', delivered_seq,
            'last_delivered_message_id', d.id,
            'last_delivered_message_uuid', d.uuid,
            'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        from (values (1)) one
        left join lateral (
            select m.id, m.uuid
            from chat.messages m
            where m.thread_id = thread
                and m.seq <= read_seq
            order by m.seq desc
            limit 1
        ) r on true
        left join lateral (
            select m.id, m.uuid
            from chat.messages m
            where m.thread_id = thread
                and m.seq <= delivered_seq
            order by m.seq desc
            limit 1
        ) d on true);
end
$$;

COMMENT ON FUNCTION chat._member_record(thread bigint, member bigint, read_seq bigint, delivered_seq bigint) IS 'The log record of a membership: who, where, and the messages its watermarks stand on.';

CREATE FUNCTION chat._messages_since(thread bigint, since timestamp with time zone, max integer, OUT ids bigint[], OUT more boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'auto'
    AS $$
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

COMMENT ON FUNCTION chat._messages_since(thread bigint, since timestamp with time zone, max integer, OUT ids bigint[], OUT more boolean) IS 'Ids of a thread''s messages since a time, at most about `max`, and whether there are more; the latest is the next `since`. May repeat, never skips.';

CREATE FUNCTION chat._name_user() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(new.full_name, '') = '' then
        new.full_name := coalesce(
            nullif(btrim(concat_ws(' ', nullif(new.first_name, ''), nullif(new.last_name, ''))), ''),
            new.username);
    end if;
    if coalesce(new.first_name, '') = '' and coalesce(new.last_name, '') = '' then
        new.first_name := split_part(new.full_name, ' ', 1);
        new.last_name := ltrim(substr(new.full_name, length(new.first_name) + 1));
    end if;
    new.first_name := coalesce(new.first_name, '');
    new.last_name := coalesce(new.last_name, '');
    return new;
end
$$;

COMMENT ON FUNCTION chat._name_user() IS 'Fills the names a writer left out from those given.';

CREATE FUNCTION chat._note_gaps() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._note_gaps() IS 'Remembers the numbers of deleted rows, for the unread counts.';

CREATE FUNCTION chat._number_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._number_message() IS 'Gives a message the next number of its thread.';

CREATE TABLE chat.users (
    id bigint NOT NULL,
    uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    username text NOT NULL,
    first_name text DEFAULT ''::text NOT NULL,
    last_name text DEFAULT ''::text NOT NULL,
    full_name text DEFAULT ''::text NOT NULL,
    role text DEFAULT 'user'::text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    feed boolean DEFAULT true NOT NULL,
    credits bigint,
    tokens_valid_after timestamp with time zone,
    status text,
    last_seen_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_credits_not_negative CHECK ((credits >= 0)),
    CONSTRAINT users_status CHECK ((status = ANY (ARRAY['online'::text, 'away'::text, 'offline'::text])))
);

COMMENT ON TABLE chat.users IS 'The people. Deactivating one, or moving tokens_valid_after, closes their live connections.';

COMMENT ON COLUMN chat.users.full_name IS 'Filled from first and last name (or username) when left empty, and they from it.';

COMMENT ON COLUMN chat.users.feed IS 'The general feed: false after `unsubscribe`, on every device and node.';

COMMENT ON COLUMN chat.users.credits IS 'Balance for paid messages; null: this user is not charged.';

COMMENT ON COLUMN chat.users.tokens_valid_after IS 'Tokens issued at or before this are refused.';

COMMENT ON COLUMN chat.users.status IS 'What the user last said: online, away, offline; null: nothing, presence follows their connections.';

COMMENT ON COLUMN chat.users.last_seen_at IS 'Written once per going offline, not per request.';

CREATE FUNCTION chat._profile(person chat.users) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select jsonb_build_object(
            'id', person.uuid,
            'username', person.username,
            'first_name', person.first_name,
            'last_name', person.last_name,
            'full_name', person.full_name,
            'role', person.role,
            'last_seen_at', to_char(person.last_seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
end
$$;

COMMENT ON FUNCTION chat._profile(person chat.users) IS 'What others see of a user.';

CREATE FUNCTION chat._rooms_mark(reader bigint, room bigint, reached bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._rooms_mark(reader bigint, room bigint, reached bigint) IS 'A timestamp that stands for having a room''s messages up to a number.';

CREATE FUNCTION chat._rooms_messages(reader bigint, room bigint, seqs bigint[]) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat._rooms_messages(reader bigint, room bigint, seqs bigint[]) IS 'Messages of a room by their numbers, as a member sees them.';

CREATE FUNCTION chat._rooms_seq_at(reader bigint, room bigint, since timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'auto'
    AS $$
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

COMMENT ON FUNCTION chat._rooms_seq_at(reader bigint, room bigint, since timestamp with time zone) IS 'The number of the last message of a room that the holder of a timestamp has; never one too high.';

CREATE FUNCTION chat._rooms_user(member chat.users) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return jsonb_build_object(
        'id', member.id,
        'username', member.username,
        'first_name', member.first_name,
        'last_name', member.last_name);
end
$$;

COMMENT ON FUNCTION chat._rooms_user(member chat.users) IS 'A user as this dialect shows one.';

CREATE FUNCTION chat._seq_of(thread bigint, message bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat._seq_of(thread bigint, message bigint) IS 'The number in its thread of the last message that a client has, from the message''s id.';

CREATE FUNCTION chat._user_record(member chat.users) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select jsonb_build_object(
            'id', member.id,
            'uuid', member.uuid,
            'active', member.active,
            'feed', member.feed,
            'status', member.status,
            'last_seen_at', to_char(member.last_seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'tokens_valid_after',
                to_char(member.tokens_valid_after at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'role', member.role,
            'full_name', member.full_name));
end
$$;

COMMENT ON FUNCTION chat._user_record(member chat.users) IS 'The log record of a user: no credits, no username.';

CREATE FUNCTION chat.admit(sub text, jti text, issued_at timestamp with time zone) RETURNS TABLE(user_id bigint, user_uuid uuid, username text, full_name text, role text, feed boolean, threads bigint[], thread_uuids uuid[], snapshot pg_snapshot)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    person chat.users;
begin
    -- `stable`: every statement here sees the same snapshot, the one returned; what comes later is on the feed
    select u.*
    into person
    from chat.users u
    where u.id = chat."user"(sub);

    if not found then
        raise exception 'Unknown user' using errcode = 'RC401';
    end if;
    if not person.active then
        raise exception 'Account deactivated' using errcode = 'RC403';
    end if;
    if chat.is_revoked(jti)
        or (person.tokens_valid_after is not null and (issued_at > person.tokens_valid_after) is not true)
    then
        raise exception 'Token revoked' using errcode = 'RC401';
    end if;

    return query
    select person.id,
        person.uuid,
        person.username,
        person.full_name,
        person.role,
        person.feed,
        coalesce(array_agg(t.id order by t.id) filter (where t.id is not null), '{}'),
        coalesce(array_agg(t.uuid order by t.id) filter (where t.id is not null), '{}'),
        pg_current_snapshot()
    from (values (person.id)) one (id)
    left join chat.members m on m.user_id = one.id
    left join chat.threads t on t.id = m.thread_id;
end
$$;

COMMENT ON FUNCTION chat.admit(sub text, jti text, issued_at timestamp with time zone) IS 'Lets the holder of a token in, with their threads as of `snapshot`; RC401 and RC403 say why not.';

CREATE FUNCTION chat.bench_begin(name text, people integer, OUT thread bigint, OUT sender bigint, OUT users uuid[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into chat.threads (kind, name)
    values ('group', bench_begin.name)
    returning id into thread;

    with made as (
        insert into chat.users (username, full_name)
        select bench_begin.name || '-' || n, bench_begin.name
        from generate_series(1, bench_begin.people) n
        returning id, uuid
    )
    select min(m.id), array_agg(m.uuid order by m.id)
    into sender, users
    from made m;

    insert into chat.members (thread_id, user_id)
    select thread, u.id
    from chat.users u
    where u.uuid = any(users);
end
$$;

COMMENT ON FUNCTION chat.bench_begin(name text, people integer, OUT thread bigint, OUT sender bigint, OUT users uuid[]) IS 'Makes a thread of that name and as many people in it; the first of them speaks.';

CREATE FUNCTION chat.bench_end(name text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- a little at a time: who writes meanwhile waits for nothing long
    delete from chat.messages m
    where m.id in (
        select l.id
        from chat.threads t
        join chat.messages l on l.thread_id = t.id
        where t.kind = 'group' and t.name = bench_end.name
        limit 1000);
    if found then
        return false;
    end if;

    delete from chat.threads t
    where t.kind = 'group' and t.name = bench_end.name;

    delete from chat.users u
    where u.full_name = bench_end.name and starts_with(u.username, bench_end.name || '-');
    return true;
end
$$;

COMMENT ON FUNCTION chat.bench_end(name text) IS 'Takes a part of what a benchmark wrote away; true when nothing is left.';

CREATE FUNCTION chat.bench_left() RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select t.name
    from chat.threads t
    where t.kind = 'group'
        and starts_with(t.name, 'rowcast bench ')
        and t.created_at < now() - interval '1 hour';
$$;

COMMENT ON FUNCTION chat.bench_left() IS 'The benchmarks of over an hour ago that were killed before they could take away what they wrote.';

CREATE FUNCTION chat.block(caller bigint, partner text, wanted boolean) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    other bigint := chat."user"(partner);
begin
    if other is null then
        raise exception 'Unknown user' using errcode = 'RC404';
    end if;
    if other = caller then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;

    if wanted then
        insert into chat.blocks (blocker_id, blocked_id)
        values (caller, other)
        on conflict do nothing;
    else
        delete from chat.blocks b
        where b.blocker_id = caller
            and b.blocked_id = other;
    end if;
    return (
        select jsonb_build_object('success', true, 'user_id', u.uuid, 'blocked', wanted)
        from chat.users u
        where u.id = other);
end
$$;

COMMENT ON FUNCTION chat.block(caller bigint, partner text, wanted boolean) IS 'Blocks somebody, or lifts the caller''s own block; the feed tells both.';

CREATE FUNCTION chat.conversation(reader bigint, thread bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.conversation(reader bigint, thread bigint) IS 'One conversation as conversation:updated tells of it; null for a thread that the reader is not in.';

CREATE FUNCTION chat.conversation_counts(reader bigint, OUT threads bigint[], OUT counts bigint[], OUT marks bigint[], OUT snapshot pg_snapshot) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.conversation_counts(reader bigint, OUT threads bigint[], OUT counts bigint[], OUT marks bigint[], OUT snapshot pg_snapshot) IS 'What is unread in each thread of a user, as of `snapshot`: a connection counts on from there by itself.';

CREATE FUNCTION chat.conversation_page(reader bigint, conversation text, before text, since timestamp with time zone, max integer) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat.conversation_page(reader bigint, conversation text, before text, since timestamp with time zone, max integer) IS 'A page of a conversation, ascending: the newest, those before a message, or those since a time (never skips).';

CREATE FUNCTION chat.conversation_read(reader bigint, conversation text, upto text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.conversation_read(reader bigint, conversation text, upto text) IS 'Marks a conversation as read, all of it or up to a message: {"success", "markedCount"}.';

CREATE FUNCTION chat.conversation_send(sender bigint, conversation text, content text, message_type text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.conversation_send(sender bigint, conversation text, content text, message_type text) IS 'Adds a message of a member and returns it in the dialect''s form; RC403 for anyone else.';

CREATE FUNCTION chat.conversations(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.conversations(reader bigint) IS 'The conversations of a user, newest activity first, each with its last message, participants and unread count.';

CREATE FUNCTION chat.direct_conversations(reader bigint) RETURNS TABLE(partner_id bigint, body jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.direct_conversations(reader bigint) IS 'The direct threads of a user, newest activity first, each with the partner''s id for the bridge to add who is online.';

CREATE FUNCTION chat.direct_delivered(reader bigint, message text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.direct_delivered(reader bigint, message text) IS 'Notes that somebody else''s message has reached a device of the reader.';

CREATE FUNCTION chat.direct_history(reader bigint, partner text, before text, since timestamp with time zone, max integer) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat.direct_history(reader bigint, partner text, before text, since timestamp with time zone, max integer) IS 'A page of what two people said, ascending: the newest, those before a message, or those since a time (never skips).';

CREATE FUNCTION chat.direct_open(caller bigint, partner text, OUT thread_id bigint, OUT thread_uuid uuid, OUT partner_id bigint, OUT partner_uuid uuid, OUT made_by xid8) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    partner_id := chat._direct_peer(caller, partner);
    thread_id := chat.direct_thread(caller, partner_id);
    select t.uuid into thread_uuid from chat.threads t where t.id = thread_id;
    select u.uuid into partner_uuid from chat.users u where u.id = partner_id;
    made_by := pg_current_xact_id_if_assigned();
end
$$;

COMMENT ON FUNCTION chat.direct_open(caller bigint, partner text, OUT thread_id bigint, OUT thread_uuid uuid, OUT partner_id bigint, OUT partner_uuid uuid, OUT made_by xid8) IS 'The direct thread with somebody who may be written to, made when there is none yet: then `made_by` says in which transaction.';

CREATE FUNCTION chat.direct_read(reader bigint, partner text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.direct_read(reader bigint, partner text) IS 'Marks all that somebody wrote to the reader as read: {"success", "marked_read"}.';

CREATE FUNCTION chat.direct_send(sender bigint, receiver text, content text, price bigint) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.direct_send(sender bigint, receiver text, content text, price bigint) IS 'Writes to somebody and takes the price in the same transaction; RC402 when it is too much, and nothing is written.';

CREATE FUNCTION chat.direct_thread(a bigint, b bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    pair text := least(a, b) || ':' || greatest(a, b);
    opened bigint;
begin
    if a is null or b is null or a = b then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;

    select t.id into opened from chat.threads t where t.direct_key = pair;
    if not found then
        if (select count(*) from chat.users u where u.id in (a, b)) < 2 then
            raise exception 'Unknown user' using errcode = 'RC404';
        end if;

        insert into chat.threads as t (kind, direct_key)
        values ('chat', pair)
        on conflict (direct_key) do nothing
        returning t.id
        into opened;

        -- somebody else was faster, and has committed
        if opened is null then
            select t.id into opened from chat.threads t where t.direct_key = pair;
        end if;
    end if;

    -- also brings back who left
    insert into chat.members (thread_id, user_id)
    values (opened, a), (opened, b)
    on conflict do nothing;
    return opened;
end
$$;

COMMENT ON FUNCTION chat.direct_thread(a bigint, b bigint) IS 'The one direct thread of two people, made when there is none; for SQL writers, too.';

CREATE FUNCTION chat.direct_view(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.direct_view(reader bigint) IS 'What a connection has to know: whose direct thread is which, and who has blocked or is blocked.';

CREATE FUNCTION chat.gone(members bigint[]) RETURNS TABLE(user_id bigint, user_uuid uuid, last_seen_at timestamp with time zone, threads bigint[])
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with locked as (
        select u.id
        from chat.users u
        where u.id = any (members)
        order by u.id
        for no key update
    ), noted as (
        update chat.users u
        set last_seen_at = now(),
            -- they have been here since they said so: being away ends with it, and an explicit offline has ended
            status = null
        from locked l
        where u.id = l.id
        returning u.id, u.uuid, u.last_seen_at
    )
    select n.id,
        n.uuid,
        n.last_seen_at,
        array(select m.thread_id from chat.members m where m.user_id = n.id)
    from noted n;
$$;

COMMENT ON FUNCTION chat.gone(members bigint[]) IS 'Notes that users went offline, once each, and returns whom it concerns: the threads they are in.';

CREATE FUNCTION chat.history_page(reader bigint, thread bigint, before bigint, after bigint, max integer) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.history_page(reader bigint, thread bigint, before bigint, after bigint, max integer) IS 'A page of a thread, ascending: the newest, those before a message id, or those after one.';

CREATE FUNCTION chat.is_revoked(jti text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return exists (
        select
        from chat.revoked_tokens t
        where t.jti = is_revoked.jti);
end
$$;

COMMENT ON FUNCTION chat.is_revoked(jti text) IS 'Whether a token is refused from now on, whoever its bearer is.';

CREATE FUNCTION chat.log_out(caller bigint, jti text, issued_at timestamp with time zone, expires_at timestamp with time zone, login text, everywhere boolean) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if everywhere then
        update chat.users u
        set tokens_valid_after = greatest(u.tokens_valid_after, now())
        where u.id = caller;
        delete from chat.login_sessions s
        where s.user_id = caller;
    elsif login is not null then
        delete from chat.login_sessions s
        where s.user_id = caller
            and 'login:' || md5(s.session_id) = login;
    elsif jti is not null then
        insert into chat.revoked_tokens as t (jti, user_id, expires_at)
        values (log_out.jti, caller, log_out.expires_at)
        on conflict do nothing;
    else
        -- a token without an id can only be refused along with those issued before it
        update chat.users u
        set tokens_valid_after = greatest(u.tokens_valid_after, coalesce(issued_at, now()))
        where u.id = caller;
    end if;
    return jsonb_build_object('success', true, 'everywhere', everywhere);
end
$$;

COMMENT ON FUNCTION chat.log_out(caller bigint, jti text, issued_at timestamp with time zone, expires_at timestamp with time zone, login text, everywhere boolean) IS 'Ends the token or login session that asks, or all of the user''s; their sockets close at once.';

CREATE FUNCTION chat.longpoll_count(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_count(reader bigint) IS 'Unread messages of a user, in all and by kind of thread.';

CREATE FUNCTION chat.longpoll_messages(reader bigint, thread bigint, last_message bigint, after_seq bigint, max integer) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_messages(reader bigint, thread bigint, last_message bigint, after_seq bigint, max integer) IS 'A thread''s messages after one, ascending, and the number that the wait for more goes on from.';

CREATE FUNCTION chat.longpoll_presence(reader bigint, partners bigint[], here bigint[], shown text[], idle double precision[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_presence(reader bigint, partners bigint[], here bigint[], shown text[], idle double precision[]) IS 'Presence of users who share a thread with the reader; others are left out. `here`: known to be here, with what they show (null: what they said) and for how long they have been silent.';

CREATE FUNCTION chat.longpoll_read(reader bigint, thread bigint) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_read(reader bigint, thread bigint) IS 'Marks a thread as read, or all threads of the reader (null); how many messages that covered.';

CREATE FUNCTION chat.longpoll_recount(sessions text[], readers bigint[], states jsonb[]) RETURNS TABLE(nth bigint, answer jsonb)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_recount(sessions text[], readers bigint[], states jsonb[]) IS 'Counts again for many waiting polls; a row for each (from 1) whose state differs now.';

CREATE FUNCTION chat.longpoll_send(sender bigint, thread bigint, content text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_send(sender bigint, thread bigint, content text) IS 'Adds a message of a member; RC403 for anyone else.';

CREATE FUNCTION chat.longpoll_threads(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_threads(reader bigint) IS 'The threads of a user, newest activity first, each with its members, last message and unread count.';

CREATE FUNCTION chat.longpoll_typing(reader bigint, thread bigint, typists bigint[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_typing(reader bigint, thread bigint, typists bigint[]) IS 'Names who types in a thread, in the order given, without the reader.';

CREATE FUNCTION chat.longpoll_updates(reader bigint, session text, last_check timestamp with time zone) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.longpoll_updates(reader bigint, session text, last_check timestamp with time zone) IS 'The update that a session lacks, which is noted as given; without one, the state to wait with.';

CREATE FUNCTION chat.mark_delivered(reader bigint, thread bigint, upto bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.mark_delivered(reader bigint, thread bigint, upto bigint) IS 'Notes that everything up to a message id has reached a device of the reader.';

CREATE FUNCTION chat.mark_read(reader bigint, thread bigint, upto bigint DEFAULT NULL::bigint) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.mark_read(reader bigint, thread bigint, upto bigint) IS 'Moves the reader''s watermark forward, to the end or to a message id, never back; the feed tells the others.';

CREATE FUNCTION chat.member_of(reader bigint, thread bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return exists (
        select
        from chat.members m
        where m.thread_id = member_of.thread
            and m.user_id = member_of.reader);
end
$$;

COMMENT ON FUNCTION chat.member_of(reader bigint, thread bigint) IS 'Whether a user is in a thread; false for a thread that does not exist.';

CREATE FUNCTION chat.message(ref text) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select m.id from chat.messages m where m.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select m.id from chat.messages m where m.uuid = ref::uuid);
    end if;
    return null;
end
$_$;

COMMENT ON FUNCTION chat.message(ref text) IS 'The message of a uuid or integer id; null when there is none or the text is neither.';

CREATE FUNCTION chat.message_of(thread bigint, ref text) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select m.id
        from chat.messages m
        where m.id = chat.message(ref)
            and m.thread_id = thread);
end
$$;

COMMENT ON FUNCTION chat.message_of(thread bigint, ref text) IS 'The same, of one thread: a message of another is as one that is not there.';

CREATE FUNCTION chat.offline_messages(OUT part text, reader bigint, since timestamp with time zone, INOUT base pg_snapshot, INOUT base_at timestamp with time zone, INOUT upto pg_snapshot, INOUT upto_at timestamp with time zone, INOUT last_id bigint, max integer) RETURNS SETOF record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION chat.offline_messages(OUT part text, reader bigint, since timestamp with time zone, INOUT base pg_snapshot, INOUT base_at timestamp with time zone, INOUT upto pg_snapshot, INOUT upto_at timestamp with time zone, INOUT last_id bigint, max integer) IS 'One page of what a user missed, by time or by position, in parts, and the position to go on from. Never skips.';

CREATE FUNCTION chat.others_in(member bigint, threads bigint[]) RETURNS TABLE(user_id bigint, user_uuid uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select u.id, u.uuid
    from (
        select distinct m.user_id
        from chat.members m
        where m.thread_id = any (threads)
            and m.user_id <> member
        order by m.user_id
        limit 1000
    ) o
    join chat.users u on u.id = o.user_id
    where u.active
    order by u.id;
end
$$;

COMMENT ON FUNCTION chat.others_in(member bigint, threads bigint[]) IS 'Who else is in any of these threads, each once, a thousand at most; for who subscribes and asks who is here.';

CREATE FUNCTION chat.profile(reader bigint, partner text, OUT person_id bigint, OUT body jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    select u.id, chat._profile(u)
    into person_id, body
    from chat.users u
    where u.id = chat."user"(partner)
        and u.active;
    if not found then
        raise exception 'Unknown user' using errcode = 'RC404';
    end if;
    if exists (
        select
        from chat.blocks b
        where (b.blocker_id, b.blocked_id) in ((reader, person_id), (person_id, reader)))
    then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;
end
$$;

COMMENT ON FUNCTION chat.profile(reader bigint, partner text, OUT person_id bigint, OUT body jsonb) IS 'A user as others see them, and their id for the bridge to add whether they are online; not across a block.';

CREATE FUNCTION chat.rooms_history(reader bigint, room bigint, before bigint, after bigint, max integer) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.rooms_history(reader bigint, room bigint, before bigint, after bigint, max integer) IS 'A page of a room, ascending: the newest, those before a message id, or those after one.';

CREATE FUNCTION chat.rooms_list(reader bigint, room bigint, typing_rooms bigint[], typists bigint[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.rooms_list(reader bigint, room bigint, typing_rooms bigint[], typists bigint[]) IS 'The rooms of a user, or one of them, newest activity first; who types, the latest first, is given.';

CREATE FUNCTION chat.rooms_marks(readers bigint[], rooms bigint[], reached bigint[]) RETURNS SETOF text
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select to_char(
        chat._rooms_mark(r.reader, r.room, r.reached) at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from unnest(readers, rooms, reached) with ordinality r (reader, room, reached, nth)
    order by r.nth;
$$;

COMMENT ON FUNCTION chat.rooms_marks(readers bigint[], rooms bigint[], reached bigint[]) IS 'Timestamps for many waiting polls that messages have answered, in one call, in the order given.';

CREATE FUNCTION chat.rooms_poll(reader bigint, room bigint, since timestamp with time zone, after_seq bigint, max integer) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

COMMENT ON FUNCTION chat.rooms_poll(reader bigint, room bigint, since timestamp with time zone, after_seq bigint, max integer) IS 'A room''s messages since a time, or after a number, ascending, with the timestamp to send next.';

CREATE FUNCTION chat.rooms_send(sender bigint, room bigint, content text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.rooms_send(sender bigint, room bigint, content text) IS 'Adds a message of a member; RC403 for anyone else.';

CREATE FUNCTION chat.said(member bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select u.status
        from chat.users u
        where u.id = member);
end
$$;

COMMENT ON FUNCTION chat.said(member bigint) IS 'What a user last said of themselves; null: nothing.';

CREATE FUNCTION chat.say_presence(member bigint, said text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if said is null or said not in ('online', 'away', 'offline') then
        raise exception 'status must be online, away or offline' using errcode = 'RC400';
    end if;

    -- a heartbeat that says the same again writes nothing
    update chat.users u
    set status = said,
        last_seen_at = case when said = 'offline' then now() else u.last_seen_at end
    where u.id = member
        and u.status is distinct from said;
end
$$;

COMMENT ON FUNCTION chat.say_presence(member bigint, said text) IS 'Stores what a user says of themselves: online, away or offline; the last is also when they were last seen.';

CREATE FUNCTION chat.seen(user_id bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    noted timestamptz;
begin
    update chat.users u
    set last_seen_at = now()
    where u.id = user_id
    returning u.last_seen_at
    into noted;
    return noted;
end
$$;

COMMENT ON FUNCTION chat.seen(user_id bigint) IS 'Notes when a user went offline.';

CREATE FUNCTION chat.send(sender bigint, thread bigint, content text, message_type text, attachments jsonb, public_id uuid DEFAULT NULL::uuid) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.send(sender bigint, thread bigint, content text, message_type text, attachments jsonb, public_id uuid) IS 'Adds a message of a member and returns it in native form; RC403 for anyone else. With an id of the sender''s choice it is added once, however often it is sent.';

CREATE FUNCTION chat.session(session_id text) RETURNS TABLE(sub text, created_at timestamp with time zone, expires_at timestamp with time zone, topic text)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    return query
    select
        u.uuid::text,
        s.created_at,
        coalesce(s.expires_at, now() + interval '1 day'),
        'login:' || md5(s.session_id)
    from chat.login_sessions s
    join chat.users u on u.id = s.user_id
    where s.session_id = $1
        and (s.expires_at is null or s.expires_at > now());
end
$_$;

COMMENT ON FUNCTION chat.session(session_id text) IS 'Whose an opaque cookie session is, from and until when, and the topic that tells of its end; no row when unknown or expired.';

CREATE FUNCTION chat.set_feed(reader bigint, wanted boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update chat.users u
    set feed = wanted
    where u.id = reader
        and u.feed <> wanted;
end
$$;

COMMENT ON FUNCTION chat.set_feed(reader bigint, wanted boolean) IS 'Turns the general feed of a user on or off, on every device and node.';

CREATE TABLE chat.members (
    thread_id bigint NOT NULL,
    user_id bigint NOT NULL,
    last_read_seq bigint DEFAULT 0 NOT NULL,
    last_delivered_seq bigint DEFAULT 0 NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='80');

COMMENT ON TABLE chat.members IS 'Who is in which thread, and how far they have read. Deleting a row takes effect on live sockets.';

COMMENT ON COLUMN chat.members.last_read_seq IS 'Everything up to here is read; moves forward only.';

COMMENT ON COLUMN chat.members.last_delivered_seq IS 'Everything up to here has reached a device of theirs; moves forward only.';

CREATE FUNCTION chat.tell_members(before chat.members[], after chat.members[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, link, ring)
    select w.topic,
        'chat.members',
        m.op,
        jsonb_build_object('thread_id', m.thread_id, 'user_id', m.user_id),
        case m.op
            when 'INSERT' then r.record
            when 'UPDATE' then r.record || jsonb_build_object('read_count', c.covered)
        end,
        case m.op
            when 'DELETE' then r.record
            when 'UPDATE' then jsonb_build_object(
                'last_read_seq', m.was_read,
                'last_delivered_seq', m.was_delivered,
                'last_read_count', c.covered)
        end,
        w.link,
        row_number() over () = 1
    from (
        select (coalesce(n, o)).*,
            case
                when o.user_id is null then 'INSERT'
                when n.user_id is null then 'DELETE'
                else 'UPDATE'
            end as op,
            o.last_read_seq as was_read,
            o.last_delivered_seq as was_delivered
        from unnest(after) n
        full join unnest(before) o on o.thread_id = n.thread_id and o.user_id = n.user_id
        where (o.thread_id, o.last_read_seq, o.last_delivered_seq)
            is distinct from (n.thread_id, n.last_read_seq, n.last_delivered_seq)
    ) m
    cross join lateral (
        select chat._member_record(m.thread_id, m.user_id, m.last_read_seq, m.last_delivered_seq) as record
    ) r
    cross join lateral (
        select count(*) as covered
        from chat.messages x
        where x.thread_id = m.thread_id
            and x.seq > m.was_read
            and x.seq <= m.last_read_seq
            and x.sender_id is distinct from m.user_id
            and x.deleted_at is null
    ) c
    -- who comes or goes is told on their own topic as well, with what they hold from there on
    cross join lateral (
        select 'thread:' || m.thread_id as topic, null as link
        union all
        select 'user:' || m.user_id, case m.op when 'INSERT' then '+' else '-' end || 'thread:' || m.thread_id
        where m.op <> 'UPDATE'
    ) w;
exception when others then
    perform rowcast._failed('chat.members', 'tell', sqlstate, sqlerrm);
end
$$;

COMMENT ON FUNCTION chat.tell_members(before chat.members[], after chat.members[]) IS 'For triggers of a team''s own tables: tells who came, went, read and received; live sockets follow at once.';

CREATE TABLE chat.messages (
    id bigint NOT NULL,
    uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    thread_id bigint NOT NULL,
    seq bigint NOT NULL,
    sender_id bigint,
    content text NOT NULL,
    message_type text DEFAULT 'text'::text NOT NULL,
    attachments jsonb DEFAULT '[]'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    edited_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT messages_attachments_are_a_list CHECK ((jsonb_typeof(attachments) = 'array'::text))
);

COMMENT ON TABLE chat.messages IS 'What was said. insert into chat.messages (thread_id, sender_id, content) is all it takes.';

COMMENT ON COLUMN chat.messages.seq IS 'Gapless number within the thread, in commit order; given by a trigger, whatever the writer says.';

COMMENT ON COLUMN chat.messages.sender_id IS 'Null: the system speaks.';

COMMENT ON COLUMN chat.messages.content IS 'As sent, any length; the limit of 2,000 characters is the APIs'', not the table''s.';

COMMENT ON COLUMN chat.messages.edited_at IS 'Set by itself when `content` is updated.';

COMMENT ON COLUMN chat.messages.deleted_at IS 'Set: the message is gone for clients, its number stays.';

CREATE FUNCTION chat.tell_messages(before chat.messages[], after chat.messages[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- a number that is no more is left out of the unread counts
    insert into chat.gaps (thread_id, seq)
    select o.thread_id, o.seq
    from unnest(before) o
    join chat.threads t on t.id = o.thread_id
    where not exists (select from unnest(after) n where n.id = o.id)
    on conflict do nothing;

    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'thread:' || m.thread_id,
        'chat.messages',
        m.op,
        jsonb_build_object('id', m.id),
        case when m.op <> 'DELETE' then to_jsonb(r) end,
        case m.op
            when 'UPDATE' then jsonb_build_object(
                'deleted_at', to_char(m.was_deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'edited_at', to_char(m.was_edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
            when 'DELETE' then to_jsonb(r) - 'content' - 'sender'
        end,
        row_number() over (order by m.seq, m.id) = 1
    from (
        select (coalesce(n, o)).*,
            case
                when o.id is null then 'INSERT'
                when n.id is null then 'DELETE'
                else 'UPDATE'
            end as op,
            o.deleted_at as was_deleted_at,
            o.edited_at as was_edited_at
        from unnest(after) n
        full join unnest(before) o on o.id = n.id
        where o is distinct from n
    ) m
    join chat.threads t on t.id = m.thread_id
    left join chat.users u on u.id = m.sender_id
    cross join lateral (
        select m.id,
            m.uuid,
            m.thread_id,
            t.uuid as thread_uuid,
            m.seq,
            m.sender_id,
            u.uuid as sender_uuid,
            case when u.id is not null then jsonb_build_object(
                'username', u.username,
                'first_name', u.first_name,
                'last_name', u.last_name,
                'full_name', u.full_name,
                'role', u.role) end as sender,
            m.content,
            m.message_type,
            m.attachments,
            to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
            to_char(m.edited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as edited_at,
            to_char(m.deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as deleted_at
    ) r
    order by m.seq, m.id;
exception when others then
    perform rowcast._failed('chat.messages', 'tell', sqlstate, sqlerrm);
end
$$;

COMMENT ON FUNCTION chat.tell_messages(before chat.messages[], after chat.messages[]) IS 'For triggers of a team''s own tables: puts messages that came, changed or went on the topic of their thread.';

CREATE TABLE chat.threads (
    id bigint NOT NULL,
    uuid uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text DEFAULT 'chat'::text NOT NULL,
    name text,
    direct_key text,
    last_seq bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT threads_kind CHECK ((kind = ANY (ARRAY['chat'::text, 'group'::text, 'sms'::text])))
)
WITH (fillfactor='70');

COMMENT ON TABLE chat.threads IS 'A thread, room or conversation: one thing. Its row is locked by whoever adds a message, until they commit.';

COMMENT ON COLUMN chat.threads.direct_key IS '''<lower user id>:<higher>'' for the one direct thread of two people; see chat.direct_thread().';

COMMENT ON COLUMN chat.threads.last_seq IS 'The seq of the newest message; moved by the numbering trigger only. Not on the feed, not indexed (cheap updates).';

COMMENT ON COLUMN chat.threads.updated_at IS 'When the newest message was added, else when the thread was made.';

CREATE FUNCTION chat.tell_threads(before chat.threads[], after chat.threads[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'thread:' || n.id,
        'chat.threads',
        'UPDATE',
        jsonb_build_object('id', n.id),
        jsonb_build_object('id', n.id, 'uuid', n.uuid, 'kind', n.kind, 'name', n.name),
        jsonb_build_object('name', o.name),
        row_number() over (order by n.id) = 1
    from unnest(before) o
    join unnest(after) n on n.id = o.id
    where n.name is distinct from o.name
    order by n.id;
exception when others then
    perform rowcast._failed('chat.threads', 'tell', sqlstate, sqlerrm);
end
$$;

COMMENT ON FUNCTION chat.tell_threads(before chat.threads[], after chat.threads[]) IS 'For triggers of a team''s own tables: tells a thread its new name.';

CREATE FUNCTION chat.tell_users(before chat.users[], after chat.users[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
    select 'user:' || o.id,
        'chat.users',
        case when n.id is null then 'DELETE' else 'UPDATE' end,
        jsonb_build_object('id', o.id),
        case when n.id is not null then chat._user_record(n) end,
        chat._user_record(o),
        row_number() over (order by o.id) = 1
    from unnest(before) o
    left join unnest(after) n on n.id = o.id
    where (o.id, o.active, o.feed, o.status, o.last_seen_at, o.tokens_valid_after, o.role, o.full_name)
        is distinct from
        (n.id, n.active, n.feed, n.status, n.last_seen_at, n.tokens_valid_after, n.role, n.full_name)
    order by o.id;
exception when others then
    perform rowcast._failed('chat.users', 'tell', sqlstate, sqlerrm);
end
$$;

COMMENT ON FUNCTION chat.tell_users(before chat.users[], after chat.users[]) IS 'For triggers of a team''s own tables: tells standing, presence and names that changed, and who is no more.';

CREATE FUNCTION chat.thread(ref text) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select t.id from chat.threads t where t.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select t.id from chat.threads t where t.uuid = ref::uuid);
    end if;
    return null;
end
$_$;

COMMENT ON FUNCTION chat.thread(ref text) IS 'The thread of a uuid or integer id; null when there is none or the text is neither.';

CREATE FUNCTION chat.threads_of(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select coalesce(jsonb_agg(
            jsonb_build_object(
                'id', t.uuid,
                'kind', t.kind,
                'name', t.name,
                'unread_count', n.unread,
                'last_message', l.body,
                'updated_at', to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'members', p.members)
            order by t.updated_at desc, t.id desc), '[]')
        from chat.members m
        join chat.threads t on t.id = m.thread_id
        join chat.unread_counts n on n.user_id = m.user_id and n.thread_id = m.thread_id
        left join lateral (
            select v.body
            from chat.native_messages v
            where v.thread_id = t.id
            order by v.seq desc
            limit 1
        ) l on true
        cross join lateral (
            select jsonb_agg(
                jsonb_build_object(
                    'user_id', u.uuid,
                    'full_name', u.full_name,
                    'role', u.role,
                    'username', u.username,
                    'read_up_to_message_id', r.uuid,
                    'delivered_up_to_message_id', d.uuid)
                order by u.id) as members
            from chat.members o
            join chat.users u on u.id = o.user_id
            left join lateral (
                select x.uuid
                from chat.messages x
                where x.thread_id = t.id
                    and x.seq <= o.last_read_seq
                    and x.deleted_at is null
                order by x.seq desc
                limit 1
            ) r on true
            left join lateral (
                select x.uuid
                from chat.messages x
                where x.thread_id = t.id
                    and x.seq <= greatest(o.last_delivered_seq, o.last_read_seq)
                    and x.deleted_at is null
                order by x.seq desc
                limit 1
            ) d on true
            where o.thread_id = t.id
        ) p
        where m.user_id = reader);
end
$$;

COMMENT ON FUNCTION chat.threads_of(reader bigint) IS 'The threads of a user, newest activity first, each with its last message, members and unread count.';

CREATE FUNCTION chat.unread(reader bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION chat.unread(reader bigint) IS 'Unread messages of a user: {"unread_count": n, "threads": {uuid: n}}, threads without any left out.';

CREATE FUNCTION chat."user"(ref text) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select u.id from chat.users u where u.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select u.id from chat.users u where u.uuid = ref::uuid);
    end if;
    return null;
end
$_$;

COMMENT ON FUNCTION chat."user"(ref text) IS 'The user of a uuid or integer id; null when there is none or the text is neither.';

CREATE FUNCTION rowcast._capture_broadcasts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
begin
    -- a topic that no client can hold is nobody's
    insert into rowcast.changes (topic, relation, op, key, record, ring)
    select p.place,
        'realtime.messages',
        'INSERT',
        jsonb_build_object('id', n.id),
        to_jsonb(n) - 'extension' - 'updated_at',
        row_number() over () = 1
    from new_rows n
    cross join lateral (
        select case when n.private then 'channel:private:' else 'channel:public:' end || n.topic as place
    ) p
    where n.extension = 'broadcast'
        and n.topic <> ''
        and octet_length(p.place) <= 640
        and n.topic !~ '[\u0001-\u001f\u007f-\u009f]';
    return null;
exception when others then
    perform rowcast._failed('realtime.messages', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION rowcast._capture_broadcasts() IS 'Puts broadcasts from SQL on the topic of their channel.';

CREATE FUNCTION rowcast._capture_of(relation oid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select format('rowcast._capture_%s()', w.id)
    from rowcast.watches w
    where w.relation = $1;
$_$;

COMMENT ON FUNCTION rowcast._capture_of(relation oid) IS 'The capture function of a watched table; null when it is not watched.';

CREATE FUNCTION rowcast._capture_watches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'table:rowcast.watches',
            'rowcast.watches',
            tg_op,
            jsonb_build_object('id', o.id),
            jsonb_build_object('id', o.id, 'name', o.name, 'topic', o.topic, 'publication', o.publication),
            row_number() over () = 1
        from old_rows o;
    else
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select 'table:rowcast.watches',
            'rowcast.watches',
            tg_op,
            jsonb_build_object('id', n.id),
            jsonb_build_object('id', n.id, 'name', n.name, 'topic', n.topic, 'publication', n.publication),
            row_number() over () = 1
        from new_rows n;
    end if;
    return null;
exception when others then
    perform rowcast._failed('rowcast.watches', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

COMMENT ON FUNCTION rowcast._capture_watches() IS 'Tells through the log what is watched and what no longer is.';

CREATE FUNCTION rowcast._columns_of(relation regclass) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array(
        select a.attname::text
        from pg_attribute a
        where a.attrelid = relation
            and a.attnum > 0
            and not a.attisdropped
        order by a.attnum);
$$;

COMMENT ON FUNCTION rowcast._columns_of(relation regclass) IS 'The columns a table has now, in order.';

CREATE FUNCTION rowcast._condition(watch integer, column_name text, operator text, value text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    kind record;
    symbol text;
    home text := 'pg_catalog';
    literal text;
    test text;
begin
    select y.oid,
        y.typtype,
        y.typcategory,
        y.typarray,
        format_type(y.oid, -1) as shown,
        -- char(n) is as long as it is
        format_type(y.oid, case when a.atttypid = y.oid and y.oid = 'bpchar'::regtype then a.atttypmod else -1 end)
            || case when l.oid is null then '' else format(' collate %I.%I', m.nspname, l.collname) end as definition,
        n.nspname,
        y.oid < 16384 as built_in,
        pg_has_role(c.relowner, s.nspowner, 'member') as trusted
    into kind
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace s on s.nspname = 'rowcast'
    join pg_attribute a on a.attrelid = w.relation
    join pg_type y on y.oid = (rowcast._type(a.atttypid) ->> 'oid')::oid
    join pg_namespace n on n.oid = y.typnamespace
    left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
    left join pg_namespace m on m.oid = l.collnamespace
    where w.id = watch
        and a.attname = column_name
        and a.attnum > 0
        and not a.attisdropped;
    if not found then
        raise exception 'invalid column for filter %', column_name
            using errcode = 'RC400';
    end if;
    -- reading a composite value may run the checks of domains in it
    if not kind.built_in and kind.typtype <> 'e' and not kind.trusted then
        raise exception 'type % is not compared: the table''s owner is not a member of the bridge''s role', kind.shown
            using errcode = 'RC403';
    end if;

    symbol := case operator
        when 'eq' then '='
        when 'neq' then '<>'
        when 'lt' then '<'
        when 'lte' then '<='
        when 'gt' then '>'
        when 'gte' then '>='
        when 'in' then '='
        when 'isdistinct' then '='
        when 'like' then '~~'
        when 'ilike' then '~~*'
        when 'match' then '~'
        when 'imatch' then '~*'
    end;
    if symbol is null and (operator <> 'is' or value not in ('null', 'true', 'false', 'unknown')) then
        raise exception 'unknown filter operator %', operator
            using errcode = 'RC400';
    end if;

    -- an extension's operators stand beside its type
    if not kind.built_in and exists (
        select
        from pg_operator o
        join pg_namespace n on n.oid = o.oprnamespace
        join pg_proc f on f.oid = o.oprcode
        join pg_language g on g.oid = f.prolang
        where o.oprname = symbol
            and o.oprleft = kind.oid
            and n.nspname = kind.nspname
            and g.lanname in ('c', 'internal'))
    then
        home := kind.nspname;
    end if;

    -- a literal is read by the type's input function, a cast from text might be somebody's own
    literal := case
        when operator = 'in' then format('any (%L::%s)', value, format_type(kind.typarray, -1))
        when operator in ('like', 'ilike', 'match', 'imatch') and kind.oid <> 'bytea'::regtype then
            format('%L::text', value)
        else format('%L::%s', value, kind.shown)
    end;
    test := case operator
        when 'is' then format('x.%I is %s', column_name, value)
        when 'isdistinct' then
            format('coalesce(not x.%I operator(%I.%s) %s, true)', column_name, home, symbol, literal)
        else format('x.%I operator(%I.%s) %s', column_name, home, symbol, literal)
    end;
    return format(
        'select array_agg(w.nth) from unnest($1) w (nth) cross join lateral '
            'jsonb_to_record($2 -> (w.nth - 1)) x (%I %s) where %s',
        column_name, kind.definition, test);
end
$_$;

COMMENT ON FUNCTION rowcast._condition(watch integer, column_name text, operator text, value text) IS 'The query that tells which of some records a condition holds for; every name and value in it is quoted.';

CREATE FUNCTION rowcast._define_capture(relation regclass, wanted_topic text, wanted_columns text[], wanted_identity text) RETURNS TABLE(capture text, topic text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    name text;
    keys text[] := rowcast._key_of(relation);
    kind record;
    refusal text := rowcast._refuse(relation);
    missing text;
    watched rowcast.watches;
begin
    select c.relowner,
        c.relreplident,
        c.relkind,
        format('%I.%I', n.nspname, c.relname) as name,
        pg_has_role(session_user, c.relowner, 'member') as allowed,
        pg_has_role(c.relowner, current_user, 'member') as trusted
    into kind
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation;
    name := kind.name;

    if refusal is not null then
        raise exception '% %', rowcast._printable(coalesce(name, relation::text)), refusal
            using errcode = 'RC409';
    end if;
    if not kind.allowed then
        raise exception 'only the owner of % may watch it', name
            using errcode = 'RC403';
    end if;
    if wanted_identity is null or wanted_identity not in ('key', 'full') then
        raise exception 'identity is ''key'' or ''full'', not %', coalesce(quote_literal(wanted_identity), 'null')
            using errcode = 'RC400';
    end if;
    if wanted_topic is not null and wanted_topic !~ '^table:.' then
        raise exception 'the topic of a watched table begins with "table:", not %', quote_literal(wanted_topic)
            using errcode = 'RC400';
    end if;
    if wanted_topic <> rowcast._printable(wanted_topic) then
        raise exception 'the topic of a watched table has no control characters, as % has', quote_literal(rowcast._printable(wanted_topic))
            using errcode = 'RC400';
    end if;
    if keys is null and wanted_identity <> 'full' and kind.relreplident <> 'f' then
        raise exception '% has no primary key', name
            using errcode = 'RC409',
                hint = 'Add one, or watch it with identity => ''full'': its changes then carry whole rows and no key.';
    end if;

    select w.wanted
    into missing
    from unnest(wanted_columns) w (wanted)
    where not exists (
        select
        from pg_attribute a
        where a.attrelid = relation
            and a.attname = w.wanted
            and a.attnum > 0
            and not a.attisdropped)
    limit 1;
    if found or cardinality(wanted_columns) = 0 then
        raise exception '% has no column %', name, coalesce(quote_literal(missing), 'in an empty list')
            using errcode = 'RC400';
    end if;

    insert into rowcast.watches as w (relation, name, topic, columns, identity, key_columns, trusted, watched_columns)
    values (
        relation,
        name,
        coalesce(wanted_topic, 'table:' || name),
        wanted_columns,
        wanted_identity,
        coalesce(keys, '{}'),
        kind.trusted,
        rowcast._columns_of(relation))
    on conflict on constraint watches_relation do update
    set name = excluded.name,
        topic = excluded.topic,
        columns = excluded.columns,
        identity = excluded.identity,
        key_columns = excluded.key_columns,
        trusted = excluded.trusted,
        watched_columns = excluded.watched_columns,
        watched_at = clock_timestamp()
    returning *
    into watched;

    perform rowcast._write_capture(watched);
    perform rowcast._write_sight(watched);

    -- who creates a trigger must be allowed to call its function
    capture := format('rowcast._capture_%s()', watched.id);
    topic := watched.topic;
    execute format('revoke all on function %s from public', capture);
    execute format('grant execute on function %s to %s', capture, kind.relowner::regrole);
    return next;
exception when unique_violation then
    raise exception 'the topic % is another table''s', quote_literal(coalesce(wanted_topic, 'table:' || name))
        using errcode = 'RC409';
end
$$;

COMMENT ON FUNCTION rowcast._define_capture(relation regclass, wanted_topic text, wanted_columns text[], wanted_identity text) IS 'Checks a table and its caller, notes the watch and writes its capture function. Called by watch().';

CREATE FUNCTION rowcast._doctor_bridges() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select 'checkpoints',
        coalesce(l.checkpoint_at >= l.newest_change_at - interval '5 seconds', l.newest_change_at is null)
            or l.newest_change_at > clock_timestamp() - interval '5 seconds',
        coalesce('the newest is of ' || l.checkpoint_at, 'none yet'),
        case when coalesce(l.checkpoint_at < l.newest_change_at - interval '5 seconds', l.newest_change_at is not null)
            then 'rowcast serve # no bridge follows the log'
        end
    from rowcast.lag l;

    return query
    select 'history',
        l.history is not distinct from rowcast.history() or l.history is null,
        coalesce(l.history, 'not adopted by a bridge yet'),
        case when l.history <> rowcast.history() then
            'rowcast serve # the database was failed over or restored: a bridge adopts it when it starts'
        end
    from rowcast.lag l;

    return query
    select 'bridge names',
        d.name is null,
        coalesce(d.n || ' bridges are called ' || quote_literal(d.name), 'no two bridges have one name'),
        case when d.name is not null then
            format('export ROWCAST_NODE=%s-2 # for one of them, which then starts again', d.name)
        end
    from (values (1)) one
    left join lateral (
        select n.name, count(*) as n
        from rowcast.nodes n
        where n.seen_at > clock_timestamp() - interval '30 seconds'
        group by n.name
        having count(*) > 1
        order by n.name
        limit 1
    ) d on true;

    return query
    select 'lost bridges',
        g.names is null,
        coalesce('gone without a word: ' || g.names, 'none'),
        g.remedy
    from (
        select string_agg(format('%s, seen %s ago', n.name, date_trunc('second', clock_timestamp() - n.seen_at)), '; ')
                as names,
            string_agg(
                format('select rowcast.goodbye(%L); -- when nothing is to start it again', n.id), chr(10))
                as remedy
        from rowcast.nodes n
        where n.seen_at < clock_timestamp() - interval '1 minute'
    ) g;
end
$$;

COMMENT ON FUNCTION rowcast._doctor_bridges() IS 'The doctor''s look at who follows the log.';

CREATE FUNCTION rowcast._doctor_limit(name text, usual text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(nullif(current_setting('rowcast.doctor_' || name, true), ''), usual);
$$;

COMMENT ON FUNCTION rowcast._doctor_limit(name text, usual text) IS 'From where on the doctor complains: what `rowcast doctor` was told for its session, else the usual.';

CREATE FUNCTION rowcast._doctor_log() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select 'capture failures',
        f.n = 0,
        format('%s in the last hour', f.n)
            || coalesce('; last: ' || f.op || ' of ' || f.relation || ': ' || f.message, ''),
        case when f.n > 0 then
            'select * from rowcast.failures order by id desc; -- mend what they say; those changes are not in the log: '
                || 'clients were told to fetch afresh' || chr(10)
                || format('delete from rowcast.failures where id <= %s; -- a day later: cursors from before need them', f.id)
        end
    from (
        select count(*) over () as n, x.id, x.relation, x.op, x.message
        from rowcast.failures x
        where x.at > clock_timestamp() - interval '1 hour'
        union all
        select 0, null, null, null, null
        order by 1 desc, 2 desc nulls last
        limit 1
    ) f;

    return query
    select 'log size',
        l.log_bytes < m.most,
        format('%s, since %s', pg_size_pretty(l.log_bytes), coalesce(l.oldest_change_at::text, 'no change yet')),
        case when l.log_bytes >= m.most then
            'export ROWCAST_RETENTION=6h # keep less; or look at "open transactions", which hold back pruning; '
                'or say with --log-size how much may be'
        end
    from rowcast.lag l
    cross join lateral (select pg_size_bytes(rowcast._doctor_limit('log_size', '10GB'))) m (most);

    return query
    select 'log index',
        coalesce(i.indisvalid, false),
        case
            when i.indexrelid is null then 'the index that resuming clients read the log by is missing'
            when not i.indisvalid then 'the index that resuming clients read the log by is not valid'
            else 'there'
        end,
        case
            when i.indexrelid is null then
                'create index concurrently changes_topic_xid on rowcast.changes (topic, xid);'
            when not i.indisvalid then 'reindex index concurrently rowcast.changes_topic_xid;'
        end
    from (values (to_regclass('rowcast.changes_topic_xid'))) x (name)
    left join pg_index i on i.indexrelid = x.name and i.indrelid = 'rowcast.changes'::regclass;

    return query
    select 'log durability',
        c.relpersistence = 'p',
        case c.relpersistence when 'p' then 'logged' else 'unlogged: a crash empties it' end,
        case when c.relpersistence <> 'p' then
            'alter table rowcast.changes set logged; -- writers wait while it is copied'
        end
    from pg_class c
    where c.oid = 'rowcast.changes'::regclass;

    return query
    select 'log vacuum',
        v.own is null and v.everywhere = 'on',
        case
            when v.own is not null then 'autovacuum is off for the log'
            when v.everywhere <> 'on' then 'autovacuum is off for all tables'
            else 'autovacuum is on'
        end,
        case
            when v.own is not null then 'alter table rowcast.changes reset (autovacuum_enabled);'
            when v.everywhere <> 'on' then
                'alter system reset autovacuum; -- as a superuser' || chr(10)
                    || 'select pg_reload_conf(); -- as a superuser'
        end
    from (
        select current_setting('autovacuum') as everywhere,
            (
                select o.option_value
                from pg_class c
                cross join lateral pg_options_to_table(c.reloptions) o
                where c.oid = 'rowcast.changes'::regclass
                    and o.option_name = 'autovacuum_enabled'
                    and not o.option_value::boolean
            ) as own
    ) v;

    return query
    select 'hidden rows',
        h.tables is null,
        coalesce('row security hides rows from this role in ' || h.tables, 'row security hides none of our rows'),
        h.remedy
    from (
        select string_agg(x.name, ', ' order by x.name) as tables,
            string_agg(
                format('alter table %s no force row level security, disable row level security;', x.name),
                chr(10) order by x.name) as remedy
        from (
            select format('%I.%I', n.nspname, c.relname) as name
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname in ('rowcast', 'chat')
                and c.relkind in ('r', 'p')
                and row_security_active(c.oid)
        ) x
    ) h;
end
$$;

COMMENT ON FUNCTION rowcast._doctor_log() IS 'The doctor''s look at the log: what is missing in it, how large it is, whether it can be read and survives.';

CREATE FUNCTION rowcast._doctor_own() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select 'functions of your own',
        count(*) filter (where r.state = 'missing') = 0,
        coalesce(string_agg(r.signature || case r.state when 'missing' then ' is missing' else '' end, ', '
            order by r.state, r.signature), 'none: all are as migrate installed them'),
        case when count(*) filter (where r.state = 'missing') > 0 then 'rowcast migrate # puts back what is missing' end
    from rowcast.replaced r
    union all
    select 'tables of your own',
        count(m.relation) = 0,
        coalesce(string_agg(m.relation || ' ' || m.problem, '; '), 'the chat''s relations have what is asked of them'),
        case when count(m.relation) > 0 then 'select * from rowcast.misfits(); -- change the view; docs/bring-your-own-tables.md has its columns' end
    from rowcast.misfits() m;
$$;

COMMENT ON FUNCTION rowcast._doctor_own() IS 'The doctor''s look at what a team has put in the place of ours.';

CREATE FUNCTION rowcast._doctor_realtime() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select 'role ' || w.name,
        p.problem is null,
        coalesce(p.problem, 'the bridge may act as it'),
        p.remedy
    from (values ('anon'), ('authenticated'), ('service_role')) w (name)
    left join pg_roles r on r.rolname = w.name
    left join lateral (
        select v.problem, v.remedy
        from (values
            (1, r.oid is null,
                'it is missing; clients of the supabase dialect need it',
                format('create role %I nologin noinherit%s; -- as a superuser', w.name,
                    case when w.name = 'service_role' then ' bypassrls' else '' end)
                    || chr(10) || format('grant %I to %I; -- as a superuser', w.name, current_user)
                    || chr(10) || 'rowcast migrate'),
            (2, not rowcast._may_become(w.name),
                'the bridge may not act as it',
                format('grant %I to %I; -- as a superuser', w.name, current_user)),
            (3, w.name = 'service_role' and not r.rolbypassrls and not r.rolsuper,
                'it does not bypass row security, as apps expect',
                'alter role service_role bypassrls; -- as a superuser')
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'functions for policies and broadcasts',
        m.missing is null,
        coalesce('missing: ' || m.missing, 'all there'),
        case when m.missing is not null then
            'rowcast migrate # as a role that may create schemas, and functions in realtime and auth'
        end
    from (
        select string_agg(x.name, ', ') as missing
        from (values
            ('auth.uid()'),
            ('auth.role()'),
            ('auth.jwt()'),
            ('realtime.topic()'),
            ('realtime.send(jsonb,text,text,boolean)')
        ) x (name)
        where not exists (
            select
            from pg_proc p
            join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = split_part(x.name, '.', 1)
                and p.proname = split_part(split_part(x.name, '.', 2), '(', 1))
    ) m;

    return query
    select 'broadcasts from SQL',
        p.problem is null,
        coalesce(p.problem, 'captured'),
        p.remedy
    from (
        -- by the catalog: to_regclass() is an error to whom the schema is closed
        select (
            select c.oid
            from pg_class c
            where c.relnamespace = n.oid
                and c.relname = 'messages'
        ) as messages,
            coalesce(not has_schema_privilege(n.oid, 'usage'), false) as closed
        from (values ('realtime')) x (name)
        left join pg_namespace n on n.nspname = x.name
    ) m
    left join pg_trigger t on t.tgrelid = m.messages and t.tgname = '_900_rowcast_insert'
    left join lateral (
        select format(
            'create policy rowcast_probe on realtime.messages for insert to %I with check (true); -- as its owner',
            current_user) as policy
        where row_security_active(m.messages)
            and not exists (
                select
                from pg_policy p
                join pg_roles r on r.oid = any (p.polroles)
                where p.polrelid = m.messages
                    and p.polcmd in ('a', '*')
                    and r.rolname = current_user
                    and pg_get_expr(p.polwithcheck, p.polrelid) = 'true')
    ) s on true
    left join lateral (
        select v.problem, v.remedy
        from (values
            (0, m.closed or not has_table_privilege(m.messages, 'insert'),
                'the bridge may not write to realtime.messages, by which it tries who may do what',
                format('grant usage on schema realtime to %I; -- as its owner', current_user) || chr(10)
                    || format('grant insert on realtime.messages to %I; -- as its owner', current_user)
                    || coalesce(chr(10) || s.policy, '')),
            (1, s.policy is not null,
                'row security keeps the bridge from writing to realtime.messages, by which it tries who may do what',
                s.policy),
            (2, m.messages is null,
                'realtime.messages is missing',
                'rowcast migrate # as a role that may create in schema realtime'),
            (3, m.messages is not null and t.oid is null,
                'the trigger of realtime.messages is missing',
                case when not has_table_privilege(m.messages, 'trigger') then
                    format('grant trigger on realtime.messages to %I; -- as its owner', current_user) || chr(10)
                else '' end || 'rowcast migrate'),
            (4, t.tgenabled not in ('O', 'A'),
                'the trigger of realtime.messages is disabled',
                'alter table realtime.messages enable trigger _900_rowcast_insert; -- as its owner'),
            (5, m.messages is not null and not exists (
                    select
                    from pg_inherits i
                    join pg_class c on c.oid = i.inhrelid
                    where i.inhparent = m.messages
                        and (c.relname = 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD')
                            or pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'))
                    and exists (select from pg_partitioned_table t where t.partrelid = m.messages),
                'the partition of today is missing',
                'select rowcast.keep_messages(interval ''72 hours''); -- a bridge does that when it starts')
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'publication ' || p.name,
        k.oid is not null and w.unwatched is null,
        case
            when k.oid is null then 'it was dropped'
            else coalesce('not watched: ' || w.unwatched, 'all its tables are watched')
        end,
        case
            when k.oid is null then
                format('select * from rowcast.sync_publication(%L);', p.name) || chr(10)
                    || format('delete from rowcast.publications where name = %L;', p.name)
            when w.unwatched is not null then
                format('select * from rowcast.sync_publication(%L); -- says what cannot be watched, and why', p.name)
        end
    from rowcast.publications p
    left join pg_publication k on k.pubname = p.name
    cross join lateral (
        select string_agg(t.relation::text, ', ') as unwatched
        from rowcast._published(p.name) t
        where not exists (
            select
            from rowcast.watches x
            where x.relation = t.relation)
    ) w;
end
$$;

COMMENT ON FUNCTION rowcast._doctor_realtime() IS 'The doctor''s look at what the supabase dialect needs.';

CREATE FUNCTION rowcast._doctor_rights() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select 'permissions',
        p.lacking is null,
        coalesce('lacking: ' || p.lacking, 'this role can read and keep the log'),
        case when p.lacking is not null then
            format('grant select, insert, update, delete on all tables in schema rowcast, chat to %I;', current_user)
                || chr(10)
                || format('grant truncate on rowcast.changes, rowcast.checkpoints, chat.check_bookmarks to %I;',
                    current_user)
                || chr(10)
                || format('grant usage on all sequences in schema rowcast, chat to %I;', current_user) || chr(10)
                || format('grant execute on all functions in schema rowcast, chat to %I;', current_user)
        end
    from (
        select string_agg(x.what, ', ') as lacking
        from (
            select format('%s on %s', lower(k.privilege), t.name) as what
            from (values
                ('rowcast.changes', array['SELECT', 'INSERT', 'DELETE', 'TRUNCATE']),
                ('rowcast.checkpoints', array['SELECT', 'INSERT', 'DELETE', 'TRUNCATE']),
                ('rowcast.state', array['SELECT', 'UPDATE']),
                ('rowcast.nodes', array['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                ('chat.users', array['SELECT', 'UPDATE']),
                ('chat.messages', array['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                ('chat.members', array['SELECT', 'INSERT', 'UPDATE', 'DELETE'])
            ) t (name, privileges)
            cross join lateral unnest(t.privileges) k (privilege)
            where not has_table_privilege(t.name, k.privilege)
            union all
            select format('execute on %s', p.oid::regprocedure)
            from pg_proc p
            where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
                and p.prorettype <> 'trigger'::regtype
                and not has_function_privilege(p.oid, 'execute')
        ) x
    ) p;

    return query
    select 'role of the bridge',
        not r.rolsuper,
        case
            when r.rolsuper then format('%s is a superuser', r.rolname)
            else format('%s, an ordinary role', r.rolname)
        end,
        case when r.rolsuper then
            format('alter role %I nosuperuser; -- as another superuser; or give the bridge a role of its own, sql/grants.sql',
                r.rolname)
        end
    from pg_roles r
    where r.rolname = current_user;

    return query
    select 'rights of strangers',
        s.what is null,
        coalesce(s.what, 'clients'' roles have none on the log'),
        s.remedy
    from (
        select string_agg(format('%s may %s', x.who, x.what), '; ' order by x.who, x.nth) as what,
            string_agg(format('revoke all on %s from %s;', x.place, x.who), chr(10) order by x.who, x.nth) as remedy
        from (
            select t.who, 1 as nth, 'use tables of rowcast: ' || string_agg(t.name, ', ' order by t.name) as what,
                'all tables in schema rowcast' as place
            from (
                select distinct c.relname as name, rowcast._stranger(a.grantee) as who
                from pg_class c
                left join pg_attribute f on f.attrelid = c.oid and f.attacl is not null
                cross join lateral (
                    select e.grantee from aclexplode(c.relacl) e
                    union
                    select e.grantee from aclexplode(f.attacl) e
                ) a
                where c.relnamespace = 'rowcast'::regnamespace
                    and c.relkind in ('r', 'p', 'v', 'm')
            ) t
            where t.who is not null
            group by t.who
            union all
            select f.who, 2, format('run %s functions of rowcast and chat', count(*)),
                'all functions in schema rowcast, chat'
            from (
                select p.oid, rowcast._stranger(a.grantee) as who
                from pg_proc p
                cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
                    and p.prorettype <> 'trigger'::regtype
            ) f
            where f.who is not null
            group by f.who
            union all
            select h.who, 3, format('create in schema %I', h.name), format('schema %I', h.name)
            from (
                select n.nspname as name, rowcast._stranger(a.grantee) as who
                from pg_namespace n
                cross join lateral aclexplode(n.nspacl) a
                where n.nspname in ('rowcast', 'chat')
                    and a.privilege_type = 'CREATE'
            ) h
            where h.who is not null
        ) x
    ) s;
end
$$;

COMMENT ON FUNCTION rowcast._doctor_rights() IS 'The doctor''s look at rights: those the bridge lacks, and those that others should not have.';

CREATE FUNCTION rowcast._doctor_settings() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select 'setting ' || s.name,
        current_setting(s.name) = any (s.good),
        format('%s, set by %s', current_setting(s.name), coalesce(p.source, 'default')),
        case when current_setting(s.name) <> all (s.good) then
            -- that one stands in its own remedy's way
            case when s.name = 'default_transaction_read_only' then
                'set default_transaction_read_only = off; -- as a superuser' || chr(10)
            else '' end || rowcast._reset_of(s.name)
        end
    from (values
        ('session_replication_role', array['origin', 'local']),
        ('row_security', array['on']),
        ('synchronous_commit', array['on', 'local', 'remote_write', 'remote_apply']),
        ('default_transaction_read_only', array['off'])
    ) s (name, good)
    left join pg_settings p on p.name = s.name;
$$;

COMMENT ON FUNCTION rowcast._doctor_settings() IS 'The doctor''s look at settings that the bridge''s sessions begin with.';

CREATE FUNCTION rowcast._doctor_triggers() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select 'triggers of ' || e.relation,
        count(t.oid) filter (where t.tgenabled in ('O', 'A')) = e.wanted,
        format('%s of %s enabled', count(t.oid) filter (where t.tgenabled in ('O', 'A')), e.wanted),
        case
            when count(t.oid) < e.wanted then 'rowcast migrate --force'
            when count(t.oid) filter (where t.tgenabled in ('O', 'A')) < e.wanted then
                format('alter table %s enable trigger user;', e.relation)
        end
    from (values
        ('rowcast.changes', 1),
        ('rowcast.watches', 3),
        ('chat.users', 5),
        ('chat.threads', 2),
        ('chat.members', 4),
        ('chat.messages', 8),
        ('chat.blocks', 2),
        ('chat.revoked_tokens', 1),
        ('chat.login_sessions', 2)
    ) e (relation, wanted)
    left join pg_trigger t
        on t.tgrelid = to_regclass(e.relation)
        and not t.tgisinternal
        and (t.tgname = 'ring' or t.tgname ~ '^_[0-9]+_rowcast_')
    -- a team's view in a table's place has none; functions/own.sql looks at those
    where not exists (select from pg_class c where c.oid = to_regclass(e.relation) and c.relkind = 'v')
    group by e.relation, e.wanted;
$$;

COMMENT ON FUNCTION rowcast._doctor_triggers() IS 'The doctor''s look at the triggers of our own tables, made by functions/wiring.sql.';

CREATE FUNCTION rowcast._doctor_waits() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    longest interval := rowcast._doctor_limit('open_for', '1 hour')::interval;
begin
    -- others' transactions show their start only to pg_read_all_stats; the age of the log's edge shows to all
    return query
    select 'open transactions',
        coalesce(o.age < longest, true),
        coalesce('the oldest is open for ' || date_trunc('second', o.age) || ', pid ' || o.pid || ', ' || o.usename,
            'none to be seen'),
        case when o.age >= longest then
            format('select pg_terminate_backend(%s); -- or let it finish: it holds back pruning', o.pid)
        end
    from (values (1)) one
    left join lateral (
        select clock_timestamp() - a.xact_start as age, a.pid, a.usename
        from pg_stat_activity a
        where a.datname = current_database()
            and a.pid <> pg_backend_pid()
            and a.xact_start is not null
            and a.backend_type = 'client backend'
        order by a.xact_start
        limit 1
    ) o on true;

    return query
    select 'prepared transactions',
        coalesce(p.age < longest, true),
        coalesce('the oldest, ' || quote_literal(p.gid) || ', waits for ' || date_trunc('second', p.age), 'none'),
        case when p.age >= longest then
            format('rollback prepared %L; -- or commit prepared, as %s', p.gid, p.owner)
        end
    from (values (1)) one
    left join lateral (
        select clock_timestamp() - x.prepared as age, x.gid, x.owner
        from pg_prepared_xacts x
        where x.database = current_database()
        order by x.prepared
        limit 1
    ) p on true;

    return query
    select 'notification queue',
        q.used < 0.1,
        format('%s %% full', round((100 * q.used)::numeric, 1)),
        case when q.used >= 0.1 then
            'select pg_terminate_backend(a.pid) from pg_stat_activity a where a.state = ''idle in transaction'' '
                'order by a.xact_start limit 1; -- as a superuser: a session that listens and never ends its transaction'
        end
    from pg_notification_queue_usage() q (used);
end
$$;

COMMENT ON FUNCTION rowcast._doctor_waits() IS 'The doctor''s look at what holds others up: open and prepared transactions, the notification queue.';

CREATE FUNCTION rowcast._doctor_watches() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    select 'watched table ' || w.name,
        p.problem is null,
        coalesce(p.problem, 'captured'),
        p.remedy
    from rowcast.watches w
    left join pg_class c on c.oid = w.relation
    left join pg_namespace n on n.oid = c.relnamespace
    join pg_namespace s on s.nspname = 'rowcast'
    cross join lateral (
        select to_regprocedure(format('rowcast._capture_%s()', w.id)) as capture
    ) f
    cross join lateral (
        select array_agg(m.child) as children
        from rowcast._family(w.relation) m
    ) k
    cross join lateral (
        select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name
    ) q
    cross join lateral (
        select rowcast._watch_again(w, q.name) as again,
            rowcast._key_of(w.relation) as key
    ) z
    left join lateral (
        select v.problem, v.remedy
        from (values
            (0, q.name <> rowcast._printable(q.name) or w.topic <> rowcast._printable(w.topic),
                'its name or its topic has a control character, so that no client can hear of it',
                format('select rowcast.unwatch(%s); -- or rename it, and watch it again', w.relation::oid)),
            (1, c.oid is null,
                'the table was dropped',
                format('select rowcast.unwatch(%s);', w.relation::oid)),
            (2, f.capture is null,
                'its capture function is missing',
                z.again),
            (3, q.name <> w.name,
                'it is called ' || q.name || ' now',
                z.again),
            (4, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgenabled not in ('O', 'A')),
                'a trigger is disabled',
                (
                    select string_agg(distinct format('alter table %s enable trigger user;', t.tgrelid::regclass), chr(10))
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgenabled not in ('O', 'A')
                )),
            (5, 4 * cardinality(k.children) > (
                    select count(*)
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgrelid = any (k.children)),
                'a trigger is missing, or a partition was attached',
                z.again),
            (6, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and not t.tgrelid = any (k.children)),
                'a partition was detached and still reports here',
                format('select rowcast.unwatch(%L);', w.name) || chr(10) || z.again),
            (7, exists (
                    select
                    from unnest(w.columns || w.key_columns) x (name)
                    where not exists (
                        select
                        from pg_attribute a
                        where a.attrelid = w.relation
                            and a.attname = x.name
                            and not a.attisdropped)),
                'a column it names is gone',
                z.again),
            (8, w.trusted and not pg_has_role(c.relowner, s.nspowner, 'member'),
                'its new owner is not trusted with code that runs as the owner of the log',
                z.again),
            (9, w.identity = 'key' and c.relreplident <> 'f' and cardinality(w.key_columns) = 0,
                'it lost its replica identity and has no key',
                format('alter table %s replica identity full; -- or give it a primary key, and: %s', w.name, z.again)),
            (10, not w.trusted and w.columns is null and w.watched_columns <> rowcast._columns_of(w.relation),
                'its columns were altered; this table''s are fixed at watch',
                z.again),
            (11, w.identity = 'key' and z.key is null and c.relreplident <> 'f',
                'it lost its primary key',
                format('alter table %s add primary key (%s);', w.name, (
                    select string_agg(quote_ident(x.name), ', ' order by x.nth)
                    from unnest(w.key_columns) with ordinality x (name, nth)))),
            (12, z.key is not null and z.key <> w.key_columns,
                'its key is another one than when it was watched',
                z.again)
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'row security of ' || w.name,
        c.relrowsecurity or r.names is null,
        case
            when c.relrowsecurity then 'on'
            when r.names is null then 'off, and no client''s role may select'
            else 'off, and every row is told to ' || r.names
        end,
        case when not c.relrowsecurity and r.names is not null then
            format('alter table %s enable row level security; -- then a policy for what each may see', w.name)
        end
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    cross join lateral (
        select string_agg(x.rolname, ' and ' order by x.rolname) as names
        from pg_roles x
        where x.rolname in ('anon', 'authenticated')
            and has_any_column_privilege(x.oid, c.oid, 'select')
            and has_schema_privilege(x.oid, c.relnamespace, 'usage')
    ) r;
end
$$;

COMMENT ON FUNCTION rowcast._doctor_watches() IS 'The doctor''s look at the watched tables.';

CREATE FUNCTION rowcast._drop_sight(watch integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if to_regproc(format('rowcast._sight_%s', watch)) is not null then
        execute format(
            'drop function rowcast.%I(text, text, jsonb, text[], text[], int[], int[], int[], int)',
            '_sight_' || watch);
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._drop_sight(watch integer) IS 'Drops what _write_sight() wrote. Only the owner of the schema may.';

CREATE FUNCTION rowcast._equality_of(relation regclass) RETURNS TABLE(nth bigint, name text, type text, operator text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select k.nth,
        a.attname::text,
        format_type((rowcast._type(a.atttypid) ->> 'oid')::oid, -1),
        format('operator(%I.%s)', n.nspname, o.oprname)
    from (
        select i.indrelid, i.indkey, i.indclass, i.indnkeyatts
        from pg_index i
        where i.indrelid = relation
            and i.indisvalid
            and (i.indisprimary or i.indisreplident)
        order by i.indisprimary desc
        limit 1
    ) i
    cross join lateral unnest(i.indkey::int2[], i.indclass::oid[]) with ordinality k (attnum, opclass, nth)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    join pg_opclass c on c.oid = k.opclass
    join pg_amop m
        on m.amopfamily = c.opcfamily
        and m.amoplefttype = c.opcintype
        and m.amoprighttype = c.opcintype
        and m.amopstrategy = 3
    join pg_operator o on o.oid = m.amopopr
    join pg_namespace n on n.oid = o.oprnamespace
    where k.nth <= i.indnkeyatts;
$$;

COMMENT ON FUNCTION rowcast._equality_of(relation regclass) IS 'The key''s columns with the types and operators that its index finds rows by, whatever the search_path.';

CREATE FUNCTION rowcast._failed(relation text, op text, state text, message text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    raise warning 'rowcast: a change of % (%) is missing in the log: % (%)', relation, op, message, state;
    insert into rowcast.failures (relation, op, sqlstate, message)
    values ($1, $2, $3, $4);
exception when others then
    raise warning 'rowcast: the failure could not be recorded: % (%)', sqlerrm, sqlstate;
end
$_$;

COMMENT ON FUNCTION rowcast._failed(relation text, op text, state text, message text) IS 'Records an error of a capture function without ever raising one.';

CREATE FUNCTION rowcast._family(relation regclass) RETURNS TABLE(child regclass)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with recursive family (child) as (
        select relation::oid
        union
        select i.inhrelid
        from family f
        join pg_inherits i on i.inhparent = f.child
    )
    select f.child::regclass
    from family f;
$$;

COMMENT ON FUNCTION rowcast._family(relation regclass) IS 'A table, its partitions and its inheritance children, at every depth.';

CREATE FUNCTION rowcast._forget_capture(relation oid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    capture text := rowcast._capture_of(relation);
    owned_by oid;
begin
    select c.relowner into owned_by from pg_class c where c.oid = relation;

    -- a dropped table has no owner any more: then the owner of this schema tidies up
    if not pg_has_role(session_user, coalesce(owned_by, current_user::regrole::oid), 'member') then
        raise exception 'only the owner of % may unwatch it', relation::regclass
            using errcode = 'RC403';
    end if;

    execute format('drop function if exists %s', capture);
    perform rowcast._drop_sight(w.id)
    from rowcast.watches w
    where w.relation = _forget_capture.relation;
    delete from rowcast.watches w
    where w.relation = _forget_capture.relation;
end
$$;

COMMENT ON FUNCTION rowcast._forget_capture(relation oid) IS 'Drops the capture function of a table whose triggers are gone. Called by unwatch().';

CREATE FUNCTION rowcast._install_auth() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    perform rowcast._make_schema('auth', 'what policies ask about who asks.');
    if not has_schema_privilege('auth', 'create') then
        return;
    end if;

    perform rowcast._offer('auth.jwt()', 'the claims of the token, as signed.', $definition$
auth.jwt()
returns jsonb
language sql
stable
as $$
    select case when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
        then pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb end;
$$
$definition$);

    perform rowcast._offer('auth.uid()', 'whom the token is about.', $definition$
auth.uid()
returns uuid
language sql
stable
as $$
    select case
        when pg_catalog.current_setting('request.jwt.claim.sub', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claim.sub', true)::pg_catalog.uuid
        when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
            then (pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb
                operator(pg_catalog.->>) 'sub')::pg_catalog.uuid
    end;
$$
$definition$);

    perform rowcast._offer('auth.role()', 'the role that the token names.', $definition$
auth.role()
returns text
language sql
stable
as $$
    select case
        when pg_catalog.current_setting('request.jwt.claim.role', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claim.role', true)
        when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb
                operator(pg_catalog.->>) 'role'
    end;
$$
$definition$);
end
$_$;

COMMENT ON FUNCTION rowcast._install_auth() IS 'Makes the functions of schema auth.';

CREATE FUNCTION rowcast._install_capture() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- added beside whatever is there, as rowcast.watch() does with any table
    if to_regclass('realtime.messages') is not null and not exists (
        select
        from pg_trigger t
        where t.tgrelid = to_regclass('realtime.messages')
            and t.tgname = '_900_rowcast_insert')
    then
        create trigger _900_rowcast_insert
            after insert on realtime.messages
            referencing new table as new_rows
            for each statement
            when (current_setting('rowcast.probe', true) is distinct from 'on')
            execute function rowcast._capture_broadcasts();
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._install_capture() IS 'Puts the rows of realtime.messages into the log.';

CREATE FUNCTION rowcast._install_grants() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    client name;
    name text;
begin
    for client in
        select r.rolname
        from pg_roles r
        where r.rolname in ('anon', 'authenticated', 'service_role')
    loop
        foreach name in array array['realtime', 'auth'] loop
            if rowcast._is_ours(obj_description(to_regnamespace(name), 'pg_namespace'))
                and not has_schema_privilege(client, name, 'usage')
            then
                execute format('grant usage on schema %I to %I', name, client);
            end if;
        end loop;
        if rowcast._is_ours(obj_description(to_regclass('realtime.messages'), 'pg_class'))
            and not has_table_privilege(client, 'realtime.messages', 'update')
        then
            execute format('grant select, insert, update on realtime.messages to %I', client);
        end if;
    end loop;
end
$$;

COMMENT ON FUNCTION rowcast._install_grants() IS 'Gives the roles of clients what they need of what is ours; who may see which row is up to policies.';

CREATE FUNCTION rowcast._install_messages() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform rowcast._make_schema('realtime', 'broadcasts from SQL, and the policies of private channels.');
    if to_regclass('realtime.messages') is null then
        create table realtime.messages (
            topic text not null,
            extension text not null,
            payload jsonb,
            event text,
            private boolean default false,
            updated_at timestamp not null default timezone('utc', now()),
            inserted_at timestamp not null default timezone('utc', now()),
            id uuid not null default gen_random_uuid(),
            binary_payload bytea,
            constraint messages_payload_exclusive check (payload is null or binary_payload is null),
            primary key (id, inserted_at)
        ) partition by range (inserted_at);
        create index messages_inserted_at_topic on realtime.messages (inserted_at desc, topic)
            where extension = 'broadcast' and private;
        alter table realtime.messages enable row level security;
        comment on table realtime.messages is
            'Rowcast: broadcasts from SQL, one partition a day (UTC), kept for 72 hours. Its policies say who may '
            'listen and speak in private channels.';
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._install_messages() IS 'Makes realtime.messages.';

CREATE FUNCTION rowcast._install_realtime_functions() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    if not has_schema_privilege('realtime', 'create') then
        return;
    end if;

    perform rowcast._offer('realtime.topic()', 'the channel that a policy is asked about.', $definition$
realtime.topic()
returns text
language sql
stable
as $$
    select case when pg_catalog.current_setting('realtime.topic', true) operator(pg_catalog.<>) ''
        then pg_catalog.current_setting('realtime.topic', true) end;
$$
$definition$);

    -- only what is ours is sent to: on a table of others their own functions are there
    if not rowcast._is_ours(obj_description(to_regclass('realtime.messages'), 'pg_class')) then
        return;
    end if;

    perform rowcast._offer('realtime._make_partition()', 'today''s partition, where the bridge was not there to make it.', $definition$
realtime._make_partition()
returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    select rowcast._make_partition(timezone('utc', now())::date);
$$
$definition$);

    perform rowcast._offer('realtime._insert(jsonb,bytea,text,text,boolean,uuid)', 'what send() and send_binary() do.', $definition$
realtime._insert(payload jsonb, binary_payload bytea, event text, topic text, private boolean, id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('realtime.topic', topic, true);
    for attempt in 1 .. 2 loop
        begin
            insert into realtime.messages (id, payload, binary_payload, event, topic, private, extension)
            values (id, payload, binary_payload, event, topic, private, 'broadcast');
            return;
        exception when check_violation then
            -- no partition for today: the bridge has been away for days
            if attempt = 2 then
                raise;
            end if;
            perform realtime._make_partition();
        end;
    end loop;
exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$
$definition$);

    perform rowcast._offer('realtime.send(jsonb,text,text,boolean)', 'broadcasts a message to a channel when the transaction commits.', $definition$
realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    id uuid := gen_random_uuid();
begin
    if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
        payload := payload || jsonb_build_object('id', id);
    end if;
    perform realtime._insert(payload, null, event, topic, private, id);
end
$$
$definition$);

    perform rowcast._offer('realtime.send_binary(bytea,text,text,boolean)', 'broadcasts bytes to a channel when the transaction commits.', $definition$
realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select realtime._insert(null, payload, event, topic, private, gen_random_uuid());
$$
$definition$);

    perform rowcast._offer('realtime.broadcast_changes(text,text,text,text,text,record,record,text)', 'broadcasts a row''s change; call it in a trigger for each row.', $definition$
realtime.broadcast_changes(
    topic_name text,
    event_name text,
    operation text,
    table_name text,
    table_schema text,
    new record,
    old record,
    level text default 'ROW')
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'Unexpected operation type: %', operation;
    end if;
    perform realtime.send(
        jsonb_build_object(
            'old_record', old,
            'record', new,
            'operation', operation,
            'table', table_name,
            'schema', table_schema),
        event_name,
        topic_name);
exception when others then
    raise warning 'WarnSendingBroadcastMessage: Failed to process the row: %', sqlerrm;
end
$$
$definition$);
end
$_$;

COMMENT ON FUNCTION rowcast._install_realtime_functions() IS 'Makes the functions of schema realtime.';

CREATE FUNCTION rowcast._is_ours(described text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(described like 'Rowcast: %', false);
$$;

COMMENT ON FUNCTION rowcast._is_ours(described text) IS 'Whether an object of a schema that others use too was made by us, as its comment says.';

CREATE FUNCTION rowcast._judgement(watch integer, role text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select format(
        'select pg_catalog.array_agg(rowcast_w.nth) from pg_catalog.unnest($1) rowcast_w (nth) where ('
            'select %s from pg_catalog.jsonb_populate_record(null::%s, $2 operator(pg_catalog.->) '
            '(rowcast_w.nth operator(pg_catalog.-) 1)) as %I)',
        coalesce('(' || string_agg(p.expression, ' or ') filter (where p.polpermissive) || ')', 'false')
            || coalesce(' and ' || string_agg(p.expression, ' and ') filter (where not p.polpermissive), ''),
        format('%I.%I', n.nspname, c.relname),
        c.relname)
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace n on n.oid = c.relnamespace
    left join lateral (
        select x.polpermissive, '(' || coalesce(pg_get_expr(x.polqual, x.polrelid), 'true') || ')' as expression
        from pg_policy x
        where x.polrelid = c.oid
            and x.polcmd in ('r', '*')
            and (x.polroles = '{0}' or exists (
                select
                from unnest(x.polroles) r (oid)
                where pg_has_role(to_regrole(quote_ident(role)), r.oid, 'usage')))
    ) p on true
    where w.id = watch
    group by n.nspname, c.relname;
$_$;

COMMENT ON FUNCTION rowcast._judgement(watch integer, role text) IS 'The query that tells which of some rows, as JSON, the policies of a watched table let a role see.';

CREATE FUNCTION rowcast._key_of(relation regclass) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array_agg(a.attname::text order by k.nth)
    from (
        select i.indrelid, i.indkey, i.indnkeyatts
        from pg_index i
        where i.indrelid = relation
            and i.indisvalid
            and (i.indisprimary or i.indisreplident)
        order by i.indisprimary desc
        limit 1
    ) i
    cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, nth)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where k.nth <= i.indnkeyatts;
$$;

COMMENT ON FUNCTION rowcast._key_of(relation regclass) IS 'The columns that tell rows apart: the primary key, else the replica identity index; null for none.';

CREATE FUNCTION rowcast._make_partition(day date) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    name text := format('messages_%s', to_char(day, 'YYYY_MM_DD'));
begin
    if to_regclass(format('realtime.%I', name)) is not null then
        return false;
    end if;
    -- attaching, unlike creating in place, lets others write meanwhile
    execute format(
        'create table realtime.%I (like realtime.messages including defaults including constraints)', name);
    execute format(
        'alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', name, day, day + 1);
    return true;
exception when duplicate_table or unique_violation or invalid_object_definition then
    return false;
end
$$;

COMMENT ON FUNCTION rowcast._make_partition(day date) IS 'Makes the partition of realtime.messages for one day; false when it is there.';

CREATE FUNCTION rowcast._make_roles() RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    wanted text;
    sees_all text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        sees_all := case when wanted = 'service_role' then ' bypassrls' else '' end;
        begin
            if to_regrole(wanted) is null then
                begin
                    execute format('create role %I nologin noinherit%s', wanted, sees_all);
                exception when insufficient_privilege then
                    -- only who bypasses row security may give that away
                    execute format('create role %I nologin noinherit', wanted);
                end;
            end if;
        exception
            -- roles belong to the cluster: another database's migration may have been faster
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                return next format(
                    'role %1$s is missing and %2$I may not create it; let a superuser run: create role %1$I nologin noinherit%3$s',
                    wanted, current_user, sees_all);
                continue;
        end;

        begin
            if not rowcast._may_become(wanted) then
                execute format('grant %I to %I', wanted, current_user);
            end if;
        exception
            when unique_violation or internal_error then null;
            when insufficient_privilege or invalid_grant_operation then
                return next format(
                    '%2$I may not act as %1$s; let a superuser run: grant %1$I to %2$I', wanted, current_user);
        end;
    end loop;
end
$_$;

COMMENT ON FUNCTION rowcast._make_roles() IS 'Makes anon, authenticated and service_role where it may; returns a sentence for each that needs a superuser.';

CREATE FUNCTION rowcast._make_schema(name text, says text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if to_regnamespace(name) is null then
        execute format('create schema %I', name);
        execute format('comment on schema %I is %L', name, 'Rowcast: ' || says);
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._make_schema(name text, says text) IS 'Makes a schema that is missing.';

CREATE FUNCTION rowcast._may_become(role text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if to_regrole(quote_ident(role)) is null then
        return false;
    end if;
    return pg_has_role(
        current_user,
        role::name,
        case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end);
end
$$;

COMMENT ON FUNCTION rowcast._may_become(role text) IS 'Whether the current role may `set role` to another; false for a role that is not there.';

CREATE FUNCTION rowcast._offer(signature text, says text, definition text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    known regprocedure := to_regprocedure(signature);
    described text := obj_description(known, 'pg_proc');
    wanted text := format('Rowcast: %s (%s)', says, md5(definition));
begin
    if known is null or (rowcast._is_ours(described) and described <> wanted) then
        execute format('create or replace function %s', definition);
        execute format('comment on function %s is %L', signature, wanted);
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._offer(signature text, says text, definition text) IS 'Makes a function that is missing, renews one of ours, leaves any other as it is.';

CREATE FUNCTION rowcast._path_of(role text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select coalesce(
        (
            select substr(s.setting, 13)
            from pg_db_role_setting d
            cross join lateral unnest(d.setconfig) s (setting)
            where s.setting like 'search\_path=%'
                and d.setdatabase in (0, (select b.oid from pg_database b where b.datname = current_database()))
                and d.setrole in (0, to_regrole(quote_ident(role)))
            order by d.setrole = 0, d.setdatabase = 0
            limit 1
        ),
        '"$user", public' || case when to_regnamespace('extensions') is not null then ', extensions' else '' end);
$_$;

COMMENT ON FUNCTION rowcast._path_of(role text) IS 'The search_path of a role''s own sessions in this database: functions that policies call may count on it.';

CREATE FUNCTION rowcast._printable(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select regexp_replace(name, '[\u0001-\u001f\u007f-\u009f]', '?', 'g');
$$;

COMMENT ON FUNCTION rowcast._printable(name text) IS 'A name without the control characters that could write over what stands around it.';

CREATE FUNCTION rowcast._published(name text) RETURNS TABLE(relation regclass)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    -- partitions are watched with their parent, where that is published too
    select distinct case
        when p.puballtables or r.prrelid is not null then x.root
        else x.leaf
    end::regclass
    from (
        select t.pubname, c.oid as leaf, coalesce(pg_partition_root(c.oid)::oid, c.oid) as root
        from pg_publication_tables t
        join pg_namespace n on n.nspname = t.schemaname
        join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
        where t.pubname = _published.name
            and t.schemaname not in ('rowcast', 'chat', 'realtime')
    ) x
    join pg_publication p on p.pubname = x.pubname
    left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = x.root;
$$;

COMMENT ON FUNCTION rowcast._published(name text) IS 'The tables of a publication, a partitioned one instead of its partitions.';

CREATE FUNCTION rowcast._refuse(relation regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when n.nspname || c.relname is distinct from rowcast._printable(n.nspname || c.relname)
            then 'has a control character in its name or its schema''s, which no topic can have; rename it'
        when n.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then 'is a system table'
        when n.nspname = 'rowcast' then 'is the bridge''s own'
        when n.nspname = 'chat' then 'is on the feed already, under topics of its own'
        when c.relkind in ('v', 'm') then 'is a view; watch the tables it reads'
        when c.relkind = 'f' then 'is a foreign table: changes made elsewhere fire no trigger here'
        when c.relkind not in ('r', 'p') then 'is not a table'
        when c.relpersistence = 't' then 'is temporary'
        when exists (
            select
            from rowcast._family(relation) f
            join pg_class p on p.oid = f.child
            where p.relkind = 'f') then 'has a foreign table among its children'
        when exists (
            select
            from rowcast._family(relation) f
            join pg_trigger t on t.tgrelid = f.child
            where t.tgname like '\_900\_rowcast\_%'
                and t.tgfoid is distinct from to_regprocedure(rowcast._capture_of(relation)))
            then 'is watched, or has a child watched, as part of another table; unwatch that first'
    end
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation;
$$;

COMMENT ON FUNCTION rowcast._refuse(relation regclass) IS 'Why a table cannot be watched; null when it can.';

CREATE FUNCTION rowcast._refuse_channel(role text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if to_regclass('realtime.messages') is null then
        raise exception 'this database has no private channels: realtime.messages is missing'
            using errcode = 'RC409';
    end if;
    perform rowcast._refuse_role(role);
    if not exists (
        select
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass('realtime.messages')
            and c.relname = 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD'))
    then
        perform rowcast.keep_messages(interval '72 hours');
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._refuse_channel(role text) IS 'Raises when private channels cannot be asked about for a role; sees to the partition of today.';

CREATE FUNCTION rowcast._refuse_role(role text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if to_regrole(quote_ident(role)) is null then
        raise exception 'role % does not exist', quote_ident(role)
            using errcode = 'RC403';
    end if;
    if role in ('none', session_user, current_user) or not rowcast._may_become(role) then
        raise exception 'the bridge may not act as role %', quote_ident(role)
            using errcode = 'RC403';
    end if;
end
$$;

COMMENT ON FUNCTION rowcast._refuse_role(role text) IS 'Raises when the bridge may not act as a role, or would keep its own rights by it.';

CREATE FUNCTION rowcast._refuse_subject(watch integer, role text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    trusted boolean;
begin
    select pg_has_role(c.relowner, s.nspowner, 'member')
    into trusted
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace s on s.nspname = 'rowcast'
    where w.id = watch;
    if trusted is null then
        raise exception 'the table is not watched any more'
            using errcode = 'RC404';
    end if;
    if not trusted then
        raise exception 'row security of this table is not judged: its owner is not a member of the bridge''s role'
            using errcode = 'RC403';
    end if;
    perform rowcast._refuse_role(role);
end
$$;

COMMENT ON FUNCTION rowcast._refuse_subject(watch integer, role text) IS 'Raises when a role may not be taken on for a table.';

CREATE FUNCTION rowcast._remedy(sqlstate text, relation text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when sqlstate in ('42P01', '42703', '42883', '42704') then
            format('the table was altered or renamed: select rowcast.watch(%L)', relation)
        when sqlstate = '42501' then
            'a right is missing: rowcast doctor names it, rowcast migrate grants what sql/grants.sql lists'
        when sqlstate like '53%' then
            'the server is out of disk, memory or connections: make room, or lower ROWCAST_RETENTION'
        when sqlstate in ('40001', '40P01', '55P03', '57014') then
            'a lock or a deadline got in the way: see pg_stat_activity for long transactions'
        when sqlstate like '22%' or sqlstate like '23%' then
            format('a value of the row could not be captured: watch fewer columns, select rowcast.watch(%L, columns => …)', relation)
        else
            'run rowcast doctor, and look at the database''s log at that time'
    end;
$$;

COMMENT ON FUNCTION rowcast._remedy(sqlstate text, relation text) IS 'What to do about a failure of capture.';

CREATE FUNCTION rowcast._reset_of(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(
        (
            select case
                    when r.oid is null and d.oid is null then 'alter role all'
                    when r.oid is null then format('alter database %I', d.datname)
                    when d.oid is null then format('alter role %I', r.rolname)
                    else format('alter role %I in database %I', r.rolname, d.datname)
                end || format(' reset %I; -- as a superuser', name)
            from pg_db_role_setting s
            left join pg_roles r on r.oid = s.setrole
            left join pg_database d on d.oid = s.setdatabase
            where (s.setrole = 0 or r.rolname = session_user)
                and (s.setdatabase = 0 or d.datname = current_database())
                and exists (
                    select
                    from unnest(s.setconfig) c (pair)
                    where c.pair like name || '=%')
            order by s.setrole <> 0 desc, s.setdatabase <> 0 desc
            limit 1
        ),
        format('alter system reset %I; -- as a superuser', name) || chr(10)
            || 'select pg_reload_conf(); -- as a superuser');
$$;

COMMENT ON FUNCTION rowcast._reset_of(name text) IS 'What takes a setting back where it was set: for a role, a database or the whole server.';

CREATE FUNCTION rowcast._ring() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    -- rung already by an earlier statement of this transaction (the setting dies with it), or asked not to
    if current_setting('rowcast.rung', true) = 'on'
        or current_setting('rowcast.silent', true) in ('on', 'true')
    then
        return null;
    end if;

    if pg_try_advisory_xact_lock(1919907683, 1) and pg_notification_queue_usage() <= 0.5 then
        perform set_config('rowcast.rung', 'on', true);
        perform pg_notify(
            'rowcast',
            format('{"v":1,"xid":"%s","at":"%s"}',
                new.xid,
                to_char(new.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
    end if;
    return null;
exception when others then
    raise warning 'rowcast: the bell failed: % (%)', sqlerrm, sqlstate;
    return null;
end
$$;

COMMENT ON FUNCTION rowcast._ring() IS 'Deferred trigger of rowcast.changes: rings at commit unless another commit is ringing right now.';

CREATE FUNCTION rowcast._row(relation regclass, alias text, columns text[], trusted boolean) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select format('(select to_jsonb(rowcast_row.*) from (select %s) rowcast_row)', string_agg(
        case
            when trusted then format('(%s).%I', alias, a.attname)
            when b.oid < 16384 then format(
                'case when (%1$s).%2$I is not null then format(''%%s'', (%1$s).%2$I)::pg_catalog.%3$I end as %2$I',
                alias, a.attname, b.typname)
            else format(
                'case when (%1$s).%2$I is not null then format(''%%s'', (%1$s).%2$I) end as %2$I',
                alias, a.attname)
        end,
        ', ' order by w.nth))
    from unnest(coalesce(columns, rowcast._columns_of(relation))) with ordinality w (wanted, nth)
    join pg_attribute a on a.attrelid = relation and a.attname = w.wanted
    cross join lateral (
        -- a domain over a built-in type is that type
        with recursive base (oid, nth) as (
            select a.atttypid, 1
            union all
            select d.typbasetype, base.nth + 1
            from base
            join pg_type d on d.oid = base.oid and d.typtype = 'd'
        )
        select t.oid, t.typname
        from base
        join pg_type t on t.oid = base.oid
        order by base.nth desc
        limit 1
    ) b;
$_$;

COMMENT ON FUNCTION rowcast._row(relation regclass, alias text, columns text[], trusted boolean) IS 'The SQL that makes JSON of some columns of a row (null: those there are now), running no foreign code.';

CREATE FUNCTION rowcast._sees_all(name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when has_schema_privilege(c.relnamespace, 'usage')
            and has_table_privilege(c.oid, 'select')
            and not row_security_active(c.oid)
        then c.relkind = 'r' and not c.relhassubclass
    end
    from pg_class c
    where c.oid = to_regclass(name);
$$;

COMMENT ON FUNCTION rowcast._sees_all(name text) IS 'Null: the caller does not see every row of the table; true: and a ctid is one place in it.';

CREATE FUNCTION rowcast._set_styles(styles text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform set_config('datestyle', styles[1], true),
        set_config('intervalstyle', styles[2], true),
        set_config('bytea_output', styles[3], true),
        set_config('extra_float_digits', styles[4], true);
end
$$;

COMMENT ON FUNCTION rowcast._set_styles(styles text[]) IS 'Sets how dates, intervals, bytes and floats are written, to the end of the transaction; captures set them back.';

CREATE FUNCTION rowcast._stranger(grantee oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when grantee = 0 then 'public'
        else (
            select quote_ident(r.rolname)
            from pg_roles r
            where r.oid = grantee
                and r.rolname in ('anon', 'authenticated'))
    end;
$$;

COMMENT ON FUNCTION rowcast._stranger(grantee oid) IS 'The name of a grantee that clients may be: public, anon or authenticated; null for any other role.';

CREATE FUNCTION rowcast._type(type oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    t pg_type;
begin
    -- a domain is what it is over
    loop
        select *
        into t
        from pg_type y
        where y.oid = type;
        exit when t.typtype is distinct from 'd';
        type := t.typbasetype;
    end loop;

    return jsonb_build_object(
        'oid', t.oid::bigint,
        'name', t.typname,
        'kind', t.typtype,
        'category', t.typcategory,
        'element', case when t.typcategory = 'A' and t.typelem <> 0 then rowcast._type(t.typelem) end);
end
$$;

COMMENT ON FUNCTION rowcast._type(type oid) IS 'A type without its domains: oid, name, kind (typtype), category (typcategory), and the element of an array.';

CREATE TABLE rowcast.watches (
    id integer NOT NULL,
    relation regclass NOT NULL,
    name text NOT NULL,
    topic text NOT NULL,
    columns text[],
    identity text NOT NULL,
    key_columns text[] NOT NULL,
    trusted boolean NOT NULL,
    watched_columns text[] NOT NULL,
    watched_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    publication text,
    CONSTRAINT watches_identity CHECK ((identity = ANY (ARRAY['key'::text, 'full'::text])))
);

COMMENT ON TABLE rowcast.watches IS 'The tables on the feed by rowcast.watch(). See the view rowcast.watched.';

COMMENT ON COLUMN rowcast.watches.id IS 'Names the capture function: rowcast._capture_<id>(). Survives dump and restore, an oid would not.';

COMMENT ON COLUMN rowcast.watches.name IS 'The table''s name as written to the log; call watch again after a rename.';

COMMENT ON COLUMN rowcast.watches.columns IS 'What the record holds; null: the whole row, columns added later included.';

COMMENT ON COLUMN rowcast.watches.identity IS '''key'': old_record holds the key, or all of it while the table has replica identity full. ''full'': all of it.';

COMMENT ON COLUMN rowcast.watches.trusted IS 'Whether the table''s owner may run code as the owner of this schema anyway; see functions/watch.sql.';

COMMENT ON COLUMN rowcast.watches.watched_columns IS 'The columns the table had when it was watched.';

COMMENT ON COLUMN rowcast.watches.publication IS 'The publication that the table was watched for, and with which it goes; null: watched by hand.';

CREATE FUNCTION rowcast._watch_again(w rowcast.watches, name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    -- with everything that was asked for then: a watch without its columns would tell all of them
    select format('select rowcast.watch(%L', $2)
        || case when w.topic <> 'table:' || w.name then format(', topic => %L', w.topic) else '' end
        || case
            when w.columns is not null then (
                select format(', columns => array[%s]', string_agg(quote_literal(x.name), ', ' order by x.nth))
                from unnest(w.columns) with ordinality x (name, nth)
                join pg_attribute a on a.attrelid = w.relation and a.attname = x.name and not a.attisdropped)
            else ''
        end
        || case when w.identity <> 'key' then format(', identity => %L', w.identity) else '' end
        || ');';
$_$;

COMMENT ON FUNCTION rowcast._watch_again(w rowcast.watches, name text) IS 'The call that watches a table as it was watched before, with the columns that are still there.';

CREATE FUNCTION rowcast._write_capture(w rowcast.watches) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    -- the whole row as it will be: columns added later show up
    whole boolean := w.columns is null
        and w.trusted
        and not exists (
            select
            from pg_inherits i
            join pg_class c on c.oid = i.inhparent and c.relkind = 'r'
            where c.oid = w.relation);
    -- long aliases: a column of the same name would hide the row
    new_row text := case
        when whole then 'to_jsonb(rowcast_new)'
        else rowcast._row(w.relation, 'rowcast_new', w.columns, w.trusted)
    end;
    old_row text := case
        when whole then 'to_jsonb(rowcast_old)'
        else rowcast._row(w.relation, 'rowcast_old', w.columns, w.trusted)
    end;
    new_key text := 'null::jsonb';
    old_key text := 'null::jsonb';
    old_record text;
begin
    if cardinality(w.key_columns) > 0 then
        new_key := rowcast._row(w.relation, 'rowcast_new', w.key_columns, w.trusted);
        old_key := rowcast._row(w.relation, 'rowcast_old', w.key_columns, w.trusted);
    end if;

    -- replica identity may be altered after watch: asked at every update and delete, of the table written to
    old_record := case
        when w.identity = 'full' then old_row
        else format(
            'case when (select c.relreplident = ''f'' from pg_class c where c.oid = tg_relid) then %s else %s end',
            old_row, old_key)
    end;

    execute format($template$
create or replace function rowcast.%1$I()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $capture$
declare
    -- a writer's own styles, where it has any: setting them for each statement would cost every writer
    styles text[] := array[current_setting('datestyle'), current_setting('intervalstyle'),
        current_setting('bytea_output'), current_setting('extra_float_digits')];
    usual constant text[] := '{"ISO, MDY",postgres,hex,1}';
begin
    if styles <> usual then
        perform rowcast._set_styles(usual);
    end if;
    if tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select %2$L, %3$L, 'INSERT', %4$s, %6$s, row_number() over () = 1
        from new_rows rowcast_new;
    elsif tg_op = 'UPDATE' then
        -- the two transition tables hold the rows of one update at the same places, a changed key or not; a full
        -- join is never a nested loop, however few rows this was first planned for
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select %2$L, %3$L, 'UPDATE', %4$s, %6$s, %7$s, p.nth = 1
        from (select row_number() over () as nth, rowcast_new from new_rows rowcast_new) p
        full join (select row_number() over () as nth, rowcast_old from old_rows rowcast_old) q on q.nth = p.nth
        order by p.nth;
    elsif tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select %2$L, %3$L, 'DELETE', %5$s, %7$s, row_number() over () = 1
        from old_rows rowcast_old;
    elsif 'TRUNCATE' is distinct from (
        -- truncating a parent truncates every child, and one row says it
        select c.op
        from rowcast.changes c
        where c.topic = %2$L
            and c.xid = pg_current_xact_id()
        order by c.id desc
        limit 1)
    then
        insert into rowcast.changes (topic, relation, op, ring)
        values (%2$L, %3$L, 'TRUNCATE', true);
    end if;
    if styles <> usual then
        perform rowcast._set_styles(styles);
    end if;
    return null;
exception when others then
    perform rowcast._failed(%3$L, tg_op, sqlstate, sqlerrm);
    return null;
end
$capture$
$template$,
        '_capture_' || w.id, w.topic, w.name, new_key, old_key, new_row, old_record);

    execute format('comment on function rowcast.%I() is %L',
        '_capture_' || w.id,
        'Capture of ' || w.name || ', written by rowcast.watch(); do not edit, watch again.');
end
$_$;

COMMENT ON FUNCTION rowcast._write_capture(w rowcast.watches) IS 'Writes the capture function of one watch. Only the owner of the schema may.';

CREATE FUNCTION rowcast._write_sight(w rowcast.watches) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    signature constant text := '(text, text, jsonb, text[], text[], int[], int[], int[], int)';
    parts record;
    reader record;
begin
    select string_agg(format('rowcast_%s %s[];', e.nth, e.type), E'\n    ' order by e.nth) as variables,
        string_agg(format('array_agg(rowcast_row.%I order by rowcast_key.nth)', e.name), ', ' order by e.nth) as values,
        string_agg(format('rowcast_%s', e.nth), ', ' order by e.nth) as targets,
        string_agg(format('%I %s', e.name, e.type), ', ' order by e.nth) as columns,
        string_agg(
            format('rowcast_row.%I %s rowcast_%s[w.nth]', e.name, e.operator, e.nth), ' and ' order by e.nth)
            as matches,
        count(*) as n
    into parts
    from rowcast._equality_of(w.relation) e;

    -- an older version's may have other names for its parameters, which nothing may replace
    perform rowcast._drop_sight(w.id);
    if parts.n = 0 or parts.n <> cardinality(w.key_columns) then
        return;
    end if;

    execute format($template$
create or replace function rowcast.%1$I(
    role text, path text, rows jsonb, subs text[], claims text[], lists int[], firsts int[], wanted int[], budget int)
returns table (nth int, seen int[], state text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set random_page_cost = 0.1
as $sight$
declare
    began timestamptz := clock_timestamp();
    by_place boolean := rowcast._sees_all(%9$L);
    all_numbers int[] := array(select generate_series(1, jsonb_array_length(rows)));
    other int[];
    gone int[];
    last int := 0;
    list int[];
    places tid[];
    asked tid[];
    -- the row at each place asked for; null where two rows are at one, being one row at two times
    rows_at jsonb;
    found tid[];
    was text;
    %2$s
begin
    select %3$s
    into %4$s
    from jsonb_array_elements(rows) with ordinality rowcast_key (row, nth)
    cross join lateral jsonb_to_record(rowcast_key.row -> 'key') rowcast_row (%5$s);

    nth := 0;
    seen := all_numbers;
    if by_place is not null then
        select array_agg(f.ctid order by w.nth),
            array_agg(w.nth) filter (where f.is_other),
            array_agg(w.nth) filter (where f.ctid is null)
        into places, other, gone
        from unnest(all_numbers) w (nth)
        left join lateral (
            select rowcast_row.ctid, to_jsonb(rowcast_row) is distinct from rows -> (w.nth - 1) -> 'record' as is_other
            from %6$s rowcast_row
            where %8$s
            limit 1
        ) f on true;
        seen := gone;
        nth := -1;
        return next;
        seen := other;
        nth := 0;
    end if;
    return next;

    -- who may read some of the columns only may not ask for places
    by_place := by_place and has_table_privilege(role::name, %9$L::regclass, 'select');
    was := set_config('role', role, true);
    was := set_config('request.jwt.claim.role', role, true);
    for subject in 1 .. cardinality(subs) loop
        exit when subject > 1 and clock_timestamp() > began + budget * interval '1 ms';
        if current_user::text <> role then
            raise exception 'a policy of %7$s changed the role';
        end if;
        nth := subject;
        seen := null;
        state := null;
        message := null;
        if lists[subject] <> last then
            last := lists[subject];
            list := wanted[firsts[last]:firsts[last + 1] - 1];
            asked := case when by_place then array(select places[w.n] from unnest(list) w (n)) end;
            rows_at := (
                select case when count(*) = count(distinct w.place) then jsonb_object_agg(w.place::text, list[w.n]) end
                from unnest(asked) with ordinality w (place, n)
                where w.place is not null
            );
        end if;
        begin
            was := set_config('request.jwt.claim.sub', subs[subject], true);
            was := set_config('request.jwt.claims', claims[subject], true);
            was := set_config('search_path', path, true);
            if by_place then
                select pg_catalog.array_agg(rowcast_row.ctid)
                into found
                from %6$s rowcast_row
                where rowcast_row.ctid operator(pg_catalog.=) any (asked);
            else
                select pg_catalog.array_agg(w.nth)
                into seen
                from pg_catalog.unnest(list) w (nth)
                cross join lateral (
                    select
                    from %6$s rowcast_row
                    where %8$s
                    limit 1
                ) f;
            end if;
            was := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            if found is not null and rows_at is not null then
                seen := array(select (rows_at ->> f.place::text)::int from unnest(found) f (place));
            elsif found is not null then
                seen := array(
                    select list[w.n]
                    from unnest(asked) with ordinality w (place, n)
                    where w.place = any (found));
            end if;
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
    was := set_config('role', 'none', true);
end
$sight$
$template$,
        '_sight_' || w.id, parts.variables, parts.values, parts.targets, parts.columns, w.name,
        replace(replace(w.name, '''', ''''''), '%', '%%'), parts.matches, w.name);

    execute format('comment on function rowcast.%I%s is %L',
        '_sight_' || w.id, signature, 'Sight of ' || w.name || ', written by rowcast.watch(); do not edit, watch again.');
    execute format('revoke all on function rowcast.%I%s from public', '_sight_' || w.id, signature);

    -- whoever may ask at all may ask of this table
    for reader in
        select a.grantee::regrole as name
        from pg_proc p
        cross join lateral aclexplode(p.proacl) a
        where p.oid = to_regproc('rowcast.sees')
            and a.grantee not in (0, p.proowner)
    loop
        execute format('grant execute on function rowcast.%I%s to %s', '_sight_' || w.id, signature, reader.name);
    end loop;
end
$_$;

COMMENT ON FUNCTION rowcast._write_sight(w rowcast.watches) IS 'Writes the function that tells who sees which rows of one watched table; drops it where there is no key.';

CREATE FUNCTION rowcast.adopt(history text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    known text;
    parts text[] := string_to_array(history, ':');
    old_parts text[];
begin
    if history is null or coalesce(cardinality(parts), 0) <> 4 then
        raise exception 'Malformed history id' using errcode = 'RC400';
    end if;

    -- the row is the lock: several bridges may start at once
    select s.history
    into known
    from rowcast.state s
    for update;

    if known = history then
        return 'same';
    end if;

    update rowcast.state s
    set history = adopt.history,
        adopted_at = clock_timestamp();

    if known is null then
        return 'new';
    end if;

    old_parts := string_to_array(known, ':');
    if parts[1] = old_parts[1] and parts[3] = old_parts[3] and parts[4] = old_parts[4] then
        return 'failover';
    end if;

    truncate rowcast.changes, rowcast.checkpoints, chat.check_bookmarks;
    update rowcast.state
    set pruned_below = pg_snapshot_xmax(pg_current_snapshot());
    return 'restored';
end
$$;

COMMENT ON FUNCTION rowcast.adopt(history text) IS 'Compares a history id with the stored one and stores it: same, new, failover (log kept), restored (log emptied).';

CREATE FUNCTION rowcast.check_filter(watch integer, role text, column_name text, operator text, value text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    watched record;
    base record;
    cast_to text;
    canonical jsonb;
begin
    select a.atttypid, a.attnum, w.relation
    into watched
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_attribute a on a.attrelid = c.oid
    where w.id = watch
        and a.attname = column_name
        and a.attnum > 0
        and not a.attisdropped
        and (w.columns is null or a.attname = any (w.columns) or a.attname = any (w.key_columns))
        and to_regrole(quote_ident(role)) is not null
        and has_schema_privilege(to_regrole(quote_ident(role)), c.relnamespace, 'usage')
        and has_column_privilege(to_regrole(quote_ident(role)), c.oid, a.attnum, 'select');
    if not found then
        raise exception 'invalid column for filter %', column_name
            using errcode = 'RC400';
    end if;

    select t.oid, t.typname, t.typarray, t.oid::regtype::text as shown, format_type(t.oid, -1) as cast_to,
        t.oid < 16384 as built_in
    into base
    from pg_type t
    where t.oid = (rowcast._type(watched.atttypid) ->> 'oid')::oid;

    if operator = 'is' then
        if value not in ('null', 'true', 'false', 'unknown') then
            raise exception 'invalid value for is filter: must be null, true, false, or unknown'
                using errcode = 'RC400';
        end if;
        if value <> 'null' and base.oid <> 'bool'::regtype then
            raise exception 'is % filter requires a boolean column, got %', value, base.shown
                using errcode = 'RC400';
        end if;
        return to_jsonb(value);
    end if;

    if operator in ('like', 'ilike', 'match', 'imatch') then
        if base.typname not in ('text', 'varchar', 'bpchar', 'name', 'citext')
            and not (operator = 'like' and base.typname = 'bytea')
        then
            raise exception 'operator % requires a text-compatible column type, got %', operator, base.shown
                using errcode = 'RC400';
        end if;
        if operator in ('match', 'imatch') then
            begin
                perform '' ~ value;
            exception when others then
                raise exception 'invalid regular expression for % filter: %', operator, sqlerrm
                    using errcode = 'RC400';
            end;
        end if;
        return to_jsonb(value);
    end if;

    if operator = 'in' then
        if base.typarray = 0 then
            raise exception 'failed to lookup type for column %', column_name
                using errcode = 'RC400';
        end if;
        cast_to := format_type(base.typarray, -1);
    elsif operator in ('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'isdistinct') then
        cast_to := base.cast_to;
    else
        raise exception 'unknown filter operator %', operator
            using errcode = 'RC400';
    end if;

    -- the literal is read by the type's input function; to_jsonb might call a cast of the type's owner, text does not
    begin
        if base.built_in then
            execute format('select to_jsonb(%L::%s)', value, cast_to) into canonical;
        elsif operator = 'in' then
            execute format(
                'select to_jsonb(array(select case when x is not null then format(''%%s'', x) end from unnest(%L::%s) x))',
                value, cast_to)
            into canonical;
        else
            execute format('select to_jsonb(format(''%%s'', %L::%s))', value, cast_to) into canonical;
        end if;
    exception when others then
        raise exception '%', sqlerrm
            using errcode = 'RC400';
    end;

    if operator = 'in' and jsonb_array_length(canonical) > 100 then
        raise exception 'too many values for `in` filter. Maximum 100'
            using errcode = 'RC400';
    end if;
    return canonical;
end
$$;

COMMENT ON FUNCTION rowcast.check_filter(watch integer, role text, column_name text, operator text, value text) IS 'Casts the value of one condition (of `in` an array literal) to its column''s type; canonical as JSON.';

CREATE FUNCTION rowcast.checkpoint() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    snap pg_snapshot;
    taken timestamptz;
begin
    -- a lost checkpoint only means that the one before is used
    perform set_config('synchronous_commit', 'off', true);

    perform rowcast.notice_recovery();

    -- first the snapshot, then the clock; never the other way round
    snap := pg_current_snapshot();
    taken := clock_timestamp();

    insert into rowcast.checkpoints (at, snapshot)
    select greatest(rowcast.moment(), (select max(c.at) from rowcast.checkpoints c) + interval '1 microsecond'), snap
    on conflict (at) do nothing;
    return taken;
end
$$;

COMMENT ON FUNCTION rowcast.checkpoint() IS 'Stores the current snapshot with the time after it; called every 250 ms while there is traffic.';

CREATE FUNCTION rowcast.checkpoint_at(since timestamp with time zone, OUT snapshot pg_snapshot, OUT at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    select c.snapshot, c.at
    into snapshot, at
    from rowcast.checkpoints c
    where c.at <= least(since, clock_timestamp())
    order by c.at desc
    limit 1;
end
$$;

COMMENT ON FUNCTION rowcast.checkpoint_at(since timestamp with time zone, OUT snapshot pg_snapshot, OUT at timestamp with time zone) IS 'The newest checkpoint at or before a time, nulls where there is none; a time in the future stands for now.';

CREATE FUNCTION rowcast.console_database() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select jsonb_build_object(
        'name', current_database(),
        'version', split_part(current_setting('server_version'), ' ', 1),
        'log', (
            select jsonb_build_object(
                'bytes', l.log_bytes,
                'oldest_change_at', l.oldest_change_at,
                'newest_change_at', l.newest_change_at,
                'checkpoint_at', l.checkpoint_at,
                'open_transactions', l.open_transactions,
                'notification_queue_usage', l.notification_queue_usage,
                'failures_last_hour', l.failures_last_hour)
            from rowcast.lag l
        ),
        'nodes', (
            select coalesce(jsonb_agg(
                jsonb_build_object(
                    'name', n.name,
                    'version', n.version,
                    'started_at', n.started_at,
                    'seen_seconds_ago', extract(epoch from clock_timestamp() - n.seen_at)::int,
                    'counts', n.counts)
                order by n.name, n.started_at), '[]')
            from rowcast.nodes n
        ));
$$;

COMMENT ON FUNCTION rowcast.console_database() IS 'The extent of the log and the running bridges, for the console.';

CREATE FUNCTION rowcast.console_doctor() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(jsonb_agg(
        jsonb_build_object('name', d.check_name, 'ok', coalesce(d.ok, false), 'detail', d.detail, 'remedy', d.remedy)
        order by coalesce(d.ok, false), d.check_name), '[]')
    from rowcast.doctor() d;
$$;

COMMENT ON FUNCTION rowcast.console_doctor() IS 'What the doctor finds, the failed first, for the console.';

CREATE FUNCTION rowcast.console_failures(most integer) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select jsonb_build_object(
        'last_hour', (
            select count(*)
            from rowcast.failures f
            where f.at > clock_timestamp() - interval '1 hour'
        ),
        'failures', coalesce(jsonb_agg(
            to_jsonb(x) || jsonb_build_object('remedy', rowcast._remedy(x.sqlstate, x.relation))
            order by x.id desc), '[]'))
    from (
        select f.*
        from rowcast.failures f
        order by f.id desc
        limit most
    ) x;
$$;

COMMENT ON FUNCTION rowcast.console_failures(most integer) IS 'The newest failures of capture with what to do about each, for the console. Their changes are not in the log.';

CREATE FUNCTION rowcast.console_tables(search text, most integer) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    with found as (
        select c.oid,
            coalesce(w.name, quote_ident(n.nspname) || '.' || quote_ident(c.relname)) as name,
            w.topic,
            w.columns,
            w.identity,
            w.key_columns,
            w.triggers,
            w.triggers_wanted,
            w.watched_at,
            c.relrowsecurity as row_security,
            case when c.reltuples >= 0 then c.reltuples::bigint end as rows_about,
            exists (
                select
                from pg_index i
                where i.indrelid = c.oid
                    and i.indisprimary) as has_key,
            pg_has_role(c.relowner, 'usage') as is_ours
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        left join rowcast.watched w on w.relation = c.oid
        where c.relkind in ('r', 'p')
            and c.relpersistence = 'p'
            and not c.relispartition
            and n.nspname !~ '^pg_|^information_schema$'
            and (n.nspname not in ('rowcast', 'chat', 'realtime') or w.relation is not null)
        union all
        -- watched, and dropped since
        select w.relation, w.name, w.topic, w.columns, w.identity, w.key_columns, 0, w.triggers_wanted, w.watched_at,
            null, null, null, null
        from rowcast.watched w
        where not exists (
            select
            from pg_class c
            where c.oid = w.relation)
    ),
    page as (
        select f.*
        from found f
        where strpos(lower(f.name), lower(search)) > 0
            or strpos(lower(coalesce(f.topic, '')), lower(search)) > 0
        order by f.topic is null, f.name
        limit most + 1
    ),
    shown as (
        select p.*
        from page p
        order by p.topic is null, p.name
        limit most
    )
    select jsonb_build_object(
        'more', (select count(*) > most from page),
        'tables', coalesce((
            select jsonb_agg(to_jsonb(s) - 'oid' order by s.topic is null, s.name)
            from shown s
        ), '[]'));
$_$;

COMMENT ON FUNCTION rowcast.console_tables(search text, most integer) IS 'Tables on the feed, then those that could be (topic null), by name, for the console; `search` is a part of a name.';

CREATE FUNCTION rowcast.doctor() RETURNS TABLE(check_name text, ok boolean, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query select * from rowcast._doctor_rights();
    return query select * from rowcast._doctor_settings();
    return query select * from rowcast._doctor_triggers();
    return query select * from rowcast._doctor_log();
    return query select * from rowcast._doctor_waits();
    return query select * from rowcast._doctor_bridges();
    return query select * from rowcast._doctor_watches();
    return query select * from rowcast._doctor_own();
    return query select * from rowcast._doctor_realtime();
end
$$;

COMMENT ON FUNCTION rowcast.doctor() IS 'Every precondition that SQL can check: name, whether it holds, what was found, what to do.';

CREATE FUNCTION rowcast.echo(token text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select pg_notify('rowcast_echo', token);
$$;

COMMENT ON FUNCTION rowcast.echo(token text) IS 'Sends the token to whoever listens on rowcast_echo: the bridge proves that its listener hears.';

CREATE FUNCTION rowcast.goodbye(id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    delete from rowcast.nodes n
    where n.id = $1;
$_$;

COMMENT ON FUNCTION rowcast.goodbye(id uuid) IS 'Takes a bridge off the list when it stops cleanly.';

CREATE FUNCTION rowcast.heartbeat(id uuid, name text, version text, started_at timestamp with time zone, counts jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    insert into rowcast.nodes as n (id, name, version, started_at, seen_at, counts)
    values ($1, $2, $3, $4, clock_timestamp(), coalesce($5, '{}'))
    on conflict (id) do update
    set name = excluded.name,
        version = excluded.version,
        started_at = excluded.started_at,
        seen_at = excluded.seen_at,
        counts = excluded.counts;

    delete from rowcast.nodes n
    where n.seen_at < clock_timestamp() - interval '1 day';
$_$;

COMMENT ON FUNCTION rowcast.heartbeat(id uuid, name text, version text, started_at timestamp with time zone, counts jsonb) IS 'Says that a bridge lives and what it counts; forgets those not heard of for a day.';

CREATE FUNCTION rowcast.history() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select format('%s:%s%s:%s:%s',
        (select s.system_identifier from pg_control_system() s),
        -- pg_control_checkpoint() lags behind a promotion, the name of the current WAL file does not
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
        (select '.' || s.unordered from rowcast.state s where s.unordered > 0),
        (select d.oid from pg_database d where d.datname = current_database()),
        'rowcast.changes'::regclass::oid);
$$;

COMMENT ON FUNCTION rowcast.history() IS 'system_identifier:timeline:database oid:log oid. A cursor of another history is refused.';

CREATE FUNCTION rowcast.install_realtime() RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    step text;
begin
    return query select * from rowcast._make_roles();

    foreach step in array array[
        '_install_messages', '_install_realtime_functions', '_install_auth', '_install_grants', '_install_capture']
    loop
        begin
            execute format('select rowcast.%I()', step);
        exception when insufficient_privilege then
            return next format('%s: %s; `rowcast doctor` says what is missing', step, sqlerrm);
        end;
    end loop;

    perform rowcast.keep_messages(interval '72 hours');
end
$$;

COMMENT ON FUNCTION rowcast.install_realtime() IS 'Makes what is missing for the supabase dialect; returns a sentence for all that it may not make.';

CREATE FUNCTION rowcast.keep_broadcast(role text, sub text, claims text, channel text, headers text, id uuid, event text, payload text, bytes bytea, seconds bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    commits text := current_setting('synchronous_commit');
begin
    -- the reference's name for this right
    if not rowcast.may_write(role, sub, claims, channel, headers, 'persistence') then
        return false;
    end if;
    -- it was a probe until here
    perform set_config('synchronous_commit', commits, true);
    perform set_config('rowcast.probe', 'off', true);
    perform set_config('realtime.topic', channel, true);
    insert into realtime.messages (id, topic, event, payload, binary_payload, private, extension)
    values (id, channel, event, payload::jsonb, bytes, true, 'broadcast');
    if seconds is not null then
        insert into rowcast.message_ends (id, ends_at)
        values (id, now() + make_interval(secs => seconds));
    end if;
    return true;
end
$$;

COMMENT ON FUNCTION rowcast.keep_broadcast(role text, sub text, claims text, channel text, headers text, id uuid, event text, payload text, bytes bytea, seconds bigint) IS 'Stores a broadcast to a private channel where the subject may write `persistence` there; false where it may not.';

CREATE FUNCTION rowcast.keep_messages(keep interval) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    messages regclass := to_regclass('realtime.messages');
    today date := timezone('utc', now());
    old record;
    changed int := 0;
begin
    -- what is not ours is kept up by whose it is
    if messages is null
        or not rowcast._is_ours(obj_description(messages, 'pg_class'))
        or not (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = messages)
    then
        return 0;
    end if;

    -- a partition is locked for a moment when it comes or goes: better later than at the cost of writers
    perform set_config('lock_timeout', '1s', true);
    for ahead in -1 .. 3 loop
        changed := changed + rowcast._make_partition(today + ahead)::int;
    end loop;

    for old in
        select c.relname
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = messages
            and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
            and to_date(substr(c.relname, 10), 'YYYY_MM_DD') + 1 <= timezone('utc', now()) - keep
    loop
        execute format('drop table realtime.%I', old.relname);
        changed := changed + 1;
    end loop;
    -- as late as the last partition that may have its message
    delete from rowcast.message_ends e
    where e.ends_at < now() - keep - interval '1 day';
    return changed;
exception when lock_not_available then
    return 0;
end
$_$;

COMMENT ON FUNCTION rowcast.keep_messages(keep interval) IS 'Keeps partitions of realtime.messages from yesterday to three days ahead, drops those that are older than `keep`.';

CREATE FUNCTION rowcast.matches(watch integer, unused text, rows jsonb, columns text[], operators text[], compared_with text[], lists integer[], firsts integer[], wanted integer[], budget integer) RETURNS TABLE(nth integer, seen integer[], state text, message text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    began timestamptz := clock_timestamp();
    list int[];
begin
    for asked in 1 .. cardinality(columns) loop
        exit when asked > 1 and clock_timestamp() > began + budget * interval '1 ms';
        nth := asked;
        seen := null;
        state := null;
        message := null;
        list := wanted[firsts[lists[asked]]:firsts[lists[asked] + 1] - 1];
        begin
            execute rowcast._condition(watch, columns[asked], operators[asked], compared_with[asked])
            into seen
            using list, rows;
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
end
$$;

COMMENT ON FUNCTION rowcast.matches(watch integer, unused text, rows jsonb, columns text[], operators text[], compared_with text[], lists integer[], firsts integer[], wanted integer[], budget integer) IS 'Which records (numbers from 1 in `rows`) each condition holds for; lists as in rowcast.sees(). NULL does not match, but with `is` and `isdistinct`.';

CREATE FUNCTION rowcast.may_read(role text, sub text, claims text, channel text, headers text, presence boolean) RETURNS text[]
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    path text := rowcast._path_of(role);
    asked text[] := case when presence then '{broadcast,presence}' else '{broadcast}' end;
    probes uuid[];
    readable text[];
    was text;
begin
    perform rowcast._refuse_channel(role);
    perform set_config('synchronous_commit', 'off', true);
    perform set_config('rowcast.probe', 'on', true);
    probes := array(select gen_random_uuid() from unnest(asked));
    begin
        insert into realtime.messages (id, topic, extension, private)
        select p.id, channel, p.extension, true
        from unnest(probes, asked) p (id, extension);

        was := set_config('request.jwt.claims', claims, true);
        was := set_config('request.jwt.claim.sub', sub, true);
        was := set_config('request.jwt.claim.role', role, true);
        was := set_config('request.headers', headers, true);
        was := set_config('realtime.topic', channel, true);
        was := set_config('role', role, true);
        was := set_config('search_path', path, true);
        select pg_catalog.array_agg(m.extension)
        into readable
        from realtime.messages m
        where m.id operator(pg_catalog.=) any (probes);
        raise exception using errcode = 'RC000';
    exception when sqlstate 'RC000' then null;
    end;
    return coalesce(readable, '{}');
end
$$;

COMMENT ON FUNCTION rowcast.may_read(role text, sub text, claims text, channel text, headers text, presence boolean) IS 'Which of the extensions broadcast and presence a subject may hear in a private channel.';

CREATE FUNCTION rowcast.may_write(role text, sub text, claims text, channel text, headers text, extension text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    path text := rowcast._path_of(role);
    was text;
begin
    perform rowcast._refuse_channel(role);
    perform set_config('synchronous_commit', 'off', true);
    perform set_config('rowcast.probe', 'on', true);
    begin
        was := set_config('request.jwt.claims', claims, true);
        was := set_config('request.jwt.claim.sub', sub, true);
        was := set_config('request.jwt.claim.role', role, true);
        was := set_config('request.headers', headers, true);
        was := set_config('realtime.topic', channel, true);
        was := set_config('role', role, true);
        was := set_config('search_path', path, true);
        insert into realtime.messages (topic, extension, private)
        values (channel, may_write.extension, true);
        raise exception using errcode = 'RC000';
    exception
        when sqlstate 'RC000' then return true;
        when insufficient_privilege then return false;
    end;
end
$$;

COMMENT ON FUNCTION rowcast.may_write(role text, sub text, claims text, channel text, headers text, extension text) IS 'Whether a subject may speak in a private channel by an extension: broadcast, presence.';

CREATE FUNCTION rowcast.misfits() RETURNS TABLE(relation text, problem text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with wanted (relation, columns, updated) as (
        values
            ('chat.users', 'id bigint, uuid uuid, username text, first_name text, last_name text, full_name text, '
                'role text, active boolean, feed boolean, credits bigint, tokens_valid_after timestamptz, status text, '
                'last_seen_at timestamptz, created_at timestamptz',
                '{feed,credits,tokens_valid_after,status,last_seen_at}'::text[]),
            ('chat.threads', 'id bigint, uuid uuid, kind text, name text, direct_key text, last_seq bigint, '
                'created_at timestamptz, updated_at timestamptz', '{}'),
            ('chat.members', 'thread_id bigint, user_id bigint, last_read_seq bigint, last_delivered_seq bigint, '
                'joined_at timestamptz', '{last_read_seq,last_delivered_seq}'),
            ('chat.messages', 'id bigint, uuid uuid, thread_id bigint, seq bigint, sender_id bigint, content text, '
                'message_type text, attachments jsonb, created_at timestamptz, edited_at timestamptz, '
                'deleted_at timestamptz', '{}')
    )
    select w.relation, 'is missing'
    from wanted w
    where to_regclass(w.relation) is null
    union all
    select w.relation,
        case
            when a.attname is null then format('lacks the column %s %s', c.name, c.type)
            else format('has %s as %s instead of %s', c.name, format_type(a.atttypid, null), c.type)
        end
    from wanted w
    cross join lateral (
        select split_part(x, ' ', 1) as name, split_part(x, ' ', 2) as type
        from unnest(string_to_array(w.columns, ', ')) x
    ) c
    left join pg_attribute a
        on a.attrelid = to_regclass(w.relation)
        and a.attname = c.name
        and not a.attisdropped
    where to_regclass(w.relation) is not null
        and a.atttypid is distinct from to_regtype(c.type)::oid
    union all
    select w.relation,
        format('takes no update of %s: make it a plain column of one table, or add an "instead of" trigger', a.attname)
    from wanted w
    join pg_attribute a
        on a.attrelid = to_regclass(w.relation)
        and a.attname = any (w.updated)
    where not pg_column_is_updatable(a.attrelid, a.attnum, false)
        -- 64: instead of, 16: update
        and not exists (select from pg_trigger t where t.tgrelid = a.attrelid and t.tgtype & 80 = 80)
    union all
    select w.relation, 'takes no insert: make the view updatable, or add an "instead of" trigger'
    from wanted w
    where w.relation = 'chat.messages'
        and pg_relation_is_updatable(to_regclass(w.relation), true) & 8 = 0;
$$;

COMMENT ON FUNCTION rowcast.misfits() IS 'What keeps the relations that stand in the place of the chat''s tables from serving; no row when all fit.';

CREATE FUNCTION rowcast.moment() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    taken timestamptz := clock_timestamp();
    newest timestamptz;
begin
    select max(c.at)
    into newest
    from rowcast.checkpoints c;

    -- another node's checkpoint of just now is no sign of a clock set back
    if newest is null or taken > newest - interval '10 milliseconds' then
        return greatest(taken, newest);
    end if;

    -- once it was noticed, the last two are one of these steps apart
    perform
    from rowcast.checkpoints c
    where c.at in (newest - interval '1 microsecond', newest - interval '5 seconds');
    return newest + case when found then interval '0' else interval '5 seconds' end;
end
$$;

COMMENT ON FUNCTION rowcast.moment() IS 'The time for a position whose snapshot was just taken: the clock, but never back.';

CREATE FUNCTION rowcast.notice_recovery() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    -- crash recovery starts the statistics anew, a clean restart keeps them; before 2001: not known yet
    recovered timestamptz := (select b.stats_reset from pg_stat_bgwriter b);
begin
    if recovered is null
        or recovered < '2001-01-01'
        or exists (select from rowcast.state s where s.recovered_at = recovered)
    then
        return;
    end if;

    -- no checkpoint is written after a recovery before this was called: one of a later time is from before
    update rowcast.state s
    set recovered_at = recovered,
        unordered = s.unordered + (
            select count(*)
            from (select max(c.at) as newest from rowcast.checkpoints c) k
            where k.newest >= recovered
                and s.recovered_at is not null)
    where s.recovered_at is distinct from recovered;
end
$$;

COMMENT ON FUNCTION rowcast.notice_recovery() IS 'Notes that the server recovered from a crash; one that the clock cannot order begins another history.';

CREATE FUNCTION rowcast.prune(keep interval, batch integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    boundary_at timestamptz;
    boundary xid8;
    pruned bigint;
begin
    if not pg_try_advisory_xact_lock(1919907683, 2) then
        return 0;
    end if;
    perform set_config('synchronous_commit', 'off', true);

    -- the newest checkpoint older than `keep` stays: it is the one that times just inside `keep` need
    select c.at, pg_snapshot_xmin(c.snapshot)
    into boundary_at, boundary
    from rowcast.checkpoints c
    where c.at < clock_timestamp() - keep
    order by c.at desc
    limit 1;

    if boundary is null then
        return 0;
    end if;

    update rowcast.state s
    set pruned_below = boundary
    where s.pruned_below < boundary;

    delete from rowcast.changes c
    using (
        select d.xid, d.id
        from rowcast.changes d
        where d.xid < boundary
        order by d.xid, d.id
        limit batch
    ) old
    where c.xid = old.xid
        and c.id = old.id;
    get diagnostics pruned = row_count;

    if pruned < batch then
        delete from rowcast.checkpoints c
        where c.at < boundary_at;

        delete from chat.check_bookmarks b
        where b.at < clock_timestamp() - interval '1 day';

        delete from chat.revoked_tokens t
        where t.expires_at < clock_timestamp() - interval '1 day';

        delete from rowcast.failures f
        where f.at < clock_timestamp() - interval '30 days';
    end if;
    return pruned;
end
$$;

COMMENT ON FUNCTION rowcast.prune(keep interval, batch integer) IS 'Deletes one batch of the log older than `keep`; 0: done, or another node is at it.';

CREATE FUNCTION rowcast.reload() RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    -- through the log: each bridge hears of it once, one that polls too, and who may not write there may not ask
    insert into rowcast.changes (topic, relation, op, ring)
    values ('table:rowcast.reload', 'rowcast.reload', 'INSERT', true);

    select count(*)
    from rowcast.nodes n
    where n.seen_at > clock_timestamp() - interval '15 seconds';
$$;

COMMENT ON FUNCTION rowcast.reload() IS 'Asks all bridges to read their settings and key files again, as SIGHUP asks one; tells how many are there to hear it.';

CREATE FUNCTION rowcast.saw(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) RETURNS TABLE(nth integer, seen integer[], state text, message text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    began timestamptz := clock_timestamp();
    judgement text;
    path text := rowcast._path_of(role);
    list int[];
    was text;
begin
    perform rowcast._refuse_subject(watch, role);
    judgement := rowcast._judgement(watch, role);

    was := set_config('role', role, true);
    was := set_config('request.jwt.claim.role', role, true);
    for subject in 1 .. cardinality(subs) loop
        exit when subject > 1 and clock_timestamp() > began + budget * interval '1 ms';
        if current_user::text <> role then
            raise exception 'a policy changed the role';
        end if;
        nth := subject;
        seen := null;
        state := null;
        message := null;
        list := wanted[firsts[lists[subject]]:firsts[lists[subject] + 1] - 1];
        begin
            was := set_config('request.jwt.claim.sub', subs[subject], true);
            was := set_config('request.jwt.claims', claims[subject], true);
            was := set_config('search_path', path, true);
            execute judgement into seen using list, rows;
            was := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
    was := set_config('role', 'none', true);
end
$$;

COMMENT ON FUNCTION rowcast.saw(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) IS 'As rowcast.sees(), of whole rows as they were: by the policies'' expressions, whether or not the rows are there.';

CREATE FUNCTION rowcast.sees(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) RETURNS TABLE(nth integer, seen integer[], state text, message text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    perform rowcast._refuse_subject(watch, role);
    if to_regproc(format('rowcast._sight_%s', watch)) is null then
        raise exception 'the table has no key'
            using errcode = 'RC409';
    end if;

    return query execute format(
        'select * from rowcast._sight_%s($1, $2, $3, $4, $5, $6, $7, $8, $9)', watch)
    using role, rowcast._path_of(role), rows, subs, claims, lists, firsts, wanted, budget;
end
$_$;

COMMENT ON FUNCTION rowcast.sees(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) IS 'Which rows (numbers from 1 in `rows`, each {key, record}) each subject sees now. Subject n asks for list lists[n]; list l is wanted[firsts[l] .. firsts[l + 1] - 1].';

CREATE FUNCTION rowcast.shapes(topics text[]) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(jsonb_object_agg(s.topic, s.shape), '{}')
    from (
        select w.topic,
            md5(string_agg(
                concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation), ','
                order by a.attrelid, a.attnum)) as shape
        from rowcast.watches w
        join pg_attribute a
            on a.attrelid = w.relation
            and a.attnum > 0
            and not a.attisdropped
        where w.topic = any (topics)
        group by w.topic
    ) s;
$$;

COMMENT ON FUNCTION rowcast.shapes(topics text[]) IS 'Of topics, an object: a word for what the columns of their tables are, which is another one when they are.';

CREATE FUNCTION rowcast.sync_publication(name text DEFAULT 'supabase_realtime'::text) RETURNS TABLE(relation text, done text, problem text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    publication pg_publication;
    t record;
begin
    select *
    into publication
    from pg_publication p
    where p.pubname = sync_publication.name;

    insert into rowcast.publications (name)
    select sync_publication.name
    where found
    on conflict do nothing;
    if publication is null and not exists (
        select
        from rowcast.publications p
        where p.name = sync_publication.name)
    then
        raise exception 'there is no publication %', quote_literal(sync_publication.name)
            using errcode = 'RC404';
    end if;

    for t in
        select coalesce(p.oid, w.relation::oid) as oid,
            p.oid is not null as wanted,
            w.id is not null as watched,
            w.publication,
            w.id is not null and (
                w.key_columns is distinct from coalesce(rowcast._key_of(p.oid), '{}')
                or w.name is distinct from p.shown
                or (not w.trusted and w.columns is null and w.watched_columns <> rowcast._columns_of(p.oid))
                or v.triggers < v.triggers_wanted
            ) as changed,
            coalesce(p.shown, w.name) as shown,
            p.keyless
        from (
            select c.oid,
                format('%I.%I', n.nspname, c.relname) as shown,
                rowcast._key_of(c.oid) is null and c.relreplident <> 'f' as keyless
            from rowcast._published(sync_publication.name) r
            join pg_class c on c.oid = r.relation
            join pg_namespace n on n.oid = c.relnamespace
        ) p
        full join rowcast.watches w on w.relation = p.oid
        left join rowcast.watched v on v.relation = w.relation
        where p.oid is not null or w.publication = sync_publication.name
        order by 6
    loop
        relation := t.shown;
        done := null;
        problem := null;
        begin
            -- a busy table is for the next time: who waits for its lock holds up its writers
            perform set_config('lock_timeout', '1s', true);
            if not t.wanted then
                perform rowcast.unwatch(t.oid);
                done := 'unwatched';
            elsif not t.watched then
                perform rowcast.watch(t.oid, identity => case when t.keyless then 'full' else 'key' end);
                update rowcast.watches w
                set publication = sync_publication.name
                where w.relation = t.oid;
                done := 'watched';
            elsif t.changed and t.publication = sync_publication.name then
                perform rowcast.watch(t.oid, identity => case when t.keyless then 'full' else 'key' end);
                done := 'watched again';
            end if;
        exception when others then
            problem := sqlerrm;
        end;
        if done is not null or problem is not null then
            return next;
        end if;
    end loop;
end
$$;

COMMENT ON FUNCTION rowcast.sync_publication(name text) IS 'Watches what a publication has, unwatches what it no longer has; tells what was done and what was not, and why.';

CREATE FUNCTION rowcast.sync_publications() RETURNS TABLE(relation text, done text, problem text)
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select s.relation, s.done, s.problem
    from rowcast.publications p
    cross join lateral rowcast.sync_publication(p.name) s;
$$;

COMMENT ON FUNCTION rowcast.sync_publications() IS 'Synchronises every publication that was taken over; the bridge calls it regularly.';

CREATE FUNCTION rowcast.tables_of(role text, schema_name text, table_name text, only_relation text) RETURNS TABLE(relation text, topic text, shape text, schema text, name text, watch integer, full_identity boolean, row_security boolean, is_whole boolean, columns jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    asker oid := to_regrole(quote_ident(role));
begin
    -- what needs no check of rows is not for a role that no check could be made as
    perform rowcast._refuse_role(role);

    return query
    select w.name,
        w.topic,
        coalesce(rowcast.shapes(array[w.topic]) ->> w.topic, ''),
        n.nspname::text,
        c.relname::text,
        w.id,
        w.identity = 'full' or c.relreplident = 'f',
        c.relrowsecurity
            and not r.rolsuper
            and not r.rolbypassrls
            and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage')),
        w.columns is null,
        (
            select jsonb_agg(
                jsonb_build_object(
                    'name', a.attname,
                    'type_name', t.typname,
                    'base', rowcast._type(a.atttypid),
                    'modifier', a.atttypmod,
                    'deterministic', coalesce(l.collisdeterministic, true),
                    'key', a.attname = any (w.key_columns),
                    'readable', has_schema_privilege(r.oid, n.oid, 'usage')
                        and has_column_privilege(r.oid, c.oid, a.attnum, 'select'))
                order by a.attnum)
            from pg_attribute a
            join pg_type t on t.oid = a.atttypid
            left join pg_collation l on l.oid = a.attcollation
            where a.attrelid = c.oid
                and a.attnum > 0
                and not a.attisdropped
                and (w.columns is null or a.attname = any (w.columns) or a.attname = any (w.key_columns))
        )
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace n on n.oid = c.relnamespace
    cross join pg_roles r
    where r.oid = asker
        and (only_relation is null or w.name = only_relation)
        and (schema_name is null or n.nspname = schema_name)
        and (table_name is null or c.relname = table_name)
    order by w.name;
end
$$;

COMMENT ON FUNCTION rowcast.tables_of(role text, schema_name text, table_name text, only_relation text) IS 'Watched tables as a role may see them; null for any schema, table or relation (its name in the log).';

CREATE FUNCTION rowcast.unwatch(relation regclass) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    capture text;
    attached record;
begin
    capture := rowcast._capture_of(relation);
    if capture is null then
        return false;
    end if;

    for attached in
        select t.tgname, t.tgrelid::regclass as child
        from pg_trigger t
        where t.tgfoid = to_regprocedure(capture)
    loop
        execute format('drop trigger %I on %s', attached.tgname, attached.child);
    end loop;
    perform rowcast._forget_capture(relation);
    return true;
end
$$;

COMMENT ON FUNCTION rowcast.unwatch(relation regclass) IS 'Takes a table off the feed; false when it was not on it. For a dropped table: rowcast.unwatch(<oid>).';

CREATE FUNCTION rowcast.watch(relation regclass, topic text DEFAULT NULL::text, columns text[] DEFAULT NULL::text[], identity text DEFAULT 'key'::text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    capture text;
    logged text;
    member record;
    event record;
begin
    select d.capture, d.topic
    into capture, logged
    from rowcast._define_capture(relation, topic, columns, identity) d;

    for member in
        select f.child
        from rowcast._family(relation) f
    loop
        for event in
            select *
            from (values
                ('_900_rowcast_insert', 'insert', 'referencing new table as new_rows'),
                ('_900_rowcast_update', 'update', 'referencing old table as old_rows new table as new_rows'),
                ('_900_rowcast_delete', 'delete', 'referencing old table as old_rows'),
                ('_900_rowcast_truncate', 'truncate', '')
            ) e (name, op, rows)
        loop
            if not exists (
                select
                from pg_trigger t
                where t.tgrelid = member.child
                    and t.tgname = event.name
                    and t.tgfoid = capture::regprocedure)
            then
                execute format(
                    'create trigger %I after %s on %s %s for each statement execute function %s',
                    event.name, event.op, member.child, event.rows, capture);
            end if;
        end loop;
    end loop;
    return logged;
end
$$;

COMMENT ON FUNCTION rowcast.watch(relation regclass, topic text, columns text[], identity text) IS 'Puts a table on the feed and returns its topic, table:<schema>.<name> unless given. Repeatable.';

CREATE TABLE chat.blocks (
    blocker_id bigint NOT NULL,
    blocked_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT blocks_not_oneself CHECK ((blocker_id <> blocked_id))
);

COMMENT ON TABLE chat.blocks IS 'Who does not want to hear from whom; a block refuses both ways.';

CREATE TABLE chat.check_bookmarks (
    user_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    base pg_snapshot NOT NULL,
    base_at timestamp with time zone NOT NULL,
    upto pg_snapshot,
    last_id bigint,
    began timestamp with time zone,
    after_at timestamp with time zone,
    after_id bigint,
    upto_at timestamp with time zone
);

COMMENT ON TABLE chat.check_bookmarks IS 'What a last_check_time that was handed out with has_more stands for. Losing a row only repeats messages.';

COMMENT ON COLUMN chat.check_bookmarks.at IS 'The last_check_time that was handed out, unique for the user.';

COMMENT ON COLUMN chat.check_bookmarks.began IS 'Sync from the tables (beyond the log): when its first page was read.';

COMMENT ON COLUMN chat.check_bookmarks.after_at IS 'Sync from the tables: created_at of the last message given.';

COMMENT ON COLUMN chat.check_bookmarks.upto_at IS 'When `upto` was taken, or a little later.';

CREATE VIEW chat.conversation_messages AS
 SELECT m.id,
    m.thread_id,
    m.seq,
    m.sender_id,
    m.created_at,
    ((l.line || 'false}'::text))::jsonb AS body,
    l.line
   FROM (((chat.messages m
     CROSS JOIN LATERAL ( SELECT (('","conversationId":"'::text || x.uuid) || '","senderId":'::text) AS part
           FROM chat.threads x
          WHERE (x.id = m.thread_id)
         OFFSET 0) t)
     LEFT JOIN LATERAL ( SELECT (('"'::text || x.uuid) || '"'::text) AS id
           FROM chat.users x
          WHERE (x.id = m.sender_id)
         OFFSET 0) u ON (true))
     CROSS JOIN LATERAL ( SELECT (((((((((('{"id":"'::text || m.uuid) || t.part) || COALESCE(u.id, 'null'::text)) || ',"content":'::text) || (to_json(m.content))::text) || ',"messageType":'::text) || (to_json(m.message_type))::text) || ',"createdAt":"'::text) || to_char((m.created_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text)) || '","isRead":'::text) AS line) l)
  WHERE (m.deleted_at IS NULL);

COMMENT ON VIEW chat.conversation_messages IS 'Messages that are not deleted, each as the JSON of the conversations dialect: `body` unread, `line` up to whether it is read.';

CREATE VIEW chat.conversation_watermarks AS
 SELECT m.user_id,
    m.thread_id,
    m.last_read_seq AS mine,
    ( SELECT min(o.last_read_seq) AS min
           FROM chat.members o
          WHERE ((o.thread_id = m.thread_id) AND (o.user_id <> m.user_id))) AS others
   FROM chat.members m;

COMMENT ON VIEW chat.conversation_watermarks IS 'For each membership how far its user has read, and how far all others have.';

CREATE VIEW chat.direct_messages AS
 SELECT m.id,
    m.thread_id,
    m.seq,
    m.created_at,
    (l.line)::jsonb AS body,
    l.line
   FROM ((((chat.messages m
     JOIN LATERAL ( SELECT (split_part(x.direct_key, ':'::text, 1))::bigint AS one,
            (split_part(x.direct_key, ':'::text, 2))::bigint AS two
           FROM chat.threads x
          WHERE ((x.id = m.thread_id) AND (x.direct_key IS NOT NULL))
         OFFSET 0) t ON (true))
     LEFT JOIN LATERAL ( SELECT ((',"sender_id":"'::text || x.uuid) || '"'::text) AS part
           FROM chat.users x
          WHERE (x.id = m.sender_id)
         OFFSET 0) s ON (true))
     LEFT JOIN LATERAL ( SELECT ((',"receiver_id":"'::text || x.uuid) || '"'::text) AS part,
            w.last_read_seq
           FROM (chat.users x
             LEFT JOIN chat.members w ON (((w.thread_id = m.thread_id) AND (w.user_id = x.id))))
          WHERE (x.id =
                CASE m.sender_id
                    WHEN t.one THEN t.two
                    WHEN t.two THEN t.one
                    ELSE NULL::bigint
                END)
         OFFSET 0) r ON (true))
     CROSS JOIN LATERAL ( SELECT (((((((((('{"id":"'::text || m.uuid) || '"'::text) || COALESCE(s.part, ',"sender_id":null'::text)) || COALESCE(r.part, ',"receiver_id":null'::text)) || ',"content":'::text) || (to_json(m.content))::text) ||
                CASE
                    WHEN (r.last_read_seq >= m.seq) THEN ',"is_read":true'::text
                    ELSE ',"is_read":false'::text
                END) || ',"created_at":"'::text) || to_char((m.created_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text)) || '"}'::text) AS line) l)
  WHERE (m.deleted_at IS NULL);

COMMENT ON VIEW chat.direct_messages IS 'Messages of direct threads that are not deleted, each as the JSON of the direct dialect: `line` as text, `body` as jsonb.';

CREATE TABLE chat.gaps (
    thread_id bigint NOT NULL,
    seq bigint NOT NULL
);

COMMENT ON TABLE chat.gaps IS 'Numbers whose message row was deleted, so that unread counts are a subtraction and not a scan.';

CREATE TABLE chat.login_sessions (
    session_id text NOT NULL,
    user_id bigint NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE chat.login_sessions IS 'Opaque cookie sessions of the host application; a delete closes their live sockets.';

COMMENT ON COLUMN chat.login_sessions.session_id IS 'The secret itself. It never reaches the log, only its md5 does.';

COMMENT ON COLUMN chat.login_sessions.expires_at IS 'Null: until deleted.';

COMMENT ON COLUMN chat.login_sessions.created_at IS 'When it was issued: a session from before the user''s tokens_valid_after is refused like a token.';

ALTER TABLE chat.messages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME chat.messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW chat.native_messages AS
 SELECT m.id,
    m.thread_id,
    m.seq,
    m.sender_id,
    m.created_at,
    l.line,
    (l.line)::jsonb AS body
   FROM (((chat.messages m
     CROSS JOIN LATERAL ( SELECT (('","thread_id":"'::text || x.uuid) || '","sender_id":'::text) AS part
           FROM chat.threads x
          WHERE (x.id = m.thread_id)
         OFFSET 0) t)
     LEFT JOIN LATERAL ( SELECT (('"'::text || x.uuid) || '"'::text) AS id,
            (json_build_object('full_name', x.full_name, 'role', x.role))::text AS sender
           FROM chat.users x
          WHERE (x.id = m.sender_id)
         OFFSET 0) u ON (true))
     CROSS JOIN LATERAL ( SELECT ((((((((((('{"id":"'::text || m.uuid) || t.part) || COALESCE(u.id, 'null'::text)) || ',"content":'::text) || (to_json(m.content))::text) ||
                CASE m.message_type
                    WHEN 'text'::text THEN ',"message_type":"text","created_at":"'::text
                    ELSE ((',"message_type":'::text || (to_json(m.message_type))::text) || ',"created_at":"'::text)
                END) || to_char((m.created_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text)) || '","sender":'::text) || COALESCE(u.sender, 'null'::text)) ||
                CASE
                    WHEN (m.edited_at IS NULL) THEN ''::text
                    ELSE ((',"edited_at":"'::text || to_char((m.edited_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text)) || '"'::text)
                END) ||
                CASE
                    WHEN (m.attachments = '[]'::jsonb) THEN '}'::text
                    ELSE ((',"attachments":'::text || (m.attachments)::text) || '}'::text)
                END) AS line) l)
  WHERE (m.deleted_at IS NULL);

COMMENT ON VIEW chat.native_messages IS 'Messages that are not deleted, each as the JSON of the native dialect: `line` as text, `body` as jsonb.';

CREATE TABLE chat.poll_marks (
    user_id bigint NOT NULL,
    thread_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    seq bigint NOT NULL
);

COMMENT ON TABLE chat.poll_marks IS 'What a timestamp that a poll of one thread handed out stands for. Losing a row only repeats messages.';

COMMENT ON COLUMN chat.poll_marks.at IS 'The timestamp handed out; never whole milliseconds, so that no browser''s clock makes the same one.';

COMMENT ON COLUMN chat.poll_marks.seq IS 'The number of the last message that its holder has.';

CREATE TABLE chat.poll_states (
    session text NOT NULL,
    user_id bigint NOT NULL,
    state jsonb NOT NULL,
    last_check timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE chat.poll_states IS 'The unread state that a session of long polls was last given. Losing a row only repeats an update.';

COMMENT ON COLUMN chat.poll_states.session IS 'A hash of the session id or token; the secret itself is not stored here.';

COMMENT ON COLUMN chat.poll_states.state IS '{"<thread id>": [unread, last seq]} of the threads with unread messages.';

COMMENT ON COLUMN chat.poll_states.last_check IS 'The `last_check` of that answer: who sends it back goes on from this state.';

CREATE TABLE chat.revoked_tokens (
    jti text NOT NULL,
    user_id bigint,
    expires_at timestamp with time zone
);

COMMENT ON TABLE chat.revoked_tokens IS 'Tokens refused from now on; an insert closes their live sockets.';

COMMENT ON COLUMN chat.revoked_tokens.expires_at IS 'When the token would have expired anyway: the row can go a day later.';

ALTER TABLE chat.threads ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME chat.threads_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW chat.unread_counts AS
 SELECT m.user_id,
    m.thread_id,
    t.uuid AS thread_uuid,
        CASE
            WHEN ((f.seq IS NULL) OR (t.last_seq <= w.seq)) THEN (0)::bigint
            ELSE ((((t.last_seq - w.seq) - ( SELECT count(*) AS count
               FROM chat.messages o
              WHERE ((o.thread_id = m.thread_id) AND (o.sender_id = m.user_id) AND (o.seq > w.seq)))) - ( SELECT count(*) AS count
               FROM chat.messages d
              WHERE ((d.thread_id = m.thread_id) AND (d.seq > w.seq) AND (d.deleted_at IS NOT NULL) AND (d.sender_id IS DISTINCT FROM m.user_id)))) - ( SELECT count(*) AS count
               FROM chat.gaps g
              WHERE ((g.thread_id = m.thread_id) AND (g.seq > w.seq))))
        END AS unread
   FROM (((chat.members m
     JOIN chat.threads t ON ((t.id = m.thread_id)))
     LEFT JOIN LATERAL ( SELECT a.seq
           FROM chat.messages a
          WHERE (a.thread_id = m.thread_id)
          ORDER BY a.seq
         LIMIT 1) f ON (true))
     CROSS JOIN LATERAL ( SELECT GREATEST(m.last_read_seq, (f.seq - 1)) AS seq) w);

COMMENT ON VIEW chat.unread_counts IS 'For each membership how many messages by others are not read yet.';

ALTER TABLE chat.users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME chat.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rowcast.changes (
    id bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    topic text NOT NULL,
    relation text NOT NULL,
    op text NOT NULL,
    key jsonb,
    record jsonb,
    old_record jsonb,
    link text,
    ring boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');

COMMENT ON TABLE rowcast.changes IS 'The log: one row per committed row change and topic. Read by snapshot, never by "id greater than".';

COMMENT ON COLUMN rowcast.changes.id IS 'Order within a batch. Not commit order between transactions; within a thread or a row it is.';

COMMENT ON COLUMN rowcast.changes.xid IS 'The top-level transaction: a reader with snapshot S lacks what is not visible in S.';

COMMENT ON COLUMN rowcast.changes.at IS 'When the row was written, not when it was committed.';

COMMENT ON COLUMN rowcast.changes.topic IS 'Who may want it: thread:<id>, user:<id>, table:<schema>.<name>, token:<jti>, login:<md5>.';

COMMENT ON COLUMN rowcast.changes.relation IS 'The table, schema-qualified, quoted where needed.';

COMMENT ON COLUMN rowcast.changes.op IS 'INSERT, UPDATE, DELETE or TRUNCATE. No check says so: it would be parsed anew at every insert, a sixth of the cost.';

COMMENT ON COLUMN rowcast.changes.key IS 'The key of the row: the new one on INSERT and UPDATE, the old one on DELETE.';

COMMENT ON COLUMN rowcast.changes.record IS 'The row as it is now; null on DELETE and TRUNCATE.';

COMMENT ON COLUMN rowcast.changes.old_record IS 'The row as it was: its key, or all of it under identity ''full''.';

COMMENT ON COLUMN rowcast.changes.link IS '''+thread:42'': holders of `topic` get that topic too from here on; ''-thread:42'': no longer.';

COMMENT ON COLUMN rowcast.changes.ring IS 'True for the first row of a statement: that one asks for the bell at commit.';

ALTER TABLE rowcast.changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcast.changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rowcast.checkpoints (
    at timestamp with time zone NOT NULL,
    snapshot pg_snapshot NOT NULL
);

COMMENT ON TABLE rowcast.checkpoints IS 'Which transactions were finished at which time: makes a timestamp an exact cursor.';

COMMENT ON COLUMN rowcast.checkpoints.at IS 'Read from the clock after the snapshot was taken, never before.';

CREATE TABLE rowcast.failures (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    relation text NOT NULL,
    op text NOT NULL,
    sqlstate text NOT NULL,
    message text NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id()
);

COMMENT ON TABLE rowcast.failures IS 'Errors of our own triggers. The write went through; its change is missing in the log.';

COMMENT ON COLUMN rowcast.failures.xid IS 'The transaction whose change is not in the log: a position that does not see it has a gap there.';

ALTER TABLE rowcast.failures ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcast.failures_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rowcast.installed (
    signature text NOT NULL,
    hash text NOT NULL,
    theirs text
);

COMMENT ON TABLE rowcast.installed IS 'The functions of schema chat as `migrate` installed them: one that differs is a team''s own, and is kept.';

COMMENT ON COLUMN rowcast.installed.signature IS 'The function with its parameters'' types, schema-qualified.';

COMMENT ON COLUMN rowcast.installed.theirs IS 'A team''s own function while ours are applied; null outside of that transaction.';

CREATE TABLE rowcast.nodes (
    id uuid NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON TABLE rowcast.nodes IS 'The running bridges, by heartbeat.';

COMMENT ON COLUMN rowcast.nodes.counts IS 'What the node counts about itself: connections, subscriptions, queue lengths.';

CREATE TABLE rowcast.state (
    one boolean DEFAULT true NOT NULL,
    history text,
    pruned_below xid8 DEFAULT '0'::xid8 NOT NULL,
    adopted_at timestamp with time zone,
    recovered_at timestamp with time zone,
    unordered integer DEFAULT 0 NOT NULL,
    CONSTRAINT state_has_one_row CHECK (one)
);

COMMENT ON TABLE rowcast.state IS 'One row: whose history the log tells, and how far back it goes.';

COMMENT ON COLUMN rowcast.state.history IS 'rowcast.history() when a bridge last adopted this database; differs after a failover or a restore.';

COMMENT ON COLUMN rowcast.state.pruned_below IS 'Changes of transactions below this may be gone; a cursor whose xmin is lower must resynchronise.';

COMMENT ON COLUMN rowcast.state.recovered_at IS 'When the server last recovered from a crash, as far as a bridge has noticed.';

COMMENT ON COLUMN rowcast.state.unordered IS 'Recoveries whose time is before that of a checkpoint: each begins another history.';

CREATE VIEW rowcast.lag AS
 SELECT s.history,
    s.pruned_below,
    pg_total_relation_size('rowcast.changes'::regclass) AS log_bytes,
    ( SELECT c.at
           FROM rowcast.changes c
          ORDER BY c.xid, c.id
         LIMIT 1) AS oldest_change_at,
    ( SELECT c.at
           FROM rowcast.changes c
          ORDER BY c.xid DESC, c.id DESC
         LIMIT 1) AS newest_change_at,
    k.at AS checkpoint_at,
    (clock_timestamp() - k.at) AS checkpoint_age,
    ( SELECT count(*) AS count
           FROM pg_snapshot_xip(pg_current_snapshot()) pg_snapshot_xip(pg_snapshot_xip)) AS open_transactions,
    pg_snapshot_xmin(pg_current_snapshot()) AS oldest_open_xid,
    pg_notification_queue_usage() AS notification_queue_usage,
    ( SELECT count(*) AS count
           FROM rowcast.failures f
          WHERE (f.at > (clock_timestamp() - '01:00:00'::interval))) AS failures_last_hour,
    ( SELECT count(*) AS count
           FROM rowcast.nodes n
          WHERE (n.seen_at > (clock_timestamp() - '00:00:30'::interval))) AS nodes_alive
   FROM (rowcast.state s
     LEFT JOIN LATERAL ( SELECT c.at
           FROM rowcast.checkpoints c
          ORDER BY c.at DESC
         LIMIT 1) k ON (true));

COMMENT ON VIEW rowcast.lag IS 'One row: the extent of the log, its newest checkpoint, what holds back pruning, what went wrong lately.';

CREATE TABLE rowcast.message_ends (
    id uuid NOT NULL,
    ends_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE rowcast.message_ends IS 'Rows of realtime.messages that were stored with a time to live: no replay has them after that.';

COMMENT ON COLUMN rowcast.message_ends.id IS 'The id of the message.';

COMMENT ON COLUMN rowcast.message_ends.ends_at IS 'From when on no replay has it.';

CREATE TABLE rowcast.migrations (
    version integer NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    breaking boolean DEFAULT false NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE rowcast.migrations IS 'What `migrate` has applied: one row per file of sql/migrations, written before the file runs.';

COMMENT ON COLUMN rowcast.migrations.hash IS 'Hash of the file as applied; an applied file that differs today is an error.';

COMMENT ON COLUMN rowcast.migrations.breaking IS 'True where the file says "--! breaking": an older binary must not serve this database.';

CREATE TABLE rowcast.publications (
    name text NOT NULL,
    taken_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE rowcast.publications IS 'Publications that were taken over: the keeper watches what they have. See rowcast.sync_publication().';

COMMENT ON COLUMN rowcast.publications.taken_at IS 'When the publication was first synchronised.';

CREATE VIEW rowcast.replaced AS
 SELECT i.signature,
        CASE
            WHEN (p.oid IS NULL) THEN 'missing'::text
            ELSE 'replaced'::text
        END AS state
   FROM (rowcast.installed i
     LEFT JOIN pg_proc p ON ((p.oid = (to_regprocedure(i.signature))::oid)))
  WHERE ((p.oid IS NULL) OR (md5(p.prosrc) <> i.hash));

COMMENT ON VIEW rowcast.replaced IS 'Functions of schema chat that are no longer as migrate installed them: a team''s own, which it keeps, or missing.';

CREATE VIEW rowcast.watched AS
 SELECT w.relation,
    w.name,
    w.topic,
    w.columns,
        CASE
            WHEN (c.relreplident = 'f'::"char") THEN 'full'::text
            ELSE w.identity
        END AS identity,
    w.key_columns,
    t.n AS triggers,
    (4 * f.n) AS triggers_wanted,
    w.watched_at
   FROM (((rowcast.watches w
     LEFT JOIN pg_class c ON ((c.oid = (w.relation)::oid)))
     CROSS JOIN LATERAL ( SELECT count(*) AS n
           FROM (rowcast._family(w.relation) m(child)
             JOIN pg_class k ON ((k.oid = (m.child)::oid)))) f)
     CROSS JOIN LATERAL ( SELECT count(*) AS n
           FROM (pg_trigger g
             JOIN rowcast._family(w.relation) m(child) ON (((m.child)::oid = g.tgrelid)))
          WHERE ((g.tgfoid = (to_regprocedure(format('rowcast._capture_%s()'::text, w.id)))::oid) AND (g.tgenabled = ANY (ARRAY['O'::"char", 'A'::"char"])))) t);

COMMENT ON VIEW rowcast.watched IS 'The watched tables. `triggers` less than `triggers_wanted`: something was disabled or attached; watch again.';

ALTER TABLE rowcast.watches ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcast.watches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY chat.blocks
    ADD CONSTRAINT blocks_pkey PRIMARY KEY (blocker_id, blocked_id);

ALTER TABLE ONLY chat.check_bookmarks
    ADD CONSTRAINT check_bookmarks_pkey PRIMARY KEY (user_id, at);

ALTER TABLE ONLY chat.gaps
    ADD CONSTRAINT gaps_pkey PRIMARY KEY (thread_id, seq);

ALTER TABLE ONLY chat.login_sessions
    ADD CONSTRAINT login_sessions_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY chat.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (thread_id, user_id);

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_thread_seq UNIQUE (thread_id, seq);

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_uuid UNIQUE (uuid);

ALTER TABLE ONLY chat.poll_marks
    ADD CONSTRAINT poll_marks_pkey PRIMARY KEY (user_id, thread_id, at);

ALTER TABLE ONLY chat.poll_states
    ADD CONSTRAINT poll_states_pkey PRIMARY KEY (session);

ALTER TABLE ONLY chat.revoked_tokens
    ADD CONSTRAINT revoked_tokens_pkey PRIMARY KEY (jti);

ALTER TABLE ONLY chat.threads
    ADD CONSTRAINT threads_direct_key UNIQUE (direct_key);

ALTER TABLE ONLY chat.threads
    ADD CONSTRAINT threads_pkey PRIMARY KEY (id);

ALTER TABLE ONLY chat.threads
    ADD CONSTRAINT threads_uuid UNIQUE (uuid);

ALTER TABLE ONLY chat.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY chat.users
    ADD CONSTRAINT users_username UNIQUE (username);

ALTER TABLE ONLY chat.users
    ADD CONSTRAINT users_uuid UNIQUE (uuid);

ALTER TABLE ONLY rowcast.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (xid, id);

ALTER TABLE ONLY rowcast.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (at);

ALTER TABLE ONLY rowcast.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (id);

ALTER TABLE ONLY rowcast.installed
    ADD CONSTRAINT installed_pkey PRIMARY KEY (signature);

ALTER TABLE ONLY rowcast.message_ends
    ADD CONSTRAINT message_ends_pkey PRIMARY KEY (id);

ALTER TABLE ONLY rowcast.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY rowcast.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY rowcast.publications
    ADD CONSTRAINT publications_pkey PRIMARY KEY (name);

ALTER TABLE ONLY rowcast.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (one);

ALTER TABLE ONLY rowcast.watches
    ADD CONSTRAINT watches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY rowcast.watches
    ADD CONSTRAINT watches_relation UNIQUE (relation);

ALTER TABLE ONLY rowcast.watches
    ADD CONSTRAINT watches_topic UNIQUE (topic);

CREATE INDEX blocks_blocked ON chat.blocks USING btree (blocked_id);

CREATE INDEX check_bookmarks_at ON chat.check_bookmarks USING btree (at);

CREATE INDEX login_sessions_user ON chat.login_sessions USING btree (user_id);

CREATE INDEX members_user ON chat.members USING btree (user_id, thread_id);

CREATE INDEX messages_by_user ON chat.messages USING btree (sender_id);

CREATE INDEX messages_created ON chat.messages USING btree (thread_id, created_at, id);

COMMENT ON INDEX chat.messages_created IS 'Offline sync beyond the log''s retention, and "since" a time.';

CREATE INDEX messages_deleted ON chat.messages USING btree (thread_id, seq) WHERE (deleted_at IS NOT NULL);

CREATE INDEX messages_sender ON chat.messages USING btree (thread_id, sender_id, seq);

COMMENT ON INDEX chat.messages_sender IS 'Own messages past a watermark, for unread counts.';

CREATE INDEX poll_marks_at ON chat.poll_marks USING btree (at);

CREATE INDEX poll_marks_thread ON chat.poll_marks USING btree (thread_id);

CREATE INDEX poll_states_last_check ON chat.poll_states USING btree (last_check);

CREATE INDEX poll_states_user ON chat.poll_states USING btree (user_id);

CREATE INDEX revoked_tokens_user ON chat.revoked_tokens USING btree (user_id);

CREATE INDEX changes_topic_xid ON rowcast.changes USING btree (topic, xid);

CREATE INDEX failures_at ON rowcast.failures USING btree (at);

CREATE INDEX failures_xid ON rowcast.failures USING btree (xid);

CREATE INDEX message_ends_ends_at ON rowcast.message_ends USING btree (ends_at);

CREATE TRIGGER _100_rowcast_clear BEFORE DELETE ON chat.threads FOR EACH ROW EXECUTE FUNCTION chat._clear_thread();

COMMENT ON TRIGGER _100_rowcast_clear ON chat.threads IS 'Made by Rowcast, definition d299bf2908e1ac2d7511a7fe66ae0568';

CREATE TRIGGER _100_rowcast_clear BEFORE DELETE ON chat.users FOR EACH ROW EXECUTE FUNCTION chat._clear_user();

COMMENT ON TRIGGER _100_rowcast_clear ON chat.users IS 'Made by Rowcast, definition 1b183b99e7ee923eb72bf9f6c00f40bf';

CREATE TRIGGER _100_rowcast_count AFTER INSERT ON chat.messages REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._count_messages();

COMMENT ON TRIGGER _100_rowcast_count ON chat.messages IS 'Made by Rowcast, definition f15aba3175afbf1b3cc0ca49ef182552';

CREATE TRIGGER _100_rowcast_edit BEFORE UPDATE ON chat.messages FOR EACH ROW EXECUTE FUNCTION chat._edit_message();

COMMENT ON TRIGGER _100_rowcast_edit ON chat.messages IS 'Made by Rowcast, definition b2f0f9ba8766b0e1b5f1fe56f4ea2d80';

CREATE TRIGGER _100_rowcast_name BEFORE INSERT ON chat.users FOR EACH ROW EXECUTE FUNCTION chat._name_user();

COMMENT ON TRIGGER _100_rowcast_name ON chat.users IS 'Made by Rowcast, definition f5ad67398e54830d35999b4b98b001b9';

CREATE TRIGGER _100_rowcast_number BEFORE INSERT ON chat.messages FOR EACH ROW EXECUTE FUNCTION chat._number_message();

COMMENT ON TRIGGER _100_rowcast_number ON chat.messages IS 'Made by Rowcast, definition dcf11c5aa7e2e2c5991f1bd6176936db';

CREATE TRIGGER _800_rowcast_gaps AFTER DELETE ON chat.messages REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._note_gaps();

COMMENT ON TRIGGER _800_rowcast_gaps ON chat.messages IS 'Made by Rowcast, definition f368df658b31a1df748da2ad253d718c';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON chat.blocks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_blocks();

COMMENT ON TRIGGER _900_rowcast_delete ON chat.blocks IS 'Made by Rowcast, definition a4411a757ca111a623704560c3079935';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON chat.login_sessions REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_sessions();

COMMENT ON TRIGGER _900_rowcast_delete ON chat.login_sessions IS 'Made by Rowcast, definition 4ecea0578f36d239276df5e9d812c1e3';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON chat.members REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_members();

COMMENT ON TRIGGER _900_rowcast_delete ON chat.members IS 'Made by Rowcast, definition b72c580974b76c9af38e0defe2b6117a';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON chat.messages REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_messages();

COMMENT ON TRIGGER _900_rowcast_delete ON chat.messages IS 'Made by Rowcast, definition 4ab9397f3aa5e247864f593f4eca376f';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON chat.users REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_users();

COMMENT ON TRIGGER _900_rowcast_delete ON chat.users IS 'Made by Rowcast, definition 729a584a1e0f2d38f03b803c15e04fe7';

CREATE TRIGGER _900_rowcast_insert AFTER INSERT ON chat.blocks REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_blocks();

COMMENT ON TRIGGER _900_rowcast_insert ON chat.blocks IS 'Made by Rowcast, definition 3536f3d032f602eb7aadb01b53e94874';

CREATE TRIGGER _900_rowcast_insert AFTER INSERT ON chat.members REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_members();

COMMENT ON TRIGGER _900_rowcast_insert ON chat.members IS 'Made by Rowcast, definition 2446764cb142f1e64bf9aa9b46c6abf9';

CREATE TRIGGER _900_rowcast_insert AFTER INSERT ON chat.messages REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_messages();

COMMENT ON TRIGGER _900_rowcast_insert ON chat.messages IS 'Made by Rowcast, definition a27f0a0d3cbac02e3cb1f7bde2bfa434';

CREATE TRIGGER _900_rowcast_insert AFTER INSERT ON chat.revoked_tokens REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_tokens();

COMMENT ON TRIGGER _900_rowcast_insert ON chat.revoked_tokens IS 'Made by Rowcast, definition abf4036c107d52d135e2dc52edd5a91c';

CREATE TRIGGER _900_rowcast_truncate BEFORE TRUNCATE ON chat.login_sessions FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_emptying();

COMMENT ON TRIGGER _900_rowcast_truncate ON chat.login_sessions IS 'Made by Rowcast, definition 0a826051cecff666ebcd990bbae05f5e';

CREATE TRIGGER _900_rowcast_truncate BEFORE TRUNCATE ON chat.members FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_emptying();

COMMENT ON TRIGGER _900_rowcast_truncate ON chat.members IS 'Made by Rowcast, definition 0a826051cecff666ebcd990bbae05f5e';

CREATE TRIGGER _900_rowcast_truncate AFTER TRUNCATE ON chat.messages FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_messages();

COMMENT ON TRIGGER _900_rowcast_truncate ON chat.messages IS 'Made by Rowcast, definition ceef4718c99ca0e1decb833f42bd45e2';

CREATE TRIGGER _900_rowcast_truncate BEFORE TRUNCATE ON chat.users FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_emptying();

COMMENT ON TRIGGER _900_rowcast_truncate ON chat.users IS 'Made by Rowcast, definition 0a826051cecff666ebcd990bbae05f5e';

CREATE TRIGGER _900_rowcast_update AFTER UPDATE ON chat.members REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_members();

COMMENT ON TRIGGER _900_rowcast_update ON chat.members IS 'Made by Rowcast, definition b0ff98c6345e9a6c4c441d9d81d7c3af';

CREATE TRIGGER _900_rowcast_update AFTER UPDATE ON chat.messages REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_messages();

COMMENT ON TRIGGER _900_rowcast_update ON chat.messages IS 'Made by Rowcast, definition e755a5ba81179423a0fad5c79ad6ca67';

CREATE TRIGGER _900_rowcast_update AFTER UPDATE OF name ON chat.threads FOR EACH ROW WHEN ((old.name IS DISTINCT FROM new.name)) EXECUTE FUNCTION chat._capture_thread();

COMMENT ON TRIGGER _900_rowcast_update ON chat.threads IS 'Made by Rowcast, definition 6d0d54a92d5f25148c8a7aaa0ce692b4';

CREATE TRIGGER _900_rowcast_update AFTER UPDATE ON chat.users REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat._capture_users();

COMMENT ON TRIGGER _900_rowcast_update ON chat.users IS 'Made by Rowcast, definition b5c54545f484ec432a1c8e8476db423e';

CREATE TRIGGER _900_rowcast_delete AFTER DELETE ON rowcast.watches REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION rowcast._capture_watches();

COMMENT ON TRIGGER _900_rowcast_delete ON rowcast.watches IS 'Made by Rowcast, definition 2ca99559373721691810ec72a4dd5953';

CREATE TRIGGER _900_rowcast_insert AFTER INSERT ON rowcast.watches REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION rowcast._capture_watches();

COMMENT ON TRIGGER _900_rowcast_insert ON rowcast.watches IS 'Made by Rowcast, definition 963d3451b8f00c97ff9a998ae62a7b52';

CREATE TRIGGER _900_rowcast_update AFTER UPDATE ON rowcast.watches REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION rowcast._capture_watches();

COMMENT ON TRIGGER _900_rowcast_update ON rowcast.watches IS 'Made by Rowcast, definition 10f8ff92dcedcc9aaab842a4e67accbe';

CREATE CONSTRAINT TRIGGER ring AFTER INSERT ON rowcast.changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.ring) EXECUTE FUNCTION rowcast._ring();

COMMENT ON TRIGGER ring ON rowcast.changes IS 'Made by Rowcast, definition bd7a121ed76bd37c53883acee369cf19';

ALTER TABLE ONLY chat.blocks
    ADD CONSTRAINT blocks_blocked_id_fkey FOREIGN KEY (blocked_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.blocks
    ADD CONSTRAINT blocks_blocker_id_fkey FOREIGN KEY (blocker_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.check_bookmarks
    ADD CONSTRAINT check_bookmarks_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.gaps
    ADD CONSTRAINT gaps_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES chat.threads(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.login_sessions
    ADD CONSTRAINT login_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.members
    ADD CONSTRAINT members_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES chat.threads(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.members
    ADD CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_sender_id_fkey FOREIGN KEY (sender_id) REFERENCES chat.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES chat.threads(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.poll_marks
    ADD CONSTRAINT poll_marks_thread_id_fkey FOREIGN KEY (thread_id) REFERENCES chat.threads(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.poll_marks
    ADD CONSTRAINT poll_marks_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.poll_states
    ADD CONSTRAINT poll_states_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.revoked_tokens
    ADD CONSTRAINT revoked_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users(id) ON DELETE CASCADE;

REVOKE ALL ON FUNCTION chat._bookmark(reader bigint, since timestamp with time zone, base pg_snapshot, base_at timestamp with time zone, upto pg_snapshot, upto_at timestamp with time zone, last_id bigint, began timestamp with time zone, after_at timestamp with time zone, after_id bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_blocks() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_emptying() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_members() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_messages() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_sessions() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_thread() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_tokens() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._capture_users() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._clear_thread() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._clear_user() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._conversation_of(reader bigint, conversation text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._count_messages() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._direct_peer(caller bigint, partner text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._direct_with(caller bigint, partner text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._edit_message() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._is_whole(base pg_snapshot, base_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_given(sessions text[], readers bigint[], states jsonb[], checked timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_messages(reader bigint, thread bigint, seqs bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_since(reader bigint, since timestamp with time zone, state jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_state(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_thread_name(thread bigint, reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_unread(state jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._longpoll_update(reader bigint, threads bigint[], state jsonb, last_check timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._member_record(thread bigint, member bigint, read_seq bigint, delivered_seq bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._messages_since(thread bigint, since timestamp with time zone, max integer, OUT ids bigint[], OUT more boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._name_user() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._note_gaps() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._number_message() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._profile(person chat.users) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._rooms_mark(reader bigint, room bigint, reached bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._rooms_messages(reader bigint, room bigint, seqs bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._rooms_seq_at(reader bigint, room bigint, since timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._rooms_user(member chat.users) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._seq_of(thread bigint, message bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat._user_record(member chat.users) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.admit(sub text, jti text, issued_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.bench_begin(name text, people integer, OUT thread bigint, OUT sender bigint, OUT users uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.bench_end(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.bench_left() FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.block(caller bigint, partner text, wanted boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversation(reader bigint, thread bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversation_counts(reader bigint, OUT threads bigint[], OUT counts bigint[], OUT marks bigint[], OUT snapshot pg_snapshot) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversation_page(reader bigint, conversation text, before text, since timestamp with time zone, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversation_read(reader bigint, conversation text, upto text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversation_send(sender bigint, conversation text, content text, message_type text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.conversations(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_conversations(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_delivered(reader bigint, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_history(reader bigint, partner text, before text, since timestamp with time zone, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_open(caller bigint, partner text, OUT thread_id bigint, OUT thread_uuid uuid, OUT partner_id bigint, OUT partner_uuid uuid, OUT made_by xid8) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_read(reader bigint, partner text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_send(sender bigint, receiver text, content text, price bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_thread(a bigint, b bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.direct_view(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.gone(members bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.history_page(reader bigint, thread bigint, before bigint, after bigint, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.is_revoked(jti text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.log_out(caller bigint, jti text, issued_at timestamp with time zone, expires_at timestamp with time zone, login text, everywhere boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_count(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_messages(reader bigint, thread bigint, last_message bigint, after_seq bigint, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_presence(reader bigint, partners bigint[], here bigint[], shown text[], idle double precision[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_read(reader bigint, thread bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_recount(sessions text[], readers bigint[], states jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_send(sender bigint, thread bigint, content text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_threads(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_typing(reader bigint, thread bigint, typists bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.longpoll_updates(reader bigint, session text, last_check timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.mark_delivered(reader bigint, thread bigint, upto bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.mark_read(reader bigint, thread bigint, upto bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.member_of(reader bigint, thread bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.message(ref text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.message_of(thread bigint, ref text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.offline_messages(OUT part text, reader bigint, since timestamp with time zone, INOUT base pg_snapshot, INOUT base_at timestamp with time zone, INOUT upto pg_snapshot, INOUT upto_at timestamp with time zone, INOUT last_id bigint, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.others_in(member bigint, threads bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.profile(reader bigint, partner text, OUT person_id bigint, OUT body jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.rooms_history(reader bigint, room bigint, before bigint, after bigint, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.rooms_list(reader bigint, room bigint, typing_rooms bigint[], typists bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.rooms_marks(readers bigint[], rooms bigint[], reached bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.rooms_poll(reader bigint, room bigint, since timestamp with time zone, after_seq bigint, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.rooms_send(sender bigint, room bigint, content text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.said(member bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.say_presence(member bigint, said text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.seen(user_id bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.send(sender bigint, thread bigint, content text, message_type text, attachments jsonb, public_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.session(session_id text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.set_feed(reader bigint, wanted boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.tell_members(before chat.members[], after chat.members[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.tell_messages(before chat.messages[], after chat.messages[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.tell_threads(before chat.threads[], after chat.threads[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.tell_users(before chat.users[], after chat.users[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.thread(ref text) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.threads_of(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat.unread(reader bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION chat."user"(ref text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._capture_broadcasts() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._capture_of(relation oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._capture_watches() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._columns_of(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._condition(watch integer, column_name text, operator text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._define_capture(relation regclass, wanted_topic text, wanted_columns text[], wanted_identity text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_bridges() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_limit(name text, usual text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_log() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_own() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_realtime() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_rights() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_settings() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_triggers() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_waits() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._doctor_watches() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._drop_sight(watch integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._equality_of(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._failed(relation text, op text, state text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._family(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._forget_capture(relation oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._install_auth() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._install_capture() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._install_grants() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._install_messages() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._install_realtime_functions() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._is_ours(described text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._judgement(watch integer, role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._key_of(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._make_partition(day date) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._make_roles() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._make_schema(name text, says text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._may_become(role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._offer(signature text, says text, definition text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._path_of(role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._printable(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._published(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._refuse(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._refuse_channel(role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._refuse_role(role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._refuse_subject(watch integer, role text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._remedy(sqlstate text, relation text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._reset_of(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._ring() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._row(relation regclass, alias text, columns text[], trusted boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._sees_all(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._set_styles(styles text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._stranger(grantee oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._type(type oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._watch_again(w rowcast.watches, name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._write_capture(w rowcast.watches) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast._write_sight(w rowcast.watches) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.adopt(history text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.check_filter(watch integer, role text, column_name text, operator text, value text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.checkpoint() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.checkpoint_at(since timestamp with time zone, OUT snapshot pg_snapshot, OUT at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.console_database() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.console_doctor() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.console_failures(most integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.console_tables(search text, most integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.doctor() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.echo(token text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.goodbye(id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.heartbeat(id uuid, name text, version text, started_at timestamp with time zone, counts jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.history() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.install_realtime() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.keep_broadcast(role text, sub text, claims text, channel text, headers text, id uuid, event text, payload text, bytes bytea, seconds bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.keep_messages(keep interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.matches(watch integer, unused text, rows jsonb, columns text[], operators text[], compared_with text[], lists integer[], firsts integer[], wanted integer[], budget integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.may_read(role text, sub text, claims text, channel text, headers text, presence boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.may_write(role text, sub text, claims text, channel text, headers text, extension text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.misfits() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.moment() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.notice_recovery() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.prune(keep interval, batch integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.reload() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.saw(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.sees(watch integer, role text, rows jsonb, subs text[], claims text[], unused text[], lists integer[], firsts integer[], wanted integer[], budget integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.shapes(topics text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.sync_publication(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.sync_publications() FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.tables_of(role text, schema_name text, table_name text, only_relation text) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.unwatch(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION rowcast.watch(relation regclass, topic text, columns text[], identity text) FROM PUBLIC;

