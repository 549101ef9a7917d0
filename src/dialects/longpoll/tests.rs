//! The long-polling codec: any body is a call or an error, and answers are what the guide shows.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::codec::{LastMessage, Method, date, envelope, error_body, method, parse};
use crate::{chat::Message, error::Kind};

const FIELDS: [&str; 7] =
    ["thread_id", "last_message_id", "timeout", "last_check", "status", "partner_ids", "body"];

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!([1, "x"])),
        Just(json!({ "a": 1 })),
    ]
}

proptest! {
    #[test]
    fn any_body_is_a_call_or_an_error_and_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err((id, error)) = parse(&body) {
            let answer: Value = serde_json::from_str(&envelope(&id, "error", &error)).expect("JSON");
            prop_assert!(answer["error"]["code"].as_i64().is_some_and(|code| code <= -32_600));
        }
    }

    #[test]
    fn any_parameter_is_taken_or_named_and_never_panics(
        fields in proptest::collection::hash_map(proptest::sample::select(&FIELDS[..]), values(), 0..7),
        id in values(),
    ) {
        let params: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let body = json!({ "jsonrpc": "2.0", "id": id, "params": params }).to_string();
        let Ok(call) = parse(body.as_bytes()) else { return Ok(()) };
        let params = call.params;
        let errors = [
            params.thread().err(),
            params.optional_thread().err(),
            params.last_message().err(),
            params.timeout().err(),
            params.last_check().err(),
            params.status().err(),
            params.partners().err(),
            params.body().err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert_eq!(error.kind, Kind::Malformed);
            prop_assert!(error.message.starts_with('`'), "{}", error.message);
        }
    }

    #[test]
    fn any_path_is_a_method_or_none_and_never_panics(path in ".{0,60}") {
        let _ = method(&path);
    }
}

#[test]
fn waits_are_clamped_to_a_minute() {
    for (sent, seconds) in [
        (json!({}), 30.0),
        (json!({ "timeout": null }), 30.0),
        (json!({ "timeout": 600 }), 60.0),
        (json!({ "timeout": -5 }), 0.0),
        (json!({ "timeout": 1e300 }), 60.0),
        (json!({ "timeout": 0.5 }), 0.5),
    ] {
        let body = json!({ "jsonrpc": "2.0", "params": sent }).to_string();
        let call = parse(body.as_bytes()).expect("a call");
        assert_eq!(call.params.timeout().expect("a time").as_secs_f64(), seconds, "{sent}");
    }
}

#[test]
fn the_id_is_repeated_as_it_was_sent() {
    for (sent, repeated) in
        [(json!(7), "7"), (json!("a"), "\"a\""), (Value::Null, "null"), (json!(1.5), "1.5")]
    {
        let body = json!({ "jsonrpc": "2.0", "id": sent, "method": "call" }).to_string();
        assert_eq!(parse(body.as_bytes()).expect("a call").id, repeated);
    }
    let (id, error) = parse(br#"{"jsonrpc":"2.0","id":[]}"#).expect_err("no id");
    assert!(id == "null" && error.contains("-32600"));
    let (id, error) = parse(br#"{"id":3,"params":{}}"#).expect_err("no version");
    assert!(id == "3" && error.contains("-32600"));
    assert!(parse(b"{").expect_err("broken").1.contains("-32700"));
    assert!(parse(br#"{"jsonrpc":"2.0","params":[1]}"#).expect_err("a list").1.contains("-32602"));
}

#[test]
fn paths_are_methods() {
    assert_eq!(method("poll/messages"), Some(Method::PollMessages));
    assert_eq!(method("typing/status/1"), Some(Method::TypingStatus("1".to_owned())));
    for none in ["", "poll", "typing/status/", "typing/status/1/2", "poll/messages/x"] {
        assert_eq!(method(none), None, "{none}");
    }
    let body = json!({ "jsonrpc": "2.0", "params": { "last_message_id": "12" } }).to_string();
    let last = parse(body.as_bytes()).expect("a call").params.last_message();
    assert_eq!(last.expect("an id"), LastMessage::Id(12));
}

#[test]
fn a_message_has_the_guides_fields_and_times() {
    let message: Message = serde_json::from_value(json!({
        "id": 6, "uuid": "00000000-0000-4000-8000-000000000006", "thread_id": 1,
        "thread_uuid": "00000000-0000-4000-8000-0000000000a1", "seq": 2, "sender_id": 5,
        "sender_uuid": "00000000-0000-4000-8000-000000000005",
        "sender": { "full_name": "John Doe", "role": "user" }, "content": "Hey!",
        "message_type": "text", "attachments": [], "created_at": "2025-12-03T10:30:15.123456Z"
    }))
    .expect("a message");
    let text = super::codec::message(&message);
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({
            "id": 6, "author_id": 5, "author_name": "John Doe", "body": "Hey!", "message_type": "text",
            "is_read": false, "created_date": "2025-12-03 10:30:15", "attachments": []
        })
    );
    assert_eq!(date("short"), "short");
    assert!(error_body(-32_002, "Slower", Some(9)).contains(r#""data":{"retry_after_ms":9}"#));
}
