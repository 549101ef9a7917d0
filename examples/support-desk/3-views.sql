-- The desk's tables in the place of the chat's four, for all functions and all dialects.
--
-- Columns that are plain columns can be written through a view, and nobody writes the others. After this file:
-- rowcast migrate, which makes the functions and views anew that went with the tables.

begin;

do $$
begin
    if exists (select from chat.messages) or exists (select from chat.users) then
        raise exception 'The chat''s own tables hold rows: they would be lost';
    end if;
end
$$;

drop table chat.messages, chat.members, chat.threads, chat.users cascade;

create view chat.users as
select p.rc_id as id,
    p.rc_uuid as uuid,
    p.login as username,
    split_part(p.display_name, ' ', 1) as first_name,
    ltrim(substr(p.display_name, length(split_part(p.display_name, ' ', 1)) + 1)) as last_name,
    p.display_name as full_name,
    p.job as role,
    not p.locked_out as active,
    p.rc_feed as feed,
    p.rc_credits as credits,
    p.rc_tokens_after as tokens_valid_after,
    p.rc_status as status,
    p.rc_seen_at as last_seen_at,
    p.rc_since as created_at
from support.people p;

create view chat.threads as
select t.rc_id as id,
    t.rc_uuid as uuid,
    case when t.rc_pair is null then 'group' else 'chat' end as kind,
    t.subject as name,
    t.rc_pair as direct_key,
    t.rc_last as last_seq,
    t.opened_at as created_at,
    t.rc_moved_at as updated_at
from support.tickets t;

create view chat.members as
select w.rc_ticket as thread_id,
    w.rc_person as user_id,
    w.rc_read as last_read_seq,
    w.rc_received as last_delivered_seq,
    w.since as joined_at
from support.watchers w;

create view chat.messages as
select p.rc_id as id,
    p.post as uuid,
    p.rc_ticket as thread_id,
    p.rc_number as seq,
    p.rc_author as sender_id,
    p.body as content,
    p.kind as message_type,
    p.files as attachments,
    p.posted_at as created_at,
    p.corrected_at as edited_at,
    p.withdrawn_at as deleted_at
from support.posts p;

comment on view chat.users is 'The people of the help desk.';
comment on view chat.threads is 'The tickets of the help desk.';
comment on view chat.members is 'Who watches which ticket.';
comment on view chat.messages is 'The posts of the help desk.';

commit;
