-- The house style, asserted: every function of ours has a pinned search_path, a comment and no right for PUBLIC;
-- every table, view, index of note and trigger is commented; `security definer` only where this list says so.

begin;

do $$
declare
    wrong text;
begin
    select string_agg(p.oid::regprocedure::text, ', ')
    into wrong
    from pg_proc p
    where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp'];
    assert wrong is null, 'no pinned search_path: ' || wrong;

    select string_agg(p.oid::regprocedure::text, ', ')
    into wrong
    from pg_proc p
    where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and obj_description(p.oid, 'pg_proc') is null;
    assert wrong is null, 'functions without a comment: ' || wrong;

    select string_agg(p.oid::regprocedure::text, ', ')
    into wrong
    from pg_proc p
    where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and exists (
            select
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            where a.grantee = 0);
    assert wrong is null, 'PUBLIC may execute: ' || wrong;

    select string_agg(c.oid::regclass::text, ', ')
    into wrong
    from pg_class c
    where c.relnamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and c.relkind in ('r', 'p', 'v', 'm')
        and obj_description(c.oid, 'pg_class') is null;
    assert wrong is null, 'tables and views without a comment: ' || wrong;

    select string_agg(c.oid::regclass::text, ', ')
    into wrong
    from pg_class c
    where c.relnamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and exists (
            select
            from aclexplode(c.relacl) a
            where a.grantee = 0);
    assert wrong is null, 'PUBLIC has rights on: ' || wrong;

    -- capture and numbering: the writer has no rights on what they touch; the rest: see functions/watch.sql
    select string_agg(p.oid::regprocedure::text, ', ' order by p.oid::regprocedure::text)
    into wrong
    from pg_proc p
    where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and p.prosecdef
        and p.oid::regprocedure::text !~ '^rowcast\._capture_[0-9]+\(\)$'
        and p.oid::regprocedure::text <> all (array[
            'chat._capture_blocks()',
            'chat._capture_emptying()', 'chat._capture_members()',
            'chat._capture_messages()',
            'chat._capture_sessions()',
            'chat._capture_thread()',
            'chat._capture_tokens()',
            'chat._capture_users()',
            'chat._clear_thread()',
            'chat._clear_user()',
            'chat._count_messages()',
            'chat._note_gaps()',
            'chat._number_message()',
            'rowcast._capture_broadcasts()',
            'rowcast._capture_of(oid)',
            'rowcast._capture_watches()',
            'rowcast._define_capture(regclass,text,text[],text)',
            'rowcast._forget_capture(oid)']);
    assert wrong is null, 'security definer, but not on the list: ' || wrong;

    select string_agg(p.oid::regprocedure::text, ', ')
    into wrong
    from pg_proc p
    where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
        and p.prosecdef
        and p.prorettype <> 'trigger'::regtype
        and p.prosrc ~ 'execute format'
        and p.prosrc !~ 'session_user|_capture_'
        and p.proname <> '_define_capture';
    assert wrong is null, 'a definer function with dynamic SQL must check the session user: ' || wrong;
end
$$;

rollback;
