//! Random and mutated input for what reads bytes of strangers: cursors, topics, snapshots, credentials, frames.
//!
//! `ROWCAST_FUZZ_SECONDS` is the time of each (2 when it is not set); a failure prints its smallest input.

use std::time::Duration;

use futures_util::SinkExt;
use http::{HeaderMap, HeaderValue, header};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestCaseError, TestRunner},
};
use rowcast::{
    auth::token::{self, Sources},
    cursor::{HistoryId, Mark, Position, Snapshot, decode_time, encode_time},
    dialects::supabase::changes::{Options, grammar::Filter, wish::Wish},
    topic::Topic,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::app::{App, Socket, now, person, thread, token as good_token, token_with};

fn budget() -> Duration {
    let seconds = std::env::var("ROWCAST_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.map_or(2, |text| text.parse().expect("a number of seconds")))
}

fn runner() -> TestRunner {
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
}

/// Runs a property on fresh input until the time is over.
pub(crate) fn fuzz<S: Strategy>(
    input: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let end = Instant::now() + budget();
    while Instant::now() < end {
        runner().run(input, &property).expect("no panic and no contradiction");
    }
}

/// A change of one text into one that is nearly the same.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Repeat(usize, usize),
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = any::<usize>();
    let byte =
        prop_oneof![any::<u8>(), proptest::sample::select(&b"\0\"\\{}[]:,.-_=;% \xff\x80A9"[..])];
    vec(
        prop_oneof![
            (place, byte.clone()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
            (place, byte).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
            place.prop_map(Mutation::Remove),
            place.prop_map(Mutation::Cut),
            (place, 0usize..64).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        ],
        0..6,
    )
}

pub(crate) fn mutated(text: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for mutation in mutations {
        let length = bytes.len().max(1);
        match *mutation {
            Mutation::Set(at, byte) => {
                if let Some(place) = bytes.get_mut(at % length) {
                    *place = byte;
                }
            }
            Mutation::Insert(at, byte) => bytes.insert(at % length.min(bytes.len() + 1), byte),
            Mutation::Remove(at) if !bytes.is_empty() => drop(bytes.remove(at % length)),
            Mutation::Cut(at) => bytes.truncate(at % length),
            Mutation::Repeat(at, count) => {
                let start = at % length;
                let end = (start + count).min(bytes.len());
                let part = bytes.get(start..end).unwrap_or_default().to_vec();
                bytes.extend(part);
            }
            Mutation::Remove(_) => {}
        }
    }
    bytes
}

/// Any text, or one of these with a few changes.
fn texts(seeds: Vec<String>) -> impl Strategy<Value = String> {
    let near = (proptest::sample::select(seeds), mutations()).prop_map(|(seed, mutations)| {
        String::from_utf8_lossy(&mutated(seed.as_bytes(), &mutations)).into_owned()
    });
    prop_oneof![1 => ".{0,300}", 1 => "[A-Za-z0-9_-]{0,300}", 4 => near]
}

fn cursors() -> Vec<String> {
    let mark = |text: &str, at| Mark { snapshot: Snapshot::parse(text).expect("legal"), at };
    let base = mark("81234:81240:81234,81236", 1_790_000_000_000_000);
    let upto = mark("81236:91240:81236,90000,91239", 1_790_000_000_900_000);
    let positions = [
        Position::at(mark("3:3:", 0)),
        Position::at(base.clone()),
        Position::within(base, upto, 123_456),
        Position::at(mark("1:9223372036854775806:1", i64::MAX)),
    ];
    let written = positions.iter().map(|position| position.encode(HistoryId(7)));
    written.chain([encode_time(i64::MIN), encode_time(0)]).collect()
}

#[test]
fn any_text_is_a_cursor_that_is_written_alike_or_an_error() {
    fuzz(&texts(cursors()), |text| {
        if let Some(at) = decode_time(&text) {
            prop_assert_eq!(decode_time(&encode_time(at)), Some(at));
        }
        if let Ok(Some(position)) = Position::decode(&text, HistoryId(7)) {
            let again = Position::decode(&position.encode(HistoryId(7)), HistoryId(7));
            prop_assert_eq!(again.expect("ours"), Some(position));
        }
        Ok(())
    });
}

#[test]
fn any_text_is_a_snapshot_that_is_written_alike_or_none() {
    let seeds = ["3:3:", "10:20:10,15", "1:9223372036854775806:1,5", "18446744073709551615:0:"];
    fuzz(&texts(seeds.map(str::to_owned).to_vec()), |text| {
        if let Some(snapshot) = Snapshot::parse(&text) {
            let again = Snapshot::parse(&snapshot.to_string());
            prop_assert_eq!(again.as_ref(), Some(&snapshot));
            prop_assert!(snapshot.covers(&snapshot));
            prop_assert!(snapshot.xip().iter().all(|&xid| !snapshot.sees(xid)));
            prop_assert!(!snapshot.sees(snapshot.xmax()) && !snapshot.sees(u64::MAX));
        }
        Ok(())
    });
}

#[test]
fn any_text_is_a_topic_as_it_is_written_or_an_error() {
    let seeds = ["thread:42", "user:-9223372036854775808", "table:\"a b\".c", "token:é", "login:"];
    fuzz(&texts(seeds.map(str::to_owned).to_vec()), |text| {
        if let Ok(topic) = Topic::parse(&text) {
            prop_assert_eq!(topic.as_str(), &text);
            if let Some(id) = topic.thread_id() {
                prop_assert_eq!(Topic::thread(id).thread_id(), Some(id));
            }
        }
        Ok(())
    });
}

#[test]
fn any_headers_and_query_present_something_or_nothing() {
    let jwt = good_token("ada");
    let query = vec![format!("token={jwt}&cursor=a"), "token=%41%4&token=+&%74oken=x".to_owned()];
    let cookie =
        vec![format!("a=b; session_id=\"{jwt}\"; c"), "session_id=;session_id=x".to_owned()];
    let bearer = vec![format!("Bearer {jwt}"), "bearer  x".to_owned(), "Basic eDp5".to_owned()];
    let input = (texts(query), texts(cookie), texts(bearer), mutations());
    fuzz(&input, |(query, cookie, bearer, mutations)| {
        let mut headers = HeaderMap::new();
        let raw = mutated(cookie.as_bytes(), &mutations);
        for (name, value) in [
            (header::COOKIE, raw.as_slice()),
            (header::COOKIE, cookie.as_bytes()),
            (header::AUTHORIZATION, bearer.as_bytes()),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
        let presented = token::presented(&headers, Some(&query), Sources::USUAL);
        if let Some(presented) = presented {
            let shown = format!("{presented:?}");
            prop_assert!(!shown.contains(&jwt[..20]), "{}", shown);
        }
        let only = token::presented(&HeaderMap::new(), Some(&query), Sources::HEADER);
        prop_assert!(only.is_none());
        Ok(())
    });
}

#[test]
fn any_text_is_a_filter_with_conditions_or_an_error_in_words() {
    let seeds = [
        r#"id=eq.1,name=not.like."a,b\"%",or=(x=is.null,y=in.("a)",b))"#,
        "a=not.in.(1,2,3)",
        r#"a=eq."open,b=eq.1"#,
        "or=(or=(a=eq.1))",
    ];
    fuzz(&texts(seeds.map(str::to_owned).to_vec()), |text| {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(filter.clauses.is_empty(), text.trim().is_empty()),
            Err(error) => prop_assert!(error.starts_with("Error parsing `filter` params: ")),
        }
        Ok(())
    });
}

#[test]
fn any_json_is_a_wish_with_options_or_an_error_in_words() {
    let seeds = [
        r#"{"event":"*","schema":"public","table":"t","filter":"id=eq.1","select":["a"]}"#,
        r#"{"cursor":null,"since":"2026-01-01T00:00:00Z","left":true}"#,
        r#"{"schema":"*","select":[1]}"#,
    ];
    fuzz(&texts(seeds.map(str::to_owned).to_vec()), |text| {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = Options::parse(&value);
            if let Err(error) = Wish::parse(&value) {
                prop_assert!(!error.is_empty());
            }
        }
        Ok(())
    });
}

/// Requests, good ones and nearly good ones, as text.
fn frames() -> Vec<String> {
    let id = thread("maths");
    [
        json!({ "type": "ping", "ref": { "a": [1.5, null, "💥"] } }),
        json!({ "type": "subscribe_thread", "thread_id": id }),
        json!({ "type": "unsubscribe_thread", "thread_id": 1 }),
        json!({ "type": "typing", "thread_id": id, "is_typing": true }),
        json!({ "type": "mark_read", "thread_id": 1, "up_to_message_id": person("ada") }),
        json!({ "type": "mark_delivered", "thread_id": id, "message_id": 1 }),
        json!({ "type": "authenticate", "token": good_token("ada") }),
        json!({ "type": "resume", "cursor": cursors()[1] }),
        json!({ "type": "send_message", "thread_id": 1, "content": "Hi \u{1f4a5}", "message_type": "text" }),
    ]
    .map(|frame| frame.to_string())
    .to_vec()
}

#[tokio::test]
async fn a_socket_answers_whatever_is_sent_and_lives() {
    let rates = [
        "--rate-joins=100000/100000",
        "--rate-messages=100000/100000",
        "--rate-typing=100000/100000",
    ];
    let app = App::start_with(&rates).await;
    let mut ada = app.socket("ada", "").await;
    ada.until("connection_established").await;
    let mut runner = runner();
    let input = (texts(frames()), proptest::bool::weighted(0.1));
    let end = Instant::now() + budget();
    let mut round = 0;
    while Instant::now() < end {
        // A few at once: what is answered wrongly is then in this lot.
        let lot: Vec<_> =
            (0..16).map(|_| input.new_tree(&mut runner).expect("input").current()).collect();
        for (text, binary) in &lot {
            let frame = if *binary { Message::binary(text.clone()) } else { Message::text(text) };
            ada.0.feed(frame).await.unwrap_or_else(|error| panic!("{error} after {lot:?}"));
        }
        round += 1;
        answers(&mut ada, round, &lot).await;
    }
}

/// Pushes of Phoenix, good ones and nearly good ones, as text.
fn pushes() -> Vec<String> {
    let token = token_with(&json!({ "role": "anon", "exp": now() + 3_600 }));
    let config = json!({ "broadcast": { "ack": true, "self": true }, "presence": { "key": "k" } });
    let changes =
        json!([{ "event": "*", "schema": "chat", "table": "users", "filter": "id=eq.1" }]);
    [
        json!([null, "1", "phoenix", "heartbeat", {}]),
        json!(["1", "1", "realtime:a", "phx_join", { "config": config, "access_token": token }]),
        json!(["1", 2, "realtime:b", "phx_join", { "config": { "postgres_changes": changes } }]),
        json!(["1", "3", "realtime:a", "broadcast", { "event": "e", "payload": [1.5, "💥"] }]),
        json!(["1", "4", "realtime:a", "presence", { "event": "track", "payload": { "a": 1 } }]),
        json!(["1", "5", "realtime:a", "access_token", { "access_token": token }]),
        json!(["1", null, "realtime:b", "phx_leave", {}]),
        json!("\u{3}\u{1}\u{1}\u{a}\u{1}\0\u{1}1rrealtime:ae{}"),
    ]
    .map(|frame| frame.as_str().map_or_else(|| frame.to_string(), str::to_owned))
    .to_vec()
}

#[tokio::test]
async fn a_phoenix_socket_answers_whatever_is_sent_and_lives() {
    let rates = [
        "--rate-channel-joins=1000000/1000000",
        "--rate-broadcasts=1000000/1000000",
        "--rate-presence=1000000/1000000",
    ];
    let app = App::start_with(&rates).await;
    let token = token_with(&json!({ "role": "anon", "exp": now() + 3_600 }));
    let path = format!("/realtime/v1/websocket?vsn=2.0.0&apikey={token}");
    let mut socket = app.socket_at(&path, "unused").await.expect("a socket");
    let mut runner = runner();
    let input = (texts(pushes()), proptest::bool::weighted(0.3));
    let end = Instant::now() + budget();
    let mut round = 0;
    while Instant::now() < end {
        let lot: Vec<_> =
            (0..16).map(|_| input.new_tree(&mut runner).expect("input").current()).collect();
        for (text, binary) in &lot {
            let frame = if *binary { Message::binary(text.clone()) } else { Message::text(text) };
            socket.0.feed(frame).await.unwrap_or_else(|error| panic!("{error} after {lot:?}"));
        }
        round += 1;
        let reference = format!("round {round}");
        socket.send(json!([null, reference, "phoenix", "heartbeat", {}]).to_string()).await;
        while socket.next().await[1] != json!(reference) {}
    }
}

/// Reads up to the answer of a last ping; nothing in between may be a fault of ours.
async fn answers(ada: &mut Socket, round: u64, lot: &[(String, bool)]) {
    ada.send(json!({ "type": "ping", "ref": { "round": round } }).to_string()).await;
    loop {
        let frame: Value = ada.next().await;
        assert_ne!(frame["code"], "internal", "{frame} to one of {lot:?}");
        if frame["ref"] == json!({ "round": round }) {
            return;
        }
    }
}
