//! The database's own doors: what anybody may call, what a stranger's role gets, and names that are SQL.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    harness::{Database, app::App},
    supabase::client::{Phoenix, token_of},
};

/// What everybody may call: what policies and triggers of an app made for Supabase call. They run as the caller, but for
/// one that makes today's partition and takes nothing.
const PUBLIC: &[&str] = &[
    "auth.jwt()",
    "auth.role()",
    "auth.uid()",
    "realtime._insert(jsonb,bytea,text,text,boolean,uuid)",
    "realtime._make_partition()",
    "realtime.broadcast_changes(text,text,text,text,text,record,record,text)",
    "realtime.send(jsonb,text,text,boolean)",
    "realtime.send_binary(bytea,text,text,boolean)",
    "realtime.topic()",
];

const SCHEMAS: &str = "('rowcast', 'chat', 'realtime', 'auth')";

#[tokio::test]
async fn everybody_may_call_what_is_listed_and_every_definer_has_its_search_path_pinned() {
    let database = Database::new().await;
    let client = database.client().await;
    let sql = format!(
        "select format('%s.%s(%s)', n.nspname, p.proname,
                replace(pg_get_function_identity_arguments(p.oid), ', ', ',')) as name,
            p.oid::regprocedure::text as signature,
            exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) as open,
            p.prosecdef as definer, coalesce(p.proconfig, '{{}}')::text as settings
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in {SCHEMAS}"
    );
    let rows = client.query(&sql, &[]).await.expect("the catalog");
    assert!(rows.len() > 100, "{} functions only", rows.len());
    let open: BTreeSet<String> =
        rows.iter().filter(|row| row.get("open")).map(|row| row.get("signature")).collect();
    let listed: BTreeSet<String> = PUBLIC.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(open, listed);
    for row in rows.iter().filter(|row| row.get("definer")) {
        let settings: String = row.get("settings");
        let name: String = row.get("signature");
        assert!(settings.contains("search_path="), "{name} has no pinned search_path: {settings}");
    }
    let sql = format!(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {SCHEMAS} and exists (select from aclexplode(c.relacl) a where a.grantee = 0)"
    );
    let open = client.query(&sql, &[]).await.expect("the catalog");
    assert!(open.is_empty(), "{:?}", open.iter().map(|row| row.get(0)).collect::<Vec<String>>());
}

#[tokio::test]
async fn a_role_without_rights_reads_nothing_and_calls_nothing_of_ours() {
    let database = Database::new().await;
    let root = database.superuser().await;
    root.batch_execute(
        "do $$ begin create role passer_by login password 'passer'; exception when duplicate_object then end $$",
    )
    .await
    .expect("a role");
    let sql = "select
        (select count(*) from pg_proc p where p.pronamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
            and has_function_privilege('passer_by', p.oid, 'execute')),
        (select count(*) from pg_class c where c.relnamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
            and c.relkind in ('r', 'p', 'v', 'm')
            and has_table_privilege('passer_by', c.oid, 'select, insert, update, delete, truncate, references, trigger')),
        (select count(*) from pg_class c where c.relnamespace in ('rowcast'::regnamespace, 'chat'::regnamespace)
            and case when c.relkind = 'S' then has_sequence_privilege('passer_by', c.oid, 'usage, select, update') end),
        (select count(*) from unnest(array['rowcast', 'chat']) as schema
            where has_schema_privilege('passer_by', schema, 'usage, create'))";
    let row = root.query_one(sql, &[]).await.expect("the catalog");
    let rights: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    assert_eq!(rights, [0; 4], "functions, tables, sequences, schemas");
    root.batch_execute("set role passer_by").await.expect("that role");
    for sql in [
        "select * from rowcast.changes",
        "select * from chat.messages",
        "select chat.threads_of(1)",
        "select rowcast.watch('pg_class')",
        "select rowcast._define_capture('pg_class', null, null, null)",
        "select rowcast.history()",
        "insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'x')",
        "insert into realtime.messages (topic, extension) values ('a', 'broadcast')",
    ] {
        let error = root.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{sql}: {error:?}");
    }
}

/// Names that would be SQL, or JSON, or a topic, if anybody put them together by hand.
const NAMES: &[(&str, &str, &str)] = &[
    ("public", "robert'); drop table chat.users; --", "id\"; drop table chat.users; --"),
    ("a\"b'c", "t\"; select pg_sleep(60); --", "c') or true --"),
    ("x;y", "%I %L %s $1 $$ \\", "%s\n\r\t\\"),
    ("é 💥", "a.b:c,d=e", "eq.1,or=(id=eq.2)"),
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[tokio::test]
async fn names_of_tables_columns_filters_and_publications_are_names_and_never_sql() {
    let app = App::start().await;
    for (schema, table, column) in NAMES {
        let whole = format!("{}.{}", quoted(schema), quoted(table));
        let literal = whole.replace('\'', "''");
        let key = quoted(column);
        app.sql(&format!("create schema if not exists {}", quoted(schema))).await;
        app.sql(&format!(
            "create table {whole} ({key} bigint primary key, body text);
             grant usage on schema {} to anon; grant select on {whole} to anon;
             select rowcast.watch('{literal}'::regclass);",
            quoted(schema)
        ))
        .await;
        let mut client = Phoenix::connect(&app, &token_of("anon")).await;
        let wish = json!({ "event": "*", "schema": schema, "table": table });
        let config = json!({ "postgres_changes": [wish] });
        assert_eq!(client.join("names", config).await["status"], "ok", "{whole}");
        let system = client.next().await;
        assert_eq!(system[4]["status"], "ok", "{whole}: {system}");
        app.sql(&format!("insert into {whole} values (7, 'x')")).await;
        let change = loop {
            let frame = client.next().await;
            if frame[3] == "postgres_changes" {
                break frame;
            }
        };
        let data = &change[4]["data"];
        assert_eq!((&data["schema"], &data["table"]), (&json!(schema), &json!(table)));
        assert_eq!(data["record"][*column], json!(7), "{change}");
        app.sql(&format!("update {whole} set body = 'y'; delete from {whole}")).await;
        app.sql(&format!("select rowcast.unwatch('{literal}'::regclass)")).await;
    }
    // Filters, columns and tables that are not there are answered in words.
    for (schema, table, column) in NAMES {
        for wish in [
            json!({ "event": "*", "schema": schema, "table": format!("{table}!") }),
            json!({ "event": "*", "schema": "chat", "table": "users", "filter": format!("{column}=eq.1") }),
            json!({ "event": "*", "schema": "chat", "table": "users", "filter": format!("id=eq.{table}") }),
            json!({ "event": "*", "schema": "chat", "table": "users", "select": [column] }),
        ] {
            let mut client = Phoenix::connect(&app, &token_of("anon")).await;
            client
                .push("wrong", "phx_join", json!({ "config": { "postgres_changes": [wish] } }))
                .await;
            let mut said = client.next().await;
            if said[4]["status"] == "ok" {
                said = client.next().await;
            }
            assert_eq!(said[4]["status"], "error", "{wish}: {said}");
        }
    }
    for (_, name, _) in NAMES {
        let (publication, table) = (quoted(name), quoted(&format!("p {name}")));
        app.sql(&format!(
            "create table public.{table} (a int primary key);
             create publication {publication} for table public.{table};
             select * from rowcast.sync_publication('{}')",
            name.replace('\'', "''")
        ))
        .await;
        let literal = format!("public.{table}").replace('\'', "''");
        let watched = "select count(*) from rowcast.watched where relation =";
        let watched: i64 = app.value(&format!("{watched} '{literal}'::regclass")).await;
        assert_eq!(watched, 1, "{name}");
    }
    let people: i64 = app.value("select count(*) from chat.users").await;
    assert_eq!(people, 4);
}

#[tokio::test]
async fn a_table_whose_name_could_write_over_a_log_is_refused_at_watch() {
    let app = App::start().await;
    let owner = app.database.client().await;
    owner
        .batch_execute(
            "create schema \"bell\u{7}\"; create table \"bell\u{7}\".a (id int primary key);
             create table public.\"odd\u{1b}[31m\nname\" (id int primary key);
             create table public.\"c1\u{9b}31m\" (id int primary key);
             create table public.good (id int primary key);
             create publication odd for table public.\"odd\u{1b}[31m\nname\", public.good",
        )
        .await
        .expect("odd names");
    for (call, code) in [
        ("rowcast.watch('\"bell\u{7}\".a')", "RC409"),
        ("rowcast.watch('public.\"odd\u{1b}[31m\nname\"')", "RC409"),
        ("rowcast.watch('public.\"c1\u{9b}31m\"')", "RC409"),
        ("rowcast.watch('public.good', topic => E'table:a\\nb')", "RC400"),
        ("rowcast.watch('public.good', topic => 'table:\u{7f}')", "RC400"),
    ] {
        let error = owner.batch_execute(&format!("select {call}")).await.expect_err(call);
        let error = error.as_db_error().expect("an answer of the database");
        assert_eq!(error.code().code(), code, "{call:?}: {error:?}");
        let said = error.message();
        assert!(said.contains("control character"), "{call:?}: {said:?}");
        assert!(!said.chars().any(char::is_control), "{call:?}: {said:?}");
    }
    let said = owner
        .query("select relation, done, problem from rowcast.sync_publication('odd')", &[])
        .await;
    let said = said.expect("a report");
    let problems: Vec<&str> = said.iter().filter_map(|row| row.get("problem")).collect();
    assert!(
        matches!(problems[..], [problem] if problem.contains("control character")),
        "{problems:?}"
    );
    let watched: i64 = app.value("select count(*) from rowcast.watched").await;
    assert_eq!(watched, 1, "the other table of the publication");
}
