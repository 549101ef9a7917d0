-- The bell: tells the bridges at commit that there is something to read.
--
-- A NOTIFY makes a commit hold a cluster-wide lock over its WAL flush, so a commit that notifies never shares
-- a flush with another. Hence not every commit rings: a deferred trigger decides at the very end, and only who
-- gets the advisory lock at once does. The others are found by the reads that follow every ring.
--
-- The bell carries nothing anyone relies on (NOTIFY has no permissions), and it never fails a commit.
-- A transaction that will PREPARE says `set local rowcast.silent = on`: PREPARE refuses after a NOTIFY.

create or replace function rowcast._ring()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- rung already by an earlier statement of this transaction (the setting dies with it), or asked not to
    if current_setting('rowcast.rung', true) = 'on'
        or current_setting('rowcast.silent', true) in ('on', 'true')
    then
        return null;
    end if;

    if pg_try_advisory_xact_lock(1919907683, 1) and pg_notification_queue_usage() <= 0.5 then
        perform set_config('rowcast.rung', 'on', true);
        perform pg_notify(
            'rowcast',
            format('{"v":1,"xid":"%s","at":"%s"}',
                new.xid,
                to_char(new.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
    end if;
    return null;
exception when others then
    raise warning 'rowcast: the bell failed: % (%)', sqlerrm, sqlstate;
    return null;
end
$$;

comment on function rowcast._ring() is
    'Deferred trigger of rowcast.changes: rings at commit unless another commit is ringing right now.';

create or replace function rowcast.echo(token text)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    select pg_notify('rowcast_echo', token);
$$;

comment on function rowcast.echo(text) is
    'Sends the token to whoever listens on rowcast_echo: the bridge proves that its listener hears.';
