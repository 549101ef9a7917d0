//! The dialects, one folder each: they share the door and the session, and do not know each other.
//!
//! What several of them are built from lies beside them: the door of HTTP, reading requests, Socket.IO.

pub mod conversations;
pub mod direct;
pub mod door;
pub mod longpoll;
pub mod native;
pub mod reading;
pub mod rooms;
pub mod socketio;
pub mod supabase;

use engineioxide::service::EngineIoService;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::session::Services;

/// All dialects' routes.
pub fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    native::routes(services)
        .or(longpoll::routes(services))
        .unify()
        .or(rooms::routes(services))
        .unify()
        .or(conversations::routes(services))
        .unify()
        .or(direct::routes(services))
        .unify()
        .boxed()
}

/// Puts the sockets of those that speak Socket.IO around a service of the routes.
pub fn with_sockets<S: Clone>(
    services: &Services,
    routes: S,
) -> EngineIoService<socketio::Handler, S> {
    let doors = socketio::Doors { direct: direct::start, conversations: conversations::start };
    socketio::around(services, doors, routes)
}
