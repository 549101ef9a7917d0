-- Applied first: pages that were jsonb and are json now. What a function returns cannot be replaced, so the one from
-- before goes, once. Building jsonb, and text of it, cost more than all else in a page of messages.

do $$
declare
    was regprocedure;
begin
    for was in
        select p.oid
        from unnest(array[
            'chat.history_page(bigint,bigint,bigint,bigint,int)',
            'chat.rooms_history(bigint,bigint,bigint,bigint,int)',
            'chat.rooms_poll(bigint,bigint,timestamptz,bigint,int)',
            'chat._rooms_messages(bigint,bigint,bigint[])',
            'chat.longpoll_messages(bigint,bigint,bigint,bigint,int)',
            'chat._longpoll_messages(bigint,bigint,bigint[])',
            'chat.conversation_page(bigint,text,text,timestamptz,int)',
            'chat.direct_history(bigint,text,text,timestamptz,int)']) s (signature)
        join pg_proc p on p.oid = to_regprocedure(s.signature)
        where p.prorettype = 'jsonb'::regtype
    loop
        execute format('drop function %s', was);
    end loop;
end
$$;
