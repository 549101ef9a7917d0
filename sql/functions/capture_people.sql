-- Capture of what concerns a person or a thread as such: standing, presence, blocks, tokens, sessions, names.
--
-- These rows end or change live sessions, so they go to the user's, token's or session's own topic.

create or replace function chat._capture_users()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._capture_users() is
    'Puts a user''s standing, presence and name on their own topic, when one of these changed.';

create or replace function chat._user_record(member chat.users)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._user_record(chat.users) is
    'The log record of a user: no credits, no username.';

create or replace function chat._capture_thread()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._capture_thread() is
    'Tells a thread its new name. A row trigger on `name`: moving last_seq must cost nothing.';

create or replace function chat._capture_tokens()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._capture_tokens() is
    'Tells the sockets of a token that it was revoked.';

create or replace function chat._capture_sessions()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._capture_sessions() is
    'Tells the sockets of a login session that it ended; by md5, the secret never reaches the log.';

create or replace function chat._capture_blocks()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._capture_blocks() is
    'Tells both sides of a block, made or lifted.';
