//! What comes to a client: resynchronisation, offline pages, typing and presence, large and many rows.

use std::collections::HashSet;

use rowcast::cursor::{HistoryId, Position};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::EventStream;
use crate::harness::app::{App, PATIENCE, Socket, person, thread, token};

async fn open(app: &App, name: &str) -> Socket {
    let mut socket = app.socket(name, "").await;
    socket.until("connection_established").await;
    socket
}

/// Opens a socket that hears all of the thread of ada, grace and linus.
async fn listening(app: &App, name: &str) -> Socket {
    let mut socket = open(app, name).await;
    let frame = json!({ "type": "subscribe_thread", "thread_id": thread("maths") });
    assert_eq!(socket.ask(frame).await["type"], "thread_subscribed");
    socket
}

async fn say(app: &App, content: &str) {
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values (1, 2, '{content}')"
    ))
    .await;
}

async fn assert_live(app: &App, socket: &mut Socket, content: &str) {
    say(app, content).await;
    assert_eq!(socket.next().await["data"]["content"], content);
}

/// The oldest transaction that a cursor's holder may lack.
async fn oldest(app: &App, cursor: &str) -> i64 {
    let history = HistoryId::of(&app.value::<String>("select rowcast.history()").await);
    let position = Position::decode(cursor, history).expect("a cursor").expect("of this history");
    i64::try_from(position.base.snapshot.xmin()).expect("small")
}

/// Prunes the log past a cursor, and waits until the feed stands after that: transactions of other tests hold both up.
async fn forget(app: &App, cursor: &str) {
    let old = oldest(app, cursor).await;
    let end = Instant::now() + PATIENCE;
    app.sql("insert into chat.threads (kind) values ('group')").await;
    let mut below = 0;
    while Instant::now() < end {
        if below <= old {
            app.sql("select rowcast.checkpoint(); select rowcast.prune('0 s', 1000)").await;
            below = app.value("select pruned_below::text::bigint from rowcast.state").await;
        }
        // A thread that nobody is in.
        app.sql("insert into chat.messages (thread_id, content) values (3, 'go on')").await;
        let now = app.socket("ada", "").await.next().await["cursor"].clone();
        if below > old && oldest(app, now.as_str().expect("a cursor")).await >= below {
            return;
        }
    }
    panic!("something is open for too long");
}

#[tokio::test]
async fn a_cursor_older_than_the_log_must_resynchronise_and_stays_live() {
    // What a node remembers it tells, however long the log is kept.
    let app = App::start_with(&["--rate-joins=10000/10000", "--remember=0"]).await;
    let mut before = app.socket("ada", "").await;
    let cursor = before.next().await["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor").to_owned();
    assert_live(&app, &mut before, "pruned").await;
    forget(&app, &cursor).await;

    let mut socket = app.socket("ada", &format!("&cursor={cursor}")).await;
    assert_eq!(socket.next().await["type"], "connection_established");
    let resync = socket.next().await;
    assert_eq!(resync["type"], "resync_required");
    assert_live(&app, &mut socket, "live after a cursor at the door").await;
    // The cursor that it came with is one to go on from.
    let fresh = resync["cursor"].as_str().expect("a cursor");
    let mut again = app.socket("ada", &format!("&cursor={fresh}")).await;
    assert_eq!(
        again.until("new_message").await["data"]["content"],
        "live after a cursor at the door"
    );
    assert_eq!(again.next().await["type"], "resumed");

    let mut asked = open(&app, "ada").await;
    let answer = asked.ask(json!({ "type": "resume", "cursor": cursor, "ref": 9 })).await;
    assert_eq!((&answer["type"], &answer["ref"]), (&json!("resync_required"), &json!(9)));
    assert_live(&app, &mut asked, "live after a request").await;

    let mut stream = EventStream::open(&app, &token("ada"), Some(&cursor)).await;
    assert_eq!(stream.next().await.1["type"], "connection_established");
    let (id, resync) = stream.next().await;
    assert_eq!((&resync["type"], json!(id)), (&json!("resync_required"), resync["cursor"].clone()));
    say(&app, "live after an event stream").await;
    assert_eq!(stream.next().await.1["data"]["content"], "live after an event stream");

    let path = format!("/api/chat/offline-messages?cursor={cursor}");
    let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
    assert_eq!((status, &body["code"]), (409, &json!("resync_required")), "{body}");
}

#[tokio::test]
async fn a_cursor_of_another_history_must_resynchronise_and_stays_live() {
    let (app, other) = (App::start().await, App::start().await);
    let cursor = other.socket("ada", "").await.next().await["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    let of_a_time = rowcast::cursor::encode_time(1_790_000_000_000_000);
    for cursor in [cursor, &of_a_time] {
        let mut socket = app.socket("ada", &format!("&cursor={cursor}")).await;
        let established = socket.next().await;
        let resync = socket.next().await;
        assert_eq!(resync["type"], "resync_required");
        assert_eq!(resync["cursor"], established["cursor"]);
        assert_live(&app, &mut socket, "live").await;
        let answer = socket.ask(json!({ "type": "resume", "cursor": cursor, "ref": "r" })).await;
        assert_eq!((&answer["type"], &answer["ref"]), (&json!("resync_required"), &json!("r")));
        assert_live(&app, &mut socket, "still live").await;
        let mut stream = EventStream::open(&app, &token("ada"), Some(cursor)).await;
        stream.until("resync_required").await;
        say(&app, "a stream, too").await;
        stream.until("new_message").await;
    }
    let path = format!("/api/chat/offline-messages?cursor={cursor}");
    assert_eq!(app.ask("GET", &path, &token("ada"), None).await.0, 409);
}

/// Follows pages until there is no more, by the parameter that `next` makes of an answer.
async fn pages(app: &App, first: &str, limit: usize, next: fn(&Value) -> String) -> Vec<String> {
    let (mut parameter, mut contents) = (first.to_owned(), Vec::new());
    loop {
        let path = format!("/api/chat/offline-messages?{parameter}&limit={limit}");
        let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
        assert_eq!(status, 200, "{path}: {body}");
        let data = &body["data"];
        let page = data["messages"].as_array().expect("messages");
        assert_eq!(data["count"], page.len());
        assert!(page.len() <= limit);
        contents.extend(page.iter().map(|one| one["content"].as_str().expect("text").to_owned()));
        if data["has_more"] == false {
            return contents;
        }
        assert!(!page.is_empty(), "more, and nothing on the page");
        parameter = next(data);
        assert!(contents.len() < 1_000, "it goes round in circles");
    }
}

fn by_cursor(data: &Value) -> String {
    format!("cursor={}", data["cursor"].as_str().expect("a cursor"))
}

fn by_time(data: &Value) -> String {
    format!("last_check_time={}", data["last_check_time"].as_str().expect("a time"))
}

#[tokio::test]
async fn offline_messages_come_page_by_page_until_there_is_no_more() {
    let app = App::start_with(&["--rate-rest=10000/10000"]).await;
    let (_, body) = app
        .ask(
            "GET",
            "/api/chat/offline-messages?last_check_time=2024-01-01T00:00:00Z",
            &token("ada"),
            None,
        )
        .await;
    let began = body["data"].clone();
    for n in 0..9 {
        app.sql(&format!(
            "insert into chat.messages (thread_id, sender_id, content)
             select 1 + i % 2, 1 + i % 2, (5 * {n} + i)::text from generate_series(0, 4) i"
        ))
        .await;
    }
    let expected: Vec<String> = (0..45).map(|n| n.to_string()).collect();
    for limit in [1, 7, 45, 500] {
        assert_eq!(pages(&app, &by_cursor(&began), limit, by_cursor).await, expected, "by {limit}");
        // By time a message may come again, but none is left out; a time older than the log reads the tables.
        for first in [by_time(&began), "last_check_time=2024-01-01T00:00:00Z".to_owned()] {
            for next in [by_time, by_cursor] {
                let came = pages(&app, &first, limit, next).await;
                let seen: HashSet<_> = came.iter().collect();
                assert_eq!(seen.len(), expected.len(), "{first} by {limit}: {came:?}");
            }
        }
    }
    // What comes after the last page is had by either.
    let all = "/api/chat/offline-messages?last_check_time=2024-01-01T00:00:00Z";
    let (_, body) = app.ask("GET", all, &token("ada"), None).await;
    say(&app, "after it").await;
    for next in [by_cursor, by_time] {
        let came = pages(&app, &next(&body["data"]), 500, next).await;
        assert_eq!(came.last().map(String::as_str), Some("after it"));
    }
}

#[tokio::test]
async fn typing_ends_by_itself_after_five_seconds() {
    let app = App::start().await;
    let mut ada = listening(&app, "ada").await;
    let mut grace = open(&app, "grace").await;
    ada.until("presence").await;
    let typing = |is_typing: bool| json!({ "type": "typing", "thread_id": thread("maths"), "user_id": person("grace"), "is_typing": is_typing });
    grace.send(r#"{"type":"typing","thread_id":1,"is_typing":true}"#).await;
    assert_eq!(ada.next().await, typing(true));
    let began = Instant::now();
    assert_eq!(ada.next().await, typing(false));
    let lasted = began.elapsed().as_secs_f64();
    assert!(lasted >= 4.5, "{lasted} s");
    // It can begin again, and a message by any way ends it.
    grace.send(r#"{"type":"typing","thread_id":1,"is_typing":true}"#).await;
    assert_eq!(ada.next().await, typing(true));
    say(&app, "done typing").await;
    let next = [ada.next().await, ada.next().await];
    assert!(next.contains(&typing(false)), "{next:?}");
    // Whoever leaves the thread no longer types in it, and cannot.
    grace.send(r#"{"type":"typing","thread_id":1,"is_typing":true}"#).await;
    assert_eq!(ada.next().await, typing(true));
    app.sql("delete from chat.members where thread_id = 1 and user_id = 2").await;
    let next = [ada.next().await, ada.next().await];
    assert!(next.contains(&typing(false)), "{next:?}");
    grace.until("thread_left").await;
    let answer = grace.ask(json!({ "type": "typing", "thread_id": 1, "is_typing": true })).await;
    assert_eq!(answer["code"], "forbidden");
}

#[tokio::test]
async fn presence_is_told_on_the_first_connection_and_after_the_last() {
    let app = App::start().await;
    let mut ada = listening(&app, "ada").await;
    let mut eve = open(&app, "eve").await;
    let first = open(&app, "grace").await;
    let presence = |status: &str| (json!("presence"), json!(person("grace")), json!(status));
    let told =
        |frame: Value| (frame["type"].clone(), frame["user_id"].clone(), frame["status"].clone());
    assert_eq!(told(ada.next().await), presence("online"));
    let second = open(&app, "grace").await;
    let mut third = EventStream::open(&app, &token("grace"), None).await;
    third.until("connection_established").await;
    drop(first);
    drop(second);
    assert_live(&app, &mut ada, "nothing was said of the second and the first").await;
    drop(third);
    let offline = ada.next().await;
    let seen: String = app
        .value("select to_char(last_seen_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from chat.users where id = 2")
        .await;
    assert_eq!(offline["last_seen"], json!(seen));
    assert_eq!(told(offline), presence("offline"));
    // Those who share no thread hear nothing.
    assert_eq!(eve.ask(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn the_senders_other_devices_have_the_message_and_the_sending_one_its_answer() {
    let app = App::start().await;
    let (mut phone, mut laptop) = (open(&app, "ada").await, open(&app, "ada").await);
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    let frame = json!({ "type": "send_message", "thread_id": 1, "content": "from the phone" });
    let sent = phone.ask(frame).await;
    assert_eq!(sent["type"], "message_sent");
    let came = laptop.next().await;
    assert_eq!((&came["type"], &came["data"]), (&json!("new_message"), &sent["data"]));
    // A cursor is each client's own place.
    let streamed = stream.next().await.1;
    assert_eq!((&streamed["type"], &streamed["data"]), (&came["type"], &came["data"]));
    // By REST there is no sending socket: all have it.
    let body = r#"{"content":"from elsewhere"}"#;
    let (status, _) =
        app.ask("POST", "/api/chat/threads/1/messages", &token("ada"), Some(body)).await;
    assert_eq!(status, 201);
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.next().await["data"]["content"], "from elsewhere");
    }
}

#[tokio::test]
async fn a_message_of_a_megabyte_arrives_whole() {
    let app = App::start().await;
    let mut socket = open(&app, "ada").await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content)
         select 1, 2, string_agg(chr(65 + i % 26) || '\"é', '') from generate_series(1, 262144) i",
    )
    .await;
    let expected: String =
        (1..=262_144u32).map(|i| format!("{}\"é", char::from(b'A' + (i % 26) as u8))).collect();
    assert!(expected.len() >= 1 << 20);
    assert!(socket.next().await["data"]["content"] == expected, "the socket's differs");
    assert!(stream.next().await.1["data"]["content"] == expected, "the stream's differs");
    assert_live(&app, &mut socket, "and life goes on").await;
}

#[tokio::test]
async fn ten_thousand_rows_of_one_transaction_arrive_in_order_and_once() {
    let app = App::start_with(&["--mailbox=16"]).await;
    let mut socket = open(&app, "ada").await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    app.sql(
        "insert into chat.messages (thread_id, sender_id, content)
         select 1, 2, i::text from generate_series(1, 10000) i",
    )
    .await;
    let mut last = Value::Null;
    for n in 1..=10_000 {
        let frame = socket.next().await;
        assert_eq!(
            (&frame["type"], &frame["data"]["content"]),
            (&json!("new_message"), &json!(n.to_string()))
        );
        last = frame["cursor"].clone();
    }
    for n in 1..=10_000 {
        assert_eq!(stream.next().await.1["data"]["content"], json!(n.to_string()));
    }
    assert_live(&app, &mut socket, "after them").await;
    // The cursor of the last one is after all of them.
    let mut again =
        app.socket("ada", &format!("&cursor={}", last.as_str().expect("a cursor"))).await;
    assert_eq!(again.next().await["type"], "connection_established");
    assert_eq!(again.next().await["data"]["content"], "after them");
    assert_eq!(again.next().await["type"], "resumed");
}
