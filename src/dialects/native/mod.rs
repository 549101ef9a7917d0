//! The native dialect (guide 001): WebSocket `/` and `/ws`, REST `/api/chat/*`, Server-Sent Events, resume by cursor.

mod codec;
mod events;
mod rest;
mod socket;
#[cfg(test)]
mod tests;

use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::session::Services;

/// The dialect's routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    rest::routes(services)
        .or(events::route(services))
        .unify()
        .or(socket::routes(services))
        .unify()
        .boxed()
}

/// Reads what a client could send, as a frame; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    let asked = codec::parse(&String::from_utf8_lossy(data));
    if let Err(error) = asked.request {
        let _ = codec::error(&error).answering(asked.reference.as_ref());
    }
}
