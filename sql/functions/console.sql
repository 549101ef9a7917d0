-- The operators' console: what it shows of the database, each as JSON ready to send.

create or replace function rowcast.console_database()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'name', current_database(),
        'version', split_part(current_setting('server_version'), ' ', 1),
        'log', (
            select jsonb_build_object(
                'bytes', l.log_bytes,
                'oldest_change_at', l.oldest_change_at,
                'newest_change_at', l.newest_change_at,
                'checkpoint_at', l.checkpoint_at,
                'open_transactions', l.open_transactions,
                'notification_queue_usage', l.notification_queue_usage,
                'failures_last_hour', l.failures_last_hour)
            from rowcast.lag l
        ),
        'nodes', (
            select coalesce(jsonb_agg(
                jsonb_build_object(
                    'name', n.name,
                    'version', n.version,
                    'started_at', n.started_at,
                    'seen_seconds_ago', extract(epoch from clock_timestamp() - n.seen_at)::int,
                    'counts', n.counts)
                order by n.name, n.started_at), '[]')
            from rowcast.nodes n
        ));
$$;

comment on function rowcast.console_database() is
    'The extent of the log and the running bridges, for the console.';

create or replace function rowcast.console_tables(search text, most int)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with found as (
        select c.oid,
            coalesce(w.name, quote_ident(n.nspname) || '.' || quote_ident(c.relname)) as name,
            w.topic,
            w.columns,
            w.identity,
            w.key_columns,
            w.triggers,
            w.triggers_wanted,
            w.watched_at,
            c.relrowsecurity as row_security,
            case when c.reltuples >= 0 then c.reltuples::bigint end as rows_about,
            exists (
                select
                from pg_index i
                where i.indrelid = c.oid
                    and i.indisprimary) as has_key,
            pg_has_role(c.relowner, 'usage') as is_ours
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        left join rowcast.watched w on w.relation = c.oid
        where c.relkind in ('r', 'p')
            and c.relpersistence = 'p'
            and not c.relispartition
            and n.nspname !~ '^pg_|^information_schema$'
            and (n.nspname not in ('rowcast', 'chat', 'realtime') or w.relation is not null)
        union all
        -- watched, and dropped since
        select w.relation, w.name, w.topic, w.columns, w.identity, w.key_columns, 0, w.triggers_wanted, w.watched_at,
            null, null, null, null
        from rowcast.watched w
        where not exists (
            select
            from pg_class c
            where c.oid = w.relation)
    ),
    page as (
        select f.*
        from found f
        where strpos(lower(f.name), lower(search)) > 0
            or strpos(lower(coalesce(f.topic, '')), lower(search)) > 0
        order by f.topic is null, f.name
        limit most + 1
    ),
    shown as (
        select p.*
        from page p
        order by p.topic is null, p.name
        limit most
    )
    select jsonb_build_object(
        'more', (select count(*) > most from page),
        'tables', coalesce((
            select jsonb_agg(to_jsonb(s) - 'oid' order by s.topic is null, s.name)
            from shown s
        ), '[]'));
$$;

comment on function rowcast.console_tables(text, int) is
    'Tables on the feed, then those that could be (topic null), by name, for the console; `search` is a part of a name.';

create or replace function rowcast._remedy(sqlstate text, relation text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when sqlstate in ('42P01', '42703', '42883', '42704') then
            format('the table was altered or renamed: select rowcast.watch(%L)', relation)
        when sqlstate = '42501' then
            'a right is missing: rowcast doctor names it, rowcast migrate grants what sql/grants.sql lists'
        when sqlstate like '53%' then
            'the server is out of disk, memory or connections: make room, or lower ROWCAST_RETENTION'
        when sqlstate in ('40001', '40P01', '55P03', '57014') then
            'a lock or a deadline got in the way: see pg_stat_activity for long transactions'
        when sqlstate like '22%' or sqlstate like '23%' then
            format('a value of the row could not be captured: watch fewer columns, select rowcast.watch(%L, columns => …)', relation)
        else
            'run rowcast doctor, and look at the database''s log at that time'
    end;
$$;

comment on function rowcast._remedy(text, text) is
    'What to do about a failure of capture.';

create or replace function rowcast.console_failures(most int)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'last_hour', (
            select count(*)
            from rowcast.failures f
            where f.at > clock_timestamp() - interval '1 hour'
        ),
        'failures', coalesce(jsonb_agg(
            to_jsonb(x) || jsonb_build_object('remedy', rowcast._remedy(x.sqlstate, x.relation))
            order by x.id desc), '[]'))
    from (
        select f.*
        from rowcast.failures f
        order by f.id desc
        limit most
    ) x;
$$;

comment on function rowcast.console_failures(int) is
    'The newest failures of capture with what to do about each, for the console. Their changes are not in the log.';

create or replace function rowcast.console_doctor()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(
        jsonb_build_object('name', d.check_name, 'ok', coalesce(d.ok, false), 'detail', d.detail, 'remedy', d.remedy)
        order by coalesce(d.ok, false), d.check_name), '[]')
    from rowcast.doctor() d;
$$;

comment on function rowcast.console_doctor() is
    'What the doctor finds, the failed first, for the console.';
