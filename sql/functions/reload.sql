-- Reloading: asks every bridge to read its settings and key files again.

create or replace function rowcast.reload()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
    -- through the log: each bridge hears of it once, one that polls too, and who may not write there may not ask
    insert into rowcast.changes (topic, relation, op, ring)
    values ('table:rowcast.reload', 'rowcast.reload', 'INSERT', true);

    select count(*)
    from rowcast.nodes n
    where n.seen_at > clock_timestamp() - interval '15 seconds';
$$;

comment on function rowcast.reload() is
    'Asks all bridges to read their settings and key files again, as SIGHUP asks one; tells how many are there to hear it.';
