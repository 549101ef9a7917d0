-- The role that owns everything Rowcast installs: no superuser, but it may create roles.
--
-- It is not called `rowcast`: its own tables would land in the schema of that name, by the default search_path.
-- Run by the cluster's superuser at every start; the password comes in a setting, never in the text.

do $$
declare
    password text := current_setting('rowcast.password');
begin
    if to_regrole('rowcast_dev') is null then
        create role rowcast_dev login;
    end if;
    execute format('alter role rowcast_dev login createrole password %L', password);

    -- from version 16 on, who creates a role is not in it unless asked for
    if current_setting('server_version_num')::int >= 160000 then
        alter role rowcast_dev set createrole_self_grant = 'set, inherit';
    end if;

    -- those that tokens name; only a superuser can make one that bypasses row security
    if to_regrole('anon') is null then
        create role anon nologin noinherit;
    end if;
    if to_regrole('authenticated') is null then
        create role authenticated nologin noinherit;
    end if;
    if to_regrole('service_role') is null then
        create role service_role nologin noinherit;
    end if;
    alter role service_role bypassrls;
    grant anon, authenticated, service_role to rowcast_dev;
end
$$;
