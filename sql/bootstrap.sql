-- The first thing `migrate` runs: the schema of the log and the table that remembers what was applied.
--
-- Idempotent, and safe to run twenty times at once: `create … if not exists` races with itself in the catalogs,
-- so a transaction-level advisory lock stands in front of it. Run the file in one transaction, or hold the same
-- lock for the whole migration, which is what the bridge does.
--
-- Advisory locks of Rowcast, all with the first key 1919907683 ('rowc' in ASCII):
--     1  the bell: whoever holds it at commit rings for everybody (functions/bell.sql)
--     2  pruning: one node at a time (functions/retention.sql)
--     3  migration: one migrator at a time (this file)

do $$
begin
    perform pg_advisory_xact_lock(1919907683, 3);

    -- asked first, because `if not exists` wants the right to create even when there is nothing to do
    if to_regnamespace('rowcast') is null then
        create schema rowcast;
    end if;

    if to_regclass('rowcast.migrations') is null then
        create table rowcast.migrations (
            version int primary key,
            name text not null,
            hash text not null,
            breaking boolean not null default false,
            applied_at timestamptz not null default clock_timestamp()
        );

        comment on schema rowcast is
            'The realtime bridge: the change log, its checkpoints, watched tables, running nodes.';
        comment on table rowcast.migrations is
            'What `migrate` has applied: one row per file of sql/migrations, written before the file runs.';
        comment on column rowcast.migrations.hash is
            'Hash of the file as applied; an applied file that differs today is an error.';
        comment on column rowcast.migrations.breaking is
            'True where the file says "--! breaking": an older binary must not serve this database.';
    end if;

    if to_regclass('rowcast.installed') is null then
        create table rowcast.installed (
            signature text primary key,
            hash text not null,
            theirs text
        );

        comment on table rowcast.installed is
            'The functions of schema chat as `migrate` installed them: one that differs is a team''s own, and is kept.';
        comment on column rowcast.installed.signature is
            'The function with its parameters'' types, schema-qualified.';
        comment on column rowcast.installed.theirs is
            'A team''s own function while ours are applied; null outside of that transaction.';
    end if;
end
$$;
