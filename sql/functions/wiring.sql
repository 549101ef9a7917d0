-- The triggers of our own tables on one page, after the functions they call.
--
-- Made only where missing or different: applying the functions again takes no lock on a busy table.
-- Names: 100 runs before the row is written, 900 captures; triggers fire by name, so a team's own run between.

do $$
declare
    w record;
    made text;
begin
    for w in
        select *
        from (values
            ('rowcast.changes', 'ring',
                'constraint trigger %I after insert on %s deferrable initially deferred
                 for each row when (new.ring) execute function rowcast._ring()'),

            ('rowcast.watches', '_900_rowcast_insert',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function rowcast._capture_watches()'),
            ('rowcast.watches', '_900_rowcast_update',
                'trigger %I after update on %s referencing new table as new_rows
                 for each statement execute function rowcast._capture_watches()'),
            ('rowcast.watches', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function rowcast._capture_watches()'),

            ('chat.users', '_100_rowcast_name',
                'trigger %I before insert on %s for each row execute function chat._name_user()'),
            ('chat.users', '_100_rowcast_clear',
                'trigger %I before delete on %s for each row execute function chat._clear_user()'),
            ('chat.users', '_900_rowcast_update',
                'trigger %I after update on %s referencing old table as old_rows new table as new_rows
                 for each statement execute function chat._capture_users()'),
            ('chat.users', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._capture_users()'),
            ('chat.users', '_900_rowcast_truncate',
                'trigger %I before truncate on %s for each statement execute function chat._capture_emptying()'),

            ('chat.threads', '_100_rowcast_clear',
                'trigger %I before delete on %s for each row execute function chat._clear_thread()'),
            ('chat.threads', '_900_rowcast_update',
                'trigger %I after update of name on %s for each row
                 when (old.name is distinct from new.name) execute function chat._capture_thread()'),

            ('chat.members', '_900_rowcast_insert',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function chat._capture_members()'),
            ('chat.members', '_900_rowcast_update',
                'trigger %I after update on %s referencing old table as old_rows new table as new_rows
                 for each statement execute function chat._capture_members()'),
            ('chat.members', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._capture_members()'),
            ('chat.members', '_900_rowcast_truncate',
                'trigger %I before truncate on %s for each statement execute function chat._capture_emptying()'),

            ('chat.messages', '_100_rowcast_number',
                'trigger %I before insert on %s for each row execute function chat._number_message()'),
            ('chat.messages', '_100_rowcast_edit',
                'trigger %I before update on %s for each row execute function chat._edit_message()'),
            ('chat.messages', '_100_rowcast_count',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function chat._count_messages()'),
            ('chat.messages', '_800_rowcast_gaps',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._note_gaps()'),
            ('chat.messages', '_900_rowcast_insert',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function chat._capture_messages()'),
            ('chat.messages', '_900_rowcast_update',
                'trigger %I after update on %s referencing old table as old_rows new table as new_rows
                 for each statement execute function chat._capture_messages()'),
            ('chat.messages', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._capture_messages()'),
            ('chat.messages', '_900_rowcast_truncate',
                'trigger %I after truncate on %s for each statement execute function chat._capture_messages()'),

            ('chat.blocks', '_900_rowcast_insert',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function chat._capture_blocks()'),
            ('chat.blocks', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._capture_blocks()'),

            ('chat.revoked_tokens', '_900_rowcast_insert',
                'trigger %I after insert on %s referencing new table as new_rows
                 for each statement execute function chat._capture_tokens()'),

            ('chat.login_sessions', '_900_rowcast_delete',
                'trigger %I after delete on %s referencing old table as old_rows
                 for each statement execute function chat._capture_sessions()'),
            ('chat.login_sessions', '_900_rowcast_truncate',
                'trigger %I before truncate on %s for each statement execute function chat._capture_emptying()')
        ) v (relation, name, definition)
    loop
        -- a team's view in a table's place has no rows of its own: the triggers are on what it shows
        continue when (select c.relkind from pg_class c where c.oid = w.relation::regclass) = 'v';
        -- the definition is kept as the trigger's comment, hashed: pg_get_triggerdef is worded by its version
        made := md5(w.definition);
        if exists (
            select
            from pg_trigger t
            where t.tgrelid = w.relation::regclass
                and t.tgname = w.name
                and obj_description(t.oid, 'pg_trigger') like '%' || made)
        then
            continue;
        end if;
        if exists (select from pg_trigger t where t.tgrelid = w.relation::regclass and t.tgname = w.name) then
            execute format('drop trigger %I on %s', w.name, w.relation);
        end if;
        execute format('create ' || w.definition, w.name, w.relation);
        execute format('comment on trigger %I on %s is %L', w.name, w.relation, 'Made by Rowcast, definition ' || made);
    end loop;
end
$$;
