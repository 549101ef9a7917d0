//! Everything that reads bytes of strangers, by name: what fuzzers call. None may panic, or take long over little.
//!
//! `tests/it/fuzz` drives them on stable Rust, with mutations of `fuzz/corpus`; `fuzz/` wraps them for libFuzzer.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    auth::{
        Verifier,
        token::{self, Sources},
    },
    change::{Change, Json, Op},
    chat,
    config::{Auth, Secret},
    cursor::{HistoryId, Position, Snapshot, decode_time, encode_time},
    db,
    dialects::{
        conversations, direct, door, longpoll, native, rooms, socketio,
        supabase::{
            self,
            changes::{Options, grammar::Filter, wish::Wish},
        },
    },
    topic::Topic,
};

/// A target's name, and what reads.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("change", change),
    ("conversations", conversations::hostile),
    ("cursor", cursor),
    ("direct", direct::hostile),
    ("dsn", dsn),
    ("filter", filter),
    ("headers", headers),
    ("longpoll", longpoll::hostile),
    ("native", native::hostile),
    ("origin", origin),
    ("phoenix", supabase::hostile),
    ("query", query),
    ("rooms", rooms::hostile),
    ("socketio", socketio::hostile),
    ("token", token),
    ("topic", topic),
    ("wish", wish),
];

/// Runs a target; `fuzz/` has one file for each, which calls this.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target is called {name}");
    if let Some((_, read)) = target {
        read(data);
    }
}

/// Text, with what is no UTF-8 replaced.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Rows of the log: anybody who may write a table says what is in them.
fn change(data: &[u8]) {
    let Some(json) = Json::from_database(Bytes::copy_from_slice(data)) else { return };
    let Ok(topic) = Topic::parse("thread:1") else { return };
    for relation in ["chat.messages", "chat.members", "chat.users", "chat.blocks", "chat.threads"] {
        for op in [Op::Insert, Op::Update, Op::Delete] {
            let change = Change {
                id: 1,
                xid: 10,
                at: 0,
                topic: topic.clone(),
                relation: Arc::from(relation),
                op,
                key: Some(json.clone()),
                record: Some(json.clone()),
                old_record: Some(json.clone()),
                link: None,
            };
            let _ = (chat::event(&change), change.size());
        }
    }
}

fn cursor(data: &[u8]) {
    let text = text(data);
    if let Some(at) = decode_time(&text) {
        assert_eq!(decode_time(&encode_time(at)), Some(at));
    }
    if let Ok(Some(position)) = Position::decode(&text, HistoryId(7)) {
        let again = Position::decode(&position.encode(HistoryId(7)), HistoryId(7));
        assert_eq!(again.ok().flatten(), Some(position));
    }
    if let Some(snapshot) = Snapshot::parse(&text) {
        assert_eq!(Snapshot::parse(&snapshot.to_string()), Some(snapshot));
    }
}

fn dsn(data: &[u8]) {
    let _ = db::is_dsn(&text(data));
}

fn filter(data: &[u8]) {
    let _ = Filter::parse(&text(data)).is_ok();
}

/// The headers that anything is read from.
fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (line, name) in data.split(|byte| *byte == b'\n').zip([
        header::AUTHORIZATION,
        header::COOKIE,
        header::COOKIE,
        header::ORIGIN,
        header::HOST,
    ]) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let query = text(data);
    for query in [None, Some(&*query)] {
        let _ = token::presented(&headers, query, Sources::USUAL);
    }
    let _ = (token::cookie(&headers, "csrf_token"), token::query_value(&query, "token"));
}

/// An origin, and after the first space a host.
fn origin(data: &[u8]) {
    let text = text(data);
    let (origin, host) = text.split_once(' ').unwrap_or((&text, ""));
    if door::is_of(origin, Some(host), None) {
        assert!(origin.ends_with(host) && origin.contains("://"));
    }
    assert!(!door::is_of(origin, None, None) || !origin.contains("://"));
}

fn query(data: &[u8]) {
    let text = text(data);
    for (key, value) in door::pairs(&text) {
        let _ = (door::instant(&value), key.len());
    }
    let _ = door::instant(&text);
}

/// A token, and the payload of one that is well signed.
fn token(data: &[u8]) {
    static VERIFIER: OnceLock<Option<Verifier>> = OnceLock::new();
    const SECRET: &str = "a secret of fuzzers, 32 characters or more";
    let verifier = VERIFIER.get_or_init(|| {
        let auth = Auth {
            jwt_secret: Some(Secret::new(SECRET)),
            jwt_public_key: None,
            jwks: None,
            jwt_issuer: None,
            jwt_audience: None,
        };
        Verifier::from_config(&auth).now_or_never().and_then(Result::ok)
    });
    let Some(verifier) = verifier else { return };
    let presented = text(data);
    // With a secret alone nobody is asked, so that there is nothing to wait for.
    let verified = verifier.verify(&presented).now_or_never();
    assert!(!matches!(verified, Some(Ok(_))), "let in by {presented}");
    if let Ok(payload) = serde_json::from_slice(data)
        && let Ok(signed) = crate::auth::mint(SECRET, &payload)
    {
        let _ = verifier.examine(&signed).now_or_never();
    }
}

fn topic(data: &[u8]) {
    let text = text(data);
    if let Ok(topic) = Topic::parse(&text) {
        assert_eq!(topic.as_str(), text);
        let _ = topic.thread_id();
    }
    let _ = Topic::token(&text);
}

fn wish(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice(data) {
        let _ = (Options::parse(&value), Wish::parse(&value).is_ok());
    }
}
