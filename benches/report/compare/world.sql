insert into chat.users (username, full_name)
select 'user' || n, 'User ' || n
from generate_series(1, 10000) n;

insert into chat.threads (kind, name)
select 'group', 'topic ' || n
from generate_series(1, 1004) n;

insert into chat.members (thread_id, user_id)
select (n - 1) / 10 + 1, n
from generate_series(1, 10000) n;

insert into chat.members (thread_id, user_id)
select 1001, n
from generate_series(1, 10) n;

insert into chat.members (thread_id, user_id)
select 1002, n
from generate_series(1, 1000) n;

insert into chat.members (thread_id, user_id)
select 1003, n
from generate_series(1, 10000) n;

insert into chat.members (thread_id, user_id)
values (1004, 1);

create table public.posts (
    id bigint generated always as identity primary key,
    topic text not null,
    body text not null,
    created_at timestamptz not null default now());

create table public.posts_by_hand (like public.posts including all);

create index on public.posts_by_hand (topic, created_at);

create table public.posts_io (like public.posts including all);

create function public.tell_by_hand()
returns trigger
language plpgsql
as $$
begin
    perform pg_notify('posts_by_hand', row_to_json(new)::text);
    return null;
end
$$;

create trigger tell after insert on public.posts_by_hand
for each row execute function public.tell_by_hand();

-- What @socket.io/postgres-emitter sends, in the writer's own transaction: no second round trip.
create function public.tell_io()
returns trigger
language plpgsql
as $$
begin
    perform pg_notify('socket.io#/', json_build_object(
        'uid', 'emitter',
        'nsp', '/',
        'type', 3,
        'data', json_build_object(
            'packet', json_build_object('type', 2, 'nsp', '/', 'data', json_build_array('post', new)),
            'opts', json_build_object('rooms', json_build_array(new.topic), 'except', json_build_array(), 'flags', json_build_object())))::text);
    return null;
end
$$;

create trigger tell after insert on public.posts_io
for each row execute function public.tell_io();

create table public.posts_watched (like public.posts including all);

grant select on public.posts_watched to authenticated;

select rowcast.watch('public.posts_watched');

vacuum analyze
