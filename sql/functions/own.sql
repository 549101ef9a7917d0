-- What a team has put in the place of ours: functions with other bodies, views where the chat's tables were.

create or replace view rowcast.replaced as
select i.signature,
    case when p.oid is null then 'missing' else 'replaced' end as state
from rowcast.installed i
left join pg_catalog.pg_proc p on p.oid = pg_catalog.to_regprocedure(i.signature)
where p.oid is null
    or pg_catalog.md5(p.prosrc) <> i.hash;

comment on view rowcast.replaced is
    'Functions of schema chat that are no longer as migrate installed them: a team''s own, which it keeps, or missing.';

create or replace function rowcast.misfits()
returns table (relation text, problem text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with wanted (relation, columns, updated) as (
        values
            ('chat.users', 'id bigint, uuid uuid, username text, first_name text, last_name text, full_name text, '
                'role text, active boolean, feed boolean, credits bigint, tokens_valid_after timestamptz, status text, '
                'last_seen_at timestamptz, created_at timestamptz',
                '{feed,credits,tokens_valid_after,status,last_seen_at}'::text[]),
            ('chat.threads', 'id bigint, uuid uuid, kind text, name text, direct_key text, last_seq bigint, '
                'created_at timestamptz, updated_at timestamptz', '{}'),
            ('chat.members', 'thread_id bigint, user_id bigint, last_read_seq bigint, last_delivered_seq bigint, '
                'joined_at timestamptz', '{last_read_seq,last_delivered_seq}'),
            ('chat.messages', 'id bigint, uuid uuid, thread_id bigint, seq bigint, sender_id bigint, content text, '
                'message_type text, attachments jsonb, created_at timestamptz, edited_at timestamptz, '
                'deleted_at timestamptz', '{}')
    )
    select w.relation, 'is missing'
    from wanted w
    where to_regclass(w.relation) is null
    union all
    select w.relation,
        case
            when a.attname is null then format('lacks the column %s %s', c.name, c.type)
            else format('has %s as %s instead of %s', c.name, format_type(a.atttypid, null), c.type)
        end
    from wanted w
    cross join lateral (
        select split_part(x, ' ', 1) as name, split_part(x, ' ', 2) as type
        from unnest(string_to_array(w.columns, ', ')) x
    ) c
    left join pg_attribute a
        on a.attrelid = to_regclass(w.relation)
        and a.attname = c.name
        and not a.attisdropped
    where to_regclass(w.relation) is not null
        and a.atttypid is distinct from to_regtype(c.type)::oid
    union all
    select w.relation,
        format('takes no update of %s: make it a plain column of one table, or add an "instead of" trigger', a.attname)
    from wanted w
    join pg_attribute a
        on a.attrelid = to_regclass(w.relation)
        and a.attname = any (w.updated)
    where not pg_column_is_updatable(a.attrelid, a.attnum, false)
        -- 64: instead of, 16: update
        and not exists (select from pg_trigger t where t.tgrelid = a.attrelid and t.tgtype & 80 = 80)
    union all
    select w.relation, 'takes no insert: make the view updatable, or add an "instead of" trigger'
    from wanted w
    where w.relation = 'chat.messages'
        and pg_relation_is_updatable(to_regclass(w.relation), true) & 8 = 0;
$$;

comment on function rowcast.misfits() is
    'What keeps the relations that stand in the place of the chat''s tables from serving; no row when all fit.';

create or replace function rowcast._doctor_own()
returns table (check_name text, ok boolean, detail text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 'functions of your own',
        count(*) filter (where r.state = 'missing') = 0,
        coalesce(string_agg(r.signature || case r.state when 'missing' then ' is missing' else '' end, ', '
            order by r.state, r.signature), 'none: all are as migrate installed them'),
        case when count(*) filter (where r.state = 'missing') > 0 then 'rowcast migrate # puts back what is missing' end
    from rowcast.replaced r
    union all
    select 'tables of your own',
        count(m.relation) = 0,
        coalesce(string_agg(m.relation || ' ' || m.problem, '; '), 'the chat''s relations have what is asked of them'),
        case when count(m.relation) > 0 then 'select * from rowcast.misfits(); -- change the view; docs/bring-your-own-tables.md has its columns' end
    from rowcast.misfits() m;
$$;

comment on function rowcast._doctor_own() is
    'The doctor''s look at what a team has put in the place of ours.';
