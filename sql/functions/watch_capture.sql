-- The writing of capture functions for watched tables; functions/watch.sql says why they are as they are.

create or replace function rowcast._define_capture(
    relation regclass,
    wanted_topic text,
    wanted_columns text[],
    wanted_identity text)
returns table (capture text, topic text)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    keys text[] := rowcast._key_of(relation);
    kind record;
    refusal text := rowcast._refuse(relation);
    missing text;
    watched rowcast.watches;
begin
    select c.relowner,
        c.relreplident,
        c.relkind,
        format('%I.%I', n.nspname, c.relname) as name,
        pg_has_role(session_user, c.relowner, 'member') as allowed,
        pg_has_role(c.relowner, current_user, 'member') as trusted
    into kind
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation;
    name := kind.name;

    if refusal is not null then
        raise exception '% %', rowcast._printable(coalesce(name, relation::text)), refusal
            using errcode = 'RC409';
    end if;
    if not kind.allowed then
        raise exception 'only the owner of % may watch it', name
            using errcode = 'RC403';
    end if;
    if wanted_identity is null or wanted_identity not in ('key', 'full') then
        raise exception 'identity is ''key'' or ''full'', not %', coalesce(quote_literal(wanted_identity), 'null')
            using errcode = 'RC400';
    end if;
    if wanted_topic is not null and wanted_topic !~ '^table:.' then
        raise exception 'the topic of a watched table begins with "table:", not %', quote_literal(wanted_topic)
            using errcode = 'RC400';
    end if;
    if wanted_topic <> rowcast._printable(wanted_topic) then
        raise exception 'the topic of a watched table has no control characters, as % has', quote_literal(rowcast._printable(wanted_topic))
            using errcode = 'RC400';
    end if;
    if keys is null and wanted_identity <> 'full' and kind.relreplident <> 'f' then
        raise exception '% has no primary key', name
            using errcode = 'RC409',
                hint = 'Add one, or watch it with identity => ''full'': its changes then carry whole rows and no key.';
    end if;

    select w.wanted
    into missing
    from unnest(wanted_columns) w (wanted)
    where not exists (
        select
        from pg_attribute a
        where a.attrelid = relation
            and a.attname = w.wanted
            and a.attnum > 0
            and not a.attisdropped)
    limit 1;
    if found or cardinality(wanted_columns) = 0 then
        raise exception '% has no column %', name, coalesce(quote_literal(missing), 'in an empty list')
            using errcode = 'RC400';
    end if;

    insert into rowcast.watches as w (relation, name, topic, columns, identity, key_columns, trusted, watched_columns)
    values (
        relation,
        name,
        coalesce(wanted_topic, 'table:' || name),
        wanted_columns,
        wanted_identity,
        coalesce(keys, '{}'),
        kind.trusted,
        rowcast._columns_of(relation))
    on conflict on constraint watches_relation do update
    set name = excluded.name,
        topic = excluded.topic,
        columns = excluded.columns,
        identity = excluded.identity,
        key_columns = excluded.key_columns,
        trusted = excluded.trusted,
        watched_columns = excluded.watched_columns,
        watched_at = clock_timestamp()
    returning *
    into watched;

    perform rowcast._write_capture(watched);
    perform rowcast._write_sight(watched);

    -- who creates a trigger must be allowed to call its function
    capture := format('rowcast._capture_%s()', watched.id);
    topic := watched.topic;
    execute format('revoke all on function %s from public', capture);
    execute format('grant execute on function %s to %s', capture, kind.relowner::regrole);
    return next;
exception when unique_violation then
    raise exception 'the topic % is another table''s', quote_literal(coalesce(wanted_topic, 'table:' || name))
        using errcode = 'RC409';
end
$$;

comment on function rowcast._define_capture(regclass, text, text[], text) is
    'Checks a table and its caller, notes the watch and writes its capture function. Called by watch().';

create or replace function rowcast._forget_capture(relation oid)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    capture text := rowcast._capture_of(relation);
    owned_by oid;
begin
    select c.relowner into owned_by from pg_class c where c.oid = relation;

    -- a dropped table has no owner any more: then the owner of this schema tidies up
    if not pg_has_role(session_user, coalesce(owned_by, current_user::regrole::oid), 'member') then
        raise exception 'only the owner of % may unwatch it', relation::regclass
            using errcode = 'RC403';
    end if;

    execute format('drop function if exists %s', capture);
    perform rowcast._drop_sight(w.id)
    from rowcast.watches w
    where w.relation = _forget_capture.relation;
    delete from rowcast.watches w
    where w.relation = _forget_capture.relation;
end
$$;

comment on function rowcast._forget_capture(oid) is
    'Drops the capture function of a table whose triggers are gone. Called by unwatch().';

create or replace function rowcast._columns_of(relation regclass)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array(
        select a.attname::text
        from pg_attribute a
        where a.attrelid = relation
            and a.attnum > 0
            and not a.attisdropped
        order by a.attnum);
$$;

comment on function rowcast._columns_of(regclass) is
    'The columns a table has now, in order.';

create or replace function rowcast._row(relation regclass, alias text, columns text[], trusted boolean)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format('(select to_jsonb(rowcast_row.*) from (select %s) rowcast_row)', string_agg(
        case
            when trusted then format('(%s).%I', alias, a.attname)
            when b.oid < 16384 then format(
                'case when (%1$s).%2$I is not null then format(''%%s'', (%1$s).%2$I)::pg_catalog.%3$I end as %2$I',
                alias, a.attname, b.typname)
            else format(
                'case when (%1$s).%2$I is not null then format(''%%s'', (%1$s).%2$I) end as %2$I',
                alias, a.attname)
        end,
        ', ' order by w.nth))
    from unnest(coalesce(columns, rowcast._columns_of(relation))) with ordinality w (wanted, nth)
    join pg_attribute a on a.attrelid = relation and a.attname = w.wanted
    cross join lateral (
        -- a domain over a built-in type is that type
        with recursive base (oid, nth) as (
            select a.atttypid, 1
            union all
            select d.typbasetype, base.nth + 1
            from base
            join pg_type d on d.oid = base.oid and d.typtype = 'd'
        )
        select t.oid, t.typname
        from base
        join pg_type t on t.oid = base.oid
        order by base.nth desc
        limit 1
    ) b;
$$;

comment on function rowcast._row(regclass, text, text[], boolean) is
    'The SQL that makes JSON of some columns of a row (null: those there are now), running no foreign code.';

create or replace function rowcast._write_capture(w rowcast.watches)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $outer$
declare
    -- the whole row as it will be: columns added later show up
    whole boolean := w.columns is null
        and w.trusted
        and not exists (
            select
            from pg_inherits i
            join pg_class c on c.oid = i.inhparent and c.relkind = 'r'
            where c.oid = w.relation);
    -- long aliases: a column of the same name would hide the row
    new_row text := case
        when whole then 'to_jsonb(rowcast_new)'
        else rowcast._row(w.relation, 'rowcast_new', w.columns, w.trusted)
    end;
    old_row text := case
        when whole then 'to_jsonb(rowcast_old)'
        else rowcast._row(w.relation, 'rowcast_old', w.columns, w.trusted)
    end;
    new_key text := 'null::jsonb';
    old_key text := 'null::jsonb';
    old_record text;
begin
    if cardinality(w.key_columns) > 0 then
        new_key := rowcast._row(w.relation, 'rowcast_new', w.key_columns, w.trusted);
        old_key := rowcast._row(w.relation, 'rowcast_old', w.key_columns, w.trusted);
    end if;

    -- replica identity may be altered after watch: asked at every update and delete, of the table written to
    old_record := case
        when w.identity = 'full' then old_row
        else format(
            'case when (select c.relreplident = ''f'' from pg_class c where c.oid = tg_relid) then %s else %s end',
            old_row, old_key)
    end;

    execute format($template$
create or replace function rowcast.%1$I()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $capture$
declare
    -- a writer's own styles, where it has any: setting them for each statement would cost every writer
    styles text[] := array[current_setting('datestyle'), current_setting('intervalstyle'),
        current_setting('bytea_output'), current_setting('extra_float_digits')];
    usual constant text[] := '{"ISO, MDY",postgres,hex,1}';
begin
    if styles <> usual then
        perform rowcast._set_styles(usual);
    end if;
    if tg_op = 'INSERT' then
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select %2$L, %3$L, 'INSERT', %4$s, %6$s, row_number() over () = 1
        from new_rows rowcast_new;
    elsif tg_op = 'UPDATE' then
        -- the two transition tables hold the rows of one update at the same places, a changed key or not; a full
        -- join is never a nested loop, however few rows this was first planned for
        insert into rowcast.changes (topic, relation, op, key, record, old_record, ring)
        select %2$L, %3$L, 'UPDATE', %4$s, %6$s, %7$s, p.nth = 1
        from (select row_number() over () as nth, rowcast_new from new_rows rowcast_new) p
        full join (select row_number() over () as nth, rowcast_old from old_rows rowcast_old) q on q.nth = p.nth
        order by p.nth;
    elsif tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select %2$L, %3$L, 'DELETE', %5$s, %7$s, row_number() over () = 1
        from old_rows rowcast_old;
    elsif 'TRUNCATE' is distinct from (
        -- truncating a parent truncates every child, and one row says it
        select c.op
        from rowcast.changes c
        where c.topic = %2$L
            and c.xid = pg_current_xact_id()
        order by c.id desc
        limit 1)
    then
        insert into rowcast.changes (topic, relation, op, ring)
        values (%2$L, %3$L, 'TRUNCATE', true);
    end if;
    if styles <> usual then
        perform rowcast._set_styles(styles);
    end if;
    return null;
exception when others then
    perform rowcast._failed(%3$L, tg_op, sqlstate, sqlerrm);
    return null;
end
$capture$
$template$,
        '_capture_' || w.id, w.topic, w.name, new_key, old_key, new_row, old_record);

    execute format('comment on function rowcast.%I() is %L',
        '_capture_' || w.id,
        'Capture of ' || w.name || ', written by rowcast.watch(); do not edit, watch again.');
end
$outer$;

comment on function rowcast._write_capture(rowcast.watches) is
    'Writes the capture function of one watch. Only the owner of the schema may.';

create or replace function rowcast._set_styles(styles text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('datestyle', styles[1], true),
        set_config('intervalstyle', styles[2], true),
        set_config('bytea_output', styles[3], true),
        set_config('extra_float_digits', styles[4], true);
end
$$;

comment on function rowcast._set_styles(text[]) is
    'Sets how dates, intervals, bytes and floats are written, to the end of the transaction; captures set them back.';
