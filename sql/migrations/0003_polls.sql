-- What clients that poll were last given, so that the next poll goes on from there exactly.

create table chat.poll_states (
    session text primary key,
    user_id bigint not null references chat.users (id) on delete cascade,
    state jsonb not null,
    last_check timestamptz not null
) with (fillfactor = 70);

create index poll_states_user on chat.poll_states (user_id);
create index poll_states_last_check on chat.poll_states (last_check);

comment on table chat.poll_states is
    'The unread state that a session of long polls was last given. Losing a row only repeats an update.';
comment on column chat.poll_states.session is
    'A hash of the session id or token; the secret itself is not stored here.';
comment on column chat.poll_states.state is
    '{"<thread id>": [unread, last seq]} of the threads with unread messages.';
comment on column chat.poll_states.last_check is
    'The `last_check` of that answer: who sends it back goes on from this state.';

create table chat.poll_marks (
    user_id bigint not null references chat.users (id) on delete cascade,
    thread_id bigint not null references chat.threads (id) on delete cascade,
    at timestamptz not null,
    seq bigint not null,
    primary key (user_id, thread_id, at)
);

create index poll_marks_thread on chat.poll_marks (thread_id);
create index poll_marks_at on chat.poll_marks (at);

comment on table chat.poll_marks is
    'What a timestamp that a poll of one thread handed out stands for. Losing a row only repeats messages.';
comment on column chat.poll_marks.at is
    'The timestamp handed out; never whole milliseconds, so that no browser''s clock makes the same one.';
comment on column chat.poll_marks.seq is
    'The number of the last message that its holder has.';
