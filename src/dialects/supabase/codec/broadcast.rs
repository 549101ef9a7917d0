//! Broadcasts as each version of the protocol shows them.

use super::{
    Ref, Version,
    binary::{self, Encoding},
    push, quoted,
};
use crate::{
    session::Body,
    signal::{Broadcast, Said},
};

/// A broadcast as a client gets it; none where its version cannot say it.
pub(in crate::dialects::supabase) fn broadcast(
    version: Version,
    topic: &str,
    said: &Broadcast,
) -> Option<Body> {
    match &said.said {
        Said::Message(payload) => {
            Some(push(version, &Ref::NONE, &Ref::NONE, topic, "broadcast", payload))
        }
        Said::Json(payload) => {
            let binary = || {
                let payload = payload.as_bytes();
                binary::user_broadcast(topic, &said.event, &said.meta, Encoding::Json, payload)
            };
            match version {
                Version::V2 => binary().map(Body::Binary),
                Version::V1 => None,
            }
            .or_else(|| {
                let payload = message(&said.event, payload, &said.meta);
                Some(push(version, &Ref::NONE, &Ref::NONE, topic, "broadcast", &payload))
            })
        }
        Said::Bytes(payload) => user_broadcast(version, topic, &said.event, &said.meta, payload),
    }
}

/// Bytes as a broadcast; version 1.0.0 has none.
pub(in crate::dialects::supabase) fn user_broadcast(
    version: Version,
    topic: &str,
    event: &str,
    meta: &str,
    payload: &[u8],
) -> Option<Body> {
    match version {
        Version::V1 => None,
        Version::V2 => {
            binary::user_broadcast(topic, event, meta, Encoding::Bytes, payload).map(Body::Binary)
        }
    }
}

/// The payload of a broadcast in a text frame; `meta` is a JSON object, or nothing.
pub(in crate::dialects::supabase) fn message(event: &str, payload: &str, meta: &str) -> String {
    let event = quoted(event);
    let meta = if meta.is_empty() { String::new() } else { format!(r#","meta":{meta}"#) };
    format!(r#"{{"event":{event},"payload":{payload},"type":"broadcast"{meta}}}"#)
}
