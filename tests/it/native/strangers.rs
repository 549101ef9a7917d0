//! What those who are not in a thread learn of it: nothing.

use serde_json::{Value, json};

use super::client::{EventStream, request};
use crate::harness::app::{App, thread, token};

#[tokio::test]
async fn a_thread_that_is_not_ones_own_is_as_one_that_does_not_exist() {
    let app = App::start().await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 1, 'maths'), (2, 1, 'pair')").await;
    let message: String = app.value("select uuid::text from chat.messages where id = 2").await;
    let missing = "00000000-0000-4000-8000-00000000ffff";
    let refused = json!({ "status": "error", "code": "forbidden", "message": "Not a participant" });
    for thread in [thread("pair"), "2", missing, "4711", "nonsense", "%00", "..%2f..", "-1", "%27"]
    {
        let said =
            [r#"{"content":"Hi"}"#, "{}", r#"{"up_to_message_id":2}"#, r#"{"up_to_message_id":9}"#];
        for (method, path, body) in [
            ("GET", format!("/api/chat/threads/{thread}/messages"), None),
            ("GET", format!("/api/chat/threads/{thread}/messages?before={message}"), None),
            ("GET", format!("/api/chat/threads/{thread}/messages?after={missing}"), None),
            ("POST", format!("/api/chat/threads/{thread}/messages"), Some(said[0])),
            ("POST", format!("/api/chat/mark-read/{thread}"), None),
            ("POST", format!("/api/chat/mark-read/{thread}"), Some(said[2])),
            ("POST", format!("/api/chat/mark-read/{thread}"), Some(said[3])),
        ] {
            let (status, came) = app.ask(method, &path, &token("linus"), body).await;
            assert_eq!((status, &came), (403, &refused), "{method} {path} {body:?}");
        }
    }
    // In one's own thread, a message of another one is as one that does not exist.
    for (method, path) in [
        ("GET", "/api/chat/threads/1/messages?before="),
        ("GET", "/api/chat/threads/1/messages?after="),
        ("POST", "/api/chat/mark-read/1?"),
    ] {
        let mut answers = Vec::new();
        for id in [&message, "2", missing, "9"] {
            let body = json!({ "up_to_message_id": id }).to_string();
            let path = format!("{path}{id}");
            answers.push(app.ask(method, &path, &token("linus"), Some(&body)).await);
        }
        assert_eq!(answers[0].0, 404, "{method} {path}: {}", answers[0].1);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    let mut linus = app.socket("linus", "").await;
    linus.until("connection_established").await;
    for thread in [json!(thread("pair")), json!(2), json!(missing), json!(4711), json!("-1")] {
        for mut frame in [
            json!({ "type": "subscribe_thread" }),
            json!({ "type": "unsubscribe_thread" }),
            json!({ "type": "typing", "is_typing": true }),
            json!({ "type": "mark_read" }),
            json!({ "type": "mark_read", "up_to_message_id": message }),
            json!({ "type": "mark_delivered", "message_id": message }),
            json!({ "type": "mark_delivered", "message_id": missing }),
            json!({ "type": "send_message", "content": "Hi" }),
        ] {
            frame["thread_id"] = thread.clone();
            let answer = linus.ask(frame.clone()).await;
            let expected =
                json!({ "type": "error", "code": "forbidden", "message": "Not a participant" });
            assert_eq!(answer, expected, "{frame}");
        }
    }
    for kind in ["mark_read", "mark_delivered"] {
        let mut answers = Vec::new();
        for id in [&message, missing] {
            let frame =
                json!({ "type": kind, "thread_id": 1, "message_id": id, "up_to_message_id": id });
            answers.push(linus.ask(frame).await);
        }
        assert_eq!((&answers[0]["code"], &answers[0]), (&json!("not_found"), &answers[1]));
    }
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 2);
}

#[tokio::test]
async fn another_users_cursor_brings_ones_own_changes_only() {
    let app = App::start().await;
    let cursor = app.socket("ada", "").await.next().await["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (2, 1, 'pair'), (1, 1, 'maths')").await;
    let path = format!("/api/chat/offline-messages?cursor={cursor}");
    let texts = |body: &Value| -> Vec<Value> {
        let messages = body["data"]["messages"].as_array().expect("messages");
        messages.iter().map(|message| message["content"].clone()).collect()
    };
    for (name, expected) in [("linus", vec![json!("maths")]), ("eve", vec![])] {
        let (status, body) = app.ask("GET", &path, &token(name), None).await;
        assert_eq!((status, texts(&body)), (200, expected.clone()), "{name}");
        let mut socket = app.socket(name, &format!("&cursor={cursor}")).await;
        let mut stream = EventStream::open(&app, &token(name), Some(cursor)).await;
        for content in expected {
            assert_eq!(socket.until("new_message").await["data"]["content"], content);
            assert_eq!(stream.until("new_message").await["data"]["content"], content);
        }
        socket.until("resumed").await;
        stream.until("resumed").await;
        socket.send(r#"{"type":"ping"}"#).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
    let response = request(&app, "GET", &path, &[], "").await;
    assert_eq!(response.status(), 401);
}
