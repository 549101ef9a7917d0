//! What the console lists, and what it may do with it where it is let.

use serde_json::{Value, json};

use super::{FLAG, get, post, until};
use crate::{
    harness::{
        app::{App, person, token},
        io::IoSocket,
    },
    native::client::EventStream,
    supabase::client::token_of,
};
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest};

fn users(body: &Value) -> Vec<&str> {
    let rows = body["sessions"].as_array().expect("sessions");
    rows.iter().map(|row| row["user"].as_str().expect("a user")).collect()
}

#[tokio::test]
async fn sessions_are_listed_and_searched_and_leave_with_their_clients() {
    let app = App::start_with(&[FLAG]).await;
    let mut ada = app.socket("ada", "").await;
    let mut linus = app.socket("linus", "").await;
    ada.until("connection_established").await;
    linus.until("connection_established").await;
    let both = until(&app, "sessions", |body| users(body).len() == 2).await;
    assert_eq!(users(&both), ["linus", "ada"], "the newest first");
    let row = &both["sessions"][1];
    assert_eq!(
        (&row["dialect"], &row["role"], &row["sub"]),
        (&json!("native"), &json!("authenticated"), &json!(person("ada")))
    );
    assert_eq!(row["topics"], json!(["thread:1", "thread:2", "user:1"]));
    assert!(row["delivered"].as_u64().expect("a number") >= 1 && row["capacity"] == 1024);

    for (search, found) in [
        ("search=ADA", vec!["ada"]),
        ("search=thread:2", vec!["ada"]),
        ("search=thread:1", vec!["linus", "ada"]),
        ("search=native", vec!["linus", "ada"]),
        ("search=nobody", vec![]),
        ("behind=true", vec![]),
    ] {
        assert_eq!(users(&get(&app, &format!("sessions?{search}")).await), found, "{search}");
    }
    let id = both["sessions"][0]["id"].as_u64().expect("a number");
    assert_eq!(users(&get(&app, &format!("sessions?before={id}")).await), ["ada"]);

    let overview = get(&app, "overview").await;
    assert_eq!(overview["sessions"], 2);
    assert!(overview["connections"]["native"].as_f64().expect("a number") >= 2.0);
    drop(linus);
    until(&app, "sessions", |body| users(body) == ["ada"]).await;
}

/// Whatever a client speaks, through a proxy that says for whom.
#[tokio::test]
async fn every_session_says_from_where_it_comes_and_is_found_by_it() {
    let app = App::start_with(&[FLAG, "--trusted-proxies=127.0.0.0/8"]).await;
    let mut open = Vec::new();
    let paths = [
        format!("/ws?token={}", token("ada")),
        format!("/ws/chat/1/?token={}", token("ada")),
        format!("/realtime/v1/websocket?vsn=2.0.0&apikey={}", token_of("anon")),
    ];
    for (nth, path) in paths.iter().enumerate() {
        let url = format!("ws://{}{path}", app.address());
        let mut request = url.into_client_request().expect("a request");
        let address = format!("198.51.100.{nth}");
        request.headers_mut().insert("x-forwarded-for", address.parse().expect("a header"));
        open.push(connect_async(request).await.expect("a socket").0);
    }
    let header = ("x-forwarded-for", "2001:db8::7".to_owned());
    let mut io = IoSocket::open_with(&app, "&dialect=direct", &[header]).await;
    io.send(&format!(r#"0{{"token":"{}"}}"#, token("ada"))).await;
    assert!(io.next().await.starts_with(r#"0{"sid""#));
    let mut late =
        IoSocket::open_with(&app, "", &[("x-forwarded-for", "2001:db8::8".to_owned())]).await;
    late.send("0").await;
    assert!(late.next().await.starts_with(r#"0{"sid""#));
    late.send(&format!(r#"21["auth",{{"token":"{}"}}]"#, token("ada"))).await;
    late.next().await;
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", &*bearer), ("x-forwarded-for", "192.0.2.44")];
    let stream = EventStream::open_with(&app, "", &headers).await;
    let mut plain = app.socket("ada", "").await;
    plain.until("connection_established").await;

    let all = until(&app, "sessions", |body| users(body).len() == 7).await;
    let rows = all["sessions"].as_array().expect("rows");
    let mut from: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["dialect"].as_str().expect("one"), row["address"].as_str().expect("one")))
        .collect();
    from.sort_unstable();
    let wanted = [
        ("conversations", "2001:db8::8"),
        ("direct", "2001:db8::7"),
        ("native", "127.0.0.1"),
        ("native", "192.0.2.44"),
        ("native", "198.51.100.0"),
        ("rooms", "198.51.100.1"),
        ("supabase", "198.51.100.2"),
    ];
    assert_eq!(from, wanted);
    for (search, count) in [
        ("198.51.100.", 3),
        ("198.51.100.2", 1),
        ("2001:DB8::", 2),
        ("192.0.2.44", 1),
        ("203.0.113.", 0),
    ] {
        let found = get(&app, &format!("sessions?search={search}")).await;
        assert_eq!(users(&found).len(), count, "{search}");
    }
    drop((open, io, late, stream, plain));
}

#[tokio::test]
async fn more_sessions_than_a_page_are_paged() {
    let app = App::start_with(&[FLAG]).await;
    let mut sockets = Vec::new();
    for _ in 0..55 {
        sockets.push(app.socket("ada", "").await);
    }
    let first =
        until(&app, "sessions", |body| users(body).len() == 50 && body["more"] == true).await;
    let last = first["sessions"][49]["id"].as_u64().expect("a number");
    let second = get(&app, &format!("sessions?before={last}")).await;
    assert_eq!((users(&second).len(), &second["more"]), (5, &json!(false)));
}

#[tokio::test]
async fn topics_are_listed_with_their_holders() {
    let app = App::start_with(&[FLAG]).await;
    let mut ada = app.socket("ada", "").await;
    let mut grace = app.socket("grace", "").await;
    ada.until("connection_established").await;
    grace.until("connection_established").await;
    let all = get(&app, "topics").await;
    let wanted = json!([
        // The bridge's own ear, for `rowcast.reload()`.
        { "topic": "table:rowcast.reload", "holders": 1 },
        { "topic": "thread:1", "holders": 2 }, { "topic": "thread:2", "holders": 2 },
        { "topic": "user:1", "holders": 1 }, { "topic": "user:2", "holders": 1 },
    ]);
    assert_eq!((&all["topics"], &all["more"]), (&wanted, &json!(false)));
    let threads = get(&app, "topics?search=thread:&after=thread:1").await;
    assert_eq!(threads["topics"], json!([{ "topic": "thread:2", "holders": 2 }]));
}

#[tokio::test]
async fn an_operator_may_end_a_session_that_may_come_back() {
    let app = App::start_with(&[FLAG, "--admin-write"]).await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let listed = get(&app, "sessions").await;
    let id = &listed["sessions"][0]["id"];
    assert_eq!(post(&app, "sessions/end", json!({ "id": id })).await.0, 200);
    assert_eq!(ada.closed().await, 4410);
    until(&app, "sessions", |body| users(body).is_empty()).await;
    assert_eq!(post(&app, "sessions/end", json!({ "id": id })).await.0, 404);
    app.socket("ada", "").await.until("connection_established").await;
}

#[tokio::test]
async fn tables_are_listed_watched_and_unwatched() {
    let app = App::start_with(&[FLAG, "--admin-write"]).await;
    app.sql(
        "create table public.todos (id int primary key); create table public.\"Odd name\" (x int)",
    )
    .await;
    let find = |body: &Value, name: &str| {
        let rows = body["tables"].as_array().expect("tables");
        rows.iter().find(|row| row["name"] == name).cloned()
    };
    let before = get(&app, "tables").await;
    let todos = find(&before, "public.todos").expect("listed");
    assert_eq!(
        (&todos["topic"], &todos["has_key"], &todos["row_security"]),
        (&Value::Null, &json!(true), &json!(false))
    );
    assert!(find(&before, "public.\"Odd name\"").is_some());
    assert!(find(&before, "chat.messages").is_none() && find(&before, "rowcast.changes").is_none());

    let (status, body) = post(&app, "tables/watch", json!({ "table": "public.todos" })).await;
    assert_eq!((status, &body["topic"]), (200, &json!("table:public.todos")));
    let after = find(&get(&app, "tables?search=TODOS").await, "public.todos").expect("listed");
    assert_eq!(
        (&after["topic"], &after["triggers"]),
        (&json!("table:public.todos"), &after["triggers_wanted"])
    );

    let (status, body) = post(&app, "tables/watch", json!({ "table": "public.nothing" })).await;
    assert_eq!(status, 409);
    assert!(body["message"].as_str().expect("a message").contains("does not exist"), "{body}");
    let (status, body) = post(&app, "tables/unwatch", json!({ "table": "public.todos" })).await;
    assert_eq!((status, &body["was_watched"]), (200, &json!(true)));
    assert_eq!(app.value::<i64>("select count(*) from rowcast.watched").await, 0);
    // What was dropped while it was watched is still to be seen.
    post(&app, "tables/watch", json!({ "table": "public.todos" })).await;
    app.sql("drop table public.todos").await;
    let gone = find(&get(&app, "tables").await, "public.todos").expect("listed");
    assert_eq!(
        (&gone["row_security"], &gone["topic"]),
        (&Value::Null, &json!("table:public.todos"))
    );
}

#[tokio::test]
async fn failures_come_with_remedies_and_the_doctor_and_the_log_are_shown() {
    let app = App::start_with(&[FLAG]).await;
    app.sql(
        "insert into rowcast.failures (relation, op, sqlstate, message) values \
             ('public.todos', 'INSERT', '42703', 'column \"x\" does not exist'), \
             ('public.notes', 'UPDATE', 'XX000', 'odd')",
    )
    .await;
    let body = get(&app, "failures").await;
    assert_eq!(body["last_hour"], 2);
    assert_eq!(body["failures"][0]["relation"], "public.notes");
    assert!(body["failures"][0]["remedy"].as_str().expect("a remedy").contains("rowcast doctor"));
    let remedy = body["failures"][1]["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("select rowcast.watch('public.todos')"), "{remedy}");

    let doctor = get(&app, "doctor").await;
    let checks = doctor.as_array().expect("checks");
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&checks[0]["name"], checks[0]["remedy"].is_string()),
        (&json!("capture failures"), true)
    );
    let database = until(&app, "database", |body| body["nodes"][0]["name"] == "rowcast").await;
    assert!(database["log"]["bytes"].as_u64().expect("a size") > 0);
    assert_eq!(database["log"]["failures_last_hour"], 2);
}
