-- Before the functions are applied: a function of schema chat that is not as it was installed is a team's own, and is
-- set aside, to be put back by put_back.sql in the same transaction.

update rowcast.installed i
set theirs = pg_get_functiondef(p.oid) || coalesce(
    ';' || format(E'\ncomment on function %s is %L', i.signature, obj_description(p.oid, 'pg_proc')), '')
from pg_proc p
where p.oid = to_regprocedure(i.signature)
    and md5(p.prosrc) <> i.hash;
