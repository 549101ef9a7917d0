-- What the chat tables put into the log: topics, keys, records, links, who is told; that a broken log or trigger
-- never fails a writer; and that a writer needs no right on the log.

begin;

create temp table got as
select c.* from rowcast.changes c limit 0;

-- empties the log of this transaction into `got`
create function pg_temp.take() returns void language sql as $$
    truncate got;
    insert into got select c.* from rowcast.changes c where c.xid = pg_current_xact_id();
    delete from rowcast.changes c where c.xid = pg_current_xact_id();
$$;

do $$
declare
    ada bigint;
    bob bigint;
    t bigint;
    m bigint;
    row record;
begin
    insert into chat.users (username) values ('t_ada'), ('t_bob');
    select id into ada from chat.users where username = 't_ada';
    select id into bob from chat.users where username = 't_bob';
    insert into chat.threads (kind) values ('group') returning id into t;
    perform pg_temp.take();
    assert (select count(*) from got) = 0, 'a new user or thread concerns nobody yet';

    -- joining: the thread and the user, who holds the thread from here on
    insert into chat.members (thread_id, user_id) values (t, ada), (t, bob);
    perform pg_temp.take();
    assert (select array_agg((topic, op, link)::text order by id) from got) = array[
        ('thread:' || t, 'INSERT', null)::text,
        ('user:' || ada, 'INSERT', '+thread:' || t)::text,
        ('thread:' || t, 'INSERT', null)::text,
        ('user:' || bob, 'INSERT', '+thread:' || t)::text];
    assert (select count(*) from got where ring) = 1, 'a statement rings once';
    assert (select bool_and(record ?& array['thread_id', 'thread_uuid', 'user_id', 'user_uuid', 'last_read_seq',
        'last_read_message_id', 'last_delivered_seq', 'last_delivered_message_uuid', 'at']) from got);

    insert into chat.messages (thread_id, sender_id, content)
    values (t, ada, 'one'), (t, ada, 'two'), (t, null, 'three');
    select min(id) into m from chat.messages where thread_id = t;
    perform pg_temp.take();
    assert (select array_agg((record ->> 'seq')::int order by id) from got) = '{1,2,3}', 'in order';
    assert (select array_agg(ring order by id) from got) = '{t,f,f}';
    select * into row from got order by id limit 1;
    assert row.topic = 'thread:' || t and row.relation = 'chat.messages' and row.op = 'INSERT' and row.link is null;
    assert row.key = jsonb_build_object('id', m);
    assert (select array_agg(k order by k) from jsonb_object_keys(row.record) k) = array[
        'attachments', 'content', 'created_at', 'deleted_at', 'edited_at', 'id', 'message_type', 'sender',
        'sender_id', 'sender_uuid', 'seq', 'thread_id', 'thread_uuid', 'uuid'];
    assert row.record -> 'sender' ->> 'username' = 't_ada' and row.record ->> 'created_at' ~ '\.\d{6}Z$';

    update chat.messages set content = 'edited' where id = m;
    perform pg_temp.take();
    select * into row from got;
    assert row.op = 'UPDATE' and row.record ->> 'content' = 'edited' and row.record ->> 'edited_at' is not null;
    assert row.old_record = '{"edited_at": null, "deleted_at": null}';
    update chat.messages set content = content where id = m;
    perform pg_temp.take();
    assert (select count(*) from got) = 0, 'nothing changed, nothing told';
    update chat.messages set deleted_at = now() where id = m;
    delete from chat.messages where id = m;
    perform pg_temp.take();
    select * into row from got where op = 'DELETE';
    assert row.record is null and row.old_record ->> 'uuid' is not null;
    assert not row.old_record ? 'content' and not row.old_record ? 'sender';

    -- reading tells the thread how far, and how many of others' messages that covered
    perform chat.mark_read(bob, t);
    perform pg_temp.take();
    select * into row from got;
    assert (select count(*) from got) = 1 and row.topic = 'thread:' || t and row.op = 'UPDATE';
    assert row.record @> '{"last_read_seq": 3, "last_delivered_seq": 3, "read_count": 2}';
    assert row.old_record = '{"last_read_seq": 0, "last_delivered_seq": 0, "last_read_count": 2}';
    assert row.record ->> 'last_read_message_id'
        = (select id::text from chat.messages where thread_id = t and seq = 3);

    -- people: only what concerns their sessions and presence; never credits
    update chat.users set credits = 5 where id = ada;
    perform pg_temp.take();
    assert (select count(*) from got) = 0;
    update chat.users set active = false, status = 'away' where id = ada;
    perform pg_temp.take();
    select * into row from got;
    assert row.topic = 'user:' || ada and row.record @> '{"active": false, "status": "away"}'
        and row.old_record @> '{"active": true}' and not row.record ? 'credits';

    insert into chat.revoked_tokens (jti) values ('t_jti');
    insert into chat.login_sessions (session_id, user_id) values ('t_secret', ada);
    delete from chat.login_sessions where session_id = 't_secret';
    insert into chat.blocks (blocker_id, blocked_id) values (ada, bob);
    delete from chat.blocks;
    update chat.threads set name = 'N' where id = t;
    update chat.threads set name = 'N' where id = t;
    perform pg_temp.take();
    assert (select array_agg(topic || ' ' || op order by id) from got) = array[
        'token:t_jti INSERT', 'login:' || md5('t_secret') || ' DELETE',
        'user:' || bob || ' INSERT', 'user:' || ada || ' INSERT',
        'user:' || bob || ' DELETE', 'user:' || ada || ' DELETE',
        'thread:' || t || ' UPDATE'];
    assert not exists (select from got where got::text like '%t_secret%'), 'a secret in the log';

    -- who goes is named to the last
    delete from chat.users where id = bob;
    perform pg_temp.take();
    assert exists (select from got where topic = 'user:' || bob and link = '-thread:' || t
        and old_record ->> 'user_uuid' is not null and old_record ->> 'thread_uuid' is not null);
    delete from chat.threads where id = t;
    perform pg_temp.take();
    assert (select count(*) from got where relation = 'chat.messages' and op = 'DELETE'
        and old_record ->> 'thread_uuid' is not null) = 2;
    assert exists (select from got where topic = 'user:' || ada and link = '-thread:' || t);
    assert not exists (select from rowcast.failures);
end
$$;

-- the log is broken: the writer notices nothing but warnings, the failures are counted
set constraints all immediate;
set local client_min_messages = error;
do $$
declare
    t bigint;
begin
    insert into chat.threads default values returning id into t;
    alter table rowcast.changes add constraint broken check (topic is null) not valid;
    insert into chat.messages (thread_id, content) values (t, 'written all the same');
    assert (select count(*) from rowcast.failures where relation = 'chat.messages' and sqlstate = '23514') = 1;
    alter table rowcast.failures rename to gone;
    insert into chat.messages (thread_id, content) values (t, 'and again');
    alter table rowcast.gone rename to failures;
    alter table rowcast.changes drop constraint broken;
    assert (select last_seq from chat.threads where id = t) = 2;
    assert exists (select from rowcast.doctor() where check_name = 'capture failures' and not ok);
end
$$;

rollback;
