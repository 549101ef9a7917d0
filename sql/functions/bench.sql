-- What `rowcast bench` measures with: a thread and people of its own, which it takes away again.

create or replace function chat.bench_begin(name text, people int, out thread bigint, out sender bigint, out users uuid[])
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.bench_begin(text, int) is
    'Makes a thread of that name and as many people in it; the first of them speaks.';

create or replace function chat.bench_end(name text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
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

comment on function chat.bench_end(text) is
    'Takes a part of what a benchmark wrote away; true when nothing is left.';

create or replace function chat.bench_left()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select t.name
    from chat.threads t
    where t.kind = 'group'
        and starts_with(t.name, 'rowcast bench ')
        and t.created_at < now() - interval '1 hour';
$$;

comment on function chat.bench_left() is
    'The benchmarks of over an hour ago that were killed before they could take away what they wrote.';
