//! The native codec: any text is a request or an error, and frames are what the guide shows.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::codec::{Asked, Request, Said, error, parse, time};
use crate::error::{Error, Kind};

const KINDS: [&str; 9] = [
    "ping",
    "subscribe_thread",
    "unsubscribe_thread",
    "typing",
    "mark_read",
    "mark_delivered",
    "authenticate",
    "resume",
    "send_message",
];
const FIELDS: [&str; 8] = [
    "thread_id",
    "is_typing",
    "up_to_message_id",
    "message_id",
    "token",
    "cursor",
    "content",
    "message_type",
];

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({ "a": 1 })),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_request_or_a_malformed_one(text in ".*") {
        if let Err(error) = parse(&text).request {
            prop_assert_eq!(error.kind, Kind::Malformed);
        }
    }

    #[test]
    fn each_field_missing_or_of_another_type_is_named(
        kind in proptest::sample::select(&KINDS[..]),
        fields in proptest::collection::hash_map(proptest::sample::select(&FIELDS[..]), values(), 0..8),
        reference in values(),
    ) {
        let mut frame = json!({ "type": kind, "ref": reference });
        for (name, value) in fields {
            frame[name] = value;
        }
        let Asked { request, reference: repeated } = parse(&frame.to_string());
        prop_assert!(repeated.is_none_or(|repeated| repeated == reference || reference.is_number()));
        if let Err(error) = request {
            prop_assert_eq!(error.kind, Kind::Malformed);
            prop_assert!(error.message.starts_with('`'), "{}", error.message);
        }
    }
}

#[test]
fn ids_are_taken_in_either_form() {
    let uuid = "00000000-0000-4000-8000-0000000000a1";
    for (text, id) in [(&*format!("{uuid:?}"), uuid), ("42", "42"), (r#""42""#, "42")] {
        let frame = format!(r#"{{"type":"subscribe_thread","thread_id":{text}}}"#);
        assert_eq!(parse(&frame).request.expect("legal"), Request::Subscribe { thread: id.into() });
    }
}

#[test]
fn answers_repeat_the_ref_and_errors_say_when_to_try_again() {
    let text = Said::Pong.answering(Some(&json!(7)));
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        json!({ "type": "pong", "ref": 7 })
    );
    assert_eq!(Said::Pong.text(), r#"{"type":"pong"}"#);
    let limited = Error::too_many("Slower", 120);
    assert_eq!(
        error(&limited).text(),
        r#"{"type":"error","code":"rate_limited","message":"Slower","retry_after_ms":120}"#
    );
}

#[test]
fn times_have_six_digits_and_a_z() {
    assert_eq!(time(1_704_110_400_000_000).expect("in range"), "2024-01-01T12:00:00.000000Z");
}
