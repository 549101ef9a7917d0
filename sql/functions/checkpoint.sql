-- Checkpoints: which transactions were finished at which time.
--
-- "Everything since T" is exact when it starts from the newest checkpoint at or before T: what that snapshot
-- sees was committed before T, and what it does not see is given, however long it stayed open.

create or replace function rowcast.checkpoint()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    snap pg_snapshot;
    taken timestamptz;
begin
    -- a lost checkpoint only means that the one before is used
    perform set_config('synchronous_commit', 'off', true);

    -- first the snapshot, then the clock; never the other way round
    snap := pg_current_snapshot();
    taken := clock_timestamp();

    -- and never back, should the clock be set back
    insert into rowcast.checkpoints (at, snapshot)
    select greatest(taken, (select max(c.at) from rowcast.checkpoints c) + interval '1 microsecond'), snap
    on conflict (at) do nothing;
    return taken;
end
$$;

comment on function rowcast.checkpoint() is
    'Stores the current snapshot with the time after it; called every 250 ms while there is traffic.';
