-- Conditions that only the database can judge: regular expressions, collations, odd types; many in one statement.
--
-- This runs with the caller's own rights, so nothing of strangers may run: an operator's function must be written
-- in C or be built in, and values are read by input functions. One wrong condition is an error of its own.

create or replace function rowcast.matches(
    watch int,
    unused text,
    rows jsonb,
    columns text[],
    operators text[],
    compared_with text[],
    lists int[],
    firsts int[],
    wanted int[],
    budget int)
returns table (nth int, seen int[], state text, message text)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    began timestamptz := clock_timestamp();
    list int[];
begin
    for asked in 1 .. cardinality(columns) loop
        exit when asked > 1 and clock_timestamp() > began + budget * interval '1 ms';
        nth := asked;
        seen := null;
        state := null;
        message := null;
        list := wanted[firsts[lists[asked]]:firsts[lists[asked] + 1] - 1];
        begin
            execute rowcast._condition(watch, columns[asked], operators[asked], compared_with[asked])
            into seen
            using list, rows;
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
end
$$;

comment on function rowcast.matches(int, text, jsonb, text[], text[], text[], int[], int[], int[], int) is
    'Which records (numbers from 1 in `rows`) each condition holds for; lists as in rowcast.sees(). NULL does not '
    'match, but with `is` and `isdistinct`.';

create or replace function rowcast._condition(watch int, column_name text, operator text, value text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    kind record;
    symbol text;
    home text := 'pg_catalog';
    literal text;
    test text;
begin
    select y.oid,
        y.typtype,
        y.typcategory,
        y.typarray,
        format_type(y.oid, -1) as shown,
        -- char(n) is as long as it is
        format_type(y.oid, case when a.atttypid = y.oid and y.oid = 'bpchar'::regtype then a.atttypmod else -1 end)
            || case when l.oid is null then '' else format(' collate %I.%I', m.nspname, l.collname) end as definition,
        n.nspname,
        y.oid < 16384 as built_in,
        pg_has_role(c.relowner, s.nspowner, 'member') as trusted
    into kind
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace s on s.nspname = 'rowcast'
    join pg_attribute a on a.attrelid = w.relation
    join pg_type y on y.oid = (rowcast._type(a.atttypid) ->> 'oid')::oid
    join pg_namespace n on n.oid = y.typnamespace
    left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
    left join pg_namespace m on m.oid = l.collnamespace
    where w.id = watch
        and a.attname = column_name
        and a.attnum > 0
        and not a.attisdropped;
    if not found then
        raise exception 'invalid column for filter %', column_name
            using errcode = 'RC400';
    end if;
    -- reading a composite value may run the checks of domains in it
    if not kind.built_in and kind.typtype <> 'e' and not kind.trusted then
        raise exception 'type % is not compared: the table''s owner is not a member of the bridge''s role', kind.shown
            using errcode = 'RC403';
    end if;

    symbol := case operator
        when 'eq' then '='
        when 'neq' then '<>'
        when 'lt' then '<'
        when 'lte' then '<='
        when 'gt' then '>'
        when 'gte' then '>='
        when 'in' then '='
        when 'isdistinct' then '='
        when 'like' then '~~'
        when 'ilike' then '~~*'
        when 'match' then '~'
        when 'imatch' then '~*'
    end;
    if symbol is null and (operator <> 'is' or value not in ('null', 'true', 'false', 'unknown')) then
        raise exception 'unknown filter operator %', operator
            using errcode = 'RC400';
    end if;

    -- an extension's operators stand beside its type
    if not kind.built_in and exists (
        select
        from pg_operator o
        join pg_namespace n on n.oid = o.oprnamespace
        join pg_proc f on f.oid = o.oprcode
        join pg_language g on g.oid = f.prolang
        where o.oprname = symbol
            and o.oprleft = kind.oid
            and n.nspname = kind.nspname
            and g.lanname in ('c', 'internal'))
    then
        home := kind.nspname;
    end if;

    -- a literal is read by the type's input function, a cast from text might be somebody's own
    literal := case
        when operator = 'in' then format('any (%L::%s)', value, format_type(kind.typarray, -1))
        when operator in ('like', 'ilike', 'match', 'imatch') and kind.oid <> 'bytea'::regtype then
            format('%L::text', value)
        else format('%L::%s', value, kind.shown)
    end;
    test := case operator
        when 'is' then format('x.%I is %s', column_name, value)
        when 'isdistinct' then
            format('coalesce(not x.%I operator(%I.%s) %s, true)', column_name, home, symbol, literal)
        else format('x.%I operator(%I.%s) %s', column_name, home, symbol, literal)
    end;
    return format(
        'select array_agg(w.nth) from unnest($1) w (nth) cross join lateral '
            'jsonb_to_record($2 -> (w.nth - 1)) x (%I %s) where %s',
        column_name, kind.definition, test);
end
$$;

comment on function rowcast._condition(int, text, text, text) is
    'The query that tells which of some records a condition holds for; every name and value in it is quoted.';
