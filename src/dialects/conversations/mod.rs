//! The `conversations` dialect (guide 002): group conversations by Socket.IO, REST as the fallback for when it is away.

mod codec;
mod rest;
mod socket;
#[cfg(test)]
mod tests;

use warp::{filters::BoxedFilter, reply::Response};

pub(super) use socket::start;

use crate::session::Services;

/// The dialect's REST routes; its sockets come through the gate of Socket.IO.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    rest::routes(services)
}
