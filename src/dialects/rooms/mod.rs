//! The rooms dialect (guide 003): REST `/api/chat/rooms/*` and `/api/chat/messages/*`, WebSocket `/ws/chat/{id}/`.

mod codec;
mod poll;
mod rest;
mod socket;
#[cfg(test)]
mod tests;

use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::session::Services;

/// The dialect's routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    rest::routes(services).or(socket::route(services)).unify().boxed()
}

/// Reads what a client could send, as a frame, a body and a wait; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (codec::parse(&text).is_ok(), codec::wait(Some(&text)));
    if let Ok(body) = codec::object(data) {
        let _ = (codec::is_typing(&body), codec::content(&body));
        let _ = (codec::reference(&body, "room"), codec::reference(&body, "message_id"));
    }
}
