//! Presence and typing across dialects: one count, one word, one end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::app::{App, token};

async fn shown(app: &App, user: i64) -> Value {
    let body = json!({ "jsonrpc": "2.0", "params": { "partner_ids": [user] } }).to_string();
    let path = "/api/messaging/presence/status";
    let (_, answer) = app.ask("POST", path, &token("grace"), Some(&body)).await;
    answer["result"]["presence"][0]["status"].clone()
}

async fn say(app: &App, status: &str) {
    let body = json!({ "jsonrpc": "2.0", "params": { "status": status } }).to_string();
    let path = "/api/messaging/presence/update";
    let (code, _) = app.ask("POST", path, &token("ada"), Some(&body)).await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn connections_of_all_dialects_count_and_last_seen_is_written_once() {
    let app = App::start().await;
    let seen =
        "select count(*) from rowcast.changes where topic = 'user:1' and relation = 'chat.users'";
    assert_eq!(shown(&app, 1).await, "offline");
    let native = app.socket("ada", "").await;
    let room = app.socket_at("/ws/chat/1/", &token("ada")).await.expect("a socket");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(shown(&app, 1).await, "online");
    drop(native);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(shown(&app, 1).await, "online", "the room's socket is open");
    assert_eq!(app.value::<i64>(seen).await, 0);
    drop(room);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown(&app, 1).await, "offline");
    assert_eq!(app.value::<i64>(seen).await, 1, "last_seen was written once");
}

#[tokio::test]
async fn a_request_by_any_dialect_is_a_sign_of_life_and_offline_outlasts_it() {
    let app = App::start().await;
    assert_eq!(app.ask("GET", "/api/chat/rooms/", &token("ada"), None).await.0, 200);
    assert_eq!(shown(&app, 1).await, "online");
    say(&app, "offline").await;
    assert_eq!(app.ask("GET", "/api/chat/unread-count", &token("ada"), None).await.0, 200);
    assert_eq!(shown(&app, 1).await, "offline");
    let socket = app.socket_at("/ws/chat/1/", &token("ada")).await.expect("a socket");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(shown(&app, 1).await, "online", "opening a socket is coming online");
    drop(socket);
    // Being noted as gone ends what was said before it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    say(&app, "away").await;
    assert_eq!(shown(&app, 1).await, "away");
    say(&app, "online").await;
    assert_eq!(shown(&app, 1).await, "online");
}

#[tokio::test]
async fn an_explicit_offline_ends_with_the_next_socket_and_says_nothing_after_it() {
    let app = App::start().await;
    let mut grace = app.socket("grace", "").await;
    grace.until("connection_established").await;
    grace.ask(json!({ "type": "subscribe_thread", "thread_id": 1 })).await;
    say(&app, "online").await;
    assert_eq!(grace.until("presence").await["status"], "online");
    say(&app, "offline").await;
    assert_eq!(grace.until("presence").await["status"], "offline");
    let ada = app.socket("ada", "").await;
    assert_eq!(grace.until("presence").await["status"], "online");
    drop(ada);
    assert_eq!(grace.until("presence").await["status"], "offline");
    assert_eq!(shown(&app, 1).await, "offline");
    assert_eq!(app.ask("GET", "/api/chat/rooms/", &token("ada"), None).await.0, 200);
    assert_eq!(grace.until("presence").await["status"], "online");
    assert_eq!(shown(&app, 1).await, "online");
}

#[tokio::test]
async fn typing_in_one_dialect_shows_in_all_and_ends_by_itself() {
    let app = App::start().await;
    let mut native = app.socket("ada", "").await;
    native.until("connection_established").await;
    native.ask(json!({ "type": "subscribe_thread", "thread_id": 1 })).await;
    let mut room = app.socket_at("/ws/chat/1/", &token("grace")).await.expect("a socket");
    room.send(r#"{"type":"typing","is_typing":true}"#).await;
    assert_eq!(native.until("typing").await["is_typing"], true);
    let path = "/api/messaging/typing/status/1";
    let (_, body) = app.ask("POST", path, &token("linus"), Some(r#"{"jsonrpc":"2.0"}"#)).await;
    assert_eq!(body["result"]["typing_users"][0]["partner_id"], 2);
    let (_, body) = app.ask("GET", "/api/chat/rooms/1/", &token("linus"), None).await;
    assert_eq!(body["typing_user"]["username"], "grace");
    let began = tokio::time::Instant::now();
    assert_eq!(native.until("typing").await["is_typing"], false);
    let lasted = began.elapsed().as_secs_f64();
    assert!(lasted >= 4.0, "{lasted} s");
}
