-- The doctor: what SQL can tell about why changes would not arrive, each with its remedy.

create or replace function rowcast.doctor()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from rowcast._doctor_triggers();
    return query select * from rowcast._doctor_watches();
    return query select * from rowcast._doctor_own();
    return query select * from rowcast._doctor_realtime();

    return query
    select 'capture failures',
        f.n = 0,
        format('%s in the last hour', f.n)
            || coalesce('; last: ' || f.op || ' of ' || f.relation || ': ' || f.message, ''),
        case when f.n > 0 then
            'select * from rowcast.failures order by id desc; those changes are not in the log: clients should reload'
        end
    from (
        select count(*) over () as n, x.relation, x.op, x.message
        from rowcast.failures x
        where x.at > clock_timestamp() - interval '1 hour'
        union all
        select 0, null, null, null
        order by n desc
        limit 1
    ) f;

    return query
    select 'log size',
        l.log_bytes < 10737418240,
        format('%s, since %s', pg_size_pretty(l.log_bytes), coalesce(l.oldest_change_at::text, 'no change yet')),
        case when l.log_bytes >= 10737418240 then
            'keep less, or look at the check "open transactions": they hold back pruning'
        end
    from rowcast.lag l;

    -- others' transactions show their start only to pg_read_all_stats; the age of the log's edge shows to all
    return query
    select 'open transactions',
        coalesce(o.age < interval '1 hour', true),
        coalesce('the oldest is open for ' || o.age || ', pid ' || o.pid || ', ' || o.usename, 'none to be seen'),
        case when o.age >= interval '1 hour' then
            format('it holds back pruning: finish it, or select pg_terminate_backend(%s)', o.pid)
        end
    from (values (1)) one
    left join lateral (
        select date_trunc('second', clock_timestamp() - a.xact_start) as age, a.pid, a.usename
        from pg_stat_activity a
        where a.datname = current_database()
            and a.pid <> pg_backend_pid()
            and a.xact_start is not null
            and a.backend_type = 'client backend'
        order by a.xact_start
        limit 1
    ) o on true;

    return query
    select 'prepared transactions',
        coalesce(p.age < interval '1 hour', true),
        coalesce('the oldest, ' || quote_literal(p.gid) || ', waits for ' || p.age, 'none'),
        case when p.age >= interval '1 hour' then
            format('commit prepared %L, or rollback prepared %L', p.gid, p.gid)
        end
    from (values (1)) one
    left join lateral (
        select date_trunc('second', clock_timestamp() - x.prepared) as age, x.gid
        from pg_prepared_xacts x
        where x.database = current_database()
        order by x.prepared
        limit 1
    ) p on true;

    return query
    select 'notification queue',
        q.used < 0.1,
        format('%s %% full', round((100 * q.used)::numeric, 1)),
        case when q.used >= 0.1 then
            'a session that listens is idle in a transaction; above 50 % the bell is silent and bridges poll. '
                'See pg_stat_activity for "idle in transaction"'
        end
    from pg_notification_queue_usage() q (used);

    return query
    select 'checkpoints',
        coalesce(l.checkpoint_at >= l.newest_change_at - interval '5 seconds', l.newest_change_at is null)
            or l.newest_change_at > clock_timestamp() - interval '5 seconds',
        coalesce('the newest is of ' || l.checkpoint_at, 'none yet'),
        case when coalesce(l.checkpoint_at < l.newest_change_at - interval '5 seconds', l.newest_change_at is not null)
            then 'no bridge follows the log: start one (rowcast serve)'
        end
    from rowcast.lag l;

    return query
    select 'history',
        l.history is not distinct from rowcast.history() or l.history is null,
        coalesce(l.history, 'not adopted by a bridge yet'),
        case when l.history <> rowcast.history() then
            'the database was failed over or restored: a bridge adopts it when it starts'
        end
    from rowcast.lag l;

    return query
    select 'permissions',
        p.lacking is null,
        coalesce('lacking: ' || p.lacking, 'this role can read and keep the log'),
        case when p.lacking is not null then
            'connect as the role that ran migrate, or grant what sql/grants.sql lists'
        end
    from (
        select string_agg(x.what, ', ') as lacking
        from (values
            ('select on rowcast.changes', has_table_privilege('rowcast.changes', 'select')),
            ('delete on rowcast.changes', has_table_privilege('rowcast.changes', 'delete')),
            ('insert on rowcast.checkpoints', has_table_privilege('rowcast.checkpoints', 'insert')),
            ('insert on rowcast.nodes', has_table_privilege('rowcast.nodes', 'insert')),
            ('insert on chat.messages', has_table_privilege('chat.messages', 'insert')),
            ('update on chat.members', has_table_privilege('chat.members', 'update')),
            ('execute on rowcast.checkpoint()', has_function_privilege('rowcast.checkpoint()', 'execute'))
        ) x (what, has)
        where not x.has
    ) p;
end
$$;

comment on function rowcast.doctor() is
    'Every precondition that SQL can check: name, whether it holds, what was found, what to do.';

create or replace function rowcast._doctor_triggers()
returns table (check_name text, ok boolean, detail text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 'triggers of ' || e.relation,
        count(t.oid) = e.wanted,
        format('%s of %s enabled', count(t.oid), e.wanted),
        case when count(t.oid) <> e.wanted then
            format('alter table %s enable trigger user; if one is missing: rowcast migrate', e.relation)
        end
    from (values
        ('rowcast.changes', 1),
        ('rowcast.watches', 3),
        ('chat.users', 5),
        ('chat.threads', 2),
        ('chat.members', 4),
        ('chat.messages', 8),
        ('chat.blocks', 2),
        ('chat.revoked_tokens', 1),
        ('chat.login_sessions', 2)
    ) e (relation, wanted)
    left join pg_trigger t
        on t.tgrelid = to_regclass(e.relation)
        and not t.tgisinternal
        and t.tgenabled in ('O', 'A')
        and (t.tgname = 'ring' or t.tgname ~ '^_[0-9]+_rowcast_')
    -- a team's view in a table's place has none; functions/own.sql looks at those
    where not exists (select from pg_class c where c.oid = to_regclass(e.relation) and c.relkind = 'v')
    group by e.relation, e.wanted;
$$;

comment on function rowcast._doctor_triggers() is
    'The doctor''s look at the triggers of our own tables, made by functions/wiring.sql.';

create or replace function rowcast._doctor_watches()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'watched table ' || w.name,
        p.problem is null,
        coalesce(p.problem, 'captured'),
        p.remedy
    from rowcast.watches w
    left join pg_class c on c.oid = w.relation
    left join pg_namespace n on n.oid = c.relnamespace
    join pg_namespace s on s.nspname = 'rowcast'
    cross join lateral (
        select to_regprocedure(format('rowcast._capture_%s()', w.id)) as capture
    ) f
    cross join lateral (
        select array_agg(m.child) as children
        from rowcast._family(w.relation) m
    ) k
    cross join lateral (
        select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name
    ) q
    left join lateral (
        select v.problem, v.remedy
        from (values
            (1, c.oid is null,
                'the table was dropped',
                format('select rowcast.unwatch(%s)', w.relation::oid)),
            (2, f.capture is null,
                'its capture function is missing',
                format('select rowcast.watch(%L)', w.name)),
            (3, q.name <> w.name,
                'it is called ' || q.name || ' now',
                format('select rowcast.watch(%L)', q.name)),
            (4, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgenabled not in ('O', 'A')),
                'a trigger is disabled',
                format('alter table %s enable trigger user', w.name)),
            (5, 4 * cardinality(k.children) > (
                    select count(*)
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgrelid = any (k.children)),
                'a trigger is missing, or a partition was attached',
                format('select rowcast.watch(%L)', w.name)),
            (6, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and not t.tgrelid = any (k.children)),
                'a partition was detached and still reports here',
                format('select rowcast.unwatch(%L), rowcast.watch(%L)', w.name, w.name)),
            (7, exists (
                    select
                    from unnest(w.columns || w.key_columns) x (name)
                    where not exists (
                        select
                        from pg_attribute a
                        where a.attrelid = w.relation
                            and a.attname = x.name
                            and not a.attisdropped)),
                'a column it names is gone',
                format('select rowcast.watch(%L), with the columns there are', w.name)),
            (8, w.trusted and not pg_has_role(c.relowner, s.nspowner, 'member'),
                'its new owner is not trusted with code that runs as the owner of the log',
                format('select rowcast.watch(%L)', w.name)),
            (9, w.identity = 'key' and c.relreplident <> 'f' and cardinality(w.key_columns) = 0,
                'it lost its replica identity and has no key',
                format('give it a primary key, then select rowcast.watch(%L)', w.name)),
            (10, not w.trusted and w.columns is null and w.watched_columns <> rowcast._columns_of(w.relation),
                'its columns were altered; this table''s are fixed at watch',
                format('select rowcast.watch(%L)', w.name))
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;
end
$$;

comment on function rowcast._doctor_watches() is
    'The doctor''s look at the watched tables.';
