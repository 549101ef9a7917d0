//! A bridge that owns nothing: the rights of `sql/grants.sql` are enough for everything, and for nothing else.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use rowcast::{db::Target, lifecycle::Lifecycle};
use serde_json::json;
use tokio_postgres::Client;

use crate::{
    harness::{
        Database,
        app::{App, PEOPLE, now, token_with},
        binary,
    },
    supabase::client::Phoenix,
};

const PASSWORD: &str = "of-an-unprivileged-role";

/// What `sql/grants.sql` says to give a bridge of its own, word for word, for a role of that name.
fn grants(role: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/grants.sql"));
    let page = page.expect("the page of rights");
    let for_bridge = page.split("-- A service that writes").next().expect("a beginning");
    let lines = for_bridge.lines().filter_map(|line| line.strip_prefix("--     "));
    let sql: Vec<_> = lines.map(|line| line.replace("bridge", role)).collect();
    assert!(sql.len() >= 8, "{sql:?}");
    sql.join("\n")
}

/// A migrated database, and the URL of a role that has these rights on it and no others.
async fn installed() -> (Database, String, String) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let database = Database::new().await;
    let role = format!("lowly_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let root = database.superuser().await;
    let create = format!("create role {role} login password '{PASSWORD}'; {}", grants(&role));
    root.batch_execute(&create).await.expect("the rights of the page");
    let url = database.url_of(&role, PASSWORD);
    (database, role, url)
}

async fn lowly() -> App {
    let (database, _, url) = installed().await;
    database.client().await.batch_execute(PEOPLE).await.expect("people");
    App::start_as(database, &url, &[]).await
}

#[tokio::test]
async fn every_transcript_of_the_chat_dialects_plays_under_a_role_that_owns_nothing() {
    for dialect in ["native", "longpoll", "rooms"] {
        crate::golden::play_all_on(dialect, lowly).await;
    }
}

#[tokio::test]
async fn every_transcript_over_socket_io_and_phoenix_plays_under_a_role_that_owns_nothing() {
    for dialect in ["conversations", "direct", "supabase"] {
        crate::golden::play_all_on(dialect, lowly).await;
    }
}

/// What the doctor does not call guessable.
const GOOD_SECRET: &str = "q1Vt0Zr8m9Yx3Lk5Jh7Gf2Ds4Aw6Pe0Ru";

#[tokio::test]
async fn doctor_finds_nothing_lacking_under_that_role() {
    let (_database, _, url) = installed().await;
    let output = Command::new(binary())
        .args(["doctor", "--jwt-secret", GOOD_SECRET, "--log", "warn"])
        .env("DATABASE_URL", &url)
        .current_dir(std::env::temp_dir())
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("Nothing is broken"), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
}

async fn refused(client: &Client, sql: &str) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let code = error.code().map_or("", |code| code.code());
    // Insufficient privilege, which "must be owner" is, too; nothing else is a refusal: a name that is not there, say.
    assert_eq!(code, "42501", "{sql}: {error:?}");
}

#[tokio::test]
async fn the_role_reads_no_other_schema_and_no_password_and_is_nobody_else() {
    let (database, role, url) = installed().await;
    let owner = database.client().await;
    owner
        .batch_execute(
            "create schema payroll;
             create table payroll.salaries (person text, amount int);
             insert into payroll.salaries values ('ada', 1);
             create table public.private (a int);
             create function payroll.raise_all() returns void language sql as 'update payroll.salaries set amount = 0';",
        )
        .await
        .expect("another schema");
    let lifecycle = Lifecycle::new();
    let target = Target::parse(&url.parse().expect("a secret")).expect("a URL");
    let client = target.client(&lifecycle).await.expect("a connection");
    for sql in [
        "select * from payroll.salaries",
        "insert into payroll.salaries values ('me', 9)",
        "select payroll.raise_all()",
        "select * from public.private",
        "select rolpassword from pg_authid",
        "select passwd from pg_shadow",
        "select pg_read_file('postgresql.conf')",
        "select lo_import('/etc/passwd')",
        "copy chat.messages to program 'id'",
        "copy chat.messages to '/tmp/rowcast-stolen'",
        "alter system set log_statement = 'all'",
        "select pg_reload_conf()",
        "create role another",
        "create database another",
        "create schema another",
        "alter role postgres password 'x'",
        "set role rowcast_dev",
        "set role postgres",
        "set session authorization rowcast_dev",
        "create table rowcast.mine (a int)",
        "create table chat.mine (a int)",
        "drop table chat.messages",
        "drop function chat.threads_of(bigint)",
        "alter table chat.users add column a int",
        "alter table chat.messages disable trigger all",
        "truncate chat.messages",
        "create trigger mine before insert on chat.messages for each row execute function chat._number_message()",
        "create policy mine on realtime.messages using (true)",
        "alter table realtime.messages disable row level security",
        "drop schema realtime cascade",
    ] {
        refused(&client, sql).await;
    }
    // Whom it acts as for a while has no more than those roles have.
    for other in ["anon", "authenticated", "service_role"] {
        client.batch_execute(&format!("set role {other}")).await.expect("a role of tokens");
        for sql in ["select * from rowcast.changes", "select * from chat.messages"] {
            refused(&client, sql).await;
        }
        refused(&client, "select * from payroll.salaries").await;
        client.batch_execute("reset role").await.expect("back");
    }
    let sql = "select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls from pg_roles where rolname = $1";
    let mighty: bool = client.query_one(sql, &[&role]).await.expect("a role").get(0);
    assert!(!mighty);
    let sql = "select count(*) from pg_class where relowner = to_regrole($1)::oid";
    let owned: i64 = client.query_one(sql, &[&role]).await.expect("a count").get(0);
    assert_eq!(owned, 0);
}

#[tokio::test]
async fn row_security_holds_for_the_role_itself_and_is_judged_for_others_all_the_same() {
    let (database, _, url) = installed().await;
    let owner = database.client().await;
    owner
        .batch_execute(
            "create table public.notes (id int primary key, owner text not null);
             alter table public.notes enable row level security;
             create policy own on public.notes for select to authenticated
                 using (owner = current_setting('request.jwt.claims', true)::jsonb ->> 'org');
             grant select on public.notes to authenticated;
             select rowcast.watch('public.notes');
             insert into public.notes values (1, 'ada'), (2, 'eve')",
        )
        .await
        .expect("a table");
    let target = Target::parse(&url.parse().expect("a secret")).expect("a URL");
    let lifecycle = Lifecycle::new();
    let client = target.client(&lifecycle).await.expect("a connection");
    let count = "select count(*) from public.notes";
    let seen: i64 = client.query_one(count, &[]).await.expect("it may select").get(0);
    assert_eq!(seen, 0, "the bridge's own role has nobody's claims");
    refused(&client, "insert into public.notes values (3, 'me')").await;
    refused(&client, "create policy mine on public.notes using (true)").await;

    let app = App::start_as(database, &url, &[]).await;
    let claims = json!({ "role": "authenticated", "org": "ada", "exp": now() + 60 });
    let watch = json!([{ "event": "*", "schema": "public", "table": "notes" }]);
    let mut ada =
        Phoenix::joined(&app, &token_with(&claims), "notes", json!({ "postgres_changes": watch }))
            .await;
    assert_eq!(ada.next().await[4]["status"], "ok");
    app.sql("insert into public.notes values (4, 'eve'), (5, 'ada')").await;
    let frame = ada.next().await;
    assert_eq!(frame[4]["data"]["record"]["id"], 5, "the first that is hers: {frame}");
    ada.nothing_more().await;
}
