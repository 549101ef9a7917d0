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

use crate::session::Services;

/// The dialect's routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    socket::routes(services).or(http::routes(services)).unify().boxed()
}
