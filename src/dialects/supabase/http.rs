//! Broadcast over HTTP: `/api/broadcast` for a batch, `/api/broadcast/{topic}/events/{event}` for one.

use std::{collections::HashSet, sync::Arc};

use ::http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use uuid::Uuid;
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

use super::{
    bearer::{self, Bearer},
    broadcast::say,
    codec,
    persist::{self, Persist},
    private::{self, Extension},
    socket::as_policies_see,
};
use crate::{
    dialects::door::{self, Ask},
    error::{Error, Kind, Result},
    metrics::BROADCASTS_TOTAL,
    session::{Limited, Services},
    signal::Said,
    topic::Topic,
};

/// What a request holds besides its payloads.
const ENVELOPE: usize = 64 * 1024;
const TOO_LARGE: &str = "Payload size exceeds tenant limit";

/// Both path families.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let services = services.clone();
    let most = services.settings.now().supabase.broadcast_limit + ENVELOPE;
    warp::path!("realtime" / "v1" / "api" / "broadcast" / ..)
        .or(warp::path!("api" / "broadcast" / ..))
        .unify()
        .and(warp::path::tail())
        .and(warp::post())
        .and(door::ask(most))
        .then(move |tail: Tail, ask: Result<Ask>| {
            let services = services.clone();
            async move {
                answer(&services, tail.as_str(), ask)
                    .await
                    .unwrap_or_else(|refused| refused.response())
            }
        })
        .boxed()
}

/// Why a request is refused.
enum Refused {
    /// With a status and a message.
    Message(StatusCode, String),
    /// What is wrong with which field.
    Errors(Value),
    /// A kind of body that is none of the two.
    MediaType,
    /// Something of ours.
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::TooLarge => Self::Errors(json!({ "payload": [TOO_LARGE] })),
            Kind::TooMany => {
                Self::Message(StatusCode::TOO_MANY_REQUESTS, "Too many requests".to_owned())
            }
            _ => Self::Error(error),
        }
    }
}

impl Refused {
    fn response(self) -> Response {
        match self {
            Self::Message(status, message) => {
                door::json(status, json!({ "message": message }).to_string())
            }
            Self::Errors(errors) => {
                let body = json!({ "errors": errors }).to_string();
                door::json(StatusCode::UNPROCESSABLE_ENTITY, body)
            }
            Self::MediaType => {
                let error =
                    "Unsupported Media Type. Use application/json or application/octet-stream";
                let body = json!({ "error": error }).to_string();
                door::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, body)
            }
            Self::Error(error) => {
                error.log("broadcasting over HTTP");
                door::refusal(&error, json!({ "message": error.message }).to_string())
            }
        }
    }
}

fn unauthorized(status: StatusCode) -> Refused {
    Refused::Message(status, "Unauthorized".to_owned())
}

async fn answer(services: &Services, tail: &str, ask: Result<Ask>) -> Result<Response, Refused> {
    let ask = ask?;
    let key = bearer::of_request(&ask.headers, ask.parameter("apikey"));
    let key = key.ok_or_else(|| unauthorized(StatusCode::UNAUTHORIZED))?;
    let bearer = Bearer::verify(services, &key).await;
    let bearer = bearer.map_err(|_| unauthorized(StatusCode::UNAUTHORIZED))?;
    if !bearer.is_service() {
        services.limits.take(bearer.key(), Limited::Rest)?;
    }
    let headers = as_policies_see(&ask);
    let parts: Vec<String> = tail.split('/').map(decoded).collect();
    match parts.as_slice() {
        [none] if none.is_empty() => batch(services, &bearer, &headers, &ask).await?,
        [topic, events, event] if events == "events" && !topic.is_empty() && !event.is_empty() => {
            single(services, &bearer, &headers, &ask, (topic, event)).await?;
        }
        _ => {
            let message = "There is nothing at this path".to_owned();
            return Err(Refused::Message(StatusCode::NOT_FOUND, message));
        }
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

#[derive(Deserialize)]
struct Batch {
    messages: Vec<Map<String, Value>>,
}

/// A message of a batch that is well formed.
struct Message {
    channel: Topic,
    name: String,
    private: bool,
    said: Said,
}

async fn batch(
    services: &Services,
    bearer: &Bearer,
    headers: &Arc<str>,
    ask: &Ask,
) -> Result<(), Refused> {
    let batch: Batch = serde_json::from_slice(&ask.body)
        .map_err(|_| Refused::Errors(json!({ "messages": ["is invalid"] })))?;
    let settings = services.settings.now();
    let settings = &settings.supabase;
    if batch.messages.len() > usize::try_from(settings.rate_broadcasts.burst).unwrap_or(usize::MAX)
    {
        let message = "Too many messages to broadcast, please reduce the batch size".to_owned();
        return Err(Refused::Message(StatusCode::TOO_MANY_REQUESTS, message));
    }
    let read: Vec<Result<Message, Value>> =
        batch.messages.iter().map(|message| read(message, settings.broadcast_limit)).collect();
    if read.iter().any(Result::is_err) {
        let errors: Vec<Value> =
            read.into_iter().map(|read| read.err().unwrap_or_else(|| json!({}))).collect();
        return Err(Refused::Errors(json!({ "messages": errors })));
    }
    let messages: Vec<Message> = read.into_iter().flatten().collect();
    let private: HashSet<String> =
        messages.iter().filter(|one| one.private).map(|one| one.name.clone()).collect();
    let mut writable = HashSet::new();
    for name in private {
        if private::write(services, bearer, &name, headers, Extension::Broadcast).await? {
            writable.insert(name);
        }
    }
    let (given, mut said) = (messages.len(), 0);
    for message in messages {
        if !message.private || writable.contains(&message.name) {
            metrics::counter!(BROADCASTS_TOTAL, "by" => "http").increment(1);
            said += 1;
            say(&services.hub, &message.channel, String::new(), message.said, String::new(), None);
        }
    }
    // Some of many are passed over in silence, as clients expect; one that is told nothing would wait for ever.
    if given > 0 && said == 0 { Err(unauthorized(StatusCode::FORBIDDEN)) } else { Ok(()) }
}

/// Reads a message, or says what is wrong with which field.
fn read(message: &Map<String, Value>, limit: usize) -> Result<Message, Value> {
    let mut wrong = Map::new();
    let mut text = |name: &str| match message.get(name) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        given => {
            let empty = matches!(given, None | Some(Value::Null | Value::String(_)));
            let why = if empty { "can't be blank" } else { "is invalid" };
            wrong.insert(name.to_owned(), json!([why]));
            String::new()
        }
    };
    let (name, event) = (text("topic"), text("event"));
    let payload = match message.get("payload") {
        Some(payload @ Value::Object(_)) => payload.to_string(),
        given => {
            let why =
                if given.is_none_or(Value::is_null) { "can't be blank" } else { "is invalid" };
            wrong.insert("payload".to_owned(), json!([why]));
            String::new()
        }
    };
    if payload.len() > limit {
        wrong.insert("payload".to_owned(), json!([TOO_LARGE]));
    }
    let private = message.get("private").and_then(Value::as_bool).unwrap_or(false);
    let id = message.get("id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
    let meta = id.map(|id| format!(r#"{{"id":"{id}"}}"#)).unwrap_or_default();
    let channel = place(private, &name);
    if channel.is_none() && !wrong.contains_key("topic") {
        wrong.insert("topic".to_owned(), json!(["is invalid"]));
    }
    match channel.filter(|_| wrong.is_empty()) {
        Some(channel) => {
            let said = Said::Message(codec::message(&event, &payload, &meta));
            Ok(Message { channel, name, private, said })
        }
        None => Err(Value::Object(wrong)),
    }
}

async fn single(
    services: &Services,
    bearer: &Bearer,
    headers: &Arc<str>,
    ask: &Ask,
    (name, event): (&str, &str),
) -> Result<(), Refused> {
    let kind = ask.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let said = match kind {
        "application/json" => {
            let payload: Box<RawValue> = serde_json::from_slice(&ask.body)
                .map_err(|_| Refused::Errors(json!({ "payload": ["is invalid"] })))?;
            Said::Json(payload.get().to_owned())
        }
        "application/octet-stream" => Said::Bytes(ask.body.clone()),
        _ => return Err(Refused::MediaType),
    };
    if said.size() > services.settings.now().supabase.broadcast_limit {
        return Err(Refused::Errors(json!({ "payload": [TOO_LARGE] })));
    }
    let private = ask.parameter("private").as_deref() == Some("true");
    let (persist, ttl) = (ask.parameter("persist"), ask.parameter("persist[ttl]"));
    let persist = Persist::of_query(persist.as_deref(), ttl.as_deref());
    let wrong = match persist {
        Some(Persist::Odd) => Some("is invalid"),
        Some(Persist::For(_)) if !private => Some("is for private channels"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Refused::Errors(json!({ "persist": [wrong] })));
    }
    let channel =
        place(private, name).ok_or_else(|| Refused::Errors(json!({ "topic": ["is invalid"] })))?;
    if private && !private::write(services, bearer, name, headers, Extension::Broadcast).await? {
        return Err(unauthorized(StatusCode::FORBIDDEN));
    }
    metrics::counter!(BROADCASTS_TOTAL, "by" => "http").increment(1);
    if let Some(Persist::For(seconds)) = persist {
        let kept =
            persist::keep(services, bearer, (name, headers), Uuid::new_v4(), event, &said, seconds);
        return if kept.await? { Ok(()) } else { Err(unauthorized(StatusCode::FORBIDDEN)) };
    }
    say(&services.hub, &channel, event.to_owned(), said, String::new(), None);
    Ok(())
}

fn place(private: bool, name: &str) -> Option<Topic> {
    let kind = if private { "private" } else { "public" };
    Topic::parse(&format!("channel:{kind}:{name}")).ok().filter(|_| !name.is_empty())
}

/// A part of a path.
fn decoded(part: &str) -> String {
    let form = format!("p={}", part.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
