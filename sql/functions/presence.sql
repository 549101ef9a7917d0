-- Presence: what a user said about themselves, and when they were last seen. Who is connected is the bridge's to know.

create or replace function chat.say_presence(member bigint, said text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.say_presence(bigint, text) is
    'Stores what a user says of themselves: online, away or offline; the last is also when they were last seen.';

create or replace function chat.said(member bigint)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select u.status
        from chat.users u
        where u.id = member);
end
$$;

comment on function chat.said(bigint) is
    'What a user last said of themselves; null: nothing.';

create or replace function chat.gone(members bigint[])
returns table (user_id bigint, user_uuid uuid, last_seen_at timestamptz, threads bigint[])
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.gone(bigint[]) is
    'Notes that users went offline, once each, and returns whom it concerns: the threads they are in.';

create or replace function chat.others_in(member bigint, threads bigint[])
returns table (user_id bigint, user_uuid uuid)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.others_in(bigint, bigint[]) is
    'Who else is in any of these threads, each once, a thousand at most; for who subscribes and asks who is here.';
