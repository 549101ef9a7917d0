with u as (
    insert into chat.users (username)
    values ('reader')
    returning id
), t as (
    insert into chat.threads (kind)
    select 'group'
    from generate_series(1, 50)
    returning id
)
insert into chat.members (thread_id, user_id)
select t.id, u.id
from t, u;

-- As a restore would write it, without triggers: the log has none of it. Two messages of a minute; one go, on one connection.
set session_replication_role = replica;
insert into chat.messages (thread_id, seq, sender_id, content, created_at)
select m.thread_id, n, n % 40 + 1, 'message ' || n, now() - interval '10 days' + n * interval '30 seconds'
from chat.members m
join chat.users u on u.id = m.user_id
cross join generate_series(1, 20000) n
where u.username = 'reader';
update chat.threads t
set last_seq = 20000
from chat.members m
join chat.users u on u.id = m.user_id
where m.thread_id = t.id
    and u.username = 'reader';

create table public.talk_members (
    talk_id bigint not null,
    user_id bigint not null,
    last_read_at timestamptz not null default now(),
    primary key (user_id, talk_id));

create table public.talk_messages (
    id bigint generated always as identity primary key,
    talk_id bigint not null,
    sender_id bigint not null,
    body text not null,
    created_at timestamptz not null default now());

insert into public.talk_members (talk_id, user_id)
select m.thread_id, m.user_id
from chat.members m
join chat.users u on u.id = m.user_id
where u.username = 'reader';

insert into public.talk_messages (talk_id, sender_id, body, created_at)
select m.thread_id, m.sender_id, m.content, m.created_at
from chat.messages m
join public.talk_members t on t.talk_id = m.thread_id;

create index on public.talk_messages (talk_id, created_at);

vacuum analyze chat.messages;

vacuum analyze chat.members;

vacuum analyze public.talk_messages;

analyze
