-- Whose history the log tells: noticed when a database was failed over or restored under a running bridge.
--
-- Transaction ids mean something within one history only. After a dump and restore all of them look as if they
-- were still to come; after a failover that lost its tail the last ones are used again.
--
-- So they are after a crash, for numbers that had not reached the disk; there the times of changes tell the new from the
-- old. Where the clock was set back before the crash they do not, and another history begins as well.

create or replace function rowcast.history()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format('%s:%s%s:%s:%s',
        (select s.system_identifier from pg_control_system() s),
        -- pg_control_checkpoint() lags behind a promotion, the name of the current WAL file does not
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
        (select '.' || s.unordered from rowcast.state s where s.unordered > 0),
        (select d.oid from pg_database d where d.datname = current_database()),
        'rowcast.changes'::regclass::oid);
$$;

comment on function rowcast.history() is
    'system_identifier:timeline:database oid:log oid. A cursor of another history is refused.';

create or replace function rowcast.notice_recovery()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    -- crash recovery starts the statistics anew, a clean restart keeps them; before 2001: not known yet
    recovered timestamptz := (select b.stats_reset from pg_stat_bgwriter b);
begin
    if recovered is null
        or recovered < '2001-01-01'
        or exists (select from rowcast.state s where s.recovered_at = recovered)
    then
        return;
    end if;

    -- no checkpoint is written after a recovery before this was called: one of a later time is from before
    update rowcast.state s
    set recovered_at = recovered,
        unordered = s.unordered + (
            select count(*)
            from (select max(c.at) as newest from rowcast.checkpoints c) k
            where k.newest >= recovered
                and s.recovered_at is not null)
    where s.recovered_at is distinct from recovered;
end
$$;

comment on function rowcast.notice_recovery() is
    'Notes that the server recovered from a crash; one that the clock cannot order begins another history.';

create or replace function rowcast.adopt(history text)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    known text;
    parts text[] := string_to_array(history, ':');
    old_parts text[];
begin
    if history is null or coalesce(cardinality(parts), 0) <> 4 then
        raise exception 'Malformed history id' using errcode = 'RC400';
    end if;

    -- the row is the lock: several bridges may start at once
    select s.history
    into known
    from rowcast.state s
    for update;

    if known = history then
        return 'same';
    end if;

    update rowcast.state s
    set history = adopt.history,
        adopted_at = clock_timestamp();

    if known is null then
        return 'new';
    end if;

    old_parts := string_to_array(known, ':');
    if parts[1] = old_parts[1] and parts[3] = old_parts[3] and parts[4] = old_parts[4] then
        return 'failover';
    end if;

    truncate rowcast.changes, rowcast.checkpoints, chat.check_bookmarks;
    update rowcast.state
    set pruned_below = pg_snapshot_xmax(pg_current_snapshot());
    return 'restored';
end
$$;

comment on function rowcast.adopt(text) is
    'Compares a history id with the stored one and stores it: same, new, failover (log kept), restored (log emptied).';
