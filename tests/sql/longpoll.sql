-- `poll/updates`: what a wait that a change has woken answers, and what the next question after it leaves out.

begin;

do $$
declare
    ada bigint;
    bob bigint;
    one bigint;
    two bigint;
    asked jsonb;
    told jsonb;
    n bigint;
begin
    insert into chat.users (username) values ('t_ada') returning id into ada;
    insert into chat.users (username) values ('t_bob') returning id into bob;
    insert into chat.threads (kind, name) values ('group', 'one') returning id into one;
    insert into chat.threads (kind, name) values ('group', 'two') returning id into two;
    insert into chat.members (thread_id, user_id)
    select t.id, u.id
    from (values (one), (two)) t (id)
    cross join (values (ada), (bob)) u (id);

    asked := chat.longpoll_updates(ada, 't_session', null);
    assert asked ->> 'answer' is null, 'nothing to answer: it waits with its state';
    insert into chat.messages (thread_id, sender_id, content) values (one, bob, 'first'), (two, bob, 'second');

    -- the bridge may have heard of one of the two only: the answer is of this moment, and so names both
    select r.answer
    into told
    from chat.longpoll_recount(array['t_session'], array[ada], array[asked -> 'state']) r
    where r.nth = 1;
    assert (select array_agg((t ->> 'thread_id')::bigint order by (t ->> 'thread_id')::bigint)
        from jsonb_array_elements(told -> 'threads_with_updates') t) = array[one, two];
    assert (told ->> 'unread_count')::int = 2;

    -- so whoever goes on from its time lacks nothing
    asked := chat.longpoll_updates(ada, 't_session', (told ->> 'last_check')::timestamptz);
    assert asked ->> 'answer' is null;
    select count(*) into n from chat.longpoll_recount(array['t_session'], array[ada], array[asked -> 'state']);
    assert n = 0, 'what differs in nothing is not answered';

    -- read elsewhere: named with nothing unread
    perform chat.mark_read(ada, one);
    select r.answer
    into told
    from chat.longpoll_recount(array['t_session'], array[ada], array[asked -> 'state']) r;
    assert told -> 'threads_with_updates' -> 0 ->> 'thread_id' = one::text
        and told -> 'threads_with_updates' -> 0 ->> 'unread_count' = '0'
        and jsonb_array_length(told -> 'threads_with_updates') = 1;
end
$$;

rollback;
