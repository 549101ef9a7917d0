-- Private channels: what the policies of realtime.messages let a subject do, found out by trying.
--
-- As the reference does: rows are inserted, looked for under the subject's role and claims, and rolled back. The
-- rollback is that of an exception block, so all of it is one statement; what was found is in a variable by then.

create or replace function rowcast.may_read(
    role text,
    sub text,
    claims text,
    channel text,
    headers text,
    presence boolean)
returns text[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    path text := rowcast._path_of(role);
    asked text[] := case when presence then '{broadcast,presence}' else '{broadcast}' end;
    probes uuid[];
    readable text[];
    was text;
begin
    perform rowcast._refuse_channel(role);
    perform set_config('synchronous_commit', 'off', true);
    perform set_config('rowcast.probe', 'on', true);
    probes := array(select gen_random_uuid() from unnest(asked));
    begin
        insert into realtime.messages (id, topic, extension, private)
        select p.id, channel, p.extension, true
        from unnest(probes, asked) p (id, extension);

        was := set_config('request.jwt.claims', claims, true);
        was := set_config('request.jwt.claim.sub', sub, true);
        was := set_config('request.jwt.claim.role', role, true);
        was := set_config('request.headers', headers, true);
        was := set_config('realtime.topic', channel, true);
        was := set_config('role', role, true);
        was := set_config('search_path', path, true);
        select pg_catalog.array_agg(m.extension)
        into readable
        from realtime.messages m
        where m.id operator(pg_catalog.=) any (probes);
        raise exception using errcode = 'RC000';
    exception when sqlstate 'RC000' then null;
    end;
    return coalesce(readable, '{}');
end
$$;

comment on function rowcast.may_read(text, text, text, text, text, boolean) is
    'Which of the extensions broadcast and presence a subject may hear in a private channel.';

create or replace function rowcast.may_write(
    role text,
    sub text,
    claims text,
    channel text,
    headers text,
    extension text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    path text := rowcast._path_of(role);
    was text;
begin
    perform rowcast._refuse_channel(role);
    perform set_config('synchronous_commit', 'off', true);
    perform set_config('rowcast.probe', 'on', true);
    begin
        was := set_config('request.jwt.claims', claims, true);
        was := set_config('request.jwt.claim.sub', sub, true);
        was := set_config('request.jwt.claim.role', role, true);
        was := set_config('request.headers', headers, true);
        was := set_config('realtime.topic', channel, true);
        was := set_config('role', role, true);
        was := set_config('search_path', path, true);
        insert into realtime.messages (topic, extension, private)
        values (channel, may_write.extension, true);
        raise exception using errcode = 'RC000';
    exception
        when sqlstate 'RC000' then return true;
        when insufficient_privilege then return false;
    end;
end
$$;

comment on function rowcast.may_write(text, text, text, text, text, text) is
    'Whether a subject may speak in a private channel by an extension: broadcast, presence.';

create or replace function rowcast._refuse_channel(role text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('realtime.messages') is null then
        raise exception 'this database has no private channels: realtime.messages is missing'
            using errcode = 'RC409';
    end if;
    perform rowcast._refuse_role(role);
    if not exists (
        select
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass('realtime.messages')
            and c.relname = 'messages_' || to_char(timezone('utc', now()), 'YYYY_MM_DD'))
    then
        perform rowcast.keep_messages(interval '72 hours');
    end if;
end
$$;

comment on function rowcast._refuse_channel(text) is
    'Raises when private channels cannot be asked about for a role; sees to the partition of today.';
