//! A team's own tables: the very files of `examples/support-desk`, and what clients of the real bridge get from them.

use std::{fs, path::Path};

use rowcast::db::migrate;
use serde_json::{Value, json};

use crate::harness::{
    Database,
    app::{App, now, token_with},
    io::IoSocket,
};

/// Applies one file of the example as its page says.
async fn apply(database: &Database, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/support-desk").join(file);
    let sql = fs::read_to_string(&path).expect(file);
    database.client().await.batch_execute(&sql).await.expect(file);
}

async fn migrated(database: &Database) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    migrate::run(&database.target(), database.lifecycle(), |line| said.push(line.to_owned()))
        .await
        .map_err(|error| error.to_string())?;
    Ok(said)
}

/// A database with the help desk in the place of the chat's tables.
async fn desk() -> Database {
    let database = Database::new().await;
    for file in ["1-desk.sql", "2-columns.sql", "3-views.sql"] {
        apply(&database, file).await;
    }
    let why = migrate::check(&database.pool()).await.expect_err("functions went with the tables");
    assert!(why.to_string().contains("chat.tell_messages"), "{why}");
    migrated(&database).await.expect("put back");
    for file in ["4-functions.sql", "5-triggers.sql"] {
        apply(&database, file).await;
    }
    database
}

/// A token that names somebody as the desk does.
fn pass(login: &str) -> String {
    token_with(&json!({ "sub": login, "exp": now() + 3_600, "iat": now() }))
}

async fn post(app: &App, ticket: &str, author: &str, body: &str) {
    app.sql(&format!(
        "insert into support.posts (ticket, author, body) values ('{ticket}', '{author}', '{body}')"
    ))
    .await;
}

async fn get(app: &App, login: &str, path: &str) -> Value {
    let (status, body) = app.ask("GET", path, &pass(login), None).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn a_help_desk_of_its_own_is_live_counted_read_and_resumed() {
    let app = App::start_on(desk().await, &[]).await;
    let failed: Option<String> =
        app.value("select string_agg(check_name || ': ' || detail, '; ') from rowcast.doctor() where not ok and check_name !~ 'checkpoints'").await;
    assert_eq!(failed, None);
    let ticket: String =
        app.value("select rc_uuid::text from support.tickets where code = 'DESK-1'").await;

    let mut lucy = app.socket_with(&pass("lucy"), "").await.expect("a socket");
    lucy.until("connection_established").await;
    let mut mina = app.socket_with(&pass("mina"), "").await.expect("a socket");
    mina.until("connection_established").await;
    let asked = json!({ "type": "subscribe_thread", "thread_id": ticket });
    assert_eq!(mina.ask(asked).await["type"], "thread_subscribed");
    let checked =
        get(&app, "lucy", "/api/chat/offline-messages?last_check_time=2020-01-01T00:00:00Z").await;
    let old: Vec<&str> = checked["data"]["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|message| message["content"].as_str())
        .collect();
    assert_eq!(old, ["There is smoke", "Have you tried to put it out?"], "rows of before");
    let since = checked["data"]["last_check_time"].as_str().expect("a time").to_owned();
    let cursor = checked["data"]["cursor"].as_str().expect("a cursor").to_owned();

    // Their row, by their statement.
    post(&app, "DESK-1", "mina", "On my way").await;
    let came = lucy.until("new_message").await;
    assert_eq!(
        (&came["type"], &came["data"]["content"]),
        (&json!("new_message"), &json!("On my way"))
    );
    assert_eq!(came["data"]["thread_id"], json!(ticket));
    assert_eq!(came["data"]["sender"], json!({ "full_name": "Mina Harker", "role": "agent" }));
    assert_eq!(mina.until("new_message").await["data"]["content"], "On my way");

    let unread = get(&app, "lucy", "/api/chat/unread-count").await;
    assert_eq!(unread["data"], json!({ "unread_count": 1, "threads": { &ticket: 1 } }));
    for query in [format!("last_check_time={since}"), format!("cursor={cursor}")] {
        let missed = get(&app, "lucy", &format!("/api/chat/offline-messages?{query}")).await;
        assert_eq!(missed["data"]["count"], 1, "{missed}");
        assert_eq!(missed["data"]["messages"][0]["content"], "On my way");
    }

    let path = format!("/api/chat/mark-read/{ticket}");
    let (status, marked) = app.ask("POST", &path, &pass("lucy"), None).await;
    assert_eq!((status, &marked["marked_count"]), (200, &json!(1)), "{marked}");
    let read = mina.until("messages_read").await;
    assert_eq!(read["count"], 1);
    assert_eq!(get(&app, "lucy", "/api/chat/unread-count").await["data"]["unread_count"], 0);
    let rows: i64 = app.value("select rc_read from support.watchers where login = 'lucy'").await;
    assert_eq!(rows, 3, "the watermark is in their table");

    // The other way round: a client's message is their row.
    let path = format!("/api/chat/threads/{ticket}/messages");
    let (status, sent) =
        app.ask("POST", &path, &pass("lucy"), Some(r#"{"content":"Hurry!"}"#)).await;
    assert_eq!(status, 201, "{sent}");
    assert_eq!(mina.until("new_message").await["data"]["content"], "Hurry!");
    let author: String = app
        .value("select author from support.posts where body = 'Hurry!' and ticket = 'DESK-1'")
        .await;
    assert_eq!(author, "lucy");

    app.sql("update support.posts set body = 'Hurry up!' where body = 'Hurry!'").await;
    assert_eq!(mina.until("message_updated").await["data"]["content"], "Hurry up!");
    app.sql("delete from support.posts where body = 'Hurry up!'").await;
    assert_eq!(mina.until("message_deleted").await["message_id"], sent["data"]["id"]);
    assert_eq!(get(&app, "mina", "/api/chat/unread-count").await["data"]["unread_count"], 0);

    // What was missed while away comes by cursor.
    lucy.until("message_deleted").await;
    drop(lucy);
    post(&app, "DESK-1", "mina", "Here I am").await;
    let mut lucy =
        app.socket_with(&pass("lucy"), &format!("&cursor={cursor}")).await.expect("a socket");
    let mut said = Vec::new();
    loop {
        let frame = lucy.next().await;
        match frame["type"].as_str() {
            Some("new_message") => said.push(frame["data"]["content"].clone()),
            Some("resumed") => break,
            _ => {}
        }
    }
    assert_eq!(said.first(), Some(&json!("On my way")));
    assert_eq!(said.last(), Some(&json!("Here I am")));

    // No longer a watcher: told, and from then on nothing.
    app.sql("delete from support.watchers where login = 'lucy' and ticket = 'DESK-1'").await;
    lucy.until("thread_left").await;
    post(&app, "DESK-1", "mina", "She is gone").await;
    mina.until("new_message").await;
    let asked = json!({ "type": "send_message", "thread_id": ticket, "content": "Hello?" });
    let refused = lucy.ask(asked).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("forbidden")));

    app.sql("update support.people set locked_out = true where login = 'lucy'").await;
    assert_eq!(lucy.closed().await, 4403);
    let failures: i64 = app.value("select count(*) from rowcast.failures").await;
    assert_eq!(failures, 0);
}

#[tokio::test]
async fn every_chat_dialect_serves_the_help_desk() {
    let app = App::start_on(desk().await, &[]).await;

    let rooms = get(&app, "mina", "/api/chat/rooms/").await;
    let mut rooms = rooms.as_array().expect("a list").iter();
    let fire = rooms.find(|room| room["name"] == "The printer is on fire");
    let room = fire.and_then(|room| room["id"].as_i64()).expect("an integer");
    let path = format!("/ws/chat/{room}/");
    let mut socket = app.socket_at(&path, &pass("mina")).await.expect("a socket");
    post(&app, "DESK-1", "lucy", "by SQL").await;
    let frame = socket.until("message").await;
    assert_eq!(frame["message"]["sender"]["first_name"], "Lucy");
    let polled = get(&app, "mina", &format!("/api/chat/messages/poll/?room_id={room}")).await;
    assert_eq!(polled["messages"].as_array().map(Vec::len), Some(3));

    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"params":{{"thread_id":{room}}}}}"#);
    let path = "/api/messaging/poll/messages";
    let (_, answer) = app.ask("POST", path, &pass("mina"), Some(&call)).await;
    assert_eq!(answer["result"]["count"], 3, "{answer}");
    let (_, answer) =
        app.ask("POST", "/api/messaging/poll/updates", &pass("mina"), Some(&call)).await;
    assert_eq!(answer["result"]["unread_count"], 1, "{answer}");

    let list = get(&app, "mina", "/api/conversations").await;
    assert_eq!(
        (&list[0]["unreadCount"], &list[0]["lastMessage"]["content"]),
        (&json!(1), &json!("by SQL"))
    );
    let conversation = list[0]["id"].as_str().expect("a uuid").to_owned();
    let mut io = IoSocket::enter(&app, &pass("mina"), "&dialect=conversations").await;
    io.send(&format!(r#"21["conversation:read",{{"conversationId":"{conversation}"}}]"#)).await;
    let mut packet = io.next().await;
    while !packet.starts_with("31[") {
        packet = io.next().await;
    }
    let answer: Value = serde_json::from_str(&packet[2..]).expect("JSON");
    assert_eq!(answer, json!([{ "success": true, "markedCount": 1 }]));

    // A function with the desk's own body: a private line is a ticket.
    let lucy: String =
        app.value("select rc_uuid::text from support.people where login = 'lucy'").await;
    let body = json!({ "receiver_id": lucy, "content": "Between us" }).to_string();
    let (status, sent) = app.ask("POST", "/api/messages/send", &pass("mina"), Some(&body)).await;
    assert_eq!(status, 201, "{sent}");
    let line: String =
        app.value("select ticket from support.posts where body = 'Between us'").await;
    assert_eq!(line, "LINE-1-3");
    let talks = get(&app, "lucy", "/api/messages/conversations").await;
    assert_eq!(talks["conversations"][0]["last_message"]["content"], "Between us");
    assert_eq!(talks["conversations"][0]["unread_count"], 1);
}

#[tokio::test]
async fn migrate_keeps_what_a_team_has_replaced_and_says_so() {
    let database = desk().await;
    let kept =
        ["kept your own chat.\"user\"(text)", "kept your own chat.direct_thread(bigint,bigint)"];
    let client = database.client().await;
    let body = "select md5(prosrc) || coalesce(obj_description(oid, 'pg_proc'), '') from pg_proc \
        where oid = 'chat.direct_thread(bigint, bigint)'::regprocedure";
    let before: String = client.query_one(body, &[]).await.expect("a body").get(0);
    // A new version has other functions: everything is applied again.
    let newer = "update rowcast.migrations set hash = 'older' where version = 0";
    for upgrade in ["select", newer] {
        client.batch_execute(upgrade).await.expect("changed");
        let said = migrated(&database).await.expect("migrated");
        for line in kept {
            assert!(said.iter().any(|heard| heard == line), "{said:?}");
        }
        let after: String = client.query_one(body, &[]).await.expect("a body").get(0);
        assert_eq!(after, before);
    }
    client.batch_execute(newer).await.expect("changed");
    client.batch_execute(&migrate::print().expect("SQL")).await.expect("the printed form, too");
    let after: String = client.query_one(body, &[]).await.expect("a body").get(0);
    assert_eq!(after, before);

    let sql =
        "select detail from rowcast.doctor() where check_name = 'functions of your own' and ok";
    let told: String = client.query_one(sql, &[]).await.expect("the doctor").get(0);
    assert!(told.contains("chat.direct_thread"), "{told}");
}

#[tokio::test]
async fn the_desks_services_need_no_right_of_ours_and_never_fail_because_of_us() {
    let app = App::start_on(desk().await, &[]).await;
    let name = format!("desk_of_{}", app.database.url().rsplit_once('/').expect("a name").1);
    let superuser = app.database.superuser().await;
    superuser
        .batch_execute(&format!(
            "create role {name}; grant usage on schema support to {name}; \
             grant select, insert on support.posts to {name}"
        ))
        .await
        .expect("a role");
    let mut lucy = app.socket_with(&pass("lucy"), "").await.expect("a socket");
    lucy.until("connection_established").await;
    let insert = "insert into support.posts (ticket, author, body) values ('DESK-1', 'mina', 'By a service')";
    superuser.batch_execute(&format!("set role {name}; {insert}; reset role")).await.expect(insert);
    assert_eq!(lucy.next().await["data"]["content"], "By a service");

    // Somebody breaks what stands between: the row is there, and the failure is told.
    app.sql("drop view chat.messages cascade").await;
    superuser.batch_execute(&format!("set role {name}; {insert}; reset role")).await.expect(insert);
    let failed: String = app.value("select relation from rowcast.failures").await;
    assert_eq!(failed, "support.posts");
    let problem: String =
        app.value("select relation || ' ' || problem from rowcast.misfits()").await;
    assert_eq!(problem, "chat.messages is missing");
}

#[tokio::test]
async fn what_no_longer_fits_is_named_and_nothing_is_half_done() {
    let database = Database::new().await;
    let client = database.client().await;
    // As if an earlier version had installed a function that this one no longer has.
    client
        .batch_execute(
            "create function chat.older(bigint) returns bigint language sql as 'select 2'; \
             insert into rowcast.installed (signature, hash) values ('chat.older(bigint)', 'x'); \
             update rowcast.migrations set hash = 'older' where version = 0",
        )
        .await
        .expect("an older one");
    let why = migrated(&database).await.expect_err("nobody would call it");
    assert!(why.contains("chat.older(bigint)") && why.contains("not called any more"), "{why}");
    client.batch_execute("drop function chat.older(bigint)").await.expect("dropped");
    migrated(&database).await.expect("all fits");

    // A view that lacks a column is named by migrate and by the doctor.
    for file in ["1-desk.sql", "2-columns.sql", "3-views.sql"] {
        apply(&database, file).await;
    }
    let narrow = "drop view chat.users cascade; \
        create view chat.users as select rc_id as id, rc_uuid::text as uuid, null::bigint as credits \
        from support.people";
    client.batch_execute(narrow).await.expect("a view");
    let sql = "select string_agg(relation || ' ' || problem, '; ') from rowcast.misfits()";
    let told: String = client.query_one(sql, &[]).await.expect("misfits").get(0);
    for part in [
        "lacks the column username text",
        "has uuid as text instead of uuid",
        "takes no update of credits",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
