-- What apps call: realtime.send() and its like, with the names and signatures that they know.
--
-- Anyone who may use the schema may call them: they do nothing that the caller's own rights on realtime.messages
-- do not allow. An error is a WARNING; the caller's own write goes through.

create or replace function rowcast._install_realtime_functions()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $outer$
begin
    if not has_schema_privilege('realtime', 'create') then
        return;
    end if;

    perform rowcast._offer('realtime.topic()', 'the channel that a policy is asked about.', $definition$
realtime.topic()
returns text
language sql
stable
as $$
    select case when pg_catalog.current_setting('realtime.topic', true) operator(pg_catalog.<>) ''
        then pg_catalog.current_setting('realtime.topic', true) end;
$$
$definition$);

    -- only what is ours is sent to: on a table of others their own functions are there
    if not rowcast._is_ours(obj_description(to_regclass('realtime.messages'), 'pg_class')) then
        return;
    end if;

    perform rowcast._offer('realtime._make_partition()', 'today''s partition, where the bridge was not there to make it.', $definition$
realtime._make_partition()
returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
    select rowcast._make_partition(timezone('utc', now())::date);
$$
$definition$);

    perform rowcast._offer('realtime._insert(jsonb,bytea,text,text,boolean,uuid)', 'what send() and send_binary() do.', $definition$
realtime._insert(payload jsonb, binary_payload bytea, event text, topic text, private boolean, id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('realtime.topic', topic, true);
    for attempt in 1 .. 2 loop
        begin
            insert into realtime.messages (id, payload, binary_payload, event, topic, private, extension)
            values (id, payload, binary_payload, event, topic, private, 'broadcast');
            return;
        exception when check_violation then
            -- no partition for today: the bridge has been away for days
            if attempt = 2 then
                raise;
            end if;
            perform realtime._make_partition();
        end;
    end loop;
exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$
$definition$);

    perform rowcast._offer('realtime.send(jsonb,text,text,boolean)', 'broadcasts a message to a channel when the transaction commits.', $definition$
realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    id uuid := gen_random_uuid();
begin
    if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
        payload := payload || jsonb_build_object('id', id);
    end if;
    perform realtime._insert(payload, null, event, topic, private, id);
end
$$
$definition$);

    perform rowcast._offer('realtime.send_binary(bytea,text,text,boolean)', 'broadcasts bytes to a channel when the transaction commits.', $definition$
realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select realtime._insert(null, payload, event, topic, private, gen_random_uuid());
$$
$definition$);

    perform rowcast._offer('realtime.broadcast_changes(text,text,text,text,text,record,record,text)', 'broadcasts a row''s change; call it in a trigger for each row.', $definition$
realtime.broadcast_changes(
    topic_name text,
    event_name text,
    operation text,
    table_name text,
    table_schema text,
    new record,
    old record,
    level text default 'ROW')
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'Unexpected operation type: %', operation;
    end if;
    perform realtime.send(
        jsonb_build_object(
            'old_record', old,
            'record', new,
            'operation', operation,
            'table', table_name,
            'schema', table_schema),
        event_name,
        topic_name);
exception when others then
    raise warning 'WarnSendingBroadcastMessage: Failed to process the row: %', sqlerrm;
end
$$
$definition$);
end
$outer$;

comment on function rowcast._install_realtime_functions() is
    'Makes the functions of schema realtime.';
