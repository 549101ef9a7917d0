//! JSON-RPC 2.0 as the guide speaks it: calls in, results and errors out. Pure: no I/O, no clock.

use std::fmt::Write as _;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};
use warp::reply::Response;

use crate::{
    auth::token::Credential,
    chat::Message,
    dialects::door,
    error::{Error, Kind, Result},
    signal::Status,
};

/// Seconds that a poll waits when it does not say, and at most.
const TIMEOUT: (f64, f64) = (30.0, 60.0);
/// An `id` is repeated, so it is bounded.
const MAX_ID_BYTES: usize = 256;
/// Partners in one question about presence.
const MAX_PARTNERS: usize = 1_000;

/// A method by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Method {
    PollMessages,
    PollUpdates,
    Count,
    MarkRead,
    TypingStart,
    TypingStop,
    /// With the thread.
    TypingStatus(String),
    PresenceUpdate,
    PresenceStatus,
    Threads,
    Send,
}

/// Finds the method of a path below `/api/messaging/`.
pub(super) fn method(path: &str) -> Option<Method> {
    Some(match path.trim_end_matches('/') {
        "poll/messages" => Method::PollMessages,
        "poll/updates" => Method::PollUpdates,
        "notifications/count" => Method::Count,
        "notifications/mark_all_read" => Method::MarkRead,
        "typing/start" => Method::TypingStart,
        "typing/stop" => Method::TypingStop,
        "presence/update" => Method::PresenceUpdate,
        "presence/status" => Method::PresenceStatus,
        "threads" => Method::Threads,
        "send" => Method::Send,
        path => {
            let thread = path.strip_prefix("typing/status/")?;
            let plain = !thread.is_empty() && !thread.contains('/');
            return plain.then(|| Method::TypingStatus(thread.to_owned()));
        }
    })
}

/// A call: the `id` to repeat, as JSON, and the parameters.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) params: Params,
}

/// Reads a request's body; an error comes with the `id` to repeat and is ready to be put into an answer.
pub(super) fn parse(body: &[u8]) -> std::result::Result<Call, (String, String)> {
    let refused = |id: &str, code, message: &str| (id.to_owned(), error_body(code, message, None));
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| refused("null", -32_700, &format!("The body is not JSON: {error}")))?;
    let Value::Object(mut call) = value else {
        return Err(refused("null", -32_600, "The body must be one JSON object"));
    };
    let id = match call.remove("id") {
        None | Some(Value::Null) => "null".to_owned(),
        Some(id @ (Value::String(_) | Value::Number(_))) => id.to_string(),
        Some(_) => {
            return Err(refused("null", -32_600, "`id` must be a string, a number or null"));
        }
    };
    if id.len() > MAX_ID_BYTES {
        let message = format!("`id` is longer than {MAX_ID_BYTES} bytes");
        return Err(refused("null", -32_600, &message));
    }
    if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(refused(&id, -32_600, "`jsonrpc` must be \"2.0\""));
    }
    match call.remove("params") {
        None | Some(Value::Null) => Ok(Call { id, params: Params(Map::new()) }),
        Some(Value::Object(params)) => Ok(Call { id, params: Params(params) }),
        Some(_) => Err(refused(&id, -32_602, "`params` must be an object")),
    }
}

/// A call's parameters; `null` is the same as absent.
#[derive(Debug)]
pub(super) struct Params(Map<String, Value>);

impl Params {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A thread by either form of its id.
    pub(super) fn thread(&self) -> Result<String> {
        self.optional_thread()?
            .ok_or_else(|| Error::malformed("`thread_id` is missing; send the id of a thread"))
    }

    pub(super) fn optional_thread(&self) -> Result<Option<String>> {
        self.get("thread_id").map(|value| id(value, "thread_id")).transpose()
    }

    /// The last message that the client has: an id, or 0 for none.
    pub(super) fn last_message(&self) -> Result<LastMessage> {
        let wrong = || {
            Error::malformed(
                "`last_message_id` must be the id of a message, or 0 for the beginning",
            )
        };
        match self.get("last_message_id") {
            None => Ok(LastMessage::Id(0)),
            Some(Value::String(text)) => match text.parse::<i64>() {
                Ok(id) if id >= 0 => Ok(LastMessage::Id(id)),
                Ok(_) => Err(wrong()),
                Err(_) => uuid::Uuid::parse_str(text)
                    .map(|_| LastMessage::Uuid(text.clone()))
                    .map_err(|_| wrong()),
            },
            Some(value) => {
                value.as_i64().filter(|id| *id >= 0).map(LastMessage::Id).ok_or_else(wrong)
            }
        }
    }

    /// How long to wait, in seconds: 30 when the client does not say, 0 to 60 whatever it says.
    pub(super) fn timeout(&self) -> Result<std::time::Duration> {
        let (default, most) = TIMEOUT;
        let seconds = match self.get("timeout") {
            None => default,
            Some(value) => {
                value.as_f64().filter(|seconds| seconds.is_finite()).ok_or_else(|| {
                    Error::malformed("`timeout` must be a number of seconds from 0 to 60")
                })?
            }
        };
        Ok(std::time::Duration::from_secs_f64(seconds.clamp(0.0, most)))
    }

    /// When the client last checked, in microseconds since 1970.
    pub(super) fn last_check(&self) -> Result<Option<i64>> {
        let Some(value) = self.get("last_check") else { return Ok(None) };
        let at = value.as_str().and_then(door::instant);
        at.map(Some).ok_or_else(|| {
            Error::malformed("`last_check` is not an ISO 8601 time such as 2024-01-01T00:00:00Z")
        })
    }

    pub(super) fn status(&self) -> Result<Status> {
        let status = self.get("status").and_then(Value::as_str).and_then(Status::parse);
        status.ok_or_else(|| Error::malformed("`status` must be online, away or offline"))
    }

    /// Partners by either form of their ids.
    pub(super) fn partners(&self) -> Result<Vec<String>> {
        let Some(Value::Array(partners)) = self.get("partner_ids") else {
            return Err(Error::malformed("`partner_ids` must be a list of ids"));
        };
        if partners.len() > MAX_PARTNERS {
            let message = format!("`partner_ids` has more than {MAX_PARTNERS} entries");
            return Err(Error::malformed(message));
        }
        partners.iter().map(|value| id(value, "partner_ids")).collect()
    }

    pub(super) fn body(&self) -> Result<&str> {
        match self.get("body") {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Error::malformed("`body` must be a string")),
            None => Err(Error::malformed("`body` is missing; it must be a string")),
        }
    }
}

/// The last message that a client has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LastMessage {
    Id(i64),
    Uuid(String),
}

fn id(value: &Value, name: &str) -> Result<String> {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let legal = |text: &String| text.parse::<i64>().is_ok() || uuid::Uuid::parse_str(text).is_ok();
    text.filter(legal)
        .ok_or_else(|| Error::malformed(format!("`{name}` must be an integer id or a uuid")))
}

/// An answer: `member` is `result` or `error`.
pub(super) fn envelope(id: &str, member: &str, value: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"{member}":{value}}}"#)
}

/// A JSON-RPC error object.
pub(super) fn error_body(code: i32, message: &str, retry_after_ms: Option<u64>) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        code: i32,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
    }
    #[derive(Serialize)]
    struct Data {
        retry_after_ms: u64,
    }
    let data = retry_after_ms.map(|retry_after_ms| Data { retry_after_ms });
    serde_json::to_string(&Body { code, message, data }).unwrap_or_default()
}

/// The answer for what was refused.
pub(super) fn refused(id: &str, error: &Error, status: StatusCode) -> Response {
    error.log("answering a long-polling request");
    let code = match error.kind {
        Kind::Forbidden | Kind::Payment => -32_001,
        Kind::TooMany => -32_002,
        Kind::Malformed | Kind::Missing | Kind::Conflict => -32_602,
        Kind::Unauthorized => 100,
        Kind::TooLarge | Kind::Timeout => -32_600,
        Kind::Unavailable | Kind::Internal => -32_603,
    };
    let body = error_body(code, &error.message, error.retry_after_ms);
    let mut response = door::refusal(error, envelope(id, "error", &body));
    *response.status_mut() = status;
    response
}

/// The answer for no session, or one that is over.
pub(super) fn dead_session(id: &str, error: &Error) -> Response {
    let body = error_body(100, &error.message, None);
    door::refusal(error, envelope(id, "error", &body))
}

/// What a session's state is kept under: the secret itself is not stored.
pub(super) fn session_key(credential: &Credential) -> String {
    let (Credential::Token(secret) | Credential::Session(secret)) = credential;
    Sha256::digest(secret.as_bytes()).iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A message that just came, as everybody in the thread gets it: nobody has read it.
pub(super) fn message(message: &Message) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        id: i64,
        author_id: Option<i64>,
        author_name: &'a str,
        body: &'a RawValue,
        message_type: &'a str,
        is_read: bool,
        created_date: String,
        attachments: &'a RawValue,
    }
    const NONE: &str = "[]";
    let none: std::result::Result<&RawValue, _> = serde_json::from_str(NONE);
    let author = message.sender.as_ref().and_then(|sender| sender.full_name.as_deref());
    let attachments = message.attachments.as_deref().or(none.ok()).unwrap_or(RawValue::NULL);
    let body = Body {
        id: message.id,
        author_id: message.sender_id,
        author_name: author.unwrap_or("System"),
        body: &message.content,
        message_type: &message.message_type,
        is_read: false,
        created_date: date(&message.created_at),
        attachments,
    };
    serde_json::to_string(&body).unwrap_or_default()
}

/// `2024-01-01T12:00:00.123456Z` as `2024-01-01 12:00:00`.
pub(super) fn date(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// An answer of `poll/messages` made of messages that just came.
pub(super) fn new_messages(messages: &[std::sync::Arc<String>]) -> String {
    let list: Vec<&str> = messages.iter().map(|message| message.as_str()).collect();
    let (count, list) = (list.len(), list.join(","));
    format!(r#"{{"has_new":true,"count":{count},"messages":[{list}],"has_more":false}}"#)
}

/// The answer of `poll/messages` when none came in time.
pub(super) const NO_MESSAGES: &str =
    r#"{"has_new":false,"count":0,"messages":[],"has_more":false}"#;

/// What `poll/updates` gets from the database.
#[derive(Deserialize)]
pub(super) struct Updates {
    pub(super) answer: Option<Box<RawValue>>,
    pub(super) state: Option<Box<RawValue>>,
    pub(super) quiet: Option<Box<RawValue>>,
}
