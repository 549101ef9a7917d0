-- Functions with bodies of the desk's own. `rowcast migrate` keeps them, and says so.
--
-- A function keeps its name, its parameters and the shape of its result; what it does inside is the team's.

-- Two people's private line is a ticket with a code made up for it, and a locked-out customer has none.
create or replace function chat.direct_thread(a bigint, b bigint)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    pair text := least(a, b) || ':' || greatest(a, b);
    opened support.tickets;
begin
    if a is null or b is null or a = b then
        raise exception 'Access denied' using errcode = 'RC403';
    end if;
    if (select count(*) from support.people p where p.rc_id in (a, b) and not p.locked_out) < 2 then
        raise exception 'Unknown user' using errcode = 'RC404';
    end if;

    insert into support.tickets as t (code, subject, rc_pair)
    values ('LINE-' || replace(pair, ':', '-'), 'Private line', pair)
    on conflict (rc_pair) do nothing;
    select t.* into opened from support.tickets t where t.rc_pair = pair;

    insert into support.watchers (ticket, login)
    select opened.code, p.login
    from support.people p
    where p.rc_id in (a, b)
    on conflict do nothing;
    return opened.rc_id;
end
$$;

-- The desk's tokens name people by their login; uuid and integer stay good.
create or replace function chat."user"(ref text)
returns bigint
language sql
stable
strict
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (select p.rc_id from support.people p where p.login = ref),
        case
            when ref ~ '^[0-9]{1,18}$' then
                (select p.rc_id from support.people p where p.rc_id = ref::bigint)
            when ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
                (select p.rc_id from support.people p where p.rc_uuid = ref::uuid)
        end);
$$;
