//! The gate: a client connects to the namespace, shows its token there or by `auth`, and goes to its dialect.

use std::{future::Future, net::IpAddr, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    Doors, Entered, Line, Thrown,
    answer::{astray, no_namespace, refusal},
    packet::{self, Event, MAIN, Packet},
};
use crate::{
    auth::token::{Credential, Source, Sources, presented},
    dialects::door::{self, Ask, Client},
    error::{Error, Result},
    session::{Gone, Limited, Reason, Services, Session, authenticate},
};

/// A client connects to the namespace in this time, and then has as long again to say who it is.
const DEADLINE: Duration = Duration::from_secs(10);
/// The event by which a client shows its token late.
const AUTH: &str = "auth";
/// Packets that make no sense before a client is in.
const MAX_ASTRAY: u32 = 64;

/// The dialects, as `?dialect=` names them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Conversations,
}

/// Lets one client in, runs its session, and closes its connection.
pub(super) async fn pass(services: Services, doors: Doors, mut line: Line) {
    let draining = services.lifecycle.clone();
    if door::room(&services).is_ok() {
        // In boxes, as all that is over before the session begins: it would else have room for it for as long as it runs.
        let entered = Box::pin(enter(&services, &mut line));
        // A client that is not in yet has nothing to be told at a shutdown.
        let entered = tokio::select! {
            entered = entered => entered,
            () = draining.draining() => Err(Gone),
        };
        if let Ok(In { session, way, entered, may_switch }) = entered {
            let running = run(doors, &services, &mut line, session, way, entered, may_switch);
            Box::pin(running).await;
        }
    }
    line.hang_up();
}

/// A client that was let in.
struct In {
    session: Box<Session>,
    way: Way,
    entered: Entered,
    /// Its browser sent a cookie by itself: it may yet speak `auth`.
    may_switch: bool,
}

async fn run(
    doors: Doors,
    services: &Services,
    line: &mut Line,
    session: Box<Session>,
    way: Way,
    entered: Entered,
    may_switch: bool,
) {
    if may_switch {
        line.switch_on(AUTH);
    }
    let start = |way| match way {
        Way::Direct => doors.direct,
        Way::Conversations => doors.conversations,
    };
    start(way)(session, line, entered).await;
    let Some(event) = line.switched.take() else { return };
    match Box::pin(authorise(services, line, &event)).await {
        Ok(session) => {
            start(Way::Conversations)(session, line, Entered::Event(event.ack)).await;
        }
        Err(error) => {
            refuse_event(line, &event, &error).await;
            throw_out(line).await;
        }
    }
}

/// The namespace, then the token, each in its time.
async fn enter(services: &Services, line: &mut Line) -> Result<In, Gone> {
    let auth = in_time(Instant::now() + DEADLINE, connect(line)).await?;
    match shown(services, line, &auth).await {
        Ok(Some((session, way, may_switch))) => {
            greet(line).await?;
            Ok(In { session, way, entered: Entered::Handshake, may_switch })
        }
        Ok(None) => {
            greet(line).await?;
            let spoken = in_time(Instant::now() + DEADLINE, speak(services, line)).await;
            if spoken.is_err() {
                throw_out(line).await;
            }
            let (session, ack) = spoken?;
            let entered = Entered::Event(ack);
            Ok(In { session, way: Way::Conversations, entered, may_switch: false })
        }
        Err(error) => {
            error.log("letting a Socket.IO client in");
            let refused = packet::refused(MAIN, &error.message, door::status(error.kind).as_u16());
            line.say(&refused).await?;
            line.linger().await;
            Err(Gone)
        }
    }
}

async fn in_time<T>(
    deadline: Instant,
    doing: impl Future<Output = Result<T, Gone>>,
) -> Result<T, Gone> {
    timeout_at(deadline, doing).await.unwrap_or(Err(Gone))
}

async fn greet(line: &Line) -> Result<(), Gone> {
    line.say(&packet::connected(&line.socket.id.to_string())).await
}

/// Waits for CONNECT and returns what it carries.
async fn connect(line: &mut Line) -> Result<Value, Gone> {
    for _ in 0..MAX_ASTRAY {
        match line.packet().await? {
            Ok(Packet::Connect { namespace, auth }) if namespace == MAIN => return Ok(auth),
            Ok(Packet::Connect { namespace, .. }) => line.say(&no_namespace(&namespace)).await?,
            // Nobody who speaks the protocol says anything else first.
            _ => return Err(Gone),
        }
    }
    Err(Gone)
}

/// What the handshake shows: a session, or nothing yet.
async fn shown(
    services: &Services,
    line: &Line,
    auth: &Value,
) -> Result<Option<(Box<Session>, Way, bool)>> {
    let parts = &line.socket.req_parts;
    let query = parts.uri.query().unwrap_or_default();
    // As a write: a cookie that another page's script sends along counts for nothing.
    let method = http::Method::POST;
    let ask = Ask {
        method,
        headers: parts.headers.clone(),
        query: query.to_owned(),
        body: bytes::Bytes::new(),
        address: address(line),
    };
    parts.extensions.get::<Client>().map_or(Ok(()), Client::may_ask)?;
    if !door::may_connect(services, &ask.headers) {
        return Err(Error::forbidden(
            "This page's origin may not connect; see ROWCAST_ALLOWED_ORIGINS",
        ));
    }
    let wanted = match ask.parameter("dialect").as_deref() {
        None | Some("") => None,
        Some("direct") => Some(Way::Direct),
        Some("conversations") => Some(Way::Conversations),
        Some(_) => {
            return Err(Error::malformed("`dialect` must be direct or conversations"));
        }
    };
    let spoken = match auth.get("token") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) if token.is_empty() => None,
        Some(Value::String(token)) => Some(token.strip_prefix("Bearer ").unwrap_or(token)),
        Some(_) => return Err(Error::unauthorized("`auth.token` must be a string")),
    };
    let sent = presented(&ask.headers, Some(&ask.query), Sources::USUAL);
    let claims = match (spoken, sent) {
        (Some(token), _) => {
            authenticate(services, Some(Credential::Token(token.to_owned()))).await?
        }
        (None, Some(sent)) if sent.source == Source::Cookie && wanted != Some(Way::Direct) => {
            // A stale cookie is not the client's doing, and `auth` may follow.
            return match door::claims(services, &ask).await {
                Ok(claims) => {
                    let session = open(services, claims, address(line)).await?;
                    Ok(Some((session, wanted.unwrap_or(Way::Direct), wanted.is_none())))
                }
                Err(error) if error.is_ours() => Err(error),
                Err(_) => Ok(None),
            };
        }
        (None, Some(_)) => door::claims(services, &ask).await?,
        (None, None) if wanted == Some(Way::Direct) => {
            return Err(Error::unauthorized("No token; send it as `auth.token`"));
        }
        (None, None) => return Ok(None),
    };
    let session = open(services, claims, address(line)).await?;
    Ok(Some((session, wanted.unwrap_or(Way::Direct), false)))
}

/// Whom a line leads to, as it was when the client came.
fn address(line: &Line) -> Option<IpAddr> {
    line.socket.req_parts.extensions.get::<Client>().map(|client| client.address)
}

async fn open(
    services: &Services,
    claims: crate::claims::Claims,
    address: Option<IpAddr>,
) -> Result<Box<Session>> {
    let session = Session::open(services.clone(), claims, address).await?;
    session.take(Limited::Join)?;
    Ok(Box::new(session))
}

/// Waits for the event `auth` with a good token.
async fn speak(services: &Services, line: &mut Line) -> Result<(Box<Session>, Option<u64>), Gone> {
    for _ in 0..MAX_ASTRAY {
        match line.packet().await? {
            Ok(Packet::Event(event)) if event.name == AUTH => {
                return match authorise(services, line, &event).await {
                    Ok(session) => Ok((session, event.ack)),
                    Err(error) => {
                        refuse_event(line, &event, &error).await;
                        Err(Gone)
                    }
                };
            }
            Ok(Packet::Event(event)) => {
                let error =
                    Error::unauthorized("Not authenticated; emit `auth` with a token first");
                line.say(&refusal(&event, &error)).await?;
            }
            Ok(Packet::Connect { namespace, .. }) => line.say(&no_namespace(&namespace)).await?,
            Ok(Packet::Ack) => {}
            Ok(Packet::Disconnect { .. }) => return Err(Gone),
            Err(error) => line.say(&astray(&error)).await?,
        }
    }
    Err(Gone)
}

/// The token of an `auth` event: `{token}`, or the token itself.
async fn authorise(services: &Services, line: &Line, event: &Event) -> Result<Box<Session>> {
    let token = event.data.get("token").unwrap_or(&event.data);
    let token = token.as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| {
        Error::unauthorized("`token` is missing; emit `auth` with {\"token\": \"…\"}")
    })?;
    let token = token.strip_prefix("Bearer ").unwrap_or(token).to_owned();
    let claims = authenticate(services, Some(Credential::Token(token))).await?;
    open(services, claims, address(line)).await
}

/// Answers a token that is not good.
async fn refuse_event(line: &Line, event: &Event, error: &Error) {
    error.log("authorising a Socket.IO client");
    let _ = line.say(&refusal(event, error)).await;
}

async fn throw_out(line: &Line) {
    let reason = Reason::Unauthenticated;
    let said = Thrown { code: reason.code(), message: reason.text() };
    let _ = line.say(&packet::event_text("error", &said)).await;
    line.dismiss().await;
}
