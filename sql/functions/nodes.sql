-- The running bridges: each says that it lives, and a clean stop says goodbye.

create or replace function rowcast.heartbeat(
    id uuid,
    name text,
    version text,
    started_at timestamptz,
    counts jsonb)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    insert into rowcast.nodes as n (id, name, version, started_at, seen_at, counts)
    values ($1, $2, $3, $4, clock_timestamp(), coalesce($5, '{}'))
    on conflict (id) do update
    set name = excluded.name,
        version = excluded.version,
        started_at = excluded.started_at,
        seen_at = excluded.seen_at,
        counts = excluded.counts;

    delete from rowcast.nodes n
    where n.seen_at < clock_timestamp() - interval '1 day';
$$;

comment on function rowcast.heartbeat(uuid, text, text, timestamptz, jsonb) is
    'Says that a bridge lives and what it counts; forgets those not heard of for a day.';

create or replace function rowcast.goodbye(id uuid)
returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    delete from rowcast.nodes n
    where n.id = $1;
$$;

comment on function rowcast.goodbye(uuid) is
    'Takes a bridge off the list when it stops cleanly.';
