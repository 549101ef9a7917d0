-- Publications that the bridge follows, and which watches are theirs.

create table rowcast.publications (
    name text primary key,
    taken_at timestamptz not null default clock_timestamp()
);

comment on table rowcast.publications is
    'Publications that were taken over: the keeper watches what they have. See rowcast.sync_publication().';
comment on column rowcast.publications.taken_at is
    'When the publication was first synchronised.';

alter table rowcast.watches add column publication text;

comment on column rowcast.watches.publication is
    'The publication that the table was watched for, and with which it goes; null: watched by hand.';
