-- What Rowcast needs beside the desk's own columns: an integer and a uuid for each row, a number for each post of a
-- ticket, and how far each watcher has read. No column of the desk's changes, and no statement of its services.

begin;

alter table support.people
    add column rc_id bigint generated always as identity unique,
    add column rc_uuid uuid not null default gen_random_uuid() unique,
    add column rc_feed boolean not null default true,
    add column rc_credits bigint check (rc_credits >= 0),
    add column rc_status text check (rc_status in ('online', 'away', 'offline')),
    add column rc_seen_at timestamptz,
    add column rc_tokens_after timestamptz,
    add column rc_since timestamptz not null default now();

alter table support.tickets
    add column rc_id bigint generated always as identity unique,
    add column rc_uuid uuid not null default gen_random_uuid() unique,
    add column rc_pair text unique,
    add column rc_last bigint not null default 0,
    add column rc_moved_at timestamptz not null default now();

alter table support.watchers
    add column rc_ticket bigint references support.tickets (rc_id),
    add column rc_person bigint references support.people (rc_id),
    add column rc_read bigint not null default 0,
    add column rc_received bigint not null default 0;

alter table support.posts
    add column rc_id bigint generated always as identity unique,
    add column rc_ticket bigint references support.tickets (rc_id),
    add column rc_author bigint references support.people (rc_id),
    add column rc_number bigint;

-- the rows that are there: numbered by time, and what was said so far counts as read
update support.watchers w
set rc_ticket = t.rc_id,
    rc_person = p.rc_id
from support.tickets t, support.people p
where t.code = w.ticket
    and p.login = w.login;

update support.posts p
set rc_ticket = n.ticket,
    rc_author = n.author,
    rc_number = n.number
from (
    select x.post,
        t.rc_id as ticket,
        a.rc_id as author,
        row_number() over (partition by x.ticket order by x.posted_at, x.post) as number
    from support.posts x
    join support.tickets t on t.code = x.ticket
    left join support.people a on a.login = x.author
) n
where n.post = p.post;

update support.tickets t
set rc_last = coalesce((select max(p.rc_number) from support.posts p where p.rc_ticket = t.rc_id), 0),
    rc_moved_at = coalesce((select max(p.posted_at) from support.posts p where p.rc_ticket = t.rc_id), t.opened_at);

update support.watchers w
set rc_read = t.rc_last,
    rc_received = t.rc_last
from support.tickets t
where t.rc_id = w.rc_ticket;

alter table support.watchers
    alter column rc_ticket set not null,
    alter column rc_person set not null,
    add constraint watchers_rc unique (rc_ticket, rc_person);

alter table support.posts
    alter column rc_ticket set not null,
    alter column rc_number set not null,
    add constraint posts_rc_number unique (rc_ticket, rc_number);

-- the indexes that chat.messages and chat.members have
create index watchers_rc_person on support.watchers (rc_person, rc_ticket);
create index posts_rc_author on support.posts (rc_ticket, rc_author, rc_number);
create index posts_rc_posted on support.posts (rc_ticket, posted_at, rc_id);
create index posts_rc_withdrawn on support.posts (rc_ticket, rc_number) where withdrawn_at is not null;

-- The desk's services write the text keys, Rowcast's functions the integers: each is filled from the other.
create function support.link_watcher()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if new.rc_ticket is null then
        select t.rc_id into new.rc_ticket from support.tickets t where t.code = new.ticket;
        select p.rc_id into new.rc_person from support.people p where p.login = new.login;
    else
        select t.code into new.ticket from support.tickets t where t.rc_id = new.rc_ticket;
        select p.login into new.login from support.people p where p.rc_id = new.rc_person;
    end if;
    return new;
end
$$;

create trigger link before insert on support.watchers
    for each row execute function support.link_watcher();

create function support.link_post()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if new.rc_ticket is null then
        select p.rc_id into new.rc_author from support.people p where p.login = new.author;
    else
        select t.code into new.ticket from support.tickets t where t.rc_id = new.rc_ticket;
        select p.login into new.author from support.people p where p.rc_id = new.rc_author;
    end if;

    -- The row lock is held until commit: numbers are without gaps and in commit order.
    update support.tickets t
    set rc_last = t.rc_last + 1,
        rc_moved_at = now()
    where t.code = new.ticket
    returning t.rc_id, t.rc_last
    into new.rc_ticket, new.rc_number;
    return new;
end
$$;

create trigger link before insert on support.posts
    for each row execute function support.link_post();

create function support.correct_post()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    new.corrected_at := now();
    return new;
end
$$;

create trigger correct before update of body on support.posts
    for each row when (old.body is distinct from new.body) execute function support.correct_post();

-- Before a ticket or a person goes, what hangs on it goes by itself: the log can still name both.
create function support.clear_ticket()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from support.posts p where p.ticket = old.code;
    delete from support.watchers w where w.ticket = old.code;
    return old;
end
$$;

create trigger clear before delete on support.tickets
    for each row execute function support.clear_ticket();

create function support.clear_person()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from support.watchers w where w.login = old.login;
    update support.posts p set author = null, rc_author = null where p.author = old.login;
    return old;
end
$$;

create trigger clear before delete on support.people
    for each row execute function support.clear_person();

commit;
