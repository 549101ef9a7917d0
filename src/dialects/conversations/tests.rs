//! Properties of the `conversations` events: what cannot be read is an error, what is spliced is JSON.

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
        "id": 1, "uuid": Uuid::nil(), "thread_id": 1, "thread_uuid": Uuid::nil(), "seq": 1, "sender_id": null,
        "sender_uuid": null, "sender": null, "content": content, "message_type": "text",
        "created_at": "2026-01-01T00:00:00.000000Z",
    });
    serde_json::from_value(record).expect("a message")
}

#[test]
fn a_conversation_is_named_or_given_bare() {
    let uuid = Uuid::nil().to_string();
    for data in [json!({ "conversationId": uuid }), json!(uuid)] {
        let request = codec::request(&event("subscribe_conversation", data)).expect("an id");
        assert_eq!(request, Request::Subscribe { conversation: uuid.clone() });
    }
    for data in [json!({}), json!(null), json!([]), json!("x"), json!({ "conversationId": {} })] {
        assert!(codec::request(&event("subscribe_conversation", data.clone())).is_err(), "{data}");
    }
}

proptest! {
    #[test]
    fn reading_an_event_never_panics(name in "[a-z_:]{0,24}", text in ".*", number in any::<i64>()) {
        let values = [json!(text), json!(number), json!([text]), json!({ "conversationId": text, "content": number }), json!(null)];
        for data in values {
            let _ = codec::request(&event(&name, data.clone()));
            for name in ["auth", "typing", "message:send", "conversation:read"] {
                let _ = codec::request(&event(name, data.clone()));
            }
        }
    }

    #[test]
    fn the_news_with_a_count_is_a_packet(content in ".*", unread in any::<i64>()) {
        let message = message(&content);
        let packet = codec::updated(&codec::news(&message), unread);
        let packet: Value = serde_json::from_str(&packet[1..]).expect("JSON");
        prop_assert_eq!(packet[1]["lastMessage"]["content"].as_str(), Some(content.as_str()));
        prop_assert_eq!(packet[1]["unreadCount"].as_i64(), Some(unread));
    }
}
