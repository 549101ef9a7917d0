-- Checkpoints: which transactions were finished at which time.
--
-- "Everything since T" is exact when it starts from the newest checkpoint at or before T: what that snapshot
-- sees was committed before T, and what it does not see is given, however long it stayed open.
--
-- The clock may be set back. Then checkpoints, and the times of positions, go on five seconds after the newest, beyond
-- what was captured or handed out since that one, and a microsecond apart until the clock has caught up; and who asks
-- since a time in the future asks since now (`least(since, clock_timestamp())`), which stands for a checkpoint from
-- before. So a position's time is not before that of any change that it has seen, and a time repeats and skips nothing.

create or replace function rowcast.moment()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    taken timestamptz := clock_timestamp();
    newest timestamptz;
begin
    select max(c.at)
    into newest
    from rowcast.checkpoints c;

    -- another node's checkpoint of just now is no sign of a clock set back
    if newest is null or taken > newest - interval '10 milliseconds' then
        return greatest(taken, newest);
    end if;

    -- once it was noticed, the last two are one of these steps apart
    perform
    from rowcast.checkpoints c
    where c.at in (newest - interval '1 microsecond', newest - interval '5 seconds');
    return newest + case when found then interval '0' else interval '5 seconds' end;
end
$$;

comment on function rowcast.moment() is
    'The time for a position whose snapshot was just taken: the clock, but never back.';

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

    perform rowcast.notice_recovery();

    -- first the snapshot, then the clock; never the other way round
    snap := pg_current_snapshot();
    taken := clock_timestamp();

    insert into rowcast.checkpoints (at, snapshot)
    select greatest(rowcast.moment(), (select max(c.at) from rowcast.checkpoints c) + interval '1 microsecond'), snap
    on conflict (at) do nothing;
    return taken;
end
$$;

comment on function rowcast.checkpoint() is
    'Stores the current snapshot with the time after it; called every 250 ms while there is traffic.';

create or replace function rowcast.checkpoint_at(since timestamptz, out snapshot pg_snapshot, out at timestamptz)
returns record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    select c.snapshot, c.at
    into snapshot, at
    from rowcast.checkpoints c
    where c.at <= least(since, clock_timestamp())
    order by c.at desc
    limit 1;
end
$$;

comment on function rowcast.checkpoint_at(timestamptz) is
    'The newest checkpoint at or before a time, nulls where there is none; a time in the future stands for now.';
