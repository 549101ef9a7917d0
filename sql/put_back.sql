-- After the functions were applied, and before the rights are, which touch all functions: notes what was installed, and
-- puts back what a team has replaced.
--
-- `create or replace` itself holds the contract: other parameters or another result are an error. A function that is
-- not installed any more is an error, too, for nobody would call the team's.

do $$
declare
    own record;
begin
    for own in
        select i.signature
        from rowcast.installed i
        join pg_proc p on p.oid = to_regprocedure(i.signature)
        where i.theirs is not null
            and p.xmin <> pg_current_xact_id()::xid
    loop
        raise exception 'Your own % is not called any more: this version has another in its place. '
            'Read its entry in the changelog, write the new one, and drop the old', own.signature
            using errcode = 'RC409';
    end loop;

    delete from rowcast.installed i
    where to_regprocedure(i.signature) is null;

    insert into rowcast.installed (signature, hash)
    select p.oid::regprocedure::text, md5(p.prosrc)
    from pg_proc p
    where p.pronamespace = 'chat'::regnamespace
        and p.prokind = 'f'
        and p.xmin = pg_current_xact_id()::xid
    on conflict (signature) do update
    set hash = excluded.hash;

    for own in
        select i.signature, i.theirs
        from rowcast.installed i
        where i.theirs is not null
    loop
        begin
            execute own.theirs;
        exception when others then
            raise exception 'Your own % does not fit this version: %', own.signature, sqlerrm
                using errcode = 'RC409';
        end;
    end loop;

    update rowcast.installed i
    set theirs = null
    where i.theirs is not null;
end
$$;
