-- Watching: puts any table on the feed, and takes it off again.
--
-- watch() writes one capture function for the table, rowcast._capture_<id>(), with the names of its columns
-- spelled out (a static statement has a cached plan), and four statement triggers that call it. Calling watch
-- again renews the function and adds what is missing; nothing is locked when nothing is.
--
-- Which tables. Ordinary and partitioned ones of which the caller is the owner or a member of the owning role.
-- A table needs a key: its primary key, else the index of its replica identity. Without one only identity
-- 'full' (or replica identity full) will do, and its changes have no key. Children (partitions or inheritance)
-- are watched along with their parent, under its topic: a write through the parent fires the parent's triggers
-- only, a write straight to a child only the child's, so nothing is logged twice. Call watch again after a
-- child was attached or detached, or a table renamed; rowcast.doctor() says when.
--
-- What the record holds. `columns`, or the whole row, columns added later included. (A parent in table
-- inheritance fixes its list of columns at watch: its children may have more.)
--
-- Who runs what. The capture function is `security definer`: it runs as the owner of this schema, because a
-- writer has no rights on the log. It must therefore run nobody else's code. to_jsonb() can be made to: it calls
-- the cast to json of a user-defined type, which that type's owner may write. So the row goes through to_jsonb()
-- only when the table's owner is *trusted*: may act as the owner of this schema anyway. For any other table each
-- column is printed by its type's output function, by format('%s'), and read back as the built-in type it is;
-- a column of a user-defined type becomes its text. No cast, no operator, no function of theirs is called,
-- whatever is altered later. Such a table's list of columns is fixed at watch.
-- watch() itself runs as its caller, who must be able to create the triggers. The two steps that need our
-- rights, _define_capture() and _forget_capture(), are definer functions that check the *session* user: inside
-- them current_user is us, and nothing else about the caller can be trusted.

create or replace function rowcast.watch(
    relation regclass,
    topic text default null,
    columns text[] default null,
    identity text default 'key')
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    capture text;
    logged text;
    member record;
    event record;
begin
    select d.capture, d.topic
    into capture, logged
    from rowcast._define_capture(relation, topic, columns, identity) d;

    for member in
        select f.child
        from rowcast._family(relation) f
    loop
        for event in
            select *
            from (values
                ('_900_rowcast_insert', 'insert', 'referencing new table as new_rows'),
                ('_900_rowcast_update', 'update', 'referencing old table as old_rows new table as new_rows'),
                ('_900_rowcast_delete', 'delete', 'referencing old table as old_rows'),
                ('_900_rowcast_truncate', 'truncate', '')
            ) e (name, op, rows)
        loop
            if not exists (
                select
                from pg_trigger t
                where t.tgrelid = member.child
                    and t.tgname = event.name
                    and t.tgfoid = capture::regprocedure)
            then
                execute format(
                    'create trigger %I after %s on %s %s for each statement execute function %s',
                    event.name, event.op, member.child, event.rows, capture);
            end if;
        end loop;
    end loop;
    return logged;
end
$$;

comment on function rowcast.watch(regclass, text, text[], text) is
    'Puts a table on the feed and returns its topic, table:<schema>.<name> unless given. Repeatable.';

create or replace function rowcast.unwatch(relation regclass)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    capture text;
    attached record;
begin
    capture := rowcast._capture_of(relation);
    if capture is null then
        return false;
    end if;

    for attached in
        select t.tgname, t.tgrelid::regclass as child
        from pg_trigger t
        where t.tgfoid = to_regprocedure(capture)
    loop
        execute format('drop trigger %I on %s', attached.tgname, attached.child);
    end loop;
    perform rowcast._forget_capture(relation);
    return true;
end
$$;

comment on function rowcast.unwatch(regclass) is
    'Takes a table off the feed; false when it was not on it. For a dropped table: rowcast.unwatch(<oid>).';

create or replace function rowcast._family(relation regclass)
returns table (child regclass)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive family (child) as (
        select relation::oid
        union
        select i.inhrelid
        from family f
        join pg_inherits i on i.inhparent = f.child
    )
    select f.child::regclass
    from family f;
$$;

comment on function rowcast._family(regclass) is
    'A table, its partitions and its inheritance children, at every depth.';

create or replace function rowcast._capture_of(relation oid)
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select format('rowcast._capture_%s()', w.id)
    from rowcast.watches w
    where w.relation = $1;
$$;

comment on function rowcast._capture_of(oid) is
    'The capture function of a watched table; null when it is not watched.';

create or replace function rowcast._key_of(relation regclass)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array_agg(a.attname::text order by k.nth)
    from (
        select i.indrelid, i.indkey, i.indnkeyatts
        from pg_index i
        where i.indrelid = relation
            and i.indisvalid
            and (i.indisprimary or i.indisreplident)
        order by i.indisprimary desc
        limit 1
    ) i
    cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, nth)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where k.nth <= i.indnkeyatts;
$$;

comment on function rowcast._key_of(regclass) is
    'The columns that tell rows apart: the primary key, else the replica identity index; null for none.';

create or replace function rowcast._refuse(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when n.nspname || c.relname is distinct from rowcast._printable(n.nspname || c.relname)
            then 'has a control character in its name or its schema''s, which no topic can have; rename it'
        when n.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then 'is a system table'
        when n.nspname = 'rowcast' then 'is the bridge''s own'
        when n.nspname = 'chat' then 'is on the feed already, under topics of its own'
        when c.relkind in ('v', 'm') then 'is a view; watch the tables it reads'
        when c.relkind = 'f' then 'is a foreign table: changes made elsewhere fire no trigger here'
        when c.relkind not in ('r', 'p') then 'is not a table'
        when c.relpersistence = 't' then 'is temporary'
        when exists (
            select
            from rowcast._family(relation) f
            join pg_class p on p.oid = f.child
            where p.relkind = 'f') then 'has a foreign table among its children'
        when exists (
            select
            from rowcast._family(relation) f
            join pg_trigger t on t.tgrelid = f.child
            where t.tgname like '\_900\_rowcast\_%'
                and t.tgfoid is distinct from to_regprocedure(rowcast._capture_of(relation)))
            then 'is watched, or has a child watched, as part of another table; unwatch that first'
    end
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = relation;
$$;

comment on function rowcast._refuse(regclass) is
    'Why a table cannot be watched; null when it can.';

create or replace function rowcast._printable(name text)
returns text
language sql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
    select regexp_replace(name, '[\u0001-\u001f\u007f-\u009f]', '?', 'g');
$$;

comment on function rowcast._printable(text) is
    'A name without the control characters that could write over what stands around it.';
