-- Views for operators: what is on the feed, and how far behind anyone can be.

create or replace view rowcast.watched as
select w.relation,
    w.name,
    w.topic,
    w.columns,
    case when c.relreplident = 'f' then 'full' else w.identity end as identity,
    w.key_columns,
    t.n as triggers,
    4 * f.n as triggers_wanted,
    w.watched_at
from rowcast.watches w
left join pg_class c on c.oid = w.relation
cross join lateral (
    select count(*) as n
    from rowcast._family(w.relation) m
    join pg_class k on k.oid = m.child
) f
cross join lateral (
    select count(*) as n
    from pg_trigger g
    join rowcast._family(w.relation) m on m.child = g.tgrelid
    where g.tgfoid = to_regprocedure(format('rowcast._capture_%s()', w.id))
        and g.tgenabled in ('O', 'A')
) t;

comment on view rowcast.watched is
    'The watched tables. `triggers` less than `triggers_wanted`: something was disabled or attached; watch again.';

create or replace view rowcast.lag as
select s.history,
    s.pruned_below,
    pg_total_relation_size('rowcast.changes') as log_bytes,
    (select c.at from rowcast.changes c order by c.xid, c.id limit 1) as oldest_change_at,
    (select c.at from rowcast.changes c order by c.xid desc, c.id desc limit 1) as newest_change_at,
    k.at as checkpoint_at,
    clock_timestamp() - k.at as checkpoint_age,
    -- transactions that may still add rows below the newest checkpoint, and hold back pruning
    (select count(*) from pg_snapshot_xip(pg_current_snapshot())) as open_transactions,
    pg_snapshot_xmin(pg_current_snapshot()) as oldest_open_xid,
    pg_notification_queue_usage() as notification_queue_usage,
    (select count(*) from rowcast.failures f where f.at > clock_timestamp() - interval '1 hour')
        as failures_last_hour,
    (select count(*) from rowcast.nodes n where n.seen_at > clock_timestamp() - interval '30 seconds')
        as nodes_alive
from rowcast.state s
left join lateral (
    select c.at
    from rowcast.checkpoints c
    order by c.at desc
    limit 1
) k on true;

comment on view rowcast.lag is
    'One row: the extent of the log, its newest checkpoint, what holds back pruning, what went wrong lately.';
