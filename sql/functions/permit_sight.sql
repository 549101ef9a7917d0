-- Sight: which rows of a watched table which subjects see, for many of both in one statement.
--
-- watch() writes one function for each table with a key, rowcast._sight_<id>(): it becomes the role, and for one
-- subject after another sets the claims and runs one static query over all keys asked for, so that the plan, row
-- security included, is kept for as long as the connection lives. It is not `security definer`: it becomes what
-- the caller may become. Everything it sets is local to the transaction, so the caller's own rights come back
-- whatever happens, and it takes care not to run a subject's query with them:
--   - a role that is the caller's own, or `none`, is refused;
--   - policies run as the subject, but whoever wrote them could `reset role`. So this is only done for tables
--     whose owner may act as the owner of this schema anyway (`trusted`); others are refused.
-- Where we see the whole table ourselves, the keys are looked up once, and each subject's query goes straight to the
-- rows by their ctid: a third of the cost. The function is `stable`, so all its queries have the snapshot that
-- the lookup had, in which those places hold. Else, and for partitions and children, each query goes by the key.
-- A change may be judged long after it was made (a client that resumes). So with each key comes the row as the log
-- has it, and rows that are not as they were are told apart in two more answers: number 0, those that are another
-- by now, and -1, those that are gone; rowcast.saw() has the rest of the word on them. Where we do not see the
-- whole table, all might be another.
-- An error is that subject's alone. What was not come to within the budget is not in the answer: ask again.
-- Policies see the search_path that sessions of the role have, ours is for what is written here.

create or replace function rowcast.sees(
    watch int,
    role text,
    rows jsonb,
    subs text[],
    claims text[],
    unused text[],
    lists int[],
    firsts int[],
    wanted int[],
    budget int)
returns table (nth int, seen int[], state text, message text)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform rowcast._refuse_subject(watch, role);
    if to_regproc(format('rowcast._sight_%s', watch)) is null then
        raise exception 'the table has no key'
            using errcode = 'RC409';
    end if;

    return query execute format(
        'select * from rowcast._sight_%s($1, $2, $3, $4, $5, $6, $7, $8, $9)', watch)
    using role, rowcast._path_of(role), rows, subs, claims, lists, firsts, wanted, budget;
end
$$;

comment on function rowcast.sees(int, text, jsonb, text[], text[], text[], int[], int[], int[], int) is
    'Which rows (numbers from 1 in `rows`, each {key, record}) each subject sees now. Subject n asks for list lists[n]; list l is '
    'wanted[firsts[l] .. firsts[l + 1] - 1].';

create or replace function rowcast._refuse_subject(watch int, role text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    trusted boolean;
begin
    select pg_has_role(c.relowner, s.nspowner, 'member')
    into trusted
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace s on s.nspname = 'rowcast'
    where w.id = watch;
    if trusted is null then
        raise exception 'the table is not watched any more'
            using errcode = 'RC404';
    end if;
    if not trusted then
        raise exception 'row security of this table is not judged: its owner is not a member of the bridge''s role'
            using errcode = 'RC403';
    end if;
    perform rowcast._refuse_role(role);
end
$$;

comment on function rowcast._refuse_subject(int, text) is
    'Raises when a role may not be taken on for a table.';

create or replace function rowcast._refuse_role(role text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regrole(quote_ident(role)) is null then
        raise exception 'role % does not exist', quote_ident(role)
            using errcode = 'RC403';
    end if;
    if role in ('none', session_user, current_user) or not rowcast._may_become(role) then
        raise exception 'the bridge may not act as role %', quote_ident(role)
            using errcode = 'RC403';
    end if;
end
$$;

comment on function rowcast._refuse_role(text) is
    'Raises when the bridge may not act as a role, or would keep its own rights by it.';

create or replace function rowcast._path_of(role text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select substr(s.setting, 13)
            from pg_db_role_setting d
            cross join lateral unnest(d.setconfig) s (setting)
            where s.setting like 'search\_path=%'
                and d.setdatabase in (0, (select b.oid from pg_database b where b.datname = current_database()))
                and d.setrole in (0, to_regrole(quote_ident(role)))
            order by d.setrole = 0, d.setdatabase = 0
            limit 1
        ),
        '"$user", public' || case when to_regnamespace('extensions') is not null then ', extensions' else '' end);
$$;

comment on function rowcast._path_of(text) is
    'The search_path of a role''s own sessions in this database: functions that policies call may count on it.';

create or replace function rowcast._equality_of(relation regclass)
returns table (nth bigint, name text, type text, operator text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select k.nth,
        a.attname::text,
        format_type((rowcast._type(a.atttypid) ->> 'oid')::oid, -1),
        format('operator(%I.%s)', n.nspname, o.oprname)
    from (
        select i.indrelid, i.indkey, i.indclass, i.indnkeyatts
        from pg_index i
        where i.indrelid = relation
            and i.indisvalid
            and (i.indisprimary or i.indisreplident)
        order by i.indisprimary desc
        limit 1
    ) i
    cross join lateral unnest(i.indkey::int2[], i.indclass::oid[]) with ordinality k (attnum, opclass, nth)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    join pg_opclass c on c.oid = k.opclass
    join pg_amop m
        on m.amopfamily = c.opcfamily
        and m.amoplefttype = c.opcintype
        and m.amoprighttype = c.opcintype
        and m.amopstrategy = 3
    join pg_operator o on o.oid = m.amopopr
    join pg_namespace n on n.oid = o.oprnamespace
    where k.nth <= i.indnkeyatts;
$$;

comment on function rowcast._equality_of(regclass) is
    'The key''s columns with the types and operators that its index finds rows by, whatever the search_path.';

create or replace function rowcast._sees_all(name text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when has_schema_privilege(c.relnamespace, 'usage')
            and has_table_privilege(c.oid, 'select')
            and not row_security_active(c.oid)
        then c.relkind = 'r' and not c.relhassubclass
    end
    from pg_class c
    where c.oid = to_regclass(name);
$$;

comment on function rowcast._sees_all(text) is
    'Null: the caller does not see every row of the table; true: and a ctid is one place in it.';

create or replace function rowcast._write_sight(w rowcast.watches)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $outer$
declare
    signature constant text := '(text, text, jsonb, text[], text[], int[], int[], int[], int)';
    parts record;
    reader record;
begin
    select string_agg(format('rowcast_%s %s[];', e.nth, e.type), E'\n    ' order by e.nth) as variables,
        string_agg(format('array_agg(rowcast_row.%I order by rowcast_key.nth)', e.name), ', ' order by e.nth) as values,
        string_agg(format('rowcast_%s', e.nth), ', ' order by e.nth) as targets,
        string_agg(format('%I %s', e.name, e.type), ', ' order by e.nth) as columns,
        string_agg(
            format('rowcast_row.%I %s rowcast_%s[w.nth]', e.name, e.operator, e.nth), ' and ' order by e.nth)
            as matches,
        count(*) as n
    into parts
    from rowcast._equality_of(w.relation) e;

    -- an older version's may have other names for its parameters, which nothing may replace
    perform rowcast._drop_sight(w.id);
    if parts.n = 0 or parts.n <> cardinality(w.key_columns) then
        return;
    end if;

    execute format($template$
create or replace function rowcast.%1$I(
    role text, path text, rows jsonb, subs text[], claims text[], lists int[], firsts int[], wanted int[], budget int)
returns table (nth int, seen int[], state text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set random_page_cost = 0.1
as $sight$
declare
    began timestamptz := clock_timestamp();
    by_place boolean := rowcast._sees_all(%9$L);
    all_numbers int[] := array(select generate_series(1, jsonb_array_length(rows)));
    other int[];
    gone int[];
    last int := 0;
    list int[];
    places tid[];
    asked tid[];
    -- the row at each place asked for; null where two rows are at one, being one row at two times
    rows_at jsonb;
    found tid[];
    was text;
    %2$s
begin
    select %3$s
    into %4$s
    from jsonb_array_elements(rows) with ordinality rowcast_key (row, nth)
    cross join lateral jsonb_to_record(rowcast_key.row -> 'key') rowcast_row (%5$s);

    nth := 0;
    seen := all_numbers;
    if by_place is not null then
        select array_agg(f.ctid order by w.nth),
            array_agg(w.nth) filter (where f.is_other),
            array_agg(w.nth) filter (where f.ctid is null)
        into places, other, gone
        from unnest(all_numbers) w (nth)
        left join lateral (
            select rowcast_row.ctid, to_jsonb(rowcast_row) is distinct from rows -> (w.nth - 1) -> 'record' as is_other
            from %6$s rowcast_row
            where %8$s
            limit 1
        ) f on true;
        seen := gone;
        nth := -1;
        return next;
        seen := other;
        nth := 0;
    end if;
    return next;

    -- who may read some of the columns only may not ask for places
    by_place := by_place and has_table_privilege(role::name, %9$L::regclass, 'select');
    was := set_config('role', role, true);
    was := set_config('request.jwt.claim.role', role, true);
    for subject in 1 .. cardinality(subs) loop
        exit when subject > 1 and clock_timestamp() > began + budget * interval '1 ms';
        if current_user::text <> role then
            raise exception 'a policy of %7$s changed the role';
        end if;
        nth := subject;
        seen := null;
        state := null;
        message := null;
        if lists[subject] <> last then
            last := lists[subject];
            list := wanted[firsts[last]:firsts[last + 1] - 1];
            asked := case when by_place then array(select places[w.n] from unnest(list) w (n)) end;
            rows_at := (
                select case when count(*) = count(distinct w.place) then jsonb_object_agg(w.place::text, list[w.n]) end
                from unnest(asked) with ordinality w (place, n)
                where w.place is not null
            );
        end if;
        begin
            was := set_config('request.jwt.claim.sub', subs[subject], true);
            was := set_config('request.jwt.claims', claims[subject], true);
            was := set_config('search_path', path, true);
            if by_place then
                select pg_catalog.array_agg(rowcast_row.ctid)
                into found
                from %6$s rowcast_row
                where rowcast_row.ctid operator(pg_catalog.=) any (asked);
            else
                select pg_catalog.array_agg(w.nth)
                into seen
                from pg_catalog.unnest(list) w (nth)
                cross join lateral (
                    select
                    from %6$s rowcast_row
                    where %8$s
                    limit 1
                ) f;
            end if;
            was := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            if found is not null and rows_at is not null then
                seen := array(select (rows_at ->> f.place::text)::int from unnest(found) f (place));
            elsif found is not null then
                seen := array(
                    select list[w.n]
                    from unnest(asked) with ordinality w (place, n)
                    where w.place = any (found));
            end if;
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
    was := set_config('role', 'none', true);
end
$sight$
$template$,
        '_sight_' || w.id, parts.variables, parts.values, parts.targets, parts.columns, w.name,
        replace(replace(w.name, '''', ''''''), '%', '%%'), parts.matches, w.name);

    execute format('comment on function rowcast.%I%s is %L',
        '_sight_' || w.id, signature, 'Sight of ' || w.name || ', written by rowcast.watch(); do not edit, watch again.');
    execute format('revoke all on function rowcast.%I%s from public', '_sight_' || w.id, signature);

    -- whoever may ask at all may ask of this table
    for reader in
        select a.grantee::regrole as name
        from pg_proc p
        cross join lateral aclexplode(p.proacl) a
        where p.oid = to_regproc('rowcast.sees')
            and a.grantee not in (0, p.proowner)
    loop
        execute format('grant execute on function rowcast.%I%s to %s', '_sight_' || w.id, signature, reader.name);
    end loop;
end
$outer$;

comment on function rowcast._write_sight(rowcast.watches) is
    'Writes the function that tells who sees which rows of one watched table; drops it where there is no key.';

create or replace function rowcast._drop_sight(watch int)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regproc(format('rowcast._sight_%s', watch)) is not null then
        execute format(
            'drop function rowcast.%I(text, text, jsonb, text[], text[], int[], int[], int[], int)',
            '_sight_' || watch);
    end if;
end
$$;

comment on function rowcast._drop_sight(int) is
    'Drops what _write_sight() wrote. Only the owner of the schema may.';
