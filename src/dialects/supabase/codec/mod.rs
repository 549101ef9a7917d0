//! The wire of Phoenix channels, versions 1.0.0 and 2.0.0: frames in, frames out, nothing else.

mod binary;
mod broadcast;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::value::RawValue;

use bytes::Bytes;

pub(super) use broadcast::{broadcast, message, user_broadcast};

use super::persist::Persist;
use crate::{
    error::{Error, Result},
    session::{Body, Incoming},
};

/// Longest ref that is echoed, in bytes of JSON.
const LONGEST_REF: usize = 258;

/// The version of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Objects without `join_ref`, text only.
    V1,
    /// Arrays of five, and binary frames.
    V2,
}

impl Version {
    /// Reads the parameter `vsn`; without one it is the first.
    pub(super) fn parse(vsn: Option<&str>) -> Option<Self> {
        match vsn {
            None | Some("" | "1.0.0") => Some(Self::V1),
            Some("2.0.0") => Some(Self::V2),
            Some(_) => None,
        }
    }
}

/// A `ref` or `join_ref` as the client wrote it, in JSON: null, a text or a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ref(Option<Box<str>>);

impl Ref {
    /// The ref of what nobody asked for.
    pub(super) const NONE: Self = Self(None);

    /// Whether it is null.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The JSON to echo.
    pub(super) fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }

    fn from_json(raw: &RawValue) -> Result<Self> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Ok(Self::NONE),
            Some(b'"' | b'-' | b'0'..=b'9') if text.len() <= LONGEST_REF => {
                Ok(Self(Some(text.into())))
            }
            _ => Err(Error::malformed("a ref is null, a short text or a number")),
        }
    }

    fn from_text(text: &str) -> Self {
        Self((!text.is_empty()).then(|| quoted(text).into()))
    }
}

/// A frame from a client.
#[derive(Debug)]
pub(super) struct Push {
    /// Which joining of the topic it belongs to.
    pub(super) join_ref: Ref,
    /// What its reply repeats.
    pub(super) reference: Ref,
    /// What it is about, such as `realtime:room1`.
    pub(super) topic: String,
    /// What it asks, such as `phx_join`.
    pub(super) event: String,
    /// What comes with it.
    pub(super) payload: Payload,
}

/// What comes with a push.
#[derive(Debug)]
pub(super) enum Payload {
    /// JSON, verbatim.
    Json(Box<RawValue>),
    /// Bytes, which no event of ours takes.
    Bytes,
    /// A broadcast in a frame of its own kind.
    User(UserPush),
}

/// A broadcast of kind 3.
#[derive(Debug)]
pub(super) struct UserPush {
    /// The application's event.
    pub(super) event: String,
    /// The application's payload.
    pub(super) payload: UserPayload,
    /// It is to be stored.
    pub(super) persist: Option<Persist>,
}

/// The payload of a broadcast of kind 3.
#[derive(Debug)]
pub(super) enum UserPayload {
    /// JSON text.
    Json(Box<RawValue>),
    /// Anything.
    Bytes(Bytes),
}

impl UserPayload {
    /// How large it is, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Reads a frame.
pub(super) fn parse(version: Version, frame: &Incoming) -> Result<Push> {
    match (version, frame) {
        (Version::V1, Incoming::Text(text)) => object(text),
        (Version::V2, Incoming::Text(text)) => array(text),
        (Version::V2, Incoming::Binary(bytes)) => binary::parse(bytes),
        _ => Err(Error::malformed("version 1.0.0 has text frames only")),
    }
}

#[derive(Deserialize)]
struct Object<'a> {
    topic: String,
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow)]
    r#ref: &'a RawValue,
    #[serde(borrow, default)]
    join_ref: Option<&'a RawValue>,
}

fn object(text: &str) -> Result<Push> {
    let object: Object<'_> = serde_json::from_str(text)
        .map_err(|_| Error::malformed("a frame is an object with topic, event, payload and ref"))?;
    Ok(Push {
        join_ref: object.join_ref.map(Ref::from_json).transpose()?.unwrap_or_default(),
        reference: Ref::from_json(object.r#ref)?,
        topic: object.topic,
        event: object.event,
        payload: Payload::Json(object.payload.to_owned()),
    })
}

fn array(text: &str) -> Result<Push> {
    let wrong = || Error::malformed("a frame is [join_ref, ref, topic, event, payload]");
    let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
    // What follows the five is for a version to come.
    let [join_ref, reference, topic, event, payload, ..] = parts.as_slice() else {
        return Err(wrong());
    };
    let string = |raw: &RawValue| serde_json::from_str(raw.get()).map_err(|_| wrong());
    Ok(Push {
        join_ref: Ref::from_json(join_ref)?,
        reference: Ref::from_json(reference)?,
        topic: string(topic)?,
        event: string(event)?,
        payload: Payload::Json((*payload).to_owned()),
    })
}

/// A frame with a payload in JSON.
pub(super) fn push(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &str,
    event: &str,
    payload: &str,
) -> Body {
    let (topic, event, reference) = (quoted(topic), quoted(event), reference.as_json());
    let text = match version {
        Version::V1 => {
            format!(r#"{{"topic":{topic},"event":{event},"payload":{payload},"ref":{reference}}}"#)
        }
        Version::V2 => {
            format!("[{},{reference},{topic},{event},{payload}]", join_ref.as_json())
        }
    };
    Body::Text(text.into())
}

/// The reply to a push; `response` is JSON.
pub(super) fn reply(version: Version, asked: &Asked, ok: bool, response: &str) -> Body {
    let status = if ok { "ok" } else { "error" };
    let payload = format!(r#"{{"status":"{status}","response":{response}}}"#);
    push(version, &asked.join_ref, &asked.reference, &asked.topic, "phx_reply", &payload)
}

/// What a reply repeats of its push.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its `join_ref`.
    pub(super) join_ref: Ref,
    /// Its `ref`.
    pub(super) reference: Ref,
    /// Its topic.
    pub(super) topic: String,
}

impl Push {
    /// What the reply repeats.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            join_ref: self.join_ref.clone(),
            reference: self.reference.clone(),
            topic: self.topic.clone(),
        }
    }
}

/// A text in JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
