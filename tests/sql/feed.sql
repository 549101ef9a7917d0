-- The machinery of the feed: the bell, checkpoints, retention, adoption of a history, heartbeats, the doctor.

begin;

do $$
declare
    t bigint;
    n bigint;
    old_at timestamptz;
    node uuid := '11111111-1111-4111-8111-111111111111';
begin
    insert into chat.threads default values returning id into t;

    -- silent on request; else once for a transaction, however many statements
    perform set_config('rowcast.silent', 'on', true);
    insert into chat.messages (thread_id, content) values (t, 'a');
    set constraints all immediate;
    assert coalesce(current_setting('rowcast.rung', true), '') = '', 'rung, though silent';
    perform set_config('rowcast.silent', 'off', true);
    insert into chat.messages (thread_id, content) values (t, 'b');
    assert current_setting('rowcast.rung', true) = 'on', 'not rung';
    assert exists (
        select from pg_locks
        where locktype = 'advisory' and classid = 1919907683 and objid = 1 and pid = pg_backend_pid());
    insert into chat.messages (thread_id, content) values (t, 'c');
    perform rowcast.echo('t_token');

    -- checkpoints: the time after the snapshot, never back
    old_at := clock_timestamp();
    assert rowcast.checkpoint() >= old_at;
    perform rowcast.checkpoint();
    assert (select count(*) from rowcast.checkpoints where at >= old_at) = 2;
    -- after the clock was set back beyond all times handed out, and then a microsecond apart
    delete from rowcast.checkpoints;
    old_at := clock_timestamp() + interval '1 hour';
    insert into rowcast.checkpoints values (old_at - interval '1 minute', pg_current_snapshot()), (old_at, pg_current_snapshot());
    for n in 0..2 loop
        perform rowcast.checkpoint();
        assert (select max(at) from rowcast.checkpoints)
            = old_at + interval '5 seconds' + n * interval '1 microsecond', 'not as after a clock set back';
    end loop;
    delete from rowcast.checkpoints;

    -- pruning: below the xmin of a checkpoint older than `keep`, in batches; that checkpoint stays
    delete from rowcast.changes;
    insert into rowcast.changes (xid, topic, relation, op)
    select '5', 'table:t', 't', 'INSERT' from generate_series(1, 5);
    insert into rowcast.changes (xid, topic, relation, op) values ('8', 'table:t', 't', 'INSERT'),
        ('12', 'table:t', 't', 'INSERT');
    assert rowcast.prune('1 hour', 10) = 0, 'no checkpoint, no pruning';
    insert into rowcast.checkpoints values
        (now() - interval '4 hours', '3:3:'),
        (now() - interval '3 hours', '8:11:8'),
        (now() - interval '1 minute', '13:13:');
    assert rowcast.prune('1 hour', 3) = 3;
    assert rowcast.prune('1 hour', 3) = 2;
    assert rowcast.prune('1 hour', 3) = 0;
    assert (select array_agg(xid::text order by id) from rowcast.changes) = '{8,12}', 'an open transaction was cut';
    assert (select pruned_below from rowcast.state) = '8'::xid8;
    assert (select min(at) from rowcast.checkpoints) = now() - interval '3 hours';
    assert (select count(*) from rowcast.checkpoints) = 2;

    -- histories
    update rowcast.state set history = null;
    assert rowcast.history() ~ '^\d+:[0-9A-F]{8}:\d+:\d+$';
    assert rowcast.adopt('1:00000001:5:6') = 'new';
    assert rowcast.adopt('1:00000001:5:6') = 'same';
    assert rowcast.adopt('1:00000002:5:6') = 'failover';
    assert (select count(*) from rowcast.changes) = 2, 'the log is kept';
    begin
        perform rowcast.adopt('nonsense');
        assert false;
    exception when sqlstate 'RC400' then
        null;
    end;
    assert rowcast.adopt('2:00000002:5:6') = 'restored';
    assert (select count(*) from rowcast.changes) = 0 and (select count(*) from rowcast.checkpoints) = 0;
    assert (select pruned_below from rowcast.state) >= pg_snapshot_xmin(pg_current_snapshot());

    -- nodes
    perform rowcast.heartbeat(node, 't_node', '1', now(), '{"connections": 1}');
    perform rowcast.heartbeat(node, 't_node', '1', now(), null);
    assert (select counts from rowcast.nodes where id = node) = '{}';
    update rowcast.nodes set seen_at = now() - interval '2 days' where id = node;
    perform rowcast.heartbeat('22222222-2222-4222-8222-222222222222', 'other', '1', now(), '{}');
    assert not exists (select from rowcast.nodes where id = node), 'forgotten after a day';
    perform rowcast.goodbye('22222222-2222-4222-8222-222222222222');
    assert not exists (select from rowcast.nodes where name = 'other');

    -- the doctor sees a disabled trigger, and has a remedy for all that is wrong
    assert (select ok from rowcast.doctor() where check_name = 'triggers of chat.messages');
    alter table chat.messages disable trigger _900_rowcast_insert;
    assert (select not ok and remedy like 'alter table chat.messages%'
        from rowcast.doctor() where check_name = 'triggers of chat.messages');
    alter table chat.messages enable trigger _900_rowcast_insert;
    assert not exists (select from rowcast.doctor() where not ok and remedy is null);
    assert (select count(*) from rowcast.lag) = 1;
end
$$;

rollback;
