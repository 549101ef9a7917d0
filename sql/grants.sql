-- Every right on one page; applied last, after every change of a function.
--
-- Nobody but the owner may do anything. The bridge normally connects as the owner (the role that ran
-- `migrate`). To give it a role of its own, grant that role exactly this:
--
--     grant usage on schema rowcast, chat to bridge;
--     grant select, insert, update, delete on all tables in schema rowcast, chat to bridge;
--     grant truncate on rowcast.changes, rowcast.checkpoints, chat.check_bookmarks to bridge;
--     grant usage on all sequences in schema rowcast, chat to bridge;
--     grant execute on all functions in schema rowcast, chat to bridge;
--
-- and, for the supabase dialect, what lets it act as the roles that tokens name and try out private channels
-- (what it tries is rolled back):
--
--     grant anon, authenticated, service_role to bridge;
--     grant usage on schema realtime to bridge;
--     grant insert on realtime.messages to bridge;
--     create policy rowcast_probe on realtime.messages for insert to bridge with check (true);
--
-- It needs no bypassrls: row security is judged under the roles of tokens. Where it may select all of a table
-- itself, that is faster.
--
-- A service that writes messages needs no right on the log, the triggers see to that:
--
--     grant usage on schema chat to service;
--     grant select, insert, update on chat.messages to service;
--
-- A role that may put tables it owns on the feed:
--
--     grant usage on schema rowcast to developer;
--     grant execute on function rowcast.watch(regclass, text, text[], text) to developer;
--     grant execute on function rowcast.unwatch(regclass) to developer;
--     grant execute on function rowcast._define_capture(regclass, text, text[], text) to developer;
--     grant execute on function rowcast._forget_capture(oid) to developer;
--     grant execute on function rowcast._family(regclass) to developer;
--     grant execute on function rowcast._capture_of(oid) to developer;

revoke all on schema rowcast, chat from public;
revoke all on all tables in schema rowcast, chat from public;
revoke all on all sequences in schema rowcast, chat from public;
revoke all on all functions in schema rowcast, chat from public;
