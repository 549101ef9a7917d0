-- A recovery from a crash that the clock cannot order: it had been set back before.

alter table rowcast.state add column recovered_at timestamptz;
alter table rowcast.state add column unordered int not null default 0;

comment on column rowcast.state.recovered_at is
    'When the server last recovered from a crash, as far as a bridge has noticed.';
comment on column rowcast.state.unordered is
    'Recoveries whose time is before that of a checkpoint: each begins another history.';
