//! Cursors are not secrets and not rights: forged, broken, of another user or of another history, they show one's own only.

use rowcast::cursor::{HistoryId, Mark, Position, Snapshot, encode_time};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::{
    harness::app::{App, token},
    native::client::{EventStream, request},
};

const SECRET: &str = "between-us-two";

/// Every cursor with one bit turned, as far as it is still text for a URL, and some that were made up.
fn forged(cursor: &str, history: HistoryId) -> Vec<String> {
    let mut forged = vec![cursor.to_owned(), cursor.to_uppercase(), format!("{cursor}A")];
    for at in 0..cursor.len() {
        for bit in 0..7 {
            let mut bytes = cursor.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let text = String::from_utf8(bytes).expect("ASCII");
            if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                forged.push(text);
            }
        }
        forged.push(cursor[..at].to_owned());
    }
    for snapshot in ["1:1:", "3:3:", "1:9223372036854775806:", "1:9223372036854775806:1,2,3"] {
        let snapshot = Snapshot::parse(snapshot).expect("legal");
        for at in [0, 1, i64::MAX] {
            let mark = Mark { snapshot: snapshot.clone(), at };
            forged.push(Position::at(mark.clone()).encode(history));
            forged.push(Position::within(mark.clone(), mark.clone(), 0).encode(history));
            forged.push(Position::at(mark).encode(HistoryId(history.0 ^ 1)));
        }
    }
    forged.extend([0, 1, 1_700_000_000_000_000].map(encode_time));
    forged
}

#[tokio::test]
async fn no_cursor_however_forged_shows_what_is_anothers() {
    let app =
        App::start_with(&["--rate-rest=1000000/1000000", "--rate-joins=1000000/1000000"]).await;
    let cursor = app.socket("ada", "").await.next().await["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    app.sql(&format!(
        "insert into chat.messages (thread_id, sender_id, content) values (2, 1, '{SECRET}'), (1, 1, 'for all');
         update chat.threads set name = '{SECRET}' where id = 2;
         update chat.messages set content = '{SECRET} edited' where thread_id = 2"
    ))
    .await;
    let history = HistoryId::of(&app.value::<String>("select rowcast.history()").await);
    let forged = forged(cursor, history);
    assert!(forged.len() > 100, "{}", forged.len());
    let (mut taken, mut refused) = (0, 0);
    for (number, cursor) in forged.iter().enumerate() {
        for name in ["linus", "eve"] {
            let path = format!("/api/chat/offline-messages?cursor={cursor}");
            let (status, body) = app.ask("GET", &path, &token(name), None).await;
            assert!(matches!(status, 200 | 400 | 409), "{cursor}: {status} {body}");
            assert!(!body.to_string().contains(SECRET), "{name} by {cursor}: {body}");
            match status {
                200 => taken += 1,
                _ => refused += 1,
            }
        }
        // Sockets and streams read the log itself; one in a few is enough of them.
        if number % 6 == 0 {
            resumes(&app, cursor).await;
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}

/// What a stranger's socket and stream are given by a cursor, up to the answer of a ping.
async fn resumes(app: &App, cursor: &str) {
    let query = format!("&cursor={cursor}");
    match app.socket_with(&token("eve"), &query).await {
        Ok(mut socket) => {
            socket.send(r#"{"type":"ping"}"#).await;
            loop {
                let frame: Value = socket.next().await;
                assert!(!frame.to_string().contains(SECRET), "{cursor}: {frame}");
                if frame["type"] == "pong" {
                    break;
                }
            }
        }
        Err(SocketError::Http(response)) => assert_eq!(response.status(), 400, "{cursor}"),
        Err(error) => panic!("{cursor}: {error}"),
    }
    let bearer = format!("Bearer {}", token("eve"));
    let headers = [("authorization", &*bearer), ("last-event-id", cursor)];
    let response = request(app, "GET", "/api/chat/events", &headers, "").await;
    if response.status() != 200 {
        assert_eq!(response.status(), 400, "{cursor}");
        return;
    }
    let mut stream = EventStream::open(app, &token("eve"), Some(cursor)).await;
    loop {
        let (_, event) = stream.next().await;
        assert!(!event.to_string().contains(SECRET), "{cursor}: {event}");
        if event["type"] == "resumed" || event["type"] == "resync_required" {
            return;
        }
    }
}
