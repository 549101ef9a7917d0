-- Filters of subscriptions: their values are cast by the database, once, when somebody subscribes.
--
-- Texts of errors are those that clients of the reference know; they come as RC400 and are shown as they are.

create or replace function rowcast.check_filter(
    watch int,
    role text,
    column_name text,
    operator text,
    value text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    watched record;
    base record;
    cast_to text;
    canonical jsonb;
begin
    select a.atttypid, a.attnum, w.relation
    into watched
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_attribute a on a.attrelid = c.oid
    where w.id = watch
        and a.attname = column_name
        and a.attnum > 0
        and not a.attisdropped
        and (w.columns is null or a.attname = any (w.columns) or a.attname = any (w.key_columns))
        and to_regrole(quote_ident(role)) is not null
        and has_schema_privilege(to_regrole(quote_ident(role)), c.relnamespace, 'usage')
        and has_column_privilege(to_regrole(quote_ident(role)), c.oid, a.attnum, 'select');
    if not found then
        raise exception 'invalid column for filter %', column_name
            using errcode = 'RC400';
    end if;

    select t.oid, t.typname, t.typarray, t.oid::regtype::text as shown, format_type(t.oid, -1) as cast_to,
        t.oid < 16384 as built_in
    into base
    from pg_type t
    where t.oid = (rowcast._type(watched.atttypid) ->> 'oid')::oid;

    if operator = 'is' then
        if value not in ('null', 'true', 'false', 'unknown') then
            raise exception 'invalid value for is filter: must be null, true, false, or unknown'
                using errcode = 'RC400';
        end if;
        if value <> 'null' and base.oid <> 'bool'::regtype then
            raise exception 'is % filter requires a boolean column, got %', value, base.shown
                using errcode = 'RC400';
        end if;
        return to_jsonb(value);
    end if;

    if operator in ('like', 'ilike', 'match', 'imatch') then
        if base.typname not in ('text', 'varchar', 'bpchar', 'name', 'citext')
            and not (operator = 'like' and base.typname = 'bytea')
        then
            raise exception 'operator % requires a text-compatible column type, got %', operator, base.shown
                using errcode = 'RC400';
        end if;
        if operator in ('match', 'imatch') then
            begin
                perform '' ~ value;
            exception when others then
                raise exception 'invalid regular expression for % filter: %', operator, sqlerrm
                    using errcode = 'RC400';
            end;
        end if;
        return to_jsonb(value);
    end if;

    if operator = 'in' then
        if base.typarray = 0 then
            raise exception 'failed to lookup type for column %', column_name
                using errcode = 'RC400';
        end if;
        cast_to := format_type(base.typarray, -1);
    elsif operator in ('eq', 'neq', 'lt', 'lte', 'gt', 'gte', 'isdistinct') then
        cast_to := base.cast_to;
    else
        raise exception 'unknown filter operator %', operator
            using errcode = 'RC400';
    end if;

    -- the literal is read by the type's input function; to_jsonb might call a cast of the type's owner, text does not
    begin
        if base.built_in then
            execute format('select to_jsonb(%L::%s)', value, cast_to) into canonical;
        elsif operator = 'in' then
            execute format(
                'select to_jsonb(array(select case when x is not null then format(''%%s'', x) end from unnest(%L::%s) x))',
                value, cast_to)
            into canonical;
        else
            execute format('select to_jsonb(format(''%%s'', %L::%s))', value, cast_to) into canonical;
        end if;
    exception when others then
        raise exception '%', sqlerrm
            using errcode = 'RC400';
    end;

    if operator = 'in' and jsonb_array_length(canonical) > 100 then
        raise exception 'too many values for `in` filter. Maximum 100'
            using errcode = 'RC400';
    end if;
    return canonical;
end
$$;

comment on function rowcast.check_filter(int, text, text, text, text) is
    'Casts the value of one condition (of `in` an array literal) to its column''s type; canonical as JSON.';
