-- Threads: finding, opening and listing them.

create or replace function chat._clear_thread()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from chat.messages m
    where m.thread_id = old.id;
    delete from chat.members m
    where m.thread_id = old.id;
    return old;
end
$$;

comment on function chat._clear_thread() is
    'Empties a thread before it goes: the log can still name it.';

-- In PL/pgSQL for its plan to be kept.
create or replace function chat.thread(ref text)
returns bigint
language plpgsql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
begin
    if ref ~ '^[0-9]{1,18}$' then
        return (select t.id from chat.threads t where t.id = ref::bigint);
    elsif ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select t.id from chat.threads t where t.uuid = ref::uuid);
    end if;
    return null;
end
$$;

comment on function chat.thread(text) is
    'The thread of a uuid or integer id; null when there is none or the text is neither.';

create or replace function chat.member_of(reader bigint, thread bigint)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select
        from chat.members m
        where m.thread_id = member_of.thread
            and m.user_id = member_of.reader);
end
$$;

comment on function chat.member_of(bigint, bigint) is
    'Whether a user is in a thread; false for a thread that does not exist.';

create or replace function chat.direct_thread(a bigint, b bigint)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.direct_thread(bigint, bigint) is
    'The one direct thread of two people, made when there is none; for SQL writers, too.';

create or replace function chat.threads_of(reader bigint)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.threads_of(bigint) is
    'The threads of a user, newest activity first, each with its last message, members and unread count.';
