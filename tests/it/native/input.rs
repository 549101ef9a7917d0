//! Bad input on the socket: the documented error, the connection alive, nothing half-written.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::harness::app::{App, Socket, thread, token};

/// Each request with a value that is good for each of its fields.
fn requests() -> Vec<Value> {
    let id = thread("maths");
    vec![
        json!({ "type": "subscribe_thread", "thread_id": id }),
        json!({ "type": "unsubscribe_thread", "thread_id": id }),
        json!({ "type": "typing", "thread_id": id, "is_typing": true }),
        json!({ "type": "mark_read", "thread_id": id, "up_to_message_id": 1 }),
        json!({ "type": "mark_delivered", "thread_id": id, "message_id": 1 }),
        json!({ "type": "authenticate", "token": token("ada") }),
        json!({ "type": "resume", "cursor": "AQ" }),
        json!({ "type": "send_message", "thread_id": id, "content": "Hi", "message_type": "text" }),
    ]
}

/// Fields that may be left out.
const OPTIONAL: [&str; 2] = ["up_to_message_id", "message_type"];

/// What is good for no field but the content of a message.
fn wrong() -> Vec<Value> {
    let long = "x".repeat(3_000);
    vec![
        json!([]),
        json!({}),
        json!([[[[1]]]]),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("\r\nSet-Cookie: a=b"),
        json!("' or 1 = 1 --"),
        json!("💥".repeat(500)),
        json!(long),
    ]
}

/// Asks and expects the error frame; the connection then still answers.
async fn assert_refused(socket: &mut Socket, frame: &Value) -> Value {
    let answer = socket.ask(frame.clone()).await;
    assert_eq!(answer["type"], "error", "{frame} was answered by {answer}");
    assert!(
        ["bad_request", "unauthorized", "not_found"]
            .contains(&answer["code"].as_str().expect("a code")),
        "{frame} was answered by {answer}"
    );
    assert_eq!(answer["ref"], frame["ref"], "{frame} was answered by {answer}");
    assert_alive(socket).await;
    answer
}

async fn assert_alive(socket: &mut Socket) {
    let pong = socket.ask(json!({ "type": "ping", "ref": "alive" })).await;
    assert_eq!(pong, json!({ "type": "pong", "ref": "alive" }));
}

/// Everything that a request can write.
const WRITTEN: &str = "
    select concat_ws(' ',
        (select count(*) from chat.messages),
        (select sum(last_read_seq + last_delivered_seq) from chat.members),
        (select count(*) from chat.members),
        (select count(*) from rowcast.changes),
        (select count(*) from chat.users where not feed))";

#[tokio::test]
async fn a_field_that_is_missing_or_wrong_is_named_and_nothing_is_written() {
    let app = App::start_with(&["--rate-joins=10000/10000", "--rate-messages=10000/10000"]).await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let before: String = app.value(WRITTEN).await;
    for request in requests() {
        let fields: Vec<_> = request.as_object().expect("an object").keys().cloned().collect();
        for field in fields {
            let required = !OPTIONAL.contains(&field.as_str());
            let mut bad = Vec::new();
            if required {
                let mut less = request.clone();
                less.as_object_mut().expect("an object").remove(&field);
                bad.extend([less, with(&request, &field, Value::Null)]);
            }
            let text = ["content"].contains(&field.as_str());
            let wrong = wrong().into_iter().chain([json!(true), json!(false)]);
            let wrong = wrong.filter(|value| !(field == "is_typing" && value.is_boolean()));
            let wrong = wrong.filter(|value| {
                let written =
                    value.as_str().is_some_and(|text| (1..=2_000).contains(&text.chars().count()));
                !(text && written && value != "\u{0}")
            });
            bad.extend(wrong.map(|value| with(&request, &field, value)));
            for (n, mut frame) in bad.into_iter().enumerate() {
                frame["ref"] = json!(n);
                let answer = assert_refused(&mut ada, &frame).await;
                let message = answer["message"].as_str().expect("a message");
                let told = message.contains(&field)
                    || answer["code"] != "bad_request"
                    || (field == "type" && message.contains("type"));
                assert!(told, "{frame} was answered by {message}");
            }
        }
    }
    let after: String = app.value(WRITTEN).await;
    assert_eq!(after, before);
}

fn with(request: &Value, field: &str, value: Value) -> Value {
    let mut request = request.clone();
    request[field] = value;
    request
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_lives() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let deep = "[".repeat(60_000);
    let deeper = format!(r#"{{"type":"ping","ref":{}}}"#, "{\"a\":".repeat(10_000));
    for text in [
        "",
        " ",
        "null",
        "1",
        "\"ping\"",
        "[]",
        "{}",
        "{\"type\":\"ping\"",
        "{\"type\":\"ping\"}{\"type\":\"ping\"}",
        "{'type':'ping'}",
        "\u{feff}{\"type\":\"ping\"}",
        "\u{0}",
        "{\"type\":\"\\ud800\"}",
        "42[\"ping\"]",
        &deep,
        &deeper,
    ] {
        ada.send(text).await;
        let answer = ada.next().await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("bad_request")),
            "{text:.80}"
        );
        assert!(answer["message"].as_str().expect("a message").len() < 400, "{answer}");
        assert_alive(&mut ada).await;
    }
    for bytes in [vec![], vec![0xff; 1_000], br#"{"type":"ping"}"#.to_vec()] {
        ada.0.send(Message::binary(bytes)).await.expect("sent");
        assert_eq!(ada.next().await["code"], "bad_request");
        assert_alive(&mut ada).await;
    }
    ada.0.send(Message::Ping(vec![7; 125].into())).await.expect("sent");
    assert_alive(&mut ada).await;
    // A `ref` is repeated as it is, unless it is no small one.
    for (reference, repeated) in [
        (json!({ "a": [1, null] }), true),
        (json!("💥"), true),
        (json!(false), true),
        (json!("x".repeat(300)), false),
    ] {
        let pong = ada.ask(json!({ "type": "ping", "ref": reference })).await;
        assert_eq!(pong.get("ref"), repeated.then_some(&reference));
    }
}

#[tokio::test]
async fn what_no_websocket_may_send_closes_with_its_code() {
    let app = App::start_with(&["--max-frame=10000"]).await;
    let text = |bytes: Vec<u8>, last| {
        Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), last))
    };
    let more =
        |bytes: Vec<u8>| Message::Frame(Frame::message(bytes, OpCode::Data(Data::Continue), true));
    let cases = [
        ("a frame just over the limit", vec![Message::text("x".repeat(10_001))], 1009),
        ("a frame far over the limit", vec![Message::text("x".repeat(4_000_000))], 1009),
        ("binary over the limit", vec![Message::binary(vec![0; 50_000])], 1009),
        (
            "fragments over the limit",
            vec![text(vec![b'x'; 6_000], false), more(vec![b'x'; 6_000])],
            1009,
        ),
        ("text that is not UTF-8", vec![text(vec![b'{', 0xc3, 0x28], true)], 1007),
        ("a continuation of nothing", vec![more(vec![b'x'])], 1002),
    ];
    for (why, frames, code) in cases {
        let mut ada = app.socket("ada", "").await;
        ada.until("connection_established").await;
        for frame in frames {
            // The server may close before it has taken all.
            let _ = ada.0.send(frame).await;
        }
        assert_eq!(ada.closed().await, code, "{why}");
    }
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let padded = format!("{{\"type\":\"ping\"}}{}", " ".repeat(10_000 - 15));
    ada.send(padded).await;
    assert_eq!(ada.next().await["type"], "pong");
}

#[tokio::test]
async fn sixty_four_bad_frames_in_a_row_are_too_many() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    for _ in 0..3 {
        for _ in 0..63 {
            ada.send("bad").await;
            assert_eq!(ada.next().await["code"], "bad_request");
        }
        assert_alive(&mut ada).await;
    }
    for _ in 0..64 {
        ada.send("bad").await;
        assert_eq!(ada.next().await["code"], "bad_request");
    }
    assert_eq!(ada.closed().await, 1008);
}

#[tokio::test]
async fn content_is_counted_in_characters_and_stored_as_sent() {
    let app = App::start().await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let family = "👩\u{200d}👩\u{200d}👧";
    let as_sent = [
        "é".repeat(2_000),
        "💥".repeat(2_000),
        "<b onclick='x()'>bold</b> & <script>alert(1)</script>".to_owned(),
        format!("{family}\r\n\t\u{1}\u{7f}\u{202e} \u{ffff}"),
        " ".to_owned(),
    ];
    for content in &as_sent {
        let frame =
            json!({ "type": "send_message", "thread_id": thread("maths"), "content": content });
        let sent = ada.ask(frame).await;
        assert_eq!(
            (&sent["type"], &sent["data"]["content"]),
            (&json!("message_sent"), &json!(content))
        );
        let body = json!({ "content": content }).to_string();
        let (status, sent) =
            app.ask("POST", "/api/chat/threads/1/messages", &token("ada"), Some(&body)).await;
        assert_eq!((status, &sent["data"]["content"]), (201, &json!(content)));
        assert_eq!(ada.until("new_message").await["data"]["content"], json!(content));
    }
    for content in ["é".repeat(2_001), "💥".repeat(2_001), String::new()] {
        let frame = json!({ "type": "send_message", "thread_id": 1, "content": content });
        assert_eq!(ada.ask(frame).await["code"], "bad_request");
        let body = json!({ "content": content }).to_string();
        let (status, _) =
            app.ask("POST", "/api/chat/threads/1/messages", &token("ada"), Some(&body)).await;
        assert_eq!(status, 400);
    }
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 2 * i64::try_from(as_sent.len()).expect("a count"));
}

#[tokio::test]
async fn html_is_cleaned_where_that_is_the_policy() {
    let app = App::start_with(&["--content-policy=sanitize", "--content-limit=40"]).await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    for (content, kept) in [
        ("<b onclick='x()'>bold</b>", "<b>bold</b>"),
        ("hi<script>alert(1)</script>", "hi"),
        ("<a href=javascript:x>y</a>", "<a rel=\"noopener noreferrer\">y</a>"),
        ("just text", "just text"),
    ] {
        let frame = json!({ "type": "send_message", "thread_id": 1, "content": content });
        assert_eq!(ada.ask(frame).await["data"]["content"], kept);
    }
    // What is left is what counts.
    for (content, code) in [("<script>x</script>", "bad_request"), (&"x".repeat(41), "bad_request")]
    {
        let frame = json!({ "type": "send_message", "thread_id": 1, "content": content });
        assert_eq!(ada.ask(frame).await["code"], code, "{content}");
    }
    let frame = json!({ "type": "send_message", "thread_id": 1, "content": format!("hi<script>{}</script>", "x".repeat(90)) });
    assert_eq!(ada.ask(frame).await["data"]["content"], "hi");
}

#[tokio::test]
async fn whoever_is_too_fast_is_told_when_to_go_on() {
    let rates = ["--rate-messages=1/2", "--rate-typing=1/2", "--rate-joins=1/2"];
    let app = App::start_with(&rates).await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    for (frame, kind) in [
        (json!({ "type": "typing", "thread_id": 1, "is_typing": false, "ref": 1 }), "typing_noted"),
        (
            json!({ "type": "send_message", "thread_id": 1, "content": "Hi", "ref": 2 }),
            "message_sent",
        ),
    ] {
        for _ in 0..2 {
            assert_eq!(ada.ask(frame.clone()).await["type"], kind);
        }
        let answer = ada.ask(frame.clone()).await;
        assert_eq!((&answer["code"], &answer["ref"]), (&json!("rate_limited"), &frame["ref"]));
        let wait = answer["retry_after_ms"].as_u64().expect("a wait");
        assert!((1..=1_000).contains(&wait), "{answer}");
        assert_alive(&mut ada).await;
    }
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 2);
    // Whose bucket is empty is told; others have their own.
    let frame = json!({ "type": "subscribe_thread", "thread_id": 1 });
    assert_eq!(ada.ask(frame.clone()).await["type"], "thread_subscribed");
    assert_eq!(ada.ask(frame).await["code"], "rate_limited");
    let refused = app.socket_with(&token("ada"), "").await.err().expect("no socket").to_string();
    assert!(refused.contains("429"), "{refused}");
    app.socket("grace", "").await.until("connection_established").await;
}
