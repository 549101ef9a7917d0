//! Server-Sent Events as browsers read them: ids, coming back, keep-alive, the end.

use std::time::Duration;

use serde_json::json;

use super::client::{EventStream, Sent, request};
use crate::harness::app::{App, now, person, token, token_with};

/// A comment comes every 15 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

async fn say(app: &App, thread: i32, content: &str) {
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values ({thread}, 2, '{content}')"
    ))
    .await;
}

#[tokio::test]
async fn an_event_is_the_sockets_frame_and_its_id_the_cursor() {
    let app = App::start().await;
    let mut socket = app.socket("ada", "").await;
    socket.until("connection_established").await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    let (id, established) = stream.next().await;
    assert_eq!(established["type"], "connection_established");
    assert_eq!(established["user_id"], json!(person("ada")));
    assert_eq!(json!(id), established["cursor"]);
    say(&app, 1, "line one\nline two\r\n\ndata: three").await;
    let mut frame = socket.next().await;
    let (id, mut data) = stream.next().await;
    assert_eq!(json!(id), data["cursor"]);
    // Each came in where the database stood, so their places need not be written alike.
    (frame["cursor"], data["cursor"]) = (json!(null), json!(null));
    assert_eq!(data, frame);
    assert_eq!(data["data"]["content"], "line one\nline two\r\n\ndata: three");
}

#[tokio::test]
async fn a_browser_that_comes_back_has_exactly_what_it_missed() {
    let app = App::start().await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    // Gone before its first event: its place is known all the same.
    let mut last = stream.last_id.clone();
    drop(stream);
    for round in 0..5 {
        say(&app, 1, &format!("missed {round}")).await;
        say(&app, 2, &format!("missed as well {round}")).await;
        let mut stream = EventStream::open(&app, &token("ada"), last.as_deref()).await;
        let (id, established) = stream.next().await;
        assert_eq!((&established["type"], id), (&json!("connection_established"), last.clone()));
        assert_eq!(stream.next().await.1["data"]["content"], json!(format!("missed {round}")));
        if round % 2 == 0 {
            // Gone again in the middle of it.
            last = stream.last_id.clone();
            drop(stream);
            stream = EventStream::open(&app, &token("ada"), last.as_deref()).await;
            stream.until("connection_established").await;
        }
        assert_eq!(
            stream.next().await.1["data"]["content"],
            json!(format!("missed as well {round}"))
        );
        let (id, resumed) = stream.next().await;
        assert_eq!(resumed["type"], "resumed");
        assert_eq!(json!(id), resumed["cursor"]);
        say(&app, 1, &format!("live {round}")).await;
        assert_eq!(stream.next().await.1["data"]["content"], json!(format!("live {round}")));
        last = stream.last_id.clone();
    }
}

#[tokio::test]
async fn a_cursor_in_the_query_counts_until_there_is_a_last_event() {
    let app = App::start().await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    let first = stream.last_id.clone().expect("an id");
    say(&app, 1, "one").await;
    stream.until("new_message").await;
    let second = stream.last_id.clone().expect("an id");
    say(&app, 1, "two").await;
    let bearer = format!("Bearer {}", token("ada"));
    for (last, content) in [(None, "one"), (Some(""), "one"), (Some(&*second), "two")] {
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let mut stream = EventStream::open_with(&app, &format!("?cursor={first}"), &headers).await;
        assert_eq!(stream.until("new_message").await["data"]["content"], content, "{last:?}");
    }
    let response = request(
        &app,
        "GET",
        "/api/chat/events",
        &[("authorization", &bearer), ("last-event-id", "nonsense!")],
        "",
    )
    .await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<serde_json::Value>().await.expect("JSON")["code"], "bad_request");
}

#[tokio::test]
async fn proxies_are_told_not_to_hold_it_back_and_silence_is_broken() {
    let app = App::start().await;
    let bearer = format!("Bearer {}", token("ada"));
    let response =
        request(&app, "GET", "/api/chat/events", &[("authorization", &bearer)], "").await;
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    assert_eq!(stream.next_within(KEEP_ALIVE).await, Sent::Comment);
    say(&app, 1, "still here").await;
    assert_eq!(stream.next().await.1["data"]["content"], "still here");
}

#[tokio::test]
async fn it_ends_when_the_bridge_stops_or_the_token_does() {
    let mut app = App::start().await;
    let brief = token_with(&json!({ "sub": person("ada"), "exp": now() + 2 }));
    let mut brief = EventStream::open(&app, &brief, None).await;
    brief.until("connection_established").await;
    brief.ended().await;
    let mut stream = EventStream::open(&app, &token("ada"), None).await;
    stream.until("connection_established").await;
    say(&app, 1, "the last one").await;
    stream.until("new_message").await;
    tokio::join!(app.stop(), stream.ended());
}
