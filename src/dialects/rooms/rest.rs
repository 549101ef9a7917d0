//! The rooms REST endpoints, with and without the trailing slash: each answers with one call of one SQL function.

use http::{Method, StatusCode};
use serde::Deserialize;
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

use super::{codec, poll};
use crate::{
    chat::{Range, Standing},
    claims::Claims,
    dialects::{
        door::{self, Ask},
        later::later,
        reading,
    },
    error::{Error, Kind, Result},
    session::{self, Limited, Services, TYPING_LASTS},
};

/// Messages in a page when the client does not say, and at most.
const LIMIT: (i32, i32) = (50, 200);
/// The id of no message.
const NO_MESSAGE: i64 = -1;

/// All endpoints below `/api/chat/rooms` and `/api/chat/messages`.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let most = services.settings.now().max_frame;
    let marks = poll::marks(services);
    let services = services.clone();
    let rooms = warp::path!("api" / "chat" / "rooms" / ..).map(|| "rooms");
    let messages = warp::path!("api" / "chat" / "messages" / ..).map(|| "messages");
    rooms
        .or(messages)
        .unify()
        .and(warp::path::tail())
        .map(move |below, tail: Tail| (services.clone(), marks.clone(), below, tail))
        .and(door::ask(most))
        .then(|(services, marks, below, tail): (_, _, &'static str, Tail), ask| async move {
            let answered = answer(services, marks, below, tail.as_str(), ask).await;
            answered.unwrap_or_else(|error| refusal(&error))
        })
        .boxed()
}

/// The dialect's error answer.
pub(super) fn refusal(error: &Error) -> Response {
    error.log("answering a rooms request");
    door::refusal(error, codec::error_body(error))
}

/// What a path and method ask for.
enum Endpoint<'a> {
    List,
    One(&'a str),
    Typing(&'a str),
    Read(&'a str),
    History(Option<&'a str>),
    Send(Option<&'a str>),
    Poll,
}

async fn answer(
    services: Services,
    marks: poll::Marks,
    below: &str,
    tail: &str,
    ask: Result<Ask>,
) -> Result<Response> {
    let ask = ask?;
    let segments: Vec<&str> = tail.trim_end_matches('/').split('/').collect();
    let (get, post) = (ask.method == Method::GET, ask.method == Method::POST);
    let endpoint = match (below, &segments[..]) {
        ("rooms", [""]) if get => Endpoint::List,
        ("rooms", [room]) if get && !room.is_empty() => Endpoint::One(room),
        ("rooms", [room, "typing"]) if post => Endpoint::Typing(room),
        ("rooms", [room, "read"]) if post => Endpoint::Read(room),
        ("rooms", [room, "messages"]) if get => Endpoint::History(Some(room)),
        ("rooms", [room, "messages"]) if post => Endpoint::Send(Some(room)),
        ("messages", [""]) if get => Endpoint::History(None),
        ("messages", [""]) if post => Endpoint::Send(None),
        ("messages", ["poll"]) if get => Endpoint::Poll,
        ("rooms", [_] | [_, "typing" | "read" | "messages"]) | ("messages", ["" | "poll"]) => {
            let error = Error::malformed("That method is not known here");
            return Ok(door::json(StatusCode::METHOD_NOT_ALLOWED, codec::error_body(&error)));
        }
        _ => return Err(Error::new(Kind::Missing, "There is nothing at this path")),
    };
    let limited = match endpoint {
        Endpoint::Typing(_) => Limited::Typing,
        Endpoint::Send(_) => Limited::Message,
        _ => Limited::Rest,
    };
    let (claims, standing) = Box::pin(caller(&services, &ask, limited)).await?;
    match endpoint {
        Endpoint::Poll => {
            let asked = poll::Asked::read(&standing, &ask)?;
            // Nothing of the request is kept while a poll waits.
            drop(ask);
            Ok(later(async move {
                let polled = poll::poll(services, marks, claims, standing, asked).await;
                let answered = polled.map(|body| door::json(StatusCode::OK, body));
                answered.unwrap_or_else(|error| refusal(&error))
            }))
        }
        endpoint => Box::pin(at_once(&services, &standing, &ask, endpoint)).await,
    }
}

/// Who asks: verified, in good standing, within their rate.
async fn caller(services: &Services, ask: &Ask, limited: Limited) -> Result<(Claims, Standing)> {
    let claims = door::claims(services, ask).await?;
    let standing = services.chat.admit(&claims).await?;
    services.limits.take(standing.user, limited)?;
    session::touch(services, &standing).await;
    Ok((claims, standing))
}

async fn at_once(
    services: &Services,
    standing: &Standing,
    ask: &Ask,
    endpoint: Endpoint<'_>,
) -> Result<Response> {
    let (chat, hub, me) = (&services.chat, &services.hub, standing.user);
    let ok = |body: &str| door::json(StatusCode::OK, body.to_owned());
    match endpoint {
        Endpoint::List => {
            let rooms: Vec<i64> = standing.threads.keys().copied().collect();
            let list = chat.rooms(me, None, &typists(services, &rooms)).await?;
            Ok(ok(list.as_str()))
        }
        Endpoint::One(room) => {
            let room = standing.thread(room)?;
            let list = chat.rooms(me, Some(room), &typists(services, &[room])).await?;
            let one = list.as_str().trim().strip_prefix('[').and_then(|one| one.strip_suffix(']'));
            Ok(ok(one.ok_or_else(|| Error::internal("not a list"))?))
        }
        Endpoint::Typing(room) => {
            let is_typing = match ask.body.is_empty() {
                true => false,
                false => codec::is_typing(&codec::object(&ask.body)?)?,
            };
            let room = standing.thread(room)?;
            match is_typing {
                true => session::start_typing(hub, room, standing, TYPING_LASTS),
                false => session::stop_typing(hub, room, standing.person()),
            }
            Ok(ok(r#"{"success":true,"message":"Typing status updated"}"#))
        }
        Endpoint::Read(room) => {
            #[derive(Deserialize)]
            struct Marked {
                marked_count: i64,
            }
            let upto = match ask.body.is_empty() {
                true => None,
                false => codec::reference(&codec::object(&ask.body)?, "message_id")?,
            };
            let upto = match upto {
                Some(message) => Some(message_id(services, &message, "message_id").await?),
                None => None,
            };
            let marked = chat.mark_read(me, standing.thread(room)?, upto).await?;
            let Marked { marked_count } = marked.read().map_err(Error::internal)?;
            Ok(ok(&format!(r#"{{"success":true,"marked_count":{marked_count}}}"#)))
        }
        Endpoint::History(room) => {
            let room = room_of(standing, ask, room.map(str::to_owned))?;
            let mut range = Range { limit: limit(ask)?, ..Range::default() };
            if let Some(before) = ask.parameter("before") {
                range.before = Some(message_id(services, &before, "before").await?);
            }
            if let Some(after) = ask.parameter("after") {
                range.after = Some(message_id(services, &after, "after").await?);
            }
            Ok(ok(chat.rooms_history(me, room, range).await?.as_str()))
        }
        Endpoint::Send(room) => {
            let body = codec::object(&ask.body)?;
            let named = match room {
                Some(room) => Some(room.to_owned()),
                None => codec::reference(&body, "room")?,
            };
            let room = room_of(standing, ask, named)?;
            let content = services.limits.content(&codec::content(&body)?)?;
            session::stop_typing(hub, room, standing.person());
            let sent = chat.rooms_send(me, room, &content).await?;
            Ok(door::json(StatusCode::CREATED, sent.as_str().to_owned()))
        }
        Endpoint::Poll => Err(Error::internal("a poll is answered elsewhere")),
    }
}

/// The room that a request names: in its path or body, else as `room_id` or `room` in its query.
pub(super) fn room_of(standing: &Standing, ask: &Ask, named: Option<String>) -> Result<i64> {
    let named = named.or_else(|| ask.parameter("room_id")).or_else(|| ask.parameter("room"));
    let named =
        named.ok_or_else(|| Error::malformed("`room_id` is missing; send the id of a room"))?;
    standing.thread(&named)
}

fn typists(services: &Services, rooms: &[i64]) -> Vec<(i64, i64)> {
    let typing = services.hub.typing();
    let in_room = |&room: &i64| typing.list(room).into_iter().map(move |person| (room, person.id));
    rooms.iter().flat_map(in_room).collect()
}

/// Finds a message. One that is not there becomes one of no room, so that it is refused like one of another room.
async fn message_id(services: &Services, reference: &str, name: &str) -> Result<i64> {
    reading::checked(reference, name)?;
    Ok(services.chat.message(reference).await?.unwrap_or(NO_MESSAGE))
}

fn limit(ask: &Ask) -> Result<i32> {
    let (default, most) = LIMIT;
    let Some(text) = ask.parameter("limit") else { return Ok(default) };
    text.parse()
        .ok()
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| Error::malformed(format!("`limit` must be a whole number from 1 to {most}")))
}
