//! The native REST endpoints: each verifies, limits, and answers with one call of one SQL function.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::codec;
use crate::{
    change::Json,
    chat::{Range, Since, Standing},
    cursor::{Position, decode_time, encode_time},
    dialects::{
        door::{self, Ask},
        reading::message_type,
    },
    error::{Error, Kind, Result},
    session::{self, Limited, Services},
};

/// Messages in an answer when the client does not say, and at most.
const OFFLINE_LIMIT: (i32, i32) = (500, 5_000);
const HISTORY_LIMIT: (i32, i32) = (50, 200);
/// The id of no message.
const NO_MESSAGE: i64 = -1;

/// All endpoints but the event stream.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let most = services.settings.now().max_frame;
    let services = services.clone();
    let with = move || {
        let services = services.clone();
        warp::any().map(move || services.clone()).and(door::ask(most))
    };
    let chat = warp::path!("api" / "chat" / ..);
    let feed = |path: &'static str| chat.and(warp::path(path)).and(warp::path::end());
    let threads = chat.and(warp::path("threads"));
    let messages = threads
        .and(warp::path::param::<String>())
        .and(warp::path("messages"))
        .and(warp::path::end());

    let subscribe = feed("subscribe")
        .and(warp::post())
        .and(with())
        .then(|services, ask| set_feed(services, ask, true));
    let unsubscribe = feed("unsubscribe")
        .and(warp::post())
        .and(with())
        .then(|services, ask| set_feed(services, ask, false));
    let offline = feed("offline-messages").and(warp::get()).and(with()).then(offline);
    let unread = feed("unread-count").and(warp::get()).and(with()).then(unread);
    let mark_read = chat
        .and(warp::path("mark-read"))
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(warp::post())
        .and(with())
        .then(mark_read);
    let list = threads.and(warp::path::end()).and(warp::get()).and(with()).then(list);
    let history = messages.and(warp::get()).and(with()).then(history);
    let send = messages.and(warp::post()).and(with()).then(send);

    subscribe
        .or(unsubscribe)
        .unify()
        .or(offline)
        .unify()
        .or(unread)
        .unify()
        .boxed()
        .or(mark_read)
        .unify()
        .or(list)
        .unify()
        .or(history)
        .unify()
        .or(send)
        .unify()
        .map(|answer: Result<Response>| answer.unwrap_or_else(|error| refusal(&error)))
        .boxed()
}

/// The dialect's error answer.
pub(super) fn refusal(error: &Error) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        status: &'static str,
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    error.log("answering a native request");
    let body = Body {
        status: "error",
        code: codec::code(error.kind),
        message: &error.message,
        retry_after_ms: error.retry_after_ms,
    };
    door::refusal(error, serde_json::to_string(&body).unwrap_or_default())
}

/// Who asks: verified, in good standing, within their rate.
async fn caller(services: &Services, ask: &Ask, limited: Limited) -> Result<Standing> {
    let claims = door::claims(services, ask).await?;
    let standing = services.chat.admit(&claims).await?;
    services.limits.take(standing.user, limited)?;
    session::touch(services, &standing).await;
    Ok(standing)
}

#[derive(Serialize)]
struct Done<'a> {
    status: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    marked_count: Option<i64>,
}

async fn set_feed(services: Services, ask: Result<Ask>, wanted: bool) -> Result<Response> {
    let caller = caller(&services, &ask?, Limited::Rest).await?;
    services.chat.set_feed(caller.user, wanted).await?;
    let message = if wanted {
        "Subscribed to real-time messages"
    } else {
        "Unsubscribed from real-time messages"
    };
    let user_id = caller.uuid.to_string();
    done(&Done {
        status: "success",
        message,
        thread_id: None,
        user_id: &user_id,
        marked_count: None,
    })
}

async fn offline(services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Rest).await?;
    let limit = limit(&ask, OFFLINE_LIMIT)?;
    let history = services.hub.position().map(|(_, history)| history);
    let history = history.ok_or_else(|| {
        Error::new(Kind::Unavailable, "The bridge is starting; try again in a moment")
    })?;
    let since = match (ask.parameter("cursor"), ask.parameter("last_check_time")) {
        (Some(cursor), _) if decode_time(&cursor).is_some() => {
            Since::Time(decode_time(&cursor).unwrap_or_default())
        }
        (Some(cursor), _) => {
            let position = Position::decode(&cursor, history)?.ok_or_else(too_old)?;
            Since::Position(position)
        }
        (None, Some(time)) => Since::Time(instant(&time)?),
        (None, None) => {
            return Err(Error::malformed(
                "`last_check_time` is missing; send an RFC 3339 time such as 2024-01-01T00:00:00Z, or a `cursor`",
            ));
        }
    };
    let offline = services.chat.offline(caller.user, since, limit).await?;
    let body = offline.body.as_str();
    let cursor = match offline.position {
        Some(position) => position.encode(history),
        None => encode_time(last_check_time(body)?),
    };
    let open = body.trim_end().strip_suffix('}').ok_or_else(|| Error::internal("not an object"))?;
    let body = format!(r#"{{"status":"success","data":{open},"cursor":"{cursor}"}}}}"#);
    Ok(door::json(StatusCode::OK, body))
}

fn last_check_time(body: &str) -> Result<i64> {
    #[derive(Deserialize)]
    struct Body {
        last_check_time: jiff::Timestamp,
    }
    let body: Body = serde_json::from_str(body).map_err(Error::internal)?;
    Ok(body.last_check_time.as_microsecond())
}

fn too_old() -> Error {
    Error::new(
        Kind::Conflict,
        "Changes since that cursor are no longer known; fetch the threads afresh, or ask by `last_check_time`",
    )
}

async fn unread(services: Services, ask: Result<Ask>) -> Result<Response> {
    let caller = caller(&services, &ask?, Limited::Rest).await?;
    Ok(data(StatusCode::OK, &services.chat.unread(caller.user).await?))
}

async fn mark_read(reference: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    #[derive(Deserialize)]
    struct Marked<'a> {
        #[serde(borrow)]
        thread_id: &'a str,
        #[serde(borrow)]
        user_id: &'a str,
        marked_count: i64,
    }
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Rest).await?;
    let body = object(&ask, true)?;
    let upto = match body.get("up_to_message_id").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(message(&services, &plain(value), "up_to_message_id").await?),
    };
    let thread = services.chat.thread(&reference).await?;
    let marked = services.chat.mark_read(caller.user, thread, upto).await?;
    let marked: Marked<'_> = marked.read().map_err(Error::internal)?;
    done(&Done {
        status: "success",
        message: "Messages marked as read",
        thread_id: Some(marked.thread_id),
        user_id: marked.user_id,
        marked_count: Some(marked.marked_count),
    })
}

async fn list(services: Services, ask: Result<Ask>) -> Result<Response> {
    let caller = caller(&services, &ask?, Limited::Rest).await?;
    let threads = services.chat.threads(caller.user).await?;
    let body = format!(r#"{{"status":"success","data":{{"threads":{}}}}}"#, threads.as_str());
    Ok(door::json(StatusCode::OK, body))
}

async fn history(reference: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Rest).await?;
    let mut range = Range { limit: limit(&ask, HISTORY_LIMIT)?, ..Range::default() };
    if let Some(before) = ask.parameter("before") {
        range.before = Some(message(&services, &before, "before").await?);
    }
    if let Some(after) = ask.parameter("after") {
        range.after = Some(message(&services, &after, "after").await?);
    }
    Ok(data(StatusCode::OK, &services.chat.history(caller.user, &reference, range).await?))
}

async fn send(reference: String, services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    let caller = caller(&services, &ask, Limited::Message).await?;
    let body = object(&ask, false)?;
    let content = body.get("content").filter(|value| !value.is_null());
    let content = match content.map(|value| value.as_str()) {
        None => return Err(Error::malformed("`content` is missing; it must be a string")),
        Some(None) => return Err(Error::malformed("`content` must be a string")),
        Some(Some(content)) => services.limits.content(content)?,
    };
    let kind =
        message_type(body.get("message_type").filter(|value| !value.is_null()), "message_type")?;
    let attachments = match body.get("attachments").filter(|value| !value.is_null()) {
        None => None,
        Some(list @ Value::Array(_)) if has_nul(list) => {
            return Err(Error::malformed(
                "`attachments` hold a NUL character, which cannot be stored",
            ));
        }
        Some(list @ Value::Array(_)) => {
            Some(RawValue::from_string(list.to_string()).map_err(Error::internal)?)
        }
        Some(_) => return Err(Error::malformed("`attachments` must be a JSON array")),
    };
    let id = match body.get("id").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            Some(value.as_str().and_then(|text| Uuid::parse_str(text).ok()).ok_or_else(|| {
                Error::malformed("`id` must be a uuid, which the message will have")
            })?)
        }
    };
    let thread = services.chat.thread(&reference).await?;
    let attachments = attachments.as_deref();
    let sent = services.chat.send(caller.user, thread, id, &content, &kind, attachments).await?;
    Ok(data(StatusCode::CREATED, &sent))
}

/// Finds a message. One that is not there becomes one of no thread, so that it is refused like one of another thread.
async fn message(services: &Services, reference: &str, name: &str) -> Result<i64> {
    if !codec::is_id(reference) {
        let message = format!("`{name}` is no message; send the uuid or integer id of one");
        return Err(Error::malformed(message));
    }
    Ok(services.chat.message(reference).await?.unwrap_or(NO_MESSAGE))
}

/// The body as an object; an absent one is empty where that is allowed.
fn object(ask: &Ask, may_be_absent: bool) -> Result<Map<String, Value>> {
    if ask.body.is_empty() && may_be_absent {
        return Ok(Map::new());
    }
    serde_json::from_slice(&ask.body)
        .map_err(|error| Error::malformed(format!("The body must be one JSON object: {error}")))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

fn limit(ask: &Ask, (default, most): (i32, i32)) -> Result<i32> {
    let Some(text) = ask.parameter("limit") else { return Ok(default) };
    text.parse()
        .ok()
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| Error::malformed(format!("`limit` must be a whole number from 1 to {most}")))
}

/// An RFC 3339 time, in microseconds since 1970. A `+` that a query turned into a space is read as the `+` it was.
fn instant(text: &str) -> Result<i64> {
    let repaired = text.replace(' ', "+");
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    parse(text).or_else(|| parse(&repaired)).map(jiff::Timestamp::as_microsecond).ok_or_else(|| {
        Error::malformed("`last_check_time` is not an RFC 3339 time such as 2024-01-01T00:00:00Z")
    })
}

fn data(status: StatusCode, json: &Json) -> Response {
    door::json(status, format!(r#"{{"status":"success","data":{}}}"#, json.as_str()))
}

fn done(body: &Done<'_>) -> Result<Response> {
    serde_json::to_string(body)
        .map(|body| door::json(StatusCode::OK, body))
        .map_err(Error::internal)
}
