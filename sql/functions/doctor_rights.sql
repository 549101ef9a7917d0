-- The doctor's look at rights and settings: what the bridge may not do, what others may, what is set against us.

create or replace function rowcast._doctor_rights()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'permissions',
        p.lacking is null,
        coalesce('lacking: ' || p.lacking, 'this role can read and keep the log'),
        case when p.lacking is not null then
            format('grant select, insert, update, delete on all tables in schema rowcast, chat to %I;', current_user)
                || chr(10)
                || format('grant truncate on rowcast.changes, rowcast.checkpoints, chat.check_bookmarks to %I;',
                    current_user)
                || chr(10)
                || format('grant usage on all sequences in schema rowcast, chat to %I;', current_user) || chr(10)
                || format('grant execute on all functions in schema rowcast, chat to %I;', current_user)
        end
    from (
        select string_agg(x.what, ', ') as lacking
        from (
            select format('%s on %s', lower(k.privilege), t.name) as what
            from (values
                ('rowcast.changes', array['SELECT', 'INSERT', 'DELETE', 'TRUNCATE']),
                ('rowcast.checkpoints', array['SELECT', 'INSERT', 'DELETE', 'TRUNCATE']),
                ('rowcast.state', array['SELECT', 'UPDATE']),
                ('rowcast.nodes', array['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                ('chat.users', array['SELECT', 'UPDATE']),
                ('chat.messages', array['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                ('chat.members', array['SELECT', 'INSERT', 'UPDATE', 'DELETE'])
            ) t (name, privileges)
            cross join lateral unnest(t.privileges) k (privilege)
            where not has_table_privilege(t.name, k.privilege)
            union all
            select format('execute on %s', p.oid::regprocedure)
            from pg_proc p
            where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
                and p.prorettype <> 'trigger'::regtype
                and not has_function_privilege(p.oid, 'execute')
        ) x
    ) p;

    return query
    select 'role of the bridge',
        not r.rolsuper,
        case
            when r.rolsuper then format('%s is a superuser', r.rolname)
            else format('%s, an ordinary role', r.rolname)
        end,
        case when r.rolsuper then
            format('alter role %I nosuperuser; -- as another superuser; or give the bridge a role of its own, sql/grants.sql',
                r.rolname)
        end
    from pg_roles r
    where r.rolname = current_user;

    return query
    select 'rights of strangers',
        s.what is null,
        coalesce(s.what, 'clients'' roles have none on the log'),
        s.remedy
    from (
        select string_agg(format('%s may %s', x.who, x.what), '; ' order by x.who, x.nth) as what,
            string_agg(format('revoke all on %s from %s;', x.place, x.who), chr(10) order by x.who, x.nth) as remedy
        from (
            select t.who, 1 as nth, 'use tables of rowcast: ' || string_agg(t.name, ', ' order by t.name) as what,
                'all tables in schema rowcast' as place
            from (
                select distinct c.relname as name, rowcast._stranger(a.grantee) as who
                from pg_class c
                left join pg_attribute f on f.attrelid = c.oid and f.attacl is not null
                cross join lateral (
                    select e.grantee from aclexplode(c.relacl) e
                    union
                    select e.grantee from aclexplode(f.attacl) e
                ) a
                where c.relnamespace = 'rowcast'::regnamespace
                    and c.relkind in ('r', 'p', 'v', 'm')
            ) t
            where t.who is not null
            group by t.who
            union all
            select f.who, 2, format('run %s functions of rowcast and chat', count(*)),
                'all functions in schema rowcast, chat'
            from (
                select p.oid, rowcast._stranger(a.grantee) as who
                from pg_proc p
                cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
                    and p.prorettype <> 'trigger'::regtype
            ) f
            where f.who is not null
            group by f.who
            union all
            select h.who, 3, format('create in schema %I', h.name), format('schema %I', h.name)
            from (
                select n.nspname as name, rowcast._stranger(a.grantee) as who
                from pg_namespace n
                cross join lateral aclexplode(n.nspacl) a
                where n.nspname in ('rowcast', 'chat')
                    and a.privilege_type = 'CREATE'
            ) h
            where h.who is not null
        ) x
    ) s;
end
$$;

comment on function rowcast._doctor_rights() is
    'The doctor''s look at rights: those the bridge lacks, and those that others should not have.';

create or replace function rowcast._stranger(grantee oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when grantee = 0 then 'public'
        else (
            select quote_ident(r.rolname)
            from pg_roles r
            where r.oid = grantee
                and r.rolname in ('anon', 'authenticated'))
    end;
$$;

comment on function rowcast._stranger(oid) is
    'The name of a grantee that clients may be: public, anon or authenticated; null for any other role.';

create or replace function rowcast._doctor_settings()
returns table (check_name text, ok boolean, detail text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 'setting ' || s.name,
        current_setting(s.name) = any (s.good),
        format('%s, set by %s', current_setting(s.name), coalesce(p.source, 'default')),
        case when current_setting(s.name) <> all (s.good) then
            -- that one stands in its own remedy's way
            case when s.name = 'default_transaction_read_only' then
                'set default_transaction_read_only = off; -- as a superuser' || chr(10)
            else '' end || rowcast._reset_of(s.name)
        end
    from (values
        ('session_replication_role', array['origin', 'local']),
        ('row_security', array['on']),
        ('synchronous_commit', array['on', 'local', 'remote_write', 'remote_apply']),
        ('default_transaction_read_only', array['off'])
    ) s (name, good)
    left join pg_settings p on p.name = s.name;
$$;

comment on function rowcast._doctor_settings() is
    'The doctor''s look at settings that the bridge''s sessions begin with.';

create or replace function rowcast._reset_of(name text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select case
                    when r.oid is null and d.oid is null then 'alter role all'
                    when r.oid is null then format('alter database %I', d.datname)
                    when d.oid is null then format('alter role %I', r.rolname)
                    else format('alter role %I in database %I', r.rolname, d.datname)
                end || format(' reset %I; -- as a superuser', name)
            from pg_db_role_setting s
            left join pg_roles r on r.oid = s.setrole
            left join pg_database d on d.oid = s.setdatabase
            where (s.setrole = 0 or r.rolname = session_user)
                and (s.setdatabase = 0 or d.datname = current_database())
                and exists (
                    select
                    from unnest(s.setconfig) c (pair)
                    where c.pair like name || '=%')
            order by s.setrole <> 0 desc, s.setdatabase <> 0 desc
            limit 1
        ),
        format('alter system reset %I; -- as a superuser', name) || chr(10)
            || 'select pg_reload_conf(); -- as a superuser');
$$;

comment on function rowcast._reset_of(text) is
    'What takes a setting back where it was set: for a role, a database or the whole server.';
