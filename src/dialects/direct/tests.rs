//! Properties of the `direct` events: what cannot be read is an error, what is shown is what was written.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::codec::{self, Request};
use crate::{chat::Message, dialects::socketio::packet};

fn event(name: &str, data: Value) -> packet::Event {
    packet::Event { ack: None, name: name.to_owned(), data, attachments: 0 }
}

fn message(content: &str) -> Message {
    let record = json!({
        "id": 1, "uuid": Uuid::nil(), "thread_id": 1, "thread_uuid": Uuid::nil(), "seq": 1, "sender_id": 1,
        "sender_uuid": Uuid::nil(), "sender": { "full_name": "Ada" }, "content": content, "message_type": "text",
        "created_at": "2026-01-01T00:00:00.000000Z",
    });
    serde_json::from_value(record).expect("a message")
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("receiver_id".to_owned()),
            Just("other_user_id".to_owned()),
            Just("message_id".to_owned()),
            Just("content".to_owned()),
            ".{0,4}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn ids_are_taken_in_both_forms_and_nothing_else() {
    let join =
        |id: Value| codec::request(&event("join_conversation", json!({ "other_user_id": id })));
    let uuid = Uuid::nil().to_string();
    for good in [json!(7), json!("7"), json!(uuid)] {
        let plain = good.as_str().map_or_else(|| good.to_string(), str::to_owned);
        assert_eq!(join(good).expect("an id"), Request::Join { partner: plain });
    }
    for bad in [
        json!(-7),
        json!(1.5),
        json!("+7"),
        json!(""),
        json!("x"),
        json!([]),
        json!(true),
        json!("9".repeat(19)),
    ] {
        assert!(join(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_preview_has_a_hundred_characters_and_not_bytes() {
    let (_, notice) = codec::message(&message(&"ü".repeat(300)), Uuid::nil());
    let notice: Value = serde_json::from_str(&notice[1..]).expect("JSON");
    assert_eq!(notice[1]["content_preview"], "ü".repeat(100));
}

proptest! {
    #[test]
    fn reading_an_event_never_panics(name in "[a-z_]{0,24}", data in any_json()) {
        let _ = codec::request(&event(&name, data.clone()));
        for name in ["typing", "send_message_realtime", "mark_delivered", "leave_conversation"] {
            let _ = codec::request(&event(name, data.clone()));
        }
    }

    #[test]
    fn content_is_shown_as_it_was_written(content in ".*") {
        let (shown, _) = codec::message(&message(&content), Uuid::nil());
        let shown: Value = serde_json::from_str(&shown[1..]).expect("JSON");
        prop_assert_eq!(shown[1]["content"].as_str(), Some(content.as_str()));
    }
}
