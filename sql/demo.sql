-- Data for `rowcast dev`: three people, a class, two direct chats, and a watched table. Repeatable.

insert into chat.users (uuid, username, first_name, last_name, role, credits)
values
    ('00000000-0000-4000-8000-00000000000a', 'ada', 'Ada', 'Lovelace', 'teacher', null),
    ('00000000-0000-4000-8000-00000000000b', 'grace', 'Grace', 'Hopper', 'teacher', 100),
    ('00000000-0000-4000-8000-00000000000c', 'linus', 'Linus', 'Torvalds', 'student', 3)
on conflict (username) do nothing;

insert into chat.threads (uuid, kind, name)
values ('00000000-0000-4000-8000-0000000000c1', 'group', 'Mathematics')
on conflict (uuid) do nothing;

insert into chat.members (thread_id, user_id)
select t.id, u.id
from chat.threads t, chat.users u
where t.uuid = '00000000-0000-4000-8000-0000000000c1'
    and u.username in ('ada', 'grace', 'linus')
order by u.id
on conflict do nothing;

-- a thread that has messages is left as it is
insert into chat.messages (thread_id, sender_id, content)
select t.id, u.id, m.content
from chat.threads t
cross join (values
    (1, null, 'Ada Lovelace opened the group.'),
    (2, 'ada', 'Good morning! The notes on Bernoulli numbers are online.'),
    (3, 'grace', 'Found a moth in the relay. Class starts ten minutes later.'),
    (4, 'linus', 'Is the homework still due on Friday?'),
    (5, 'ada', 'It is.')
) m (nth, username, content)
left join chat.users u on u.username = m.username
where t.uuid = '00000000-0000-4000-8000-0000000000c1'
    and t.last_seq = 0
order by m.nth;

select chat.direct_thread(a.id, u.id)
from chat.users a, chat.users u
where a.username = 'ada'
    and u.username in ('grace', 'linus')
order by u.id;

insert into chat.messages (thread_id, sender_id, content)
select t.id, u.id, m.content
from (values
    (1, 'ada', 'grace', 'Can you take over on Thursday?'),
    (2, 'grace', 'ada', 'Gladly.'),
    (3, 'ada', 'linus', 'Your proof was very good.')
) m (nth, sender, receiver, content)
join chat.users u on u.username = m.sender
join chat.users r on r.username = m.receiver
join chat.threads t on t.direct_key = least(u.id, r.id) || ':' || greatest(u.id, r.id)
where t.last_seq = 0
order by m.nth;

create table if not exists public.todos (
    id bigint generated always as identity primary key,
    task text not null,
    done boolean not null default false,
    owner uuid,
    created_at timestamptz not null default now()
);

comment on table public.todos is
    'Demo of a watched table: every change of a row is on the feed.';

select rowcast.watch('public.todos');

insert into public.todos (task, owner)
select t.task, u.uuid
from (values
    (1, 'prepare the lecture', 'ada'),
    (2, 'debug the relay', 'grace'),
    (3, 'write a kernel', 'linus')
) t (nth, task, username)
join chat.users u on u.username = t.username
where not exists (select from public.todos)
order by t.nth;
