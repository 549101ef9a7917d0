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
