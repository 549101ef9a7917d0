//! The rooms dialect against the real app: transcripts, the door, and polls that never skip.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::harness::app::{App, now, person, token, token_with};

const POLL: &str = "/api/chat/messages/poll/?room_id=1";

#[tokio::test]
async fn the_transcripts_are_what_goes_over_the_wire() {
    crate::golden::play_all("rooms").await;
}

async fn refused(app: &App, path: &str, token: &str) -> u16 {
    match app.socket_at(path, token).await {
        Err(SocketError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("no answer but {error}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn strangers_are_refused_before_the_upgrade() {
    let app = App::start().await;
    app.sql("update chat.users set active = false where id = 2").await;
    assert_eq!(refused(&app, "/ws/chat/1/", &token("eve")).await, 403);
    assert_eq!(refused(&app, "/ws/chat/4711/", &token("ada")).await, 403);
    assert_eq!(refused(&app, "/ws/chat/1/", &token("grace")).await, 403);
    assert_eq!(refused(&app, "/ws/chat/1/", "nonsense").await, 401);
    let stranger = token_with(&json!({ "sub": "4711", "exp": now() + 60 }));
    assert_eq!(refused(&app, "/ws/chat/1/", &stranger).await, 401);
    let expired = token_with(&json!({ "sub": person("ada"), "exp": now() - 60 }));
    assert_eq!(refused(&app, "/ws/chat/1/", &expired).await, 401);
    assert_eq!(app.ask("GET", "/api/chat/rooms/", "", None).await.0, 401);
    let (status, body) = app.ask("GET", "/api/chat/rooms/", &token("grace"), None).await;
    assert_eq!((status, body), (403, json!({ "error": "Account deactivated" })));
}

#[tokio::test]
async fn live_sockets_end_with_their_token_and_their_user() {
    let app = App::start().await;
    let with_id =
        token_with(&json!({ "sub": person("ada"), "exp": now() + 60, "iat": now(), "jti": "r1" }));
    let mut revoked = app.socket_at("/ws/chat/1/", &with_id).await.expect("a socket");
    let mut deactivated = app.socket_at("/ws/chat/1/", &token("grace")).await.expect("a socket");
    app.sql("insert into chat.revoked_tokens (jti) values ('r1')").await;
    app.sql("update chat.users set active = false where id = 2").await;
    assert_eq!(revoked.closed().await, 4401);
    assert_eq!(deactivated.closed().await, 4403);
    let mut bad = app.socket_at("/ws/chat/1/", &token("ada")).await.expect("a socket");
    for _ in 0..64 {
        bad.send("nonsense").await;
    }
    assert_eq!(bad.closed().await, 1008);
    let mut big = app.socket_at("/ws/chat/1/", &token("ada")).await.expect("a socket");
    big.send("x".repeat(70_000)).await;
    assert_eq!(big.closed().await, 1009);
}

/// Polls by the timestamps alone until `count` messages came; returns their contents.
async fn follow(app: &App, first: &Value, count: usize) -> Vec<String> {
    let mut since = first["timestamp"].as_str().expect("a timestamp").to_owned();
    let mut got = Vec::new();
    while got.len() < count {
        let path = format!("{POLL}&since={since}&wait=5");
        let (status, body) = app.ask("GET", &path, &token("ada"), None).await;
        assert_eq!(status, 200, "{body}");
        let messages = body["messages"].as_array().expect("a list");
        assert!(!messages.is_empty(), "nothing more after {got:?}");
        got.extend(messages.iter().map(|one| one["content"].as_str().expect("text").to_owned()));
        since = body["timestamp"].as_str().expect("a timestamp").to_owned();
    }
    got
}

#[tokio::test]
async fn a_transaction_that_was_open_at_a_poll_is_never_skipped() {
    let app = App::start().await;
    let mut writer = app.database.client().await;
    let open = writer.transaction().await.expect("a transaction");
    open.batch_execute(
        "insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'late')",
    )
    .await
    .expect("a message");
    let (_, first) = app.ask("GET", POLL, &token("ada"), None).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let since = first["timestamp"].as_str().expect("a timestamp");
    let path = format!("{POLL}&since={since}");
    let (_, second) = app.ask("GET", &path, &token("ada"), None).await;
    assert_eq!(second["messages"], json!([]));
    open.commit().await.expect("a commit");
    assert_eq!(follow(&app, &second, 1).await, ["late"]);
    assert_eq!(follow(&app, &first, 1).await, ["late"]);
}

#[tokio::test]
async fn timestamps_alone_give_everything_once_while_others_write() {
    let app = App::start().await;
    let (_, first) = app.ask("GET", POLL, &token("ada"), None).await;
    let writing = async {
        let client = app.database.client().await;
        for nth in 0..60 {
            let insert = format!(
                "insert into chat.messages (thread_id, sender_id, content) values (1, 2, '{nth}')"
            );
            client.batch_execute(&insert).await.expect("a message");
            if nth % 7 == 0 {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    };
    let (got, ()) = tokio::join!(follow(&app, &first, 60), writing);
    let wanted: Vec<String> = (0..60).map(|nth: i32| nth.to_string()).collect();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn a_poll_that_waited_in_vain_keeps_its_timestamp() {
    let app = App::start().await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'one')").await;
    let (_, first) = app.ask("GET", POLL, &token("ada"), None).await;
    let since = first["timestamp"].as_str().expect("a timestamp");
    let path = format!("{POLL}&since={since}&wait=3");
    let ada = token("ada");
    let writing = async {
        while app.parked_polls() < 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It wakes the poll, which asks the database, which has nothing to give.
        let sql = "insert into chat.messages (thread_id, sender_id, content, deleted_at) values (1, 2, 'gone', now())";
        app.sql(sql).await;
    };
    let ((status, answer), ()) = tokio::join!(app.ask("GET", &path, &ada, None), writing);
    assert_eq!((status, &answer["messages"]), (200, &json!([])));
    assert_eq!(answer["timestamp"], since, "another one would not stand for the place");
}

#[tokio::test]
async fn a_message_is_answered_to_many_waiting_polls_with_one_question() {
    let app = App::start_with(&["--rate-rest=10000/10000"]).await;
    let (_, first) = app.ask("GET", POLL, &token("ada"), None).await;
    let since = first["timestamp"].as_str().expect("a timestamp").to_owned();
    let path = format!("{POLL}&since={since}&wait=30");
    let polls: Vec<_> = (0..200).map(|_| app.asking("GET", &path, &token("ada"), None)).collect();
    while app.parked_polls() < 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'all')").await;
    for poll in polls {
        let (_, body) = poll.await.expect("an answer");
        assert_eq!(body["messages"][0]["content"], "all");
        assert_ne!(body["timestamp"], since.as_str());
    }
}
