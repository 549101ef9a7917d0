-- What people are to each other, and how they leave: profiles, blocks, log-out.

create or replace function chat._profile(person chat.users)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._profile(chat.users) is
    'What others see of a user.';

create or replace function chat.profile(reader bigint, partner text, out person_id bigint, out body jsonb)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.profile(bigint, text) is
    'A user as others see them, and their id for the bridge to add whether they are online; not across a block.';

create or replace function chat.block(caller bigint, partner text, wanted boolean)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.block(bigint, text, boolean) is
    'Blocks somebody, or lifts the caller''s own block; the feed tells both.';

create or replace function chat.log_out(
    caller bigint,
    jti text,
    issued_at timestamptz,
    expires_at timestamptz,
    login text,
    everywhere boolean)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.log_out(bigint, text, timestamptz, timestamptz, text, boolean) is
    'Ends the token or login session that asks, or all of the user''s; their sockets close at once.';
