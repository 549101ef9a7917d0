-- The desk's rows on the log: each trigger hands over what was and what is, in the form of the chat's relations.
--
-- `security definer`, so that a service that writes needs rights on the desk's tables alone. One trigger for each
-- event, for a trigger with transition tables sees one only. An error never fails the writer: it is a row in
-- rowcast.failures. Run it as the role that ran `rowcast migrate`.

begin;

create function support.tell_posts()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    before chat.messages[];
    after chat.messages[];
begin
    if tg_op <> 'INSERT' then
        before := array(
            select row(o.rc_id, o.post, o.rc_ticket, o.rc_number, o.rc_author, o.body, o.kind, o.files, o.posted_at,
                o.corrected_at, o.withdrawn_at)::chat.messages
            from old_rows o);
    end if;
    if tg_op <> 'DELETE' then
        after := array(
            select row(n.rc_id, n.post, n.rc_ticket, n.rc_number, n.rc_author, n.body, n.kind, n.files, n.posted_at,
                n.corrected_at, n.withdrawn_at)::chat.messages
            from new_rows n);
    end if;
    perform chat.tell_messages(before, after);
    return null;
exception when others then
    perform rowcast._failed('support.posts', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

create trigger _900_tell_insert after insert on support.posts
    referencing new table as new_rows
    for each statement execute function support.tell_posts();
create trigger _900_tell_update after update on support.posts
    referencing old table as old_rows new table as new_rows
    for each statement execute function support.tell_posts();
create trigger _900_tell_delete after delete on support.posts
    referencing old table as old_rows
    for each statement execute function support.tell_posts();

create function support.tell_watchers()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    before chat.members[];
    after chat.members[];
begin
    if tg_op <> 'INSERT' then
        before := array(
            select row(o.rc_ticket, o.rc_person, o.rc_read, o.rc_received, o.since)::chat.members
            from old_rows o);
    end if;
    if tg_op <> 'DELETE' then
        after := array(
            select row(n.rc_ticket, n.rc_person, n.rc_read, n.rc_received, n.since)::chat.members
            from new_rows n);
    end if;
    perform chat.tell_members(before, after);
    return null;
exception when others then
    perform rowcast._failed('support.watchers', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

create trigger _900_tell_insert after insert on support.watchers
    referencing new table as new_rows
    for each statement execute function support.tell_watchers();
create trigger _900_tell_update after update on support.watchers
    referencing old table as old_rows new table as new_rows
    for each statement execute function support.tell_watchers();
create trigger _900_tell_delete after delete on support.watchers
    referencing old table as old_rows
    for each statement execute function support.tell_watchers();

-- The view's arithmetic once more, for rows that are no longer in the table.
create function support.as_user(p support.people)
returns chat.users
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select row(p.rc_id, p.rc_uuid, p.login, split_part(p.display_name, ' ', 1),
        ltrim(substr(p.display_name, length(split_part(p.display_name, ' ', 1)) + 1)), p.display_name, p.job,
        not p.locked_out, p.rc_feed, p.rc_credits, p.rc_tokens_after, p.rc_status, p.rc_seen_at,
        p.rc_since)::chat.users;
$$;

create function support.tell_person()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform chat.tell_users(
        array[support.as_user(old)],
        case tg_op when 'UPDATE' then array[support.as_user(new)] end);
    return null;
exception when others then
    perform rowcast._failed('support.people', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

-- row by row: people change seldom
create trigger _900_tell after update or delete on support.people
    for each row execute function support.tell_person();

create function support.tell_subject()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform chat.tell_threads(
        array[row(old.rc_id, old.rc_uuid, 'group', old.subject, old.rc_pair, old.rc_last, old.opened_at,
            old.rc_moved_at)::chat.threads],
        array[row(new.rc_id, new.rc_uuid, 'group', new.subject, new.rc_pair, new.rc_last, new.opened_at,
            new.rc_moved_at)::chat.threads]);
    return null;
exception when others then
    perform rowcast._failed('support.tickets', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

create trigger _900_tell after update of subject on support.tickets
    for each row when (old.subject is distinct from new.subject) execute function support.tell_subject();

revoke all on all functions in schema support from public;

commit;
