//! Bad input over HTTP: every endpoint's documented error, limits, paths, and clients that are slow on purpose.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};

use super::client::{Raw, request};
use crate::harness::app::{App, thread, token};

/// A little more than the bridge waits for a head or a body.
const SLOW: Duration = Duration::from_secs(20);

async fn assert_error(
    app: &App,
    method: &str,
    path: &str,
    body: Option<&str>,
    status: u16,
) -> Value {
    let (came, answer) = app.ask(method, path, &token("ada"), body).await;
    assert_eq!(came, status, "{method} {path} {body:?}: {answer}");
    assert_eq!(answer["status"], "error", "{method} {path} {body:?}: {answer}");
    assert!(answer["code"].is_string() && answer["message"].is_string(), "{answer}");
    answer
}

#[tokio::test]
async fn every_endpoint_names_what_is_wrong_and_writes_nothing() {
    let app = App::start().await;
    let messages = "/api/chat/threads/1/messages";
    for body in [
        "",
        "null",
        "[]",
        "\"content\"",
        "{\"content\":\"a\"",
        "{}",
        "{\"content\":7}",
        "{\"content\":[\"a\"]}",
        "{\"content\":\"\"}",
        "{\"content\":\"a\\u0000b\"}",
        "{\"content\":\"\\ud800\"}",
        "{\"content\":\"a\",\"message_type\":7}",
        "{\"content\":\"a\",\"message_type\":\"\"}",
        "{\"content\":\"a\",\"message_type\":\"a b\"}",
        "{\"content\":\"a\",\"message_type\":\"x\\r\\nSet-Cookie: a=b\"}",
        "{\"content\":\"a\",\"attachments\":{}}",
        "{\"content\":\"a\",\"attachments\":\"[]\"}",
        "{\"content\":\"a\",\"attachments\":[\"a\\u0000b\"]}",
        "{\"content\":\"a\",\"attachments\":[{\"a\\u0000b\":1}]}",
        "content=a",
    ] {
        assert_error(&app, "POST", messages, Some(body), 400).await;
    }
    let long = json!({ "content": "a", "message_type": "x".repeat(33) }).to_string();
    assert_error(&app, "POST", messages, Some(&long), 400).await;
    let bearer = format!("Bearer {}", token("ada"));
    for bytes in [vec![0xff, 0xfe], vec![0; 100], b"{\"content\":\"\xc3\x28\"}".to_vec()] {
        let response = request(&app, "POST", messages, &[("authorization", &bearer)], bytes).await;
        assert_eq!(response.status(), 400);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["code"], "bad_request");
    }
    for body in [
        "[]",
        "{\"up_to_message_id\":[]}",
        "{\"up_to_message_id\":\"x\"}",
        "{\"up_to_message_id\":1.5}",
        "{\"up_to_message_id\":\"\\u0000\"}",
    ] {
        assert_error(&app, "POST", "/api/chat/mark-read/1", Some(body), 400).await;
    }
    for query in [
        "limit=0",
        "limit=201",
        "limit=",
        "limit=x",
        "limit=-1",
        "limit=1e2",
        "before=",
        "before=x",
        "after=%00",
        "before=%F0%28",
        "after=%0D%0AX:1",
    ] {
        let answer = assert_error(&app, "GET", &format!("{messages}?{query}"), None, 400).await;
        let name = query.split('=').next().expect("a name");
        assert!(answer["message"].as_str().expect("a message").contains(name), "{answer}");
    }
    let offline = "/api/chat/offline-messages";
    let now = "last_check_time=2024-01-01T00:00:00Z";
    for query in [
        String::new(),
        "last_check_time=".into(),
        "last_check_time=1704110400".into(),
        "last_check_time=2024-13-01T00:00:00Z".into(),
        "last_check_time=%00".into(),
        "cursor=".into(),
        "cursor=%FF".into(),
        "cursor=AQ".into(),
        format!("cursor={}", "A".repeat(20_000)),
        format!("{now}&limit=5001"),
        format!("{now}&limit=99999999999999999999"),
    ] {
        assert_error(&app, "GET", &format!("{offline}?{query}"), None, 400).await;
    }
    let written: String = app
        .value("select concat_ws(' ', (select count(*) from chat.messages), (select sum(last_read_seq) from chat.members))")
        .await;
    assert_eq!(written, "0 0");
}

#[tokio::test]
async fn times_and_cursors_from_the_ends_of_time_are_no_fault_of_ours() {
    let app = App::start().await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'Hello!')")
        .await;
    for (time, count) in [
        ("0000-01-01T00:00:00Z", 1),
        ("1969-12-31T23:59:59.999999Z", 1),
        ("2024-01-01T00:00:00+05:30", 1),
        ("2024-01-01T00:00:00%2B05:30", 1),
        ("2024-01-01t00:00:00z", 1),
        ("9999-12-30T22:00:00Z", 0),
    ] {
        let path = format!("/api/chat/offline-messages?last_check_time={time}");
        let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
        assert_eq!(status, 200, "{time}: {body}");
        assert!(body["data"]["count"].as_u64() >= Some(count), "{time}: {body}");
    }
    let times = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    for at in times {
        let cursor = rowcast::cursor::encode_time(at);
        let path = format!("/api/chat/offline-messages?cursor={cursor}");
        let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
        assert!(matches!(status, 200 | 400 | 409), "{at}: {status} {body}");
    }
    let history = history(&app).await;
    let snapshots =
        ["1:1:", "3:9223372036854775806:", "1:9223372036854775806:1,5,9223372036854775805"];
    for snapshot in snapshots {
        for at in times {
            for last in [None, Some(i64::MIN), Some(i64::MAX)] {
                let cursor = cursor(snapshot, at, last).encode(history);
                let path = format!("/api/chat/offline-messages?cursor={cursor}");
                let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
                assert!(
                    matches!(status, 200 | 400 | 409),
                    "{snapshot} {at} {last:?}: {status} {body}"
                );
                let mut socket = app.socket("ada", &format!("&cursor={cursor}")).await;
                socket.until("connection_established").await;
                socket.send(r#"{"type":"ping"}"#).await;
                socket.until("pong").await;
            }
        }
    }
}

fn cursor(snapshot: &str, at: i64, last: Option<i64>) -> rowcast::cursor::Position {
    use rowcast::cursor::{Mark, Position, Snapshot};
    let snapshot = Snapshot::parse(snapshot).expect("legal");
    let mark = Mark { snapshot, at };
    Position { base: mark.clone(), partial: last.map(|last| (mark, last)) }
}

async fn history(app: &App) -> rowcast::cursor::HistoryId {
    rowcast::cursor::HistoryId::of(&app.value::<String>("select rowcast.history()").await)
}

#[tokio::test]
async fn what_is_nowhere_is_answered_in_json() {
    let app = App::start().await;
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/api/chat", 404),
        ("GET", "/api/chat/threads/1", 404),
        ("GET", "/api/chat/threads/1/messages/2", 404),
        ("GET", "/api/chat/threads//messages", 404),
        ("GET", "/api/chat/../../etc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", "/ws/more", 404),
        ("POST", "/api/chat/unread-count", 405),
        ("PUT", "/api/chat/threads/1/messages", 405),
        ("DELETE", "/api/chat/mark-read/1", 405),
        ("POST", "/api/chat/events", 405),
        ("BREW", "/api/chat/threads", 405),
    ] {
        let answer = assert_error(&app, method, path, None, status).await;
        let code = if status == 404 { "not_found" } else { "method_not_allowed" };
        assert_eq!(answer["code"], code, "{method} {path}");
    }
    // What a proxy or a person types into a browser.
    let response = request(&app, "GET", "/ws", &[], "").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let bearer = format!("Bearer {}", token("ada"));
    let handshake =
        [("connection", "upgrade"), ("upgrade", "websocket"), ("authorization", &*bearer)];
    let response = request(&app, "GET", "/ws", &handshake, "").await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.expect("JSON")["code"], "bad_request");
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_however_it_comes() {
    let app = App::start_with(&["--max-frame=10000"]).await;
    let path = "/api/chat/threads/1/messages";
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", &*bearer)];
    let padded = |size: usize| {
        let body = json!({ "content": "fits" }).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    assert_eq!(request(&app, "POST", path, &headers, padded(10_000)).await.status(), 201);
    for size in [10_001, 3_000_000] {
        let response = request(&app, "POST", path, &headers, padded(size)).await;
        assert_eq!(response.status(), 413, "{size}");
        assert_eq!(response.json::<Value>().await.expect("JSON")["code"], "too_large");
    }
    // Without a length, part by part.
    let parts = (0..20).map(|_| Ok::<_, std::io::Error>(" ".repeat(1_000)));
    let body = reqwest::Body::wrap_stream(stream::iter(parts));
    assert_eq!(request(&app, "POST", path, &headers, body).await.status(), 413);
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 1);
}

#[tokio::test]
async fn rates_are_429_with_a_time_to_come_back() {
    let app = App::start_with(&["--rate-rest=1/3", "--rate-messages=1/2"]).await;
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", &*bearer)];
    for (method, path, burst) in
        [("GET", "/api/chat/unread-count", 3), ("POST", "/api/chat/threads/1/messages", 2)]
    {
        for _ in 0..burst {
            assert!(
                request(&app, method, path, &headers, r#"{"content":"Hi"}"#)
                    .await
                    .status()
                    .is_success()
            );
        }
        let response = request(&app, method, path, &headers, r#"{"content":"Hi"}"#).await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["code"], "rate_limited");
        assert!(
            (1..=1_000).contains(&answer["retry_after_ms"].as_u64().expect("a wait")),
            "{answer}"
        );
    }
    let (status, _) = app.ask("GET", "/api/chat/unread-count", &token("grace"), None).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn ids_cannot_smuggle_headers_or_paths() {
    let app = App::start().await;
    let refused = json!({ "status": "error", "code": "forbidden", "message": "Not a participant" });
    for id in [
        "1%0d%0aSet-Cookie:%20a=b",
        "%31",
        "1%00",
        "1;a=b",
        &format!("%7B{}%7D", thread("maths")),
        &"9".repeat(5_000),
    ] {
        let bearer = format!("Bearer {}", token("ada"));
        let path = format!("/api/chat/mark-read/{id}");
        let response = request(&app, "POST", &path, &[("authorization", &bearer)], "").await;
        assert!(response.headers().get("set-cookie").is_none(), "{id}");
        let status = response.status();
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!((status.as_u16(), &answer), (403, &refused), "{id}");
    }
    let mut raw = Raw::open(&app).await;
    raw.write("GET /api/chat/threads HTTP/1.1\r\nhost: a\r\nauthorization: Bearer a\u{1}b\r\n\r\n")
        .await;
    assert!(raw.until("HTTP/1.1").await.contains(" 400 "));
}

#[tokio::test]
async fn a_client_that_is_slow_on_purpose_holds_nothing_for_ever() {
    let app = App::start().await;
    let mut silent = Raw::open(&app).await;
    let mut first_letter = Raw::open(&app).await;
    first_letter.write("P").await;
    let mut half_a_head = Raw::open(&app).await;
    half_a_head.write("GET /api/chat/threads HTTP/1.1\r\nhost: a\r\nx-header: ").await;
    let mut half_a_body = Raw::open(&app).await;
    let token = token("ada");
    half_a_body
        .write(format!(
            "POST /api/chat/threads/1/messages HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: 100\r\n\r\n{{\"content\":"
        ))
        .await;
    let mut idle = Raw::open(&app).await;
    idle.write("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.until("not_found").await;
    let (a, b, c, d, e) = tokio::join!(
        silent.closed_within(SLOW),
        first_letter.closed_within(SLOW),
        half_a_head.closed_within(SLOW),
        half_a_body.closed_within(SLOW),
        idle.closed_within(SLOW * 4),
    );
    assert!(a.is_empty() && b.is_empty() && e.is_empty(), "{a:?} {b:?} {e:?}");
    assert!(c.is_empty() || c.starts_with(b"HTTP/1.1 408"), "{c:?}");
    let answered = String::from_utf8_lossy(&d);
    assert!(
        answered.starts_with("HTTP/1.1 408") && answered.contains("did not come in time"),
        "{answered}"
    );
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 0);
}
