//! The rooms dialect's frames and bodies. Pure: no I/O, no clock.

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    chat::Message,
    error::{Error, Result},
    signal::Signal,
};

/// Seconds that a poll waits at most; it does not unless it says so.
const MAX_WAIT: f64 = 60.0;

/// What a client's frame asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Typing(bool),
    Message(String),
    Ping,
}

/// Reads a frame.
pub(super) fn parse(text: &str) -> Result<Request> {
    let frame = object(text.as_bytes())?;
    match frame.get("type").and_then(Value::as_str) {
        Some("typing") => is_typing(&frame).map(Request::Typing),
        Some("message") => content(&frame).map(Request::Message),
        Some("ping") => Ok(Request::Ping),
        _ => Err(Error::malformed("`type` must be typing, message or ping")),
    }
}

/// Reads a body or a frame: one JSON object.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(text)
        .map_err(|error| Error::malformed(format!("Send one JSON object: {error}")))
}

/// Absent means no, as the guide's own server reads it.
pub(super) fn is_typing(body: &Map<String, Value>) -> Result<bool> {
    match body.get("is_typing") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is_typing)) => Ok(*is_typing),
        Some(_) => Err(Error::malformed("`is_typing` must be true or false")),
    }
}

pub(super) fn content(body: &Map<String, Value>) -> Result<String> {
    match body.get("content") {
        Some(Value::String(content)) => Ok(content.clone()),
        None | Some(Value::Null) => {
            Err(Error::malformed("`content` is missing; it must be a string"))
        }
        Some(_) => Err(Error::malformed("`content` must be a string")),
    }
}

/// An id in either form, from a body.
pub(super) fn reference(body: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Error::malformed(format!("`{name}` must be an integer id or a uuid"))),
    }
}

/// How long a poll waits: 0 to 60 seconds whatever it says.
pub(super) fn wait(text: Option<&str>) -> Result<std::time::Duration> {
    let Some(text) = text else { return Ok(std::time::Duration::ZERO) };
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let seconds = seconds
        .ok_or_else(|| Error::malformed("`wait` must be a number of seconds from 0 to 60"))?;
    Ok(std::time::Duration::from_secs_f64(seconds.clamp(0.0, MAX_WAIT)))
}

/// A message that just came, as everybody in the room gets it: nobody has read it.
pub(super) fn message(message: &Message) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        id: i64,
        room: i64,
        sender: Option<Sender<'a>>,
        content: &'a RawValue,
        created_at: &'a str,
        is_read: bool,
    }
    #[derive(Serialize)]
    struct Sender<'a> {
        id: i64,
        username: &'a str,
        first_name: &'a str,
        last_name: &'a str,
    }
    let sender = message.sender_id.zip(message.sender.as_ref()).map(|(id, sender)| Sender {
        id,
        username: sender.username.as_deref().unwrap_or_default(),
        first_name: sender.first_name.as_deref().unwrap_or_default(),
        last_name: sender.last_name.as_deref().unwrap_or_default(),
    });
    let body = Body {
        id: message.id,
        room: message.thread_id,
        sender,
        content: &message.content,
        created_at: &message.created_at,
        is_read: false,
    };
    serde_json::to_string(&body).unwrap_or_default()
}

/// The socket's frame with a message.
pub(super) fn message_frame(body: &str) -> String {
    format!(r#"{{"type":"message","message":{body}}}"#)
}

/// The socket's frame for what was said in a room; none for what this dialect does not tell.
pub(super) fn signal(signal: &Signal, room: i64) -> Option<String> {
    #[derive(Serialize)]
    struct Typing<'a> {
        r#type: &'static str,
        user_id: i64,
        username: &'a str,
        is_typing: bool,
    }
    let Signal::Typing { thread, user, username, is_typing } = signal else { return None };
    let frame = Typing { r#type: "typing", user_id: user.id, username, is_typing: *is_typing };
    (*thread == room).then(|| serde_json::to_string(&frame).unwrap_or_default())
}

/// The socket's frame for an error.
pub(super) fn error_frame(error: &Error) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    let retry_after_ms = error.retry_after_ms;
    let body = Body { r#type: "error", error: &error.message, retry_after_ms };
    serde_json::to_string(&body).unwrap_or_default()
}

/// The body of an error's answer.
pub(super) fn error_body(error: &Error) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
    }
    serde_json::to_string(&Body { error: &error.message }).unwrap_or_default()
}

/// A poll's answer; `messages` is a JSON array.
pub(super) fn polled(messages: &str, timestamp: &str) -> String {
    format!(r#"{{"messages":{messages},"timestamp":"{timestamp}"}}"#)
}
