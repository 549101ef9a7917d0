//! The rooms codec: any frame is a request or an error, and what goes out is what the guide shows.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::codec::{self, Request, parse};
use crate::{
    chat::Message,
    error::{Error, Kind},
    signal::{Person, Signal},
};

proptest! {
    #[test]
    fn any_text_is_a_request_or_a_malformed_one_and_never_panics(text in ".*") {
        if let Err(error) = parse(&text) {
            prop_assert_eq!(error.kind, Kind::Malformed);
            let frame: Value = serde_json::from_str(&codec::error_frame(&error)).expect("JSON");
            prop_assert_eq!(&frame["type"], "error");
        }
        let _ = codec::wait(Some(&text));
    }

    #[test]
    fn content_of_any_kind_is_taken_as_it_is(content in ".*") {
        let frame = json!({ "type": "message", "content": content }).to_string();
        prop_assert_eq!(parse(&frame).expect("a message"), Request::Message(content));
    }
}

#[test]
fn frames_are_the_guides() {
    assert_eq!(
        parse(r#"{"type":"typing","is_typing":true}"#).expect("legal"),
        Request::Typing(true)
    );
    assert_eq!(parse(r#"{"type":"typing"}"#).expect("legal"), Request::Typing(false));
    for bad in [r#"{"type":"typing","is_typing":1}"#, r#"{"type":"message"}"#, "{}", "[]", "7"] {
        assert_eq!(parse(bad).expect_err(bad).kind, Kind::Malformed);
    }
    let user = Person { id: 2, uuid: Uuid::nil() };
    let signal = Signal::Typing { thread: 1, user, username: "grace".into(), is_typing: true };
    let frame: Value =
        serde_json::from_str(&codec::signal(&signal, 1).expect("told")).expect("JSON");
    assert_eq!(
        frame,
        json!({ "type": "typing", "user_id": 2, "username": "grace", "is_typing": true })
    );
    assert!(codec::signal(&signal, 2).is_none());
    assert_eq!(
        codec::error_body(&Error::forbidden("Not a participant")),
        r#"{"error":"Not a participant"}"#
    );
}

#[test]
fn a_message_has_the_guides_fields() {
    let message: Message = serde_json::from_value(json!({
        "id": 6, "uuid": Uuid::nil(), "thread_id": 1, "thread_uuid": Uuid::nil(), "seq": 2, "sender_id": 5,
        "sender_uuid": Uuid::nil(),
        "sender": { "username": "john", "first_name": "John", "last_name": "Doe", "full_name": "John Doe" },
        "content": "Hey!", "message_type": "text", "attachments": [], "created_at": "2025-12-03T10:30:15.123456Z"
    }))
    .expect("a message");
    let body: Value = serde_json::from_str(&codec::message(&message)).expect("JSON");
    assert_eq!(
        body,
        json!({
            "id": 6, "room": 1, "content": "Hey!", "created_at": "2025-12-03T10:30:15.123456Z", "is_read": false,
            "sender": { "id": 5, "username": "john", "first_name": "John", "last_name": "Doe" }
        })
    );
}

#[test]
fn waits_are_clamped_to_a_minute() {
    for (text, seconds) in [(None, 0.0), (Some("5"), 5.0), (Some("600"), 60.0), (Some("-1"), 0.0)] {
        assert_eq!(codec::wait(text).expect("a time").as_secs_f64(), seconds);
    }
    assert!(codec::wait(Some("soon")).is_err() && codec::wait(Some("NaN")).is_err());
}
