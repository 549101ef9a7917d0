-- People: who is let in, and what the bridge changes about them.

create or replace function chat._name_user()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat._name_user() is
    'Fills the names a writer left out from those given.';

create or replace function chat._clear_user()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from chat.members m
    where m.user_id = old.id;
    return old;
end
$$;

comment on function chat._clear_user() is
    'Ends a user''s memberships before the user goes: the log can still name both.';

-- In PL/pgSQL, as what is called for each request or connection: its plan is kept, where PostgreSQL up to 17 plans a
-- function in SQL anew for each call.
create or replace function chat."user"(ref text)
returns bigint
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select u.id from chat.users u where u.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select u.id from chat.users u where u.uuid = ref::uuid);
    end if;
    return null;
end
$$;

comment on function chat."user"(text) is
    'The user of a uuid or integer id; null when there is none or the text is neither.';

create or replace function chat.is_revoked(jti text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select
        from chat.revoked_tokens t
        where t.jti = is_revoked.jti);
end
$$;

comment on function chat.is_revoked(text) is
    'Whether a token is refused from now on, whoever its bearer is.';

create or replace function chat.admit(sub text, jti text, issued_at timestamptz)
returns table (
    user_id bigint,
    user_uuid uuid,
    username text,
    full_name text,
    role text,
    feed boolean,
    threads bigint[],
    thread_uuids uuid[],
    snapshot pg_snapshot)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.admit(text, text, timestamptz) is
    'Lets the holder of a token in, with their threads as of `snapshot`; RC401 and RC403 say why not.';

create or replace function chat.session(session_id text)
returns table (sub text, created_at timestamptz, expires_at timestamptz, topic text)
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
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
$$;

comment on function chat.session(text) is
    'Whose an opaque cookie session is, from and until when, and the topic that tells of its end; no row when unknown or expired.';

create or replace function chat.set_feed(reader bigint, wanted boolean)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    update chat.users u
    set feed = wanted
    where u.id = reader
        and u.feed <> wanted;
end
$$;

comment on function chat.set_feed(bigint, boolean) is
    'Turns the general feed of a user on or off, on every device and node.';

create or replace function chat.seen(user_id bigint)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.seen(bigint) is
    'Notes when a user went offline.';
