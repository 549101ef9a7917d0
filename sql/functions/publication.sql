-- Publications: what a publication has is watched, what it no longer has is not. Only what was watched for it goes.

create or replace function rowcast.sync_publication(name text default 'supabase_realtime')
returns table (relation text, done text, problem text)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    publication pg_publication;
    t record;
begin
    select *
    into publication
    from pg_publication p
    where p.pubname = sync_publication.name;

    insert into rowcast.publications (name)
    select sync_publication.name
    where found
    on conflict do nothing;
    if publication is null and not exists (
        select
        from rowcast.publications p
        where p.name = sync_publication.name)
    then
        raise exception 'there is no publication %', quote_literal(sync_publication.name)
            using errcode = 'RC404';
    end if;

    for t in
        select coalesce(p.oid, w.relation::oid) as oid,
            p.oid is not null as wanted,
            w.id is not null as watched,
            w.publication,
            w.id is not null and (
                w.key_columns is distinct from coalesce(rowcast._key_of(p.oid), '{}')
                or w.name is distinct from p.shown
                or (not w.trusted and w.columns is null and w.watched_columns <> rowcast._columns_of(p.oid))
                or v.triggers < v.triggers_wanted
            ) as changed,
            coalesce(p.shown, w.name) as shown,
            p.keyless
        from (
            select c.oid,
                format('%I.%I', n.nspname, c.relname) as shown,
                rowcast._key_of(c.oid) is null and c.relreplident <> 'f' as keyless
            from rowcast._published(sync_publication.name) r
            join pg_class c on c.oid = r.relation
            join pg_namespace n on n.oid = c.relnamespace
        ) p
        full join rowcast.watches w on w.relation = p.oid
        left join rowcast.watched v on v.relation = w.relation
        where p.oid is not null or w.publication = sync_publication.name
        order by 6
    loop
        relation := t.shown;
        done := null;
        problem := null;
        begin
            -- a busy table is for the next time: who waits for its lock holds up its writers
            perform set_config('lock_timeout', '1s', true);
            if not t.wanted then
                perform rowcast.unwatch(t.oid);
                done := 'unwatched';
            elsif not t.watched then
                perform rowcast.watch(t.oid, identity => case when t.keyless then 'full' else 'key' end);
                update rowcast.watches w
                set publication = sync_publication.name
                where w.relation = t.oid;
                done := 'watched';
            elsif t.changed and t.publication = sync_publication.name then
                perform rowcast.watch(t.oid, identity => case when t.keyless then 'full' else 'key' end);
                done := 'watched again';
            end if;
        exception when others then
            problem := sqlerrm;
        end;
        if done is not null or problem is not null then
            return next;
        end if;
    end loop;
end
$$;

comment on function rowcast.sync_publication(text) is
    'Watches what a publication has, unwatches what it no longer has; tells what was done and what was not, and why.';

create or replace function rowcast._published(name text)
returns table (relation regclass)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    -- partitions are watched with their parent, where that is published too
    select distinct case
        when p.puballtables or r.prrelid is not null then x.root
        else x.leaf
    end::regclass
    from (
        select t.pubname, c.oid as leaf, coalesce(pg_partition_root(c.oid)::oid, c.oid) as root
        from pg_publication_tables t
        join pg_namespace n on n.nspname = t.schemaname
        join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
        where t.pubname = _published.name
            and t.schemaname not in ('rowcast', 'chat', 'realtime')
    ) x
    join pg_publication p on p.pubname = x.pubname
    left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = x.root;
$$;

comment on function rowcast._published(text) is
    'The tables of a publication, a partitioned one instead of its partitions.';

create or replace function rowcast.sync_publications()
returns table (relation text, done text, problem text)
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select s.relation, s.done, s.problem
    from rowcast.publications p
    cross join lateral rowcast.sync_publication(p.name) s;
$$;

comment on function rowcast.sync_publications() is
    'Synchronises every publication that was taken over; the bridge calls it regularly.';

create or replace function rowcast._capture_watches()
returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' then
        insert into rowcast.changes (topic, relation, op, key, old_record, ring)
        select 'table:rowcast.watches',
            'rowcast.watches',
            tg_op,
            jsonb_build_object('id', o.id),
            jsonb_build_object('id', o.id, 'name', o.name, 'topic', o.topic, 'publication', o.publication),
            row_number() over () = 1
        from old_rows o;
    else
        insert into rowcast.changes (topic, relation, op, key, record, ring)
        select 'table:rowcast.watches',
            'rowcast.watches',
            tg_op,
            jsonb_build_object('id', n.id),
            jsonb_build_object('id', n.id, 'name', n.name, 'topic', n.topic, 'publication', n.publication),
            row_number() over () = 1
        from new_rows n;
    end if;
    return null;
exception when others then
    perform rowcast._failed('rowcast.watches', tg_op, sqlstate, sqlerrm);
    return null;
end
$$;

comment on function rowcast._capture_watches() is
    'Tells through the log what is watched and what no longer is.';
