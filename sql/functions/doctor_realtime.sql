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
                format('create role %I nologin noinherit%s, then rowcast migrate', w.name,
                    case when w.name = 'service_role' then ' bypassrls' else '' end)),
            (2, not rowcast._may_become(w.name),
                'the bridge may not act as it',
                format('grant %I to %I', w.name, current_user)),
            (3, w.name = 'service_role' and not r.rolbypassrls and not r.rolsuper,
                'it does not bypass row security, as apps expect',
                'as a superuser: alter role service_role bypassrls')
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
            'rowcast migrate, as a role that may create schemas and functions in realtime and auth'
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
    from (values (to_regclass('realtime.messages'))) m (messages)
    left join lateral (
        select v.problem, v.remedy
        from (values
            (1, m.messages is null,
                'realtime.messages is missing',
                'rowcast migrate, as a role that may create in schema realtime'),
            (2, m.messages is not null and not exists (
                    select
                    from pg_trigger t
                    where t.tgrelid = m.messages
                        and t.tgname = '_900_rowcast_insert'
                        and t.tgenabled in ('O', 'A')),
                'the trigger of realtime.messages is missing or disabled',
                format('grant trigger on realtime.messages to %I, then rowcast migrate', current_user)),
            (3, m.messages is not null and not exists (
                    select
                    from pg_inherits i
                    join pg_class c on c.oid = i.inhrelid
                    where i.inhparent = m.messages
                        and (c.relname = 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD')
                            or pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'))
                    and exists (select from pg_partitioned_table t where t.partrelid = m.messages),
                'the partition of today is missing',
                'select rowcast.keep_messages(''72 hours''); or start a bridge, which does that')
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
        case when k.oid is null or w.unwatched is not null then
            format('select * from rowcast.sync_publication(%L), which says why', p.name)
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
