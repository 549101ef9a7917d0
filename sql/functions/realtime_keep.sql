-- Broadcasts that a client asks to be kept: rows like those of realtime.send(), which the feed tells and a replay gives.

create or replace function rowcast.keep_broadcast(
    role text,
    sub text,
    claims text,
    channel text,
    headers text,
    id uuid,
    event text,
    payload text,
    bytes bytea,
    seconds bigint)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    commits text := current_setting('synchronous_commit');
begin
    -- the reference's name for this right
    if not rowcast.may_write(role, sub, claims, channel, headers, 'persistence') then
        return false;
    end if;
    -- it was a probe until here
    perform set_config('synchronous_commit', commits, true);
    perform set_config('rowcast.probe', 'off', true);
    perform set_config('realtime.topic', channel, true);
    insert into realtime.messages (id, topic, event, payload, binary_payload, private, extension)
    values (id, channel, event, payload::jsonb, bytes, true, 'broadcast');
    if seconds is not null then
        insert into rowcast.message_ends (id, ends_at)
        values (id, now() + make_interval(secs => seconds));
    end if;
    return true;
end
$$;

comment on function rowcast.keep_broadcast(text, text, text, text, text, uuid, text, text, bytea, bigint) is
    'Stores a broadcast to a private channel where the subject may write `persistence` there; false where it may not.';
