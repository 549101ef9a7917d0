-- Checkpoints: which transactions were finished at which time.
--
-- "Everything since T" is exact when it starts from the newest checkpoint at or before T: what that snapshot
-- sees was committed before T, and what it does not see is given, however long it stayed open.
--
-- The clock may be set back. Then checkpoints go on a second after the newest, beyond any time that was handed out
-- since that one, a microsecond apart until the clock has caught up; and who asks since a time in the future asks since
-- now (`least(since, clock_timestamp())`), which stands for a checkpoint from before. So it repeats and skips nothing.

create or replace function rowcast.checkpoint()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    snap pg_snapshot;
    taken timestamptz;
    newest timestamptz;
    step interval := '1 microsecond';
    far interval := '1 second';
begin
    -- a lost checkpoint only means that the one before is used
    perform set_config('synchronous_commit', 'off', true);

    perform rowcast.notice_recovery();

    -- first the snapshot, then the clock; never the other way round
    snap := pg_current_snapshot();
    taken := clock_timestamp();

    select max(c.at)
    into newest
    from rowcast.checkpoints c;
    -- the first after the clock was set back: the last two are not one of these steps apart; another node's of just now
    -- is no sign of that
    if taken < newest - interval '10 milliseconds'
        and not exists (
            select
            from rowcast.checkpoints c
            where c.at in (newest - step, newest - far))
    then
        step := far;
    end if;

    insert into rowcast.checkpoints (at, snapshot)
    values (greatest(taken, newest + step), snap)
    on conflict (at) do nothing;
    return taken;
end
$$;

comment on function rowcast.checkpoint() is
    'Stores the current snapshot with the time after it; called every 250 ms while there is traffic.';
