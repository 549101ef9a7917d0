//! The supabase dialect: Phoenix channels on `/realtime/v1` and `/socket`, broadcast over HTTP, and the project's gateway.

mod bearer;
mod broadcast;
pub mod changes;
mod channel;
mod codec;
mod fanout;
mod gateway;
mod http;
mod join;
mod joining;
mod paced;
mod persist;
mod presence;
mod private;
mod replay;
mod socket;
mod stored;
mod token;
mod watching;
mod work;

pub use gateway::Gateway;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::session::{Incoming, Services};

/// The dialect's routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    socket::routes(services).or(http::routes(services)).unify().boxed()
}

/// Reads what a client could send, as frames of both versions, text and binary, with their joins; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    use codec::{Payload, Version};
    let text = String::from_utf8_lossy(data);
    for version in [Version::V1, Version::V2] {
        let binary = Incoming::Binary(data.to_vec().into());
        for frame in [Incoming::Text(text.as_ref().into()), binary] {
            let Ok(push) = codec::parse(version, &frame) else { continue };
            if let Payload::Json(payload) = &push.payload {
                let _ = join::Join::read(payload.get(), &push.topic);
            }
        }
    }
}
