-- The domain: people, threads, who is in which, and what was said.
--
-- Any service may write here with plain SQL; triggers number messages and put changes on the feed. This is all
-- a message takes:
--     insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'hello');
-- An edit is an update of `content`, a deletion an update of `deleted_at` (or a delete).

create schema chat;

comment on schema chat is
    'Users, threads, members, messages; written by any service, read by the bridge through functions.';

create table chat.users (
    id bigint generated always as identity primary key,
    uuid uuid not null default gen_random_uuid(),
    username text not null,
    first_name text not null default '',
    last_name text not null default '',
    full_name text not null default '',
    role text not null default 'user',
    active boolean not null default true,
    feed boolean not null default true,
    credits bigint,
    tokens_valid_after timestamptz,
    status text,
    last_seen_at timestamptz,
    created_at timestamptz not null default now(),
    constraint users_uuid unique (uuid),
    constraint users_username unique (username),
    constraint users_credits_not_negative check (credits >= 0),
    constraint users_status check (status in ('online', 'away', 'offline'))
);

comment on table chat.users is
    'The people. Deactivating one, or moving tokens_valid_after, closes their live connections.';
comment on column chat.users.full_name is
    'Filled from first and last name (or username) when left empty, and they from it.';
comment on column chat.users.feed is
    'The general feed: false after `unsubscribe`, on every device and node.';
comment on column chat.users.credits is
    'Balance for paid messages; null: this user is not charged.';
comment on column chat.users.tokens_valid_after is
    'Tokens issued at or before this are refused.';
comment on column chat.users.status is
    'What the user last said: online, away, offline; null: nothing, presence follows their connections.';
comment on column chat.users.last_seen_at is
    'Written once per going offline, not per request.';

create table chat.threads (
    id bigint generated always as identity primary key,
    uuid uuid not null default gen_random_uuid(),
    kind text not null default 'chat',
    name text,
    direct_key text,
    last_seq bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint threads_uuid unique (uuid),
    constraint threads_direct_key unique (direct_key),
    constraint threads_kind check (kind in ('chat', 'group', 'sms'))
) with (fillfactor = 70);

comment on table chat.threads is
    'A thread, room or conversation: one thing. Its row is locked by whoever adds a message, until they commit.';
comment on column chat.threads.direct_key is
    '''<lower user id>:<higher>'' for the one direct thread of two people; see chat.direct_thread().';
comment on column chat.threads.last_seq is
    'The seq of the newest message; moved by the numbering trigger only. Not on the feed, not indexed (cheap updates).';
comment on column chat.threads.updated_at is
    'When the newest message was added, else when the thread was made.';

create table chat.members (
    thread_id bigint not null references chat.threads (id) on delete cascade,
    user_id bigint not null references chat.users (id) on delete cascade,
    last_read_seq bigint not null default 0,
    last_delivered_seq bigint not null default 0,
    joined_at timestamptz not null default now(),
    primary key (thread_id, user_id)
) with (fillfactor = 80);

create index members_user on chat.members (user_id, thread_id);

comment on table chat.members is
    'Who is in which thread, and how far they have read. Deleting a row takes effect on live sockets.';
comment on column chat.members.last_read_seq is
    'Everything up to here is read; moves forward only.';
comment on column chat.members.last_delivered_seq is
    'Everything up to here has reached a device of theirs; moves forward only.';

create table chat.messages (
    id bigint generated always as identity primary key,
    uuid uuid not null default gen_random_uuid(),
    thread_id bigint not null references chat.threads (id) on delete cascade,
    seq bigint not null,
    sender_id bigint references chat.users (id) on delete set null,
    content text not null,
    message_type text not null default 'text',
    attachments jsonb not null default '[]',
    created_at timestamptz not null default now(),
    edited_at timestamptz,
    deleted_at timestamptz,
    constraint messages_uuid unique (uuid),
    constraint messages_thread_seq unique (thread_id, seq),
    constraint messages_attachments_are_a_list check (jsonb_typeof(attachments) = 'array')
);

create index messages_sender on chat.messages (thread_id, sender_id, seq);
create index messages_created on chat.messages (thread_id, created_at, id);
create index messages_deleted on chat.messages (thread_id, seq) where deleted_at is not null;
create index messages_by_user on chat.messages (sender_id);

comment on table chat.messages is
    'What was said. insert into chat.messages (thread_id, sender_id, content) is all it takes.';
comment on column chat.messages.seq is
    'Gapless number within the thread, in commit order; given by a trigger, whatever the writer says.';
comment on column chat.messages.sender_id is
    'Null: the system speaks.';
comment on column chat.messages.content is
    'As sent, any length; the limit of 2,000 characters is the APIs'', not the table''s.';
comment on column chat.messages.edited_at is
    'Set by itself when `content` is updated.';
comment on column chat.messages.deleted_at is
    'Set: the message is gone for clients, its number stays.';
comment on index chat.messages_sender is
    'Own messages past a watermark, for unread counts.';
comment on index chat.messages_created is
    'Offline sync beyond the log''s retention, and "since" a time.';

create table chat.gaps (
    thread_id bigint not null references chat.threads (id) on delete cascade,
    seq bigint not null,
    primary key (thread_id, seq)
);

comment on table chat.gaps is
    'Numbers whose message row was deleted, so that unread counts are a subtraction and not a scan.';

create table chat.blocks (
    blocker_id bigint not null references chat.users (id) on delete cascade,
    blocked_id bigint not null references chat.users (id) on delete cascade,
    created_at timestamptz not null default now(),
    primary key (blocker_id, blocked_id),
    constraint blocks_not_oneself check (blocker_id <> blocked_id)
);

create index blocks_blocked on chat.blocks (blocked_id);

comment on table chat.blocks is
    'Who does not want to hear from whom; a block refuses both ways.';

create table chat.revoked_tokens (
    jti text primary key,
    user_id bigint references chat.users (id) on delete cascade,
    expires_at timestamptz
);

create index revoked_tokens_user on chat.revoked_tokens (user_id);

comment on table chat.revoked_tokens is
    'Tokens refused from now on; an insert closes their live sockets.';
comment on column chat.revoked_tokens.expires_at is
    'When the token would have expired anyway: the row can go a day later.';

create table chat.login_sessions (
    session_id text primary key,
    user_id bigint not null references chat.users (id) on delete cascade,
    expires_at timestamptz,
    created_at timestamptz not null default now()
);

create index login_sessions_user on chat.login_sessions (user_id);

comment on table chat.login_sessions is
    'Opaque cookie sessions of the host application; a delete closes their live sockets.';
comment on column chat.login_sessions.session_id is
    'The secret itself. It never reaches the log, only its md5 does.';
comment on column chat.login_sessions.expires_at is
    'Null: until deleted.';
comment on column chat.login_sessions.created_at is
    'When it was issued: a session from before the user''s tokens_valid_after is refused like a token.';

create table chat.check_bookmarks (
    user_id bigint not null references chat.users (id) on delete cascade,
    at timestamptz not null,
    base pg_snapshot not null,
    base_at timestamptz not null,
    upto pg_snapshot,
    last_id bigint,
    began timestamptz,
    after_at timestamptz,
    after_id bigint,
    primary key (user_id, at)
);

create index check_bookmarks_at on chat.check_bookmarks (at);

comment on table chat.check_bookmarks is
    'What a last_check_time that was handed out with has_more stands for. Losing a row only repeats messages.';
comment on column chat.check_bookmarks.at is
    'The last_check_time that was handed out, unique for the user.';
comment on column chat.check_bookmarks.began is
    'Sync from the tables (beyond the log): when its first page was read.';
comment on column chat.check_bookmarks.after_at is
    'Sync from the tables: created_at of the last message given.';
