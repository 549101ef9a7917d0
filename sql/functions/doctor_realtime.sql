-- The doctor's look at what the supabase dialect needs: roles, functions, broadcasts from SQL, publications.

create or replace function rowcast._doctor_realtime()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'role ' || w.name,
        p.problem is null,
        coalesce(p.problem, 'the bridge may act as it'),
        p.remedy
    from (values ('anon'), ('authenticated'), ('service_role')) w (name)
    left join pg_roles r on r.rolname = w.name
    left join lateral (
        select v.problem, v.remedy
        from (values
            (1, r.oid is null,
                'it is missing; clients of the supabase dialect need it',
                format('create role %I nologin noinherit%s; -- as a superuser', w.name,
                    case when w.name = 'service_role' then ' bypassrls' else '' end)
                    || chr(10) || format('grant %I to %I; -- as a superuser', w.name, current_user)
                    || chr(10) || 'rowcast migrate'),
            (2, not rowcast._may_become(w.name),
                'the bridge may not act as it',
                format('grant %I to %I; -- as a superuser', w.name, current_user)),
            (3, w.name = 'service_role' and not r.rolbypassrls and not r.rolsuper,
                'it does not bypass row security, as apps expect',
                'alter role service_role bypassrls; -- as a superuser')
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'functions for policies and broadcasts',
        m.missing is null,
        coalesce('missing: ' || m.missing, 'all there'),
        case when m.missing is not null then
            'rowcast migrate # as a role that may create schemas, and functions in realtime and auth'
        end
    from (
        select string_agg(x.name, ', ') as missing
        from (values
            ('auth.uid()'),
            ('auth.role()'),
            ('auth.jwt()'),
            ('realtime.topic()'),
            ('realtime.send(jsonb,text,text,boolean)')
        ) x (name)
        where not exists (
            select
            from pg_proc p
            join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = split_part(x.name, '.', 1)
                and p.proname = split_part(split_part(x.name, '.', 2), '(', 1))
    ) m;

    return query
    select 'broadcasts from SQL',
        p.problem is null,
        coalesce(p.problem, 'captured'),
        p.remedy
    from (
        -- by the catalog: to_regclass() is an error to whom the schema is closed
        select (
            select c.oid
            from pg_class c
            where c.relnamespace = n.oid
                and c.relname = 'messages'
        ) as messages,
            coalesce(not has_schema_privilege(n.oid, 'usage'), false) as closed
        from (values ('realtime')) x (name)
        left join pg_namespace n on n.nspname = x.name
    ) m
    left join pg_trigger t on t.tgrelid = m.messages and t.tgname = '_900_rowcast_insert'
    left join lateral (
        select format(
            'create policy rowcast_probe on realtime.messages for insert to %I with check (true); -- as its owner',
            current_user) as policy
        where row_security_active(m.messages)
            and not exists (
                select
                from pg_policy p
                join pg_roles r on r.oid = any (p.polroles)
                where p.polrelid = m.messages
                    and p.polcmd in ('a', '*')
                    and r.rolname = current_user
                    and pg_get_expr(p.polwithcheck, p.polrelid) = 'true')
    ) s on true
    left join lateral (
        select v.problem, v.remedy
        from (values
            (0, m.closed or not has_table_privilege(m.messages, 'insert'),
                'the bridge may not write to realtime.messages, by which it tries who may do what',
                format('grant usage on schema realtime to %I; -- as its owner', current_user) || chr(10)
                    || format('grant insert on realtime.messages to %I; -- as its owner', current_user)
                    || coalesce(chr(10) || s.policy, '')),
            (1, s.policy is not null,
                'row security keeps the bridge from writing to realtime.messages, by which it tries who may do what',
                s.policy),
            (2, m.messages is null,
                'realtime.messages is missing',
                'rowcast migrate # as a role that may create in schema realtime'),
            (3, m.messages is not null and t.oid is null,
                'the trigger of realtime.messages is missing',
                case when not has_table_privilege(m.messages, 'trigger') then
                    format('grant trigger on realtime.messages to %I; -- as its owner', current_user) || chr(10)
                else '' end || 'rowcast migrate'),
            (4, t.tgenabled not in ('O', 'A'),
                'the trigger of realtime.messages is disabled',
                'alter table realtime.messages enable trigger _900_rowcast_insert; -- as its owner'),
            (5, m.messages is not null and not exists (
                    select
                    from pg_inherits i
                    join pg_class c on c.oid = i.inhrelid
                    where i.inhparent = m.messages
                        and (c.relname = 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD')
                            or pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'))
                    and exists (select from pg_partitioned_table t where t.partrelid = m.messages),
                'the partition of today is missing',
                'select rowcast.keep_messages(interval ''72 hours''); -- a bridge does that when it starts')
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'publication ' || p.name,
        k.oid is not null and w.unwatched is null,
        case
            when k.oid is null then 'it was dropped'
            else coalesce('not watched: ' || w.unwatched, 'all its tables are watched')
        end,
        case
            when k.oid is null then
                format('select * from rowcast.sync_publication(%L);', p.name) || chr(10)
                    || format('delete from rowcast.publications where name = %L;', p.name)
            when w.unwatched is not null then
                format('select * from rowcast.sync_publication(%L); -- says what cannot be watched, and why', p.name)
        end
    from rowcast.publications p
    left join pg_publication k on k.pubname = p.name
    cross join lateral (
        select string_agg(t.relation::text, ', ') as unwatched
        from rowcast._published(p.name) t
        where not exists (
            select
            from rowcast.watches x
            where x.relation = t.relation)
    ) w;
end
$$;

comment on function rowcast._doctor_realtime() is
    'The doctor''s look at what the supabase dialect needs.';
