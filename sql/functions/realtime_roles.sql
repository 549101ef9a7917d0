-- The roles that tokens name: made where they are missing and where the migrating role may.

create or replace function rowcast._make_roles()
returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    wanted text;
    sees_all text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        sees_all := case when wanted = 'service_role' then ' bypassrls' else '' end;
        begin
            if to_regrole(wanted) is null then
                begin
                    execute format('create role %I nologin noinherit%s', wanted, sees_all);
                exception when insufficient_privilege then
                    -- only who bypasses row security may give that away
                    execute format('create role %I nologin noinherit', wanted);
                end;
            end if;
        exception
            -- roles belong to the cluster: another database's migration may have been faster
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                return next format(
                    'role %1$s is missing and %2$I may not create it; let a superuser run: create role %1$I nologin noinherit%3$s',
                    wanted, current_user, sees_all);
                continue;
        end;

        begin
            if not rowcast._may_become(wanted) then
                execute format('grant %I to %I', wanted, current_user);
            end if;
        exception
            when unique_violation or internal_error then null;
            when insufficient_privilege or invalid_grant_operation then
                return next format(
                    '%2$I may not act as %1$s; let a superuser run: grant %1$I to %2$I', wanted, current_user);
        end;
    end loop;
end
$$;

comment on function rowcast._make_roles() is
    'Makes anon, authenticated and service_role where it may; returns a sentence for each that needs a superuser.';

create or replace function rowcast._may_become(role text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regrole(quote_ident(role)) is null then
        return false;
    end if;
    return pg_has_role(
        current_user,
        role::name,
        case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end);
end
$$;

comment on function rowcast._may_become(text) is
    'Whether the current role may `set role` to another; false for a role that is not there.';
