-- A failure of capture is a gap in the log: who stands before it has to know. And when the middle of a page was taken.

-- Null for failures from before: nobody can say who stands before those.
alter table rowcast.failures add column xid xid8;
alter table rowcast.failures alter column xid set default pg_current_xact_id();
create index failures_xid on rowcast.failures (xid);

comment on column rowcast.failures.xid is
    'The transaction whose change is not in the log: a position that does not see it has a gap there.';

alter table chat.check_bookmarks add column upto_at timestamptz;

comment on column chat.check_bookmarks.upto_at is
    'When `upto` was taken, or a little later.';
