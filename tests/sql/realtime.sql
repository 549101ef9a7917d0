-- Broadcasts from SQL: what send() and its like write and log, and that a writer never fails; publications and
-- the watches that follow them; what auth.uid() and its like read.

begin;

create function pg_temp.take(out topic text, out op text, out key jsonb, out record jsonb, out old_record jsonb)
returns setof record language sql as $$
    with gone as (delete from rowcast.changes c where c.xid = pg_current_xact_id() returning c.*)
    select g.topic, g.op, g.key, g.record, g.old_record from gone g order by g.id;
$$;

do $$
declare
    r record;
    day text := to_char(timezone('utc', now()), 'YYYY_MM_DD');
begin
    assert not exists (select from rowcast._make_roles()), 'roles are missing';
    assert not exists (select from rowcast.install_realtime()), 'something is missing';
    assert not exists (select from rowcast._doctor_realtime() where not ok and check_name not like 'role%');

    -- a message: the id is added, unless there is one
    perform realtime.send('{"a": 1}', 'e', 'room:1');
    select * into r from pg_temp.take();
    assert r.topic = 'channel:private:room:1' and r.op = 'INSERT' and r.record ->> 'event' = 'e', r;
    assert r.record -> 'payload' ->> 'id' = r.key ->> 'id' and r.record -> 'payload' -> 'a' = '1', r;
    assert realtime.topic() = 'room:1';
    perform realtime.send('{"id": 7}', 'e', 'room:1', false);
    select * into r from pg_temp.take();
    assert r.topic = 'channel:public:room:1' and r.record -> 'payload' = '{"id": 7}', r;
    perform realtime.send('[1]', 'e', 'room:1');
    assert (select record -> 'payload' from pg_temp.take()) = '[1]', 'not an object: as it is';
    perform realtime.send_binary('\x0102', 'e', 'room:1');
    assert (select record ->> 'binary_payload' from pg_temp.take()) = '\x0102';

    -- a topic that no client can hold is nobody's; other extensions are not broadcast
    perform realtime.send('{}', 'e', repeat('x', 700));
    perform realtime.send('{}', 'e', E'a\nb');
    insert into realtime.messages (topic, extension) values ('room:1', 'presence');
    assert (select count(*) from pg_temp.take()) = 0;
    assert (select count(*) from realtime.messages) = 7;

    -- nobody made a partition: send() does
    execute format('drop table realtime.messages_%s', day);
    perform realtime.send('{}', 'e', 'room:1');
    assert (select count(*) from pg_temp.take()) = 1;
    assert to_regclass('realtime.messages_' || day) is not null;

    -- an error is a warning, the writer's own row survives
    set local client_min_messages = error;
    perform realtime.send('{}', 'e', null);
    set local role anon;
    perform realtime.send('{}', 'e', 'room:1');
    reset role;
    reset client_min_messages;
    assert (select count(*) from pg_temp.take()) = 0, 'no policy lets anon send';

    -- a row's change
    create table t_rows (id int primary key, v text);
    create function pg_temp.tell() returns trigger language plpgsql as $f$
    begin
        perform realtime.broadcast_changes('t:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
        return null;
    end $f$;
    create trigger tell after insert or update or delete on t_rows for each row execute function pg_temp.tell();
    insert into t_rows values (1, 'a');
    update t_rows set v = 'b';
    delete from t_rows;
    select array_agg(t.topic || ' ' || (t.record ->> 'event')) as said,
        array_agg(t.record -> 'payload' -> 'record' ->> 'v') as new,
        array_agg(t.record -> 'payload' -> 'old_record' ->> 'v') as old
    into r
    from pg_temp.take() t;
    assert r.said = '{channel:private:t:1 INSERT,channel:private:t:1 UPDATE,channel:private:t:1 DELETE}', r;
    assert r.new = '{a,b,NULL}' and r.old = '{NULL,a,b}', r;

    -- retention: a partition goes when all of it is too old
    perform rowcast._make_partition(timezone('utc', now())::date - 4);
    assert rowcast.keep_messages('72 hours') = 1;
    assert to_regclass('realtime.messages_' || to_char(timezone('utc', now()) - interval '4 days', 'YYYY_MM_DD')) is null;
    assert rowcast.keep_messages('72 hours') = 0;

    -- who asks
    assert auth.uid() is null and auth.role() is null and auth.jwt() is null;
    perform set_config('request.jwt.claims', '{"sub": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "role": "anon", "x": 1}', true);
    assert auth.uid() = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' and auth.role() = 'anon' and auth.jwt() -> 'x' = '1';
    perform set_config('request.jwt.claims', '', true);
    assert auth.uid() is null and auth.jwt() is null;
end
$$;

-- what is not ours stays as it is
do $$
begin
    create or replace function auth.uid() returns uuid language sql as $f$ select null::uuid $f$;
    comment on function auth.uid() is 'theirs';
    perform rowcast.install_realtime();
    assert (select prosrc from pg_proc where oid = 'auth.uid()'::regprocedure) = ' select null::uuid ';
end
$$;

-- publications
do $$
declare
    r record;
begin
    create table p_one (id int primary key);
    create table p_two (id int primary key, v text);
    create table p_keyless (v int);
    create table p_hand (id int primary key);
    create table p_part (id int primary key) partition by range (id);
    create table p_part1 partition of p_part for values from (0) to (10);
    perform rowcast.watch('p_hand');
    create publication t_pub for table p_one, p_two, p_keyless, p_hand, p_part;
    perform pg_temp.take();

    assert (select array_agg(relation || ' ' || done) from rowcast.sync_publication('t_pub'))
        = '{"public.p_keyless watched","public.p_one watched","public.p_part watched","public.p_two watched"}';
    assert not exists (select from rowcast.sync_publication('t_pub')), 'nothing to do';
    assert (select array_agg(identity order by name) from rowcast.watched where name ~ 'p_(keyless|one)') = '{full,key}';
    assert (select bool_and(topic = 'table:rowcast.watches') and count(*) >= 4 from pg_temp.take());

    alter table p_two replica identity full;
    assert (select identity from rowcast.watched where name = 'public.p_two') = 'full', 'in step with replica identity';

    alter publication t_pub drop table p_one, p_hand;
    assert (select array_agg(relation || ' ' || done) from rowcast.sync_publications()) = '{"public.p_one unwatched"}';
    assert (select array_agg(op || (old_record ->> 'name')) from pg_temp.take()) = '{DELETEpublic.p_one}';
    assert exists (select from rowcast.watches where name = 'public.p_hand'), 'watched by hand';

    alter table p_two drop constraint p_two_pkey, add primary key (id, v);
    assert (select array_agg(relation || ' ' || done) from rowcast.sync_publications()) = '{"public.p_two watched again"}';
    assert exists (select from rowcast._doctor_realtime() where check_name = 'publication t_pub' and ok);

    drop publication t_pub;
    assert (select count(*) from rowcast.sync_publications() where done = 'unwatched') = 3;
    begin
        perform rowcast.sync_publication('t_none');
        raise exception 'not refused';
    exception when sqlstate 'RC404' then null;
    end;
end
$$;

set constraints all immediate;

rollback;
