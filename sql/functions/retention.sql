-- Retention: the log forgets what is older than `keep`, in small batches, on one node at a time.
--
-- Only below the xmin of a checkpoint, so a transaction that is still open is never cut off, and a cursor that
-- is too old can be told from `pruned_below`, which is stored in the same transaction as the delete.

create or replace function rowcast.prune(keep interval, batch int)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    boundary_at timestamptz;
    boundary xid8;
    pruned bigint;
begin
    if not pg_try_advisory_xact_lock(1919907683, 2) then
        return 0;
    end if;
    perform set_config('synchronous_commit', 'off', true);

    -- the newest checkpoint older than `keep` stays: it is the one that times just inside `keep` need
    select c.at, pg_snapshot_xmin(c.snapshot)
    into boundary_at, boundary
    from rowcast.checkpoints c
    where c.at < clock_timestamp() - keep
    order by c.at desc
    limit 1;

    if boundary is null then
        return 0;
    end if;

    update rowcast.state s
    set pruned_below = boundary
    where s.pruned_below < boundary;

    delete from rowcast.changes c
    using (
        select d.xid, d.id
        from rowcast.changes d
        where d.xid < boundary
        order by d.xid, d.id
        limit batch
    ) old
    where c.xid = old.xid
        and c.id = old.id;
    get diagnostics pruned = row_count;

    if pruned < batch then
        delete from rowcast.checkpoints c
        where c.at < boundary_at;

        delete from chat.check_bookmarks b
        where b.at < clock_timestamp() - interval '1 day';

        delete from chat.revoked_tokens t
        where t.expires_at < clock_timestamp() - interval '1 day';

        delete from rowcast.failures f
        where f.at < clock_timestamp() - interval '30 days';
    end if;
    return pruned;
end
$$;

comment on function rowcast.prune(interval, int) is
    'Deletes one batch of the log older than `keep`; 0: done, or another node is at it.';
