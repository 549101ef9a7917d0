-- Until when a broadcast that a client had stored is given again, where that is sooner than its partition goes.

create table rowcast.message_ends (
    id uuid primary key,
    ends_at timestamptz not null
);

create index message_ends_ends_at on rowcast.message_ends (ends_at);

comment on table rowcast.message_ends is
    'Rows of realtime.messages that were stored with a time to live: no replay has them after that.';
comment on column rowcast.message_ends.id is
    'The id of the message.';
comment on column rowcast.message_ends.ends_at is
    'From when on no replay has it.';
