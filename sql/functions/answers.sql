-- Applied first: pages that were jsonb and are json now. What a function returns cannot be replaced, so the one from
-- before goes, once, and leaves an empty one with the rights that were granted on it, for its own file to fill.

do $$
declare
    was record;
    grantee regrole;
begin
    for was in
        select p.oid::regprocedure::text as signature,
            p.oid::regproc::text as name,
            pg_get_function_arguments(p.oid) as parameters,
            array(
                select a.grantee::regrole
                from aclexplode(p.proacl) a
                where a.grantee not in (0, p.proowner)) as grantees
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
        execute format('drop function %s', was.signature);
        execute format('create function %s(%s) returns json language sql as %L',
            was.name, was.parameters, 'select null::json');
        foreach grantee in array was.grantees
        loop
            execute format('grant execute on function %s to %s', was.signature, grantee);
        end loop;
    end loop;

    -- it had other columns; dropping it each time would take away what was granted on it
    if exists (
        select
        from pg_proc p
        where p.oid = to_regprocedure('chat.offline_messages('
                'bigint,timestamptz,pg_snapshot,timestamptz,pg_snapshot,timestamptz,bigint,int)')
            and p.proargnames[1] <> 'part')
    then
        drop function chat.offline_messages(
            bigint, timestamptz, pg_snapshot, timestamptz, pg_snapshot, timestamptz, bigint, int);
    end if;
end
$$;
