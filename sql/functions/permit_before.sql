-- Who could see a row that is no longer as it was: the policies' own expressions, evaluated on the logged row.
--
-- Row security judges what is in the table; a deleted row is not. So the USING expressions of the policies that
-- apply to the role are put together as the database does, one permissive one and every restrictive one, and
-- evaluated under the subject's role and claims. pg_get_expr() writes them out with every name qualified, since
-- the search_path is ours; subqueries in them refer to the row by the table's name, hence the alias.

create or replace function rowcast.saw(
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
declare
    began timestamptz := clock_timestamp();
    judgement text;
    path text := rowcast._path_of(role);
    list int[];
    was text;
begin
    perform rowcast._refuse_subject(watch, role);
    judgement := rowcast._judgement(watch, role);

    was := set_config('role', role, true);
    was := set_config('request.jwt.claim.role', role, true);
    for subject in 1 .. cardinality(subs) loop
        exit when subject > 1 and clock_timestamp() > began + budget * interval '1 ms';
        if current_user::text <> role then
            raise exception 'a policy changed the role';
        end if;
        nth := subject;
        seen := null;
        state := null;
        message := null;
        list := wanted[firsts[lists[subject]]:firsts[lists[subject] + 1] - 1];
        begin
            was := set_config('request.jwt.claim.sub', subs[subject], true);
            was := set_config('request.jwt.claims', claims[subject], true);
            was := set_config('search_path', path, true);
            execute judgement into seen using list, rows;
            was := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        exception when others then
            seen := null;
            state := sqlstate;
            message := sqlerrm;
        end;
        return next;
    end loop;
    was := set_config('role', 'none', true);
end
$$;

comment on function rowcast.saw(int, text, jsonb, text[], text[], text[], int[], int[], int[], int) is
    'As rowcast.sees(), of whole rows as they were: by the policies'' expressions, whether or not the rows are there.';

create or replace function rowcast._judgement(watch int, role text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'select pg_catalog.array_agg(rowcast_w.nth) from pg_catalog.unnest($1) rowcast_w (nth) where ('
            'select %s from pg_catalog.jsonb_populate_record(null::%s, $2 operator(pg_catalog.->) '
            '(rowcast_w.nth operator(pg_catalog.-) 1)) as %I)',
        coalesce('(' || string_agg(p.expression, ' or ') filter (where p.polpermissive) || ')', 'false')
            || coalesce(' and ' || string_agg(p.expression, ' and ') filter (where not p.polpermissive), ''),
        format('%I.%I', n.nspname, c.relname),
        c.relname)
    from rowcast.watches w
    join pg_class c on c.oid = w.relation
    join pg_namespace n on n.oid = c.relnamespace
    left join lateral (
        select x.polpermissive, '(' || coalesce(pg_get_expr(x.polqual, x.polrelid), 'true') || ')' as expression
        from pg_policy x
        where x.polrelid = c.oid
            and x.polcmd in ('r', '*')
            and (x.polroles = '{0}' or exists (
                select
                from unnest(x.polroles) r (oid)
                where pg_has_role(to_regrole(quote_ident(role)), r.oid, 'usage')))
    ) p on true
    where w.id = watch
    group by n.nspname, c.relname;
$$;

comment on function rowcast._judgement(int, text) is
    'The query that tells which of some rows, as JSON, the policies of a watched table let a role see.';
