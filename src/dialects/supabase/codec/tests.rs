//! The golden vectors of the protocol, and what every frame has in common.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    signal::{Broadcast, Said},
    topic::Topic,
};

fn text(body: Body) -> String {
    match body {
        Body::Text(text) => text.to_string(),
        Body::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

fn frame(head: &[u8], names: &str, payload: &[u8]) -> Bytes {
    [head, names.as_bytes(), payload].concat().into()
}

fn said(said: Said, meta: &str) -> Broadcast {
    let channel = Topic::parse("channel:public:topic").unwrap();
    Broadcast {
        channel,
        event: "user_event".into(),
        said,
        meta: meta.into(),
        from: None,
        made: Default::default(),
    }
}

fn user(frame: Bytes) -> (Push, UserPush) {
    let mut push = parse(Version::V2, &Incoming::Binary(frame)).expect("a push");
    let payload = std::mem::replace(&mut push.payload, Payload::Bytes);
    match payload {
        Payload::User(user) => (push, user),
        other => panic!("{other:?}"),
    }
}

#[test]
fn broadcasts_of_clients_are_read() {
    let binary = frame(&[3, 2, 3, 5, 10, 0, 0], "12123topicuser_event", &[101, 102, 103]);
    let (push, payload) = user(binary);
    assert_eq!((push.join_ref.as_json(), push.reference.as_json()), (r#""12""#, r#""123""#));
    assert_eq!((push.topic.as_str(), push.event.as_str()), ("topic", "broadcast"));
    assert_eq!(payload.event, "user_event");
    assert!(matches!(payload.payload, UserPayload::Bytes(bytes) if *bytes == [101, 102, 103]));

    let json = frame(&[3, 2, 3, 5, 10, 0, 1], "12123topicuser_event", br#"{"a":"b"}"#);
    assert!(
        matches!(user(json).1.payload, UserPayload::Json(json) if json.get() == r#"{"a":"b"}"#)
    );

    let names = r#"12123topicuser_event{"store":true}"#;
    let with = frame(&[3, 2, 3, 5, 10, 14, 0], names, &[101, 102, 103]);
    assert!(matches!(user(with).1.payload, UserPayload::Bytes(bytes) if *bytes == [101, 102, 103]));
}

#[test]
fn bytes_of_clients_are_read() {
    let push = frame(&[0, 2, 3, 5, 5], "12123topicevent", &[101, 102, 103]);
    let push = parse(Version::V2, &Incoming::Binary(push)).expect("a push");
    assert_eq!((push.topic.as_str(), push.event.as_str()), ("topic", "event"));
    assert!(matches!(push.payload, Payload::Bytes));
}

#[test]
fn broadcasts_to_clients_are_written() {
    let bytes = Bytes::from_static(&[101, 102, 103]);
    let binary = said(Said::Bytes(bytes), r#"{"replayed":true}"#);
    let wanted = frame(&[4, 5, 10, 17, 0], r#"topicuser_event{"replayed":true}"#, b"efg");
    assert_eq!(broadcast(Version::V2, "topic", &binary), Some(Body::Binary(wanted)));
    assert_eq!(broadcast(Version::V1, "topic", &binary), None);

    let json = said(Said::Json(r#"{"a":"b"}"#.into()), "");
    let wanted = frame(&[4, 5, 10, 0, 1], "topicuser_event", br#"{"a":"b"}"#);
    assert_eq!(broadcast(Version::V2, "topic", &json), Some(Body::Binary(wanted)));
    assert_eq!(
        text(broadcast(Version::V1, "topic", &json).expect("a frame")),
        r#"{"topic":"topic","event":"broadcast","payload":{"event":"user_event","payload":{"a":"b"},"type":"broadcast"},"ref":null}"#
    );

    let verbatim = said(Said::Message(r#"[ 1]"#.into()), "");
    assert_eq!(
        text(broadcast(Version::V2, "topic", &verbatim).expect("a frame")),
        r#"[null,null,"topic","broadcast",[ 1]]"#
    );
}

#[test]
fn a_name_that_no_byte_can_count_goes_as_text() {
    let long = "é".repeat(128);
    let json = said(Said::Json("1".into()), "");
    let frame = text(broadcast(Version::V2, &long, &json).expect("a frame"));
    assert!(
        frame.ends_with(r#"{"event":"user_event","payload":1,"type":"broadcast"}]"#),
        "{frame}"
    );
    assert_eq!(broadcast(Version::V2, &long, &said(Said::Bytes(Bytes::new()), "")), None);
}

#[test]
fn refs_are_echoed_as_they_came() {
    for reference in ["null", "0", r#""7""#, "-1.5e3", r#""é\n""#] {
        let v1 = format!(r#"{{"topic":"t","event":"e","payload":{{}},"ref":{reference}}}"#);
        let v2 = format!(r#"[{reference},{reference},"t","e",{{}},"more"]"#);
        let push = parse(Version::V1, &Incoming::Text(v1.into())).expect("an object");
        assert_eq!(
            text(reply(Version::V1, &push.asked(), true, "{}")),
            format!(
                r#"{{"topic":"t","event":"phx_reply","payload":{{"status":"ok","response":{{}}}},"ref":{reference}}}"#
            )
        );
        let push = parse(Version::V2, &Incoming::Text(v2.into())).expect("an array");
        assert_eq!(
            text(reply(Version::V2, &push.asked(), false, r#"{"reason":"no"}"#)),
            format!(
                r#"[{reference},{reference},"t","phx_reply",{{"status":"error","response":{{"reason":"no"}}}}]"#
            )
        );
    }
}

#[test]
fn what_is_no_frame_is_an_error() {
    let v1 = ["", "{}", "[]", r#"{"topic":"t","event":"e","payload":{}}"#];
    for bad in v1.into_iter().chain([r#"{"topic":"t","event":"e","payload":{},"ref":[]}"#]) {
        assert!(parse(Version::V1, &Incoming::Text(bad.into())).is_err(), "{bad}");
    }
    for bad in ["", "{}", "[]", r#"[null,null,"t","e"]"#, r#"[null,null,1,"e",{}]"#, "[{},0,0,0,0]"]
    {
        assert!(parse(Version::V2, &Incoming::Text(bad.into())).is_err(), "{bad}");
    }
    let binary = Incoming::Binary(Bytes::from_static(&[0, 0, 0, 0, 0]));
    assert!(parse(Version::V2, &binary).is_ok() && parse(Version::V1, &binary).is_err());
    assert_eq!(Version::parse(Some("3.0.0")), None);
}

proptest! {
    #[test]
    fn no_frame_makes_the_codec_panic(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V1, Version::V2] {
            let _ = parse(version, &Incoming::Text(text.clone().into()));
            let _ = parse(version, &Incoming::Binary(bytes.clone().into()));
        }
    }

    #[test]
    fn a_frame_to_a_client_is_json_with_the_topic_and_payload(topic in ".*", event in ".*", payload in "[a-z]{0,9}") {
        let payload = quoted(&payload);
        for version in [Version::V1, Version::V2] {
            let frame = text(push(version, &Ref::NONE, &Ref::from_text("1"), &topic, &event, &payload));
            let push = parse(version, &Incoming::Text(frame.into())).expect("ours");
            prop_assert_eq!((&push.topic, &push.event), (&topic, &event));
            prop_assert!(matches!(&push.payload, Payload::Json(json) if json.get() == payload));
        }
    }

    #[test]
    fn a_broadcast_is_read_as_it_was_sent(topic in "[a-zé]{0,100}", event in "[a-z ]{0,100}", payload: Vec<u8>) {
        let head = [3, 1, 1, topic.len() as u8, event.len() as u8, 0, 0];
        let (push, read) = user(frame(&head, &format!("12{topic}{event}"), &payload));
        prop_assert_eq!((&push.topic, &read.event), (&topic, &event));
        prop_assert!(matches!(read.payload, UserPayload::Bytes(bytes) if *bytes == payload));
    }
}
