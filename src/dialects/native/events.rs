//! The native feed as Server-Sent Events: `id` is the cursor, `data` the socket's frame, `Last-Event-ID` resumes.

use std::{convert::Infallible, time::Duration};

use futures_util::stream;
use tokio::sync::mpsc;
use warp::{Filter, Reply, filters::BoxedFilter, reply::Response, sse};

use super::{rest, socket::Native};
use crate::{
    dialects::door::{self, Ask},
    error::Result,
    session::{Frame, Limited, Services, Session, StreamTransport, run},
};

/// Frames on their way into a response; a client that takes none for a while is too slow.
const IN_FLIGHT: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The longest `Last-Event-ID` is a cursor's length; hyper bounds headers anyway.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /api/chat/events`.
pub(super) fn route(services: &Services) -> BoxedFilter<(Response,)> {
    let services = services.clone();
    warp::path!("api" / "chat" / "events")
        .and(warp::get())
        .and(door::ask(0))
        .then(move |ask| {
            let services = services.clone();
            async move { stream_to(services, ask).await.unwrap_or_else(|error| rest::refusal(&error)) }
        })
        .boxed()
}

async fn stream_to(services: Services, ask: Result<Ask>) -> Result<Response> {
    let ask = ask?;
    door::room(&services)?;
    let claims = door::claims(&services, &ask).await?;
    let mut session = Session::open(services.clone(), claims, ask.address).await?;
    session.take(Limited::Join)?;
    let last = ask.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let last = last.filter(|last| !last.is_empty());
    let cursor = last.map(str::to_owned).or_else(|| ask.parameter("cursor"));
    let native = Native::open_at(&mut session, &ask, cursor).await?;
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let running = run(session, StreamTransport(sender), native);
    services.lifecycle.session(async move {
        running.await;
    });
    let events = stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event(&frame)), receiver))
    });
    let mut response =
        sse::reply(sse::keep_alive().interval(KEEP_ALIVE).stream(events)).into_response();
    // nginx buffers responses unless it is told not to.
    let no = http::HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    Ok(response)
}

fn event(frame: &Frame) -> sse::Event {
    let event = sse::Event::default().data(frame.text());
    match &frame.cursor {
        Some(cursor) => event.id(cursor.as_str()),
        None => event,
    }
}
