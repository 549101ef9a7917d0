-- The domain: what a plain insert gives, numbering, names, threads, reading and counting, sending, history,
-- standing. Everything the bridge calls, by its results.

begin;

do $$
declare
    ada bigint;
    bob bigint;
    eve bigint;
    t bigint;
    g bigint;
    page jsonb;
    person record;
    first_id bigint;
    n bigint;
begin
    insert into chat.users (username, first_name, last_name, role) values ('t_ada', 'Ada', 'Lovelace', 'teacher')
    returning id into ada;
    insert into chat.users (username, full_name) values ('t_bob', 'Bob B. Builder') returning id into bob;
    insert into chat.users (username) values ('t_eve') returning id into eve;

    -- names fill each other
    assert (select full_name from chat.users where id = ada) = 'Ada Lovelace';
    assert (select first_name || '|' || last_name from chat.users where id = bob) = 'Bob|B. Builder';
    assert (select full_name from chat.users where id = eve) = 't_eve';

    -- one direct thread for two people, whoever asks
    t := chat.direct_thread(ada, bob);
    assert t = chat.direct_thread(bob, ada);
    assert chat.member_of(ada, t) and chat.member_of(bob, t) and not chat.member_of(eve, t);
    assert (select direct_key = least(ada, bob) || ':' || greatest(ada, bob) from chat.threads where id = t);
    delete from chat.members where thread_id = t and user_id = bob;
    assert chat.direct_thread(ada, bob) = t;
    assert chat.member_of(bob, t), 'who left is back';
    -- a third one in it has no part in the direct dialect
    insert into chat.members (thread_id, user_id) values (t, eve);
    assert chat.direct_view(eve) -> 'threads' = '[]';
    assert (select count(*) = 0 from chat.direct_conversations(eve));
    assert jsonb_array_length(chat.direct_view(ada) -> 'threads') = 1;
    assert (select array_agg(partner_id) = array[bob] from chat.direct_conversations(ada));
    delete from chat.members where thread_id = t and user_id = eve;
    begin
        perform chat.direct_thread(ada, ada);
        assert false, 'with oneself';
    exception when sqlstate 'RC403' then
        null;
    end;
    begin
        perform chat.direct_thread(ada, -1);
        assert false, 'with nobody';
    exception when sqlstate 'RC404' then
        null;
    end;

    -- a plain insert is all it takes; numbers have no gaps, whatever the writer says
    insert into chat.messages (thread_id, sender_id, content) values (t, ada, 'one') returning id into first_id;
    insert into chat.messages (thread_id, sender_id, content, seq) values (t, bob, 'two', 99), (t, null, 'three', 0);
    assert (select array_agg(seq order by id) from chat.messages where thread_id = t) = '{1,2,3}';
    assert (select last_seq from chat.threads where id = t) = 3;
    -- a row that ON CONFLICT skips leaves no gap
    insert into chat.messages (thread_id, sender_id, content, uuid)
    select t, ada, 'again', m.uuid from chat.messages m where m.id = first_id
    on conflict do nothing;
    insert into chat.messages (thread_id, sender_id, content) select t, bob, 'bulk' from generate_series(1, 7);
    assert (select count(*) = 10 and max(seq) = 10 from chat.messages where thread_id = t);
    begin
        insert into chat.messages (thread_id, content) values (-1, 'nowhere');
        assert false, 'a message without a thread';
    exception when foreign_key_violation then
        null;
    end;

    -- edits are stamped; a message keeps its place
    update chat.messages set content = 'one!' where id = first_id;
    assert (select edited_at is not null from chat.messages where id = first_id);
    begin
        update chat.messages set seq = 5 where id = first_id;
        assert false, 'a new number';
    exception when sqlstate 'RC409' then
        null;
    end;

    -- unread: others' messages after the watermark, less deleted ones, in either way
    assert chat.unread(ada) ->> 'unread_count' = '9';
    assert chat.unread(ada) -> 'threads' ->> (select uuid::text from chat.threads where id = t) = '9';
    assert chat.unread(bob) ->> 'unread_count' = '2';
    delete from chat.messages where thread_id = t and seq = 5;
    update chat.messages set deleted_at = now() where thread_id = t and seq = 6;
    assert chat.unread(ada) ->> 'unread_count' = '7';
    delete from chat.messages where thread_id = t and seq in (6, 10);
    assert chat.unread(ada) ->> 'unread_count' = '6';
    assert (select unread = (select count(*) from chat.messages m
            where m.thread_id = t and m.sender_id is distinct from ada and m.deleted_at is null)
        from chat.unread_counts where user_id = ada and thread_id = t);
    insert into chat.messages (thread_id, sender_id, content) values (t, bob, 'eleven');
    assert (select max(seq) from chat.messages where thread_id = t) = 11, 'a deleted number is not used again';
    delete from chat.messages where thread_id = t and seq <= 3;
    assert chat.unread(ada) ->> 'unread_count' = '5', 'deleted from the beginning';
    assert chat.unread(eve) = '{"unread_count": 0, "threads": {}}';

    -- watermarks go forward only
    page := chat.mark_read(ada, t, (select id from chat.messages where thread_id = t and seq = 7));
    assert page ->> 'marked_count' = '2' and page ->> 'user_id' = (select uuid::text from chat.users where id = ada);
    assert chat.mark_read(ada, t, (select id from chat.messages where thread_id = t and seq = 4))
        ->> 'marked_count' = '0';
    assert (select last_read_seq = 7 and last_delivered_seq = 7
        from chat.members where thread_id = t and user_id = ada);
    assert chat.mark_read(ada, t) ->> 'marked_count' = '3';
    assert chat.unread(ada) ->> 'unread_count' = '0';
    assert (select last_read_seq from chat.members where thread_id = t and user_id = ada) = 11;
    perform chat.mark_delivered(bob, t, (select id from chat.messages where thread_id = t and seq = 8));
    perform chat.mark_delivered(bob, t, (select id from chat.messages where thread_id = t and seq = 7));
    assert (select last_delivered_seq from chat.members where thread_id = t and user_id = bob) = 8;
    foreach n in array array[t, null, -1] loop
        begin
            perform chat.mark_read(eve, n);
            assert false, 'read by a stranger';
        exception when sqlstate 'RC403' then
            assert sqlerrm = 'Not a participant';
        end;
    end loop;
    begin
        perform chat.mark_read(ada, t, -5);
        assert false, 'up to nothing';
    exception when sqlstate 'RC404' then
        null;
    end;

    -- sending gives the native message
    insert into chat.threads (kind, name) values ('group', 'T group') returning id into g;
    insert into chat.members (thread_id, user_id) values (g, ada), (g, bob);
    page := chat.send(ada, g, 'hé "quoted" \ ' || chr(1) || chr(10), null, null);
    assert page ->> 'content' = 'hé "quoted" \ ' || chr(1) || chr(10);
    assert page ->> 'message_type' = 'text';
    assert page -> 'sender' = '{"full_name": "Ada Lovelace", "role": "teacher"}';
    assert page ->> 'created_at' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$';
    assert not page ? 'attachments' and not page ? 'edited_at';
    page := chat.send(ada, g, 'pic', 'im"age', '[{"url": "x"}]');
    assert page ->> 'message_type' = 'im"age' and page -> 'attachments' = '[{"url": "x"}]';
    begin
        perform chat.send(eve, g, 'hi', null, null);
        assert false, 'sent by a stranger';
    exception when sqlstate 'RC403' then
        null;
    end;
    insert into chat.messages (thread_id, content) values (g, 'system');
    assert (select body -> 'sender' = 'null' and body -> 'sender_id' = 'null'
        from chat.native_messages where thread_id = g and seq = 3);

    -- history: newest page first, ascending within; before and after message ids
    page := chat.history_page(bob, g, null, null, 2);
    assert page ->> 'has_more' = 'true' and page -> 'messages' -> 1 ->> 'content' = 'system';
    page := chat.history_page(bob, g, (select id from chat.messages where thread_id = g and seq = 2), null, 2);
    assert page ->> 'has_more' = 'false' and jsonb_array_length(page -> 'messages') = 1;
    page := chat.history_page(bob, g, null, (select id from chat.messages where thread_id = g and seq = 1), 1);
    assert page ->> 'has_more' = 'true' and page -> 'messages' -> 0 ->> 'content' = 'pic';
    begin
        perform chat.history_page(eve, g, null, null, 10);
        assert false, 'read by a stranger';
    exception when sqlstate 'RC403' then
        null;
    end;

    -- the list of threads
    page := chat.threads_of(bob);
    assert jsonb_array_length(page) = 2;
    assert page @> '[{"name": "T group", "kind": "group", "unread_count": 3, "last_message": {"content": "system"}}]';
    assert jsonb_array_length(page -> 0 -> 'members') = 2;
    assert page -> 0 -> 'members' -> 0 -> 'read_up_to_message_id' = 'null';
    perform chat.mark_delivered(bob, g, (select id from chat.messages where thread_id = g and content = 'system'));
    assert chat.threads_of(ada) @> jsonb_build_array(jsonb_build_object('id', (select uuid from chat.threads where id = g),
        'members', jsonb_build_array(jsonb_build_object('username', 't_bob', 'read_up_to_message_id', null,
            'delivered_up_to_message_id', (select uuid from chat.messages where thread_id = g and content = 'system')))));
    assert chat.threads_of(eve) = '[]';

    -- sent again by who does not know whether it arrived, it is there once
    page := chat.send(ada, g, 'once', null, null, '00000000-0000-4000-8000-0000000000e1');
    assert page ->> 'id' = '00000000-0000-4000-8000-0000000000e1';
    assert chat.send(ada, g, 'once', null, null, '00000000-0000-4000-8000-0000000000e1') = page;
    assert (select count(*) from chat.messages where thread_id = g and content = 'once') = 1;
    begin
        perform chat.send(bob, g, 'mine', null, null, '00000000-0000-4000-8000-0000000000e1');
        assert false, 'the id of somebody else''s message';
    exception when sqlstate 'RC400' then
        null;
    end;
    delete from chat.messages where thread_id = g and content = 'once';

    -- either form of id; nothing raises
    assert chat."user"(ada::text) = ada and chat."user"((select uuid::text from chat.users where id = ada)) = ada;
    assert chat.thread((select upper(uuid::text) from chat.threads where id = g)) = g;
    assert chat.message(first_id::text) is null, 'deleted above';
    assert chat.thread('') is null and chat.thread('x') is null and chat.thread(null) is null;
    assert chat.thread('99999999999999999999999') is null and chat.message('-1') is null and chat."user"('1e3') is null;

    -- standing
    select * into person from chat.admit(ada::text, null, now());
    assert person.user_id = ada and person.threads = array[t, g] and person.feed and person.role = 'teacher';
    assert cardinality(person.thread_uuids) = 2 and person.snapshot is not null;
    select * into person from chat.admit(eve::text, 'j', now());
    assert person.threads = '{}';
    insert into chat.revoked_tokens (jti, user_id) values ('t_dead', ada);
    begin
        perform chat.admit(ada::text, 't_dead', now());
        assert false, 'revoked';
    exception when sqlstate 'RC401' then
        assert sqlerrm = 'Token revoked';
    end;
    update chat.users set tokens_valid_after = now() where id = ada;
    begin
        perform chat.admit(ada::text, null, now() - interval '1 second');
        assert false, 'issued before';
    exception when sqlstate 'RC401' then
        null;
    end;
    begin
        perform chat.admit(ada::text, null, null);
        assert false, 'issued nobody knows when';
    exception when sqlstate 'RC401' then
        null;
    end;
    assert (select count(*) from chat.admit(ada::text, null, now() + interval '1 second')) = 1;
    update chat.users set active = false where id = bob;
    begin
        perform chat.admit(bob::text, null, now());
        assert false, 'deactivated';
    exception when sqlstate 'RC403' then
        assert sqlerrm = 'Account deactivated';
    end;
    begin
        perform chat.admit('nobody', null, now());
        assert false, 'unknown';
    exception when sqlstate 'RC401' then
        assert sqlerrm = 'Unknown user';
    end;

    insert into chat.login_sessions (session_id, user_id, expires_at)
    values ('t_s1', eve, null), ('t_s2', eve, now() - interval '1 second');
    assert (select sub from chat.session('t_s1')) = (select uuid::text from chat.users where id = eve);
    assert (select topic from chat.session('t_s1')) = 'login:' || md5('t_s1');
    assert not exists (select from chat.session('t_s2')) and not exists (select from chat.session('?'));

    perform chat.set_feed(eve, false);
    assert not (select feed from chat.users where id = eve);
    perform chat.seen(eve);
    assert (select last_seen_at from chat.users where id = eve) = now();
end
$$;

set constraints all immediate;

rollback;
