-- auth.uid(), auth.role() and auth.jwt(): what policies ask about who asks.
--
-- No search_path is pinned in them, so that the planner can open them up; every name is qualified instead.

create or replace function rowcast._install_auth()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $outer$
begin
    perform rowcast._make_schema('auth', 'what policies ask about who asks.');
    if not has_schema_privilege('auth', 'create') then
        return;
    end if;

    perform rowcast._offer('auth.jwt()', 'the claims of the token, as signed.', $definition$
auth.jwt()
returns jsonb
language sql
stable
as $$
    select case when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
        then pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb end;
$$
$definition$);

    perform rowcast._offer('auth.uid()', 'whom the token is about.', $definition$
auth.uid()
returns uuid
language sql
stable
as $$
    select case
        when pg_catalog.current_setting('request.jwt.claim.sub', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claim.sub', true)::pg_catalog.uuid
        when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
            then (pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb
                operator(pg_catalog.->>) 'sub')::pg_catalog.uuid
    end;
$$
$definition$);

    perform rowcast._offer('auth.role()', 'the role that the token names.', $definition$
auth.role()
returns text
language sql
stable
as $$
    select case
        when pg_catalog.current_setting('request.jwt.claim.role', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claim.role', true)
        when pg_catalog.current_setting('request.jwt.claims', true) operator(pg_catalog.<>) ''
            then pg_catalog.current_setting('request.jwt.claims', true)::pg_catalog.jsonb
                operator(pg_catalog.->>) 'role'
    end;
$$
$definition$);
end
$outer$;

comment on function rowcast._install_auth() is
    'Makes the functions of schema auth.';
