//! The dialects, one folder each: they share the door and the session, and do not know each other.
//!
//! What several of them are built from lies beside them: the door of HTTP, answers that come later, reading requests, Socket.IO.

pub mod conversations;
pub mod direct;
pub mod door;
pub mod later;
pub mod longpoll;
pub mod native;
pub mod reading;
pub mod rooms;
pub mod socketio;
pub mod supabase;

use engineioxide::service::EngineIoService;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::{error::Result, session::Services};

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
        .or(supabase::routes(services))
        .unify()
        .boxed()
}

/// Puts what is no route around a service of the routes: Supabase's gateway, and the sockets of those that speak Socket.IO.
pub fn around<S: Clone>(
    services: &Services,
    routes: S,
) -> Result<EngineIoService<socketio::Handler, supabase::Gateway<S>>> {
    let settings = services.settings.now();
    let upstream = settings.supabase.supabase_upstream.as_deref();
    let routes = supabase::Gateway::new(upstream, routes)?;
    let doors = socketio::Doors { direct: direct::start, conversations: conversations::start };
    Ok(socketio::around(services, doors, routes))
}
