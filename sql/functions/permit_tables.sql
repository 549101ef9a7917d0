-- What a role may see of the watched tables: names, columns with their types, whether row security applies to it.

create or replace function rowcast._type(type oid)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    t pg_type;
begin
    -- a domain is what it is over
    loop
        select *
        into t
        from pg_type y
        where y.oid = type;
        exit when t.typtype is distinct from 'd';
        type := t.typbasetype;
    end loop;

    return jsonb_build_object(
        'oid', t.oid::bigint,
        'name', t.typname,
        'kind', t.typtype,
        'category', t.typcategory,
        'element', case when t.typcategory = 'A' and t.typelem <> 0 then rowcast._type(t.typelem) end);
end
$$;

comment on function rowcast._type(oid) is
    'A type without its domains: oid, name, kind (typtype), category (typcategory), and the element of an array.';

-- an older version's answers less
drop function if exists rowcast.tables_of(text, text, text, text);

create or replace function rowcast.tables_of(role text, schema_name text, table_name text, only_relation text)
returns table (
    relation text,
    topic text,
    shape text,
    schema text,
    name text,
    watch int,
    full_identity boolean,
    row_security boolean,
    is_whole boolean,
    columns jsonb)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    asker oid := to_regrole(quote_ident(role));
begin
    -- what needs no check of rows is not for a role that no check could be made as
    perform rowcast._refuse_role(role);

    return query
    select w.name,
        w.topic,
        coalesce(rowcast.shapes(array[w.topic]) ->> w.topic, ''),
        n.nspname::text,
        c.relname::text,
        w.id,
        w.identity = 'full' or c.relreplident = 'f',
        c.relrowsecurity
            and not r.rolsuper
            and not r.rolbypassrls
            and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage')),
        w.columns is null,
        (
            select jsonb_agg(
                jsonb_build_object(
                    'name', a.attname,
                    'type_name', t.typname,
                    'base', rowcast._type(a.atttypid),
                    'modifier', a.atttypmod,
                    'deterministic', coalesce(l.collisdeterministic, true),
                    'key', a.attname = any (w.key_columns),
                    'readable', has_schema_privilege(r.oid, n.oid, 'usage')
                        and has_column_privilege(r.oid, c.oid, a.attnum, 'select'))
                order by a.attnum)
            from pg_attribute a
            join pg_type t on t.oid = a.atttypid
            left join pg_collation l on l.oid = a.attcollation
            where a.attrelid = c.oid
                and a.attnum > 0
                and not a.attisdropped
                and (w.columns is null or a.attname = any (w.columns) or a.attname = any (w.key_columns))
        )
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace n on n.oid = c.relnamespace
    cross join pg_roles r
    where r.oid = asker
        and (only_relation is null or w.name = only_relation)
        and (schema_name is null or n.nspname = schema_name)
        and (table_name is null or c.relname = table_name)
    order by w.name;
end
$$;

comment on function rowcast.tables_of(text, text, text, text) is
    'Watched tables as a role may see them; null for any schema, table or relation (its name in the log).';

create or replace function rowcast.shapes(topics text[])
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(s.topic, s.shape), '{}')
    from (
        select w.topic,
            md5(string_agg(
                concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation), ','
                order by a.attrelid, a.attnum)) as shape
        from rowcast.watches w
        join pg_attribute a
            on a.attrelid = w.relation
            and a.attnum > 0
            and not a.attisdropped
        where w.topic = any (topics)
        group by w.topic
    ) s;
$$;

comment on function rowcast.shapes(text[]) is
    'Of topics, an object: a word for what the columns of their tables are, which is another one when they are.';
