-- The tables of the feed: what changed, up to where it was seen, what went wrong, who is reading.
--
-- Nobody writes here by hand. Triggers fill `changes`, the bridge calls the functions for the rest.
-- Plain SQL for an ordinary role: no superuser, no extension, no role is created.

create table rowcast.changes (
    id bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp(),
    topic text not null,
    relation text not null,
    op text not null,
    key jsonb,
    record jsonb,
    old_record jsonb,
    link text,
    ring boolean not null default false,
    primary key (xid, id)
);

create index changes_topic_xid on rowcast.changes (topic, xid);

-- Append at one end, prune at the other: vacuum little and often.
alter table rowcast.changes set (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

comment on table rowcast.changes is
    'The log: one row per committed row change and topic. Read by snapshot, never by "id greater than".';
comment on column rowcast.changes.id is
    'Order within a batch. Not commit order between transactions; within a thread or a row it is.';
comment on column rowcast.changes.xid is
    'The top-level transaction: a reader with snapshot S lacks what is not visible in S.';
comment on column rowcast.changes.at is
    'When the row was written, not when it was committed.';
comment on column rowcast.changes.topic is
    'Who may want it: thread:<id>, user:<id>, table:<schema>.<name>, token:<jti>, login:<md5>.';
comment on column rowcast.changes.relation is
    'The table, schema-qualified, quoted where needed.';
comment on column rowcast.changes.op is
    'INSERT, UPDATE, DELETE or TRUNCATE. No check says so: it would be parsed anew at every insert, a sixth of the cost.';
comment on column rowcast.changes.key is
    'The key of the row: the new one on INSERT and UPDATE, the old one on DELETE.';
comment on column rowcast.changes.record is
    'The row as it is now; null on DELETE and TRUNCATE.';
comment on column rowcast.changes.old_record is
    'The row as it was: its key, or all of it under identity ''full''.';
comment on column rowcast.changes.link is
    '''+thread:42'': holders of `topic` get that topic too from here on; ''-thread:42'': no longer.';
comment on column rowcast.changes.ring is
    'True for the first row of a statement: that one asks for the bell at commit.';

create table rowcast.checkpoints (
    at timestamptz primary key,
    snapshot pg_snapshot not null
);

comment on table rowcast.checkpoints is
    'Which transactions were finished at which time: makes a timestamp an exact cursor.';
comment on column rowcast.checkpoints.at is
    'Read from the clock after the snapshot was taken, never before.';

create table rowcast.failures (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    relation text not null,
    op text not null,
    sqlstate text not null,
    message text not null
);

create index failures_at on rowcast.failures (at);

comment on table rowcast.failures is
    'Errors of our own triggers. The write went through; its change is missing in the log.';

create table rowcast.state (
    one boolean primary key default true,
    history text,
    pruned_below xid8 not null default '0',
    adopted_at timestamptz,
    constraint state_has_one_row check (one)
);

insert into rowcast.state default values;

comment on table rowcast.state is
    'One row: whose history the log tells, and how far back it goes.';
comment on column rowcast.state.history is
    'rowcast.history() when a bridge last adopted this database; differs after a failover or a restore.';
comment on column rowcast.state.pruned_below is
    'Changes of transactions below this may be gone; a cursor whose xmin is lower must resynchronise.';

create table rowcast.nodes (
    id uuid primary key,
    name text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),
    counts jsonb not null default '{}'
);

comment on table rowcast.nodes is
    'The running bridges, by heartbeat.';
comment on column rowcast.nodes.counts is
    'What the node counts about itself: connections, subscriptions, queue lengths.';

create table rowcast.watches (
    id int generated always as identity primary key,
    relation regclass not null,
    name text not null,
    topic text not null,
    columns text[],
    identity text not null,
    key_columns text[] not null,
    trusted boolean not null,
    watched_columns text[] not null,
    watched_at timestamptz not null default clock_timestamp(),
    constraint watches_relation unique (relation),
    constraint watches_topic unique (topic),
    constraint watches_identity check (identity in ('key', 'full'))
);

comment on table rowcast.watches is
    'The tables on the feed by rowcast.watch(). See the view rowcast.watched.';
comment on column rowcast.watches.id is
    'Names the capture function: rowcast._capture_<id>(). Survives dump and restore, an oid would not.';
comment on column rowcast.watches.name is
    'The table''s name as written to the log; call watch again after a rename.';
comment on column rowcast.watches.columns is
    'What the record holds; null: the whole row, columns added later included.';
comment on column rowcast.watches.identity is
    '''key'': old_record holds the key, or all of it while the table has replica identity full. ''full'': all of it.';
comment on column rowcast.watches.watched_columns is
    'The columns the table had when it was watched.';
comment on column rowcast.watches.trusted is
    'Whether the table''s owner may run code as the owner of this schema anyway; see functions/watch.sql.';
