-- The doctor: what SQL can tell about why changes would not arrive, each with its remedy.
--
-- A name is the check's, and where there are several of a kind the thing it is about after it: "role anon".
-- A remedy can be pasted, line by line: SQL that ends with a semicolon, or a command of a shell. What a line needs
-- beyond that stands in a comment behind it. Which checks are failures and which advice, and why each matters, is
-- said where they are printed: `rowcast doctor`, docs/doctor.md.

create or replace function rowcast.doctor()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query select * from rowcast._doctor_rights();
    return query select * from rowcast._doctor_settings();
    return query select * from rowcast._doctor_triggers();
    return query select * from rowcast._doctor_log();
    return query select * from rowcast._doctor_waits();
    return query select * from rowcast._doctor_bridges();
    return query select * from rowcast._doctor_watches();
    return query select * from rowcast._doctor_own();
    return query select * from rowcast._doctor_realtime();
end
$$;

comment on function rowcast.doctor() is
    'Every precondition that SQL can check: name, whether it holds, what was found, what to do.';

create or replace function rowcast._doctor_limit(name text, usual text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(current_setting('rowcast.doctor_' || name, true), ''), usual);
$$;

comment on function rowcast._doctor_limit(text, text) is
    'From where on the doctor complains: what `rowcast doctor` was told for its session, else the usual.';

create or replace function rowcast._doctor_triggers()
returns table (check_name text, ok boolean, detail text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 'triggers of ' || e.relation,
        count(t.oid) filter (where t.tgenabled in ('O', 'A')) = e.wanted,
        format('%s of %s enabled', count(t.oid) filter (where t.tgenabled in ('O', 'A')), e.wanted),
        case
            when count(t.oid) < e.wanted then 'rowcast migrate --force'
            when count(t.oid) filter (where t.tgenabled in ('O', 'A')) < e.wanted then
                format('alter table %s enable trigger user;', e.relation)
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
        and (t.tgname = 'ring' or t.tgname ~ '^_[0-9]+_rowcast_')
    -- a team's view in a table's place has none; functions/own.sql looks at those
    where not exists (select from pg_class c where c.oid = to_regclass(e.relation) and c.relkind = 'v')
    group by e.relation, e.wanted;
$$;

comment on function rowcast._doctor_triggers() is
    'The doctor''s look at the triggers of our own tables, made by functions/wiring.sql.';

create or replace function rowcast._doctor_log()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'capture failures',
        f.n = 0,
        format('%s in the last hour', f.n)
            || coalesce('; last: ' || f.op || ' of ' || f.relation || ': ' || f.message, ''),
        case when f.n > 0 then
            'select * from rowcast.failures order by id desc; -- mend what they say; those changes are not in the log: '
                || 'clients were told to fetch afresh' || chr(10)
                || format('delete from rowcast.failures where id <= %s; -- a day later: cursors from before need them', f.id)
        end
    from (
        select count(*) over () as n, x.id, x.relation, x.op, x.message
        from rowcast.failures x
        where x.at > clock_timestamp() - interval '1 hour'
        union all
        select 0, null, null, null, null
        order by 1 desc, 2 desc nulls last
        limit 1
    ) f;

    return query
    select 'log size',
        l.log_bytes < m.most,
        format('%s, since %s', pg_size_pretty(l.log_bytes), coalesce(l.oldest_change_at::text, 'no change yet')),
        case when l.log_bytes >= m.most then
            'export ROWCAST_RETENTION=6h # keep less; or look at "open transactions", which hold back pruning; '
                'or say with --log-size how much may be'
        end
    from rowcast.lag l
    cross join lateral (select pg_size_bytes(rowcast._doctor_limit('log_size', '10GB'))) m (most);

    return query
    select 'log index',
        coalesce(i.indisvalid, false),
        case
            when i.indexrelid is null then 'the index that resuming clients read the log by is missing'
            when not i.indisvalid then 'the index that resuming clients read the log by is not valid'
            else 'there'
        end,
        case
            when i.indexrelid is null then
                'create index concurrently changes_topic_xid on rowcast.changes (topic, xid);'
            when not i.indisvalid then 'reindex index concurrently rowcast.changes_topic_xid;'
        end
    from (values (to_regclass('rowcast.changes_topic_xid'))) x (name)
    left join pg_index i on i.indexrelid = x.name and i.indrelid = 'rowcast.changes'::regclass;

    return query
    select 'log durability',
        c.relpersistence = 'p',
        case c.relpersistence when 'p' then 'logged' else 'unlogged: a crash empties it' end,
        case when c.relpersistence <> 'p' then
            'alter table rowcast.changes set logged; -- writers wait while it is copied'
        end
    from pg_class c
    where c.oid = 'rowcast.changes'::regclass;

    return query
    select 'log vacuum',
        v.own is null and v.everywhere = 'on',
        case
            when v.own is not null then 'autovacuum is off for the log'
            when v.everywhere <> 'on' then 'autovacuum is off for all tables'
            else 'autovacuum is on'
        end,
        case
            when v.own is not null then 'alter table rowcast.changes reset (autovacuum_enabled);'
            when v.everywhere <> 'on' then
                'alter system reset autovacuum; -- as a superuser' || chr(10)
                    || 'select pg_reload_conf(); -- as a superuser'
        end
    from (
        select current_setting('autovacuum') as everywhere,
            (
                select o.option_value
                from pg_class c
                cross join lateral pg_options_to_table(c.reloptions) o
                where c.oid = 'rowcast.changes'::regclass
                    and o.option_name = 'autovacuum_enabled'
                    and not o.option_value::boolean
            ) as own
    ) v;

    return query
    select 'hidden rows',
        h.tables is null,
        coalesce('row security hides rows from this role in ' || h.tables, 'row security hides none of our rows'),
        h.remedy
    from (
        select string_agg(x.name, ', ' order by x.name) as tables,
            string_agg(
                format('alter table %s no force row level security, disable row level security;', x.name),
                chr(10) order by x.name) as remedy
        from (
            select format('%I.%I', n.nspname, c.relname) as name
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname in ('rowcast', 'chat')
                and c.relkind in ('r', 'p')
                and row_security_active(c.oid)
        ) x
    ) h;
end
$$;

comment on function rowcast._doctor_log() is
    'The doctor''s look at the log: what is missing in it, how large it is, whether it can be read and survives.';

create or replace function rowcast._doctor_waits()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    longest interval := rowcast._doctor_limit('open_for', '1 hour')::interval;
begin
    -- others' transactions show their start only to pg_read_all_stats; the age of the log's edge shows to all
    return query
    select 'open transactions',
        coalesce(o.age < longest, true),
        coalesce('the oldest is open for ' || date_trunc('second', o.age) || ', pid ' || o.pid || ', ' || o.usename,
            'none to be seen'),
        case when o.age >= longest then
            format('select pg_terminate_backend(%s); -- or let it finish: it holds back pruning', o.pid)
        end
    from (values (1)) one
    left join lateral (
        select clock_timestamp() - a.xact_start as age, a.pid, a.usename
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
        coalesce(p.age < longest, true),
        coalesce('the oldest, ' || quote_literal(p.gid) || ', waits for ' || date_trunc('second', p.age), 'none'),
        case when p.age >= longest then
            format('rollback prepared %L; -- or commit prepared, as %s', p.gid, p.owner)
        end
    from (values (1)) one
    left join lateral (
        select clock_timestamp() - x.prepared as age, x.gid, x.owner
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
            'select pg_terminate_backend(a.pid) from pg_stat_activity a where a.state = ''idle in transaction'' '
                'order by a.xact_start limit 1; -- as a superuser: a session that listens and never ends its transaction'
        end
    from pg_notification_queue_usage() q (used);
end
$$;

comment on function rowcast._doctor_waits() is
    'The doctor''s look at what holds others up: open and prepared transactions, the notification queue.';

create or replace function rowcast._doctor_bridges()
returns table (check_name text, ok boolean, detail text, remedy text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'checkpoints',
        coalesce(l.checkpoint_at >= l.newest_change_at - interval '5 seconds', l.newest_change_at is null)
            or l.newest_change_at > clock_timestamp() - interval '5 seconds',
        coalesce('the newest is of ' || l.checkpoint_at, 'none yet'),
        case when coalesce(l.checkpoint_at < l.newest_change_at - interval '5 seconds', l.newest_change_at is not null)
            then 'rowcast serve # no bridge follows the log'
        end
    from rowcast.lag l;

    return query
    select 'history',
        l.history is not distinct from rowcast.history() or l.history is null,
        coalesce(l.history, 'not adopted by a bridge yet'),
        case when l.history <> rowcast.history() then
            'rowcast serve # the database was failed over or restored: a bridge adopts it when it starts'
        end
    from rowcast.lag l;

    return query
    select 'bridge names',
        d.name is null,
        coalesce(d.n || ' bridges are called ' || quote_literal(d.name), 'no two bridges have one name'),
        case when d.name is not null then
            format('export ROWCAST_NODE=%s-2 # for one of them, which then starts again', d.name)
        end
    from (values (1)) one
    left join lateral (
        select n.name, count(*) as n
        from rowcast.nodes n
        where n.seen_at > clock_timestamp() - interval '30 seconds'
        group by n.name
        having count(*) > 1
        order by n.name
        limit 1
    ) d on true;

    return query
    select 'lost bridges',
        g.names is null,
        coalesce('gone without a word: ' || g.names, 'none'),
        g.remedy
    from (
        select string_agg(format('%s, seen %s ago', n.name, date_trunc('second', clock_timestamp() - n.seen_at)), '; ')
                as names,
            string_agg(
                format('select rowcast.goodbye(%L); -- when nothing is to start it again', n.id), chr(10))
                as remedy
        from rowcast.nodes n
        where n.seen_at < clock_timestamp() - interval '1 minute'
    ) g;
end
$$;

comment on function rowcast._doctor_bridges() is
    'The doctor''s look at who follows the log.';
