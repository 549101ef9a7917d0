-- Partitions of realtime.messages: one a day, made ahead by the bridge, dropped when they are too old.

create or replace function rowcast._make_partition(day date)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    name text := format('messages_%s', to_char(day, 'YYYY_MM_DD'));
begin
    if to_regclass(format('realtime.%I', name)) is not null then
        return false;
    end if;
    -- attaching, unlike creating in place, lets others write meanwhile
    execute format(
        'create table realtime.%I (like realtime.messages including defaults including constraints)', name);
    execute format(
        'alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', name, day, day + 1);
    return true;
exception when duplicate_table or unique_violation or invalid_object_definition then
    return false;
end
$$;

comment on function rowcast._make_partition(date) is
    'Makes the partition of realtime.messages for one day; false when it is there.';

create or replace function rowcast.keep_messages(keep interval)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    messages regclass := to_regclass('realtime.messages');
    today date := timezone('utc', now());
    old record;
    changed int := 0;
begin
    -- what is not ours is kept up by whose it is
    if messages is null
        or not rowcast._is_ours(obj_description(messages, 'pg_class'))
        or not (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = messages)
    then
        return 0;
    end if;

    -- a partition is locked for a moment when it comes or goes: better later than at the cost of writers
    perform set_config('lock_timeout', '1s', true);
    for ahead in -1 .. 3 loop
        changed := changed + rowcast._make_partition(today + ahead)::int;
    end loop;

    for old in
        select c.relname
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = messages
            and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
            and to_date(substr(c.relname, 10), 'YYYY_MM_DD') + 1 <= timezone('utc', now()) - keep
    loop
        execute format('drop table realtime.%I', old.relname);
        changed := changed + 1;
    end loop;
    -- as late as the last partition that may have its message
    delete from rowcast.message_ends e
    where e.ends_at < now() - keep - interval '1 day';
    return changed;
exception when lock_not_available then
    return 0;
end
$$;

comment on function rowcast.keep_messages(interval) is
    'Keeps partitions of realtime.messages from yesterday to three days ahead, drops those that are older than `keep`.';
