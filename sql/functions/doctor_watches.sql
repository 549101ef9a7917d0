-- The doctor's look at the watched tables: whether each is captured as it was watched, and who may read it.

create or replace function rowcast._watch_again(w rowcast.watches, name text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    -- with everything that was asked for then: a watch without its columns would tell all of them
    select format('select rowcast.watch(%L', $2)
        || case when w.topic <> 'table:' || w.name then format(', topic => %L', w.topic) else '' end
        || case
            when w.columns is not null then (
                select format(', columns => array[%s]', string_agg(quote_literal(x.name), ', ' order by x.nth))
                from unnest(w.columns) with ordinality x (name, nth)
                join pg_attribute a on a.attrelid = w.relation and a.attname = x.name and not a.attisdropped)
            else ''
        end
        || case when w.identity <> 'key' then format(', identity => %L', w.identity) else '' end
        || ');';
$$;

comment on function rowcast._watch_again(rowcast.watches, text) is
    'The call that watches a table as it was watched before, with the columns that are still there.';

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
    cross join lateral (
        select rowcast._watch_again(w, q.name) as again,
            rowcast._key_of(w.relation) as key
    ) z
    left join lateral (
        select v.problem, v.remedy
        from (values
            (0, q.name <> rowcast._printable(q.name) or w.topic <> rowcast._printable(w.topic),
                'its name or its topic has a control character, so that no client can hear of it',
                format('select rowcast.unwatch(%s); -- or rename it, and watch it again', w.relation::oid)),
            (1, c.oid is null,
                'the table was dropped',
                format('select rowcast.unwatch(%s);', w.relation::oid)),
            (2, f.capture is null,
                'its capture function is missing',
                z.again),
            (3, q.name <> w.name,
                'it is called ' || q.name || ' now',
                z.again),
            (4, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgenabled not in ('O', 'A')),
                'a trigger is disabled',
                (
                    select string_agg(distinct format('alter table %s enable trigger user;', t.tgrelid::regclass), chr(10))
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgenabled not in ('O', 'A')
                )),
            (5, 4 * cardinality(k.children) > (
                    select count(*)
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and t.tgrelid = any (k.children)),
                'a trigger is missing, or a partition was attached',
                z.again),
            (6, exists (
                    select
                    from pg_trigger t
                    where t.tgfoid = f.capture
                        and not t.tgrelid = any (k.children)),
                'a partition was detached and still reports here',
                format('select rowcast.unwatch(%L);', w.name) || chr(10) || z.again),
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
                z.again),
            (8, w.trusted and not pg_has_role(c.relowner, s.nspowner, 'member'),
                'its new owner is not trusted with code that runs as the owner of the log',
                z.again),
            (9, w.identity = 'key' and c.relreplident <> 'f' and cardinality(w.key_columns) = 0,
                'it lost its replica identity and has no key',
                format('alter table %s replica identity full; -- or give it a primary key, and: %s', w.name, z.again)),
            (10, not w.trusted and w.columns is null and w.watched_columns <> rowcast._columns_of(w.relation),
                'its columns were altered; this table''s are fixed at watch',
                z.again),
            (11, w.identity = 'key' and z.key is null and c.relreplident <> 'f',
                'it lost its primary key',
                format('alter table %s add primary key (%s);', w.name, (
                    select string_agg(quote_ident(x.name), ', ' order by x.nth)
                    from unnest(w.key_columns) with ordinality x (name, nth)))),
            (12, z.key is not null and z.key <> w.key_columns,
                'its key is another one than when it was watched',
                z.again)
        ) v (nth, is_so, problem, remedy)
        where v.is_so
        order by v.nth
        limit 1
    ) p on true;

    return query
    select 'row security of ' || w.name,
        c.relrowsecurity or r.names is null,
        case
            when c.relrowsecurity then 'on'
            when r.names is null then 'off, and no client''s role may select'
            else 'off, and every row is told to ' || r.names
        end,
        case when not c.relrowsecurity and r.names is not null then
            format('alter table %s enable row level security; -- then a policy for what each may see', w.name)
        end
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    cross join lateral (
        select string_agg(x.rolname, ' and ' order by x.rolname) as names
        from pg_roles x
        where x.rolname in ('anon', 'authenticated')
            and has_any_column_privilege(x.oid, c.oid, 'select')
            and has_schema_privilege(x.oid, c.relnamespace, 'usage')
    ) r;
end
$$;

comment on function rowcast._doctor_watches() is
    'The doctor''s look at the watched tables.';
