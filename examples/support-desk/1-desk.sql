-- A help desk as it was before Rowcast: its own names, text keys and uuids, and rows that are there already.

create schema support;

create table support.people (
    login text primary key,
    display_name text not null,
    job text not null default 'customer',
    locked_out boolean not null default false
);

create table support.tickets (
    code text primary key,
    subject text not null,
    opened_at timestamptz not null default now()
);

create table support.watchers (
    ticket text not null references support.tickets (code) on delete cascade,
    login text not null references support.people (login) on delete cascade,
    since timestamptz not null default now(),
    primary key (ticket, login)
);

create table support.posts (
    post uuid primary key default gen_random_uuid(),
    ticket text not null references support.tickets (code) on delete cascade,
    author text references support.people (login) on delete set null,
    body text not null,
    kind text not null default 'text',
    files jsonb not null default '[]',
    posted_at timestamptz not null default now(),
    corrected_at timestamptz,
    withdrawn_at timestamptz
);

insert into support.people (login, display_name, job) values
    ('mina', 'Mina Harker', 'agent'),
    ('jonathan', 'Jonathan Harker', 'agent'),
    ('lucy', 'Lucy Westenra', 'customer');

insert into support.tickets (code, subject) values
    ('DESK-1', 'The printer is on fire'),
    ('DESK-2', 'Coffee machine');

insert into support.watchers (ticket, login) values
    ('DESK-1', 'mina'), ('DESK-1', 'lucy'), ('DESK-2', 'mina'), ('DESK-2', 'jonathan');

insert into support.posts (ticket, author, body, posted_at) values
    ('DESK-1', 'lucy', 'There is smoke', now() - interval '2 hours'),
    ('DESK-1', 'mina', 'Have you tried to put it out?', now() - interval '1 hour'),
    ('DESK-2', 'jonathan', 'It makes tea', now() - interval '1 hour');
