//! The native frames: what a client's text asks for, and what changes and answers look like. Pure: no I/O, no clock.

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

use crate::{
    chat::{Event, Member, Message},
    dialects::reading::message_type,
    error::{Error, Kind, Result},
    signal::{Signal, Status},
};

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Ping,
    Subscribe { thread: String },
    Unsubscribe { thread: String },
    Typing { thread: String, is_typing: bool },
    MarkRead { thread: String, upto: Option<String> },
    MarkDelivered { thread: String, message: String },
    Authenticate { token: String },
    Resume { cursor: String },
    Send { thread: String, content: String, message_type: String },
}

/// A request with the `ref` that its answer repeats: any JSON, as sent.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Result<Request>,
    pub(super) reference: Option<Value>,
}

/// A `ref` is repeated, so it is bounded.
const MAX_REF_BYTES: usize = 256;

/// Reads a frame.
pub(super) fn parse(text: &str) -> Asked {
    let frame = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(frame) => frame,
        Err(error) => {
            let message = format!("A frame is one JSON object with a `type`: {error}");
            return Asked { request: Err(Error::malformed(message)), reference: None };
        }
    };
    let reference = frame.get("ref").filter(|value| value.to_string().len() <= MAX_REF_BYTES);
    Asked { request: request(&frame), reference: reference.cloned() }
}

fn request(frame: &Map<String, Value>) -> Result<Request> {
    let thread = || id(frame, "thread_id");
    Ok(match word(frame, "type")?.as_str() {
        "ping" => Request::Ping,
        "subscribe_thread" => Request::Subscribe { thread: thread()? },
        "unsubscribe_thread" => Request::Unsubscribe { thread: thread()? },
        "typing" => Request::Typing { thread: thread()?, is_typing: flag(frame, "is_typing")? },
        "mark_read" => Request::MarkRead {
            thread: thread()?,
            upto: optional(frame, "up_to_message_id")
                .map(|_| id(frame, "up_to_message_id"))
                .transpose()?,
        },
        "mark_delivered" => {
            Request::MarkDelivered { thread: thread()?, message: id(frame, "message_id")? }
        }
        "authenticate" => Request::Authenticate { token: word(frame, "token")? },
        "resume" => Request::Resume { cursor: word(frame, "cursor")? },
        "send_message" => Request::Send {
            thread: thread()?,
            content: word(frame, "content")?,
            message_type: message_type(optional(frame, "message_type"), "message_type")?,
        },
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Error::malformed(format!(
                "Unknown `type` \"{shown}\"; known are ping, subscribe_thread, unsubscribe_thread, typing, mark_read, \
                 mark_delivered, authenticate, resume, send_message"
            )));
        }
    })
}

fn optional<'a>(frame: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    frame.get(name).filter(|value| !value.is_null())
}

fn id(frame: &Map<String, Value>, name: &str) -> Result<String> {
    match optional(frame, name) {
        Some(Value::String(text)) if is_id(text) => Ok(text.clone()),
        Some(Value::Number(number)) if number.is_i64() => Ok(number.to_string()),
        None => Err(Error::malformed(format!("`{name}` is missing; send a uuid or an integer id"))),
        Some(_) => Err(Error::malformed(format!("`{name}` must be a uuid or an integer id"))),
    }
}

/// Whether a text is an id in either form; whose, the database knows.
pub(super) fn is_id(text: &str) -> bool {
    text.parse::<i64>().is_ok() || Uuid::parse_str(text).is_ok()
}

fn word(frame: &Map<String, Value>, name: &str) -> Result<String> {
    match optional(frame, name) {
        Some(Value::String(text)) => Ok(text.clone()),
        None => Err(Error::malformed(format!("`{name}` is missing; it must be a string"))),
        Some(_) => Err(Error::malformed(format!("`{name}` must be a string"))),
    }
}

fn flag(frame: &Map<String, Value>, name: &str) -> Result<bool> {
    let wrong = || Error::malformed(format!("`{name}` must be true or false"));
    optional(frame, name).and_then(Value::as_bool).ok_or_else(wrong)
}

/// The word for an error's kind.
pub(super) fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::Malformed => "bad_request",
        Kind::Unauthorized => "unauthorized",
        Kind::Payment => "payment_required",
        Kind::Forbidden => "forbidden",
        Kind::Missing => "not_found",
        Kind::Conflict => "resync_required",
        Kind::TooLarge => "too_large",
        Kind::TooMany => "rate_limited",
        Kind::Timeout => "timeout",
        Kind::Unavailable => "unavailable",
        Kind::Internal => "internal",
    }
}

/// What the server says; serialised with its `type` first.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said<'a> {
    ConnectionEstablished {
        user_id: Uuid,
        timestamp: String,
        cursor: &'a str,
    },
    Pong,
    ThreadSubscribed {
        thread_id: Uuid,
    },
    ThreadUnsubscribed {
        thread_id: Uuid,
    },
    Authenticated {
        user_id: Uuid,
        expires_at: String,
    },
    Resumed {
        cursor: &'a str,
    },
    ResyncRequired {
        message: &'static str,
        cursor: &'a str,
    },
    MarkedRead {
        thread_id: Uuid,
        marked_count: i64,
    },
    MarkedDelivered {
        thread_id: Uuid,
    },
    TypingNoted {
        thread_id: Uuid,
        is_typing: bool,
    },
    MessageSent {
        data: &'a RawValue,
    },
    Error {
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    NewMessage {
        data: Data<'a>,
        cursor: &'a str,
    },
    MessageUpdated {
        data: Data<'a>,
        cursor: &'a str,
    },
    MessageDeleted {
        thread_id: Uuid,
        message_id: Uuid,
        cursor: &'a str,
    },
    MessagesRead {
        thread_id: Uuid,
        reader_id: Uuid,
        up_to_message_id: Option<Uuid>,
        count: i64,
        read_at: Option<&'a str>,
        cursor: &'a str,
    },
    MessageDelivered {
        thread_id: Uuid,
        user_id: Uuid,
        up_to_message_id: Option<Uuid>,
        delivered_at: Option<&'a str>,
        cursor: &'a str,
    },
    ThreadJoined {
        thread_id: Uuid,
        user_id: Uuid,
        cursor: &'a str,
    },
    ThreadLeft {
        thread_id: Uuid,
        user_id: Uuid,
        cursor: &'a str,
    },
    Typing {
        thread_id: Uuid,
        user_id: Uuid,
        is_typing: bool,
    },
    Presence {
        user_id: Uuid,
        status: &'static str,
        last_seen: Option<String>,
    },
}

/// A message as the guide shows it.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    id: Uuid,
    thread_id: Uuid,
    sender_id: Option<Uuid>,
    content: &'a RawValue,
    message_type: &'a str,
    created_at: &'a str,
    sender: Option<Person<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Person<'a> {
    full_name: Option<&'a str>,
    role: Option<&'a str>,
}

impl<'a> From<&'a Message> for Data<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.uuid,
            thread_id: message.thread_uuid,
            sender_id: message.sender_uuid,
            content: &message.content,
            message_type: &message.message_type,
            created_at: &message.created_at,
            sender: message.sender.as_ref().map(|sender| Person {
                full_name: sender.full_name.as_deref(),
                role: sender.role.as_deref(),
            }),
            edited_at: message.edited_at.as_deref(),
            attachments: message
                .attachments
                .as_deref()
                .filter(|json| !matches!(json.get(), "null" | "[]")),
        }
    }
}

impl Said<'_> {
    /// The frame's text.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The frame's text, with the `ref` of the request that it answers.
    pub(super) fn answering(&self, reference: Option<&Value>) -> String {
        #[derive(Serialize)]
        struct Answer<'a> {
            #[serde(flatten)]
            said: &'a Value,
            r#ref: &'a Value,
        }
        let Some(reference) = reference else { return self.text() };
        let said = serde_json::to_value(self).unwrap_or_default();
        serde_json::to_string(&Answer { said: &said, r#ref: reference }).unwrap_or_default()
    }
}

/// The error frame.
pub(super) fn error(error: &Error) -> Said<'_> {
    Said::Error {
        code: code(error.kind),
        message: &error.message,
        retry_after_ms: error.retry_after_ms,
    }
}

/// The frame of a change; none for what this dialect does not tell.
pub(super) fn change(event: &Event, cursor: &str) -> Option<String> {
    let said = match event {
        Event::Sent(message) => Said::NewMessage { data: message.into(), cursor },
        Event::Edited(message) => Said::MessageUpdated { data: message.into(), cursor },
        Event::Deleted(gone) => {
            Said::MessageDeleted { thread_id: gone.thread_uuid, message_id: gone.uuid, cursor }
        }
        Event::Joined(Member { thread_uuid: thread_id, user_uuid: user_id, .. }) => {
            Said::ThreadJoined { thread_id: *thread_id, user_id: *user_id, cursor }
        }
        Event::Left(Member { thread_uuid: thread_id, user_uuid: user_id, .. }) => {
            Said::ThreadLeft { thread_id: *thread_id, user_id: *user_id, cursor }
        }
        // Reading implies delivery: one frame tells both.
        Event::Marked { now, before } if now.last_read_seq > before.last_read_seq => {
            Said::MessagesRead {
                thread_id: now.thread_uuid,
                reader_id: now.user_uuid,
                up_to_message_id: now.last_read_message_uuid,
                count: now.read_count,
                read_at: now.at.as_deref(),
                cursor,
            }
        }
        Event::Marked { now, before } if now.last_delivered_seq > before.last_delivered_seq => {
            Said::MessageDelivered {
                thread_id: now.thread_uuid,
                user_id: now.user_uuid,
                up_to_message_id: now.last_delivered_message_uuid,
                delivered_at: now.at.as_deref(),
                cursor,
            }
        }
        _ => return None,
    };
    Some(said.text())
}

/// The frame of a signal; `thread` is the public id of the thread typed in.
pub(super) fn signal(signal: &Signal, thread: Option<Uuid>) -> Option<String> {
    let said = match signal {
        Signal::Typing { user, is_typing, .. } => {
            Said::Typing { thread_id: thread?, user_id: user.uuid, is_typing: *is_typing }
        }
        Signal::Presence { user, status, last_seen, .. } => Said::Presence {
            user_id: user.uuid,
            status: status.as_str(),
            last_seen: last_seen.and_then(time),
        },
        Signal::Broadcast(_) | Signal::Moves(_) => return None,
    };
    Some(said.text())
}

/// That somebody is here.
pub(super) fn present(user_id: Uuid, status: Status) -> String {
    Said::Presence { user_id, status: status.as_str(), last_seen: None }.text()
}

/// An instant in microseconds since 1970 as RFC 3339 in UTC, to the microsecond.
pub(super) fn time(micros: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{at:.6}"))
}
