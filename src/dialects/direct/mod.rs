//! The `direct` dialect (guide 004): messages between two people by Socket.IO, REST for sending, reading and who is who.

mod codec;
mod rest;
mod socket;
#[cfg(test)]
mod tests;

use warp::{filters::BoxedFilter, reply::Response};

pub(super) use socket::start;

use crate::{dialects::socketio::packet, session::Services};

/// The dialect's REST routes; its sockets come through the gate of Socket.IO.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    rest::routes(services)
}

/// Reads what a client could send, as a packet with an event; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    if let Ok(packet::Packet::Event(event)) = packet::parse(&String::from_utf8_lossy(data)) {
        let _ = codec::request(&event).is_ok();
    }
}
