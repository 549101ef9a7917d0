//! The accept loop: plain TCP with no delay, a deadline for headers, upgrades, and an end that drains.
//!
//! `warp::serve` offers none of these; `warp::service` gives the same filters as a tower service.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use warp::{Filter, Rejection, filters::BoxedFilter, reply::Response as Reply};

use super::{
    addresses::Addresses,
    asked::{Asked, Told},
    connection,
    cors::Cors,
    patient::Patient,
};
use crate::{
    dialects::{self, door, later::Later},
    error::Result,
    lifecycle::Lifecycle,
    metrics::HTTP_REQUESTS_TOTAL,
    session::Services,
};

/// Accepting fails when the process is out of files; then it must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Quiet addresses are forgotten this often.
const ADDRESSES_SWEEP: Duration = Duration::from_secs(60);
/// How long an operator's client may leave an answer unread.
const OPERATORS_UNREAD: Duration = Duration::from_secs(30);

/// Serves clients on a listener until draining begins: the routes, and around them Socket.IO, whose answers CORS covers, too.
pub(super) fn serve_clients(
    listener: TcpListener,
    routes: BoxedFilter<(Reply,)>,
    services: &Services,
) -> Result<()> {
    let routes = warp::service(answered(routes));
    let service = dialects::around(services, routes)?;
    let service = Cors::around(service, services.settings.clone());
    let lifecycle = &services.lifecycle;
    // Sessions give up first, and say why.
    let unread = services.settings.now().send_deadline * 2;
    let service = Arc::new(TowerToHyperService::new(service));
    let (settings, addresses) =
        (services.settings.clone(), Addresses::new(services.settings.clone()));
    lifecycle.service("addresses", keep(addresses.clone()));
    let asked = move |peer| Asked {
        inner: Arc::clone(&service),
        peer,
        settings: settings.clone(),
        addresses: addresses.clone(),
    };
    lifecycle.service("accept", accept(listener, asked, unread, lifecycle.clone()));
    Ok(())
}

/// Serves routes to operators on a listener until draining begins.
pub(super) fn serve(listener: TcpListener, routes: BoxedFilter<(Reply,)>, services: &Services) {
    let service = Arc::new(TowerToHyperService::new(warp::service(answered(routes))));
    let settings = services.settings.clone();
    let told = move |peer| Told { inner: Arc::clone(&service), peer, settings: settings.clone() };
    let lifecycle = &services.lifecycle;
    lifecycle.service("accept", accept(listener, told, OPERATORS_UNREAD, lifecycle.clone()));
}

async fn keep(addresses: Addresses) {
    loop {
        tokio::time::sleep(ADDRESSES_SWEEP).await;
        addresses.sweep();
    }
}

/// The routes, and a JSON 404 for what none of them answers.
fn answered(
    routes: BoxedFilter<(Reply,)>,
) -> impl Filter<Extract = (Reply,), Error = Rejection> + Clone {
    routes.recover(unanswered).unify().map(counted)
}

/// Serves each connection by a service that is made for its peer.
async fn accept<S: connection::Answers>(
    listener: TcpListener,
    service: impl Fn(IpAddr) -> S,
    unread: Duration,
    lifecycle: Lifecycle,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = lifecycle.draining() => return,
        };
        match accepted.and_then(|(stream, peer)| Ok((prepared(stream, unread)?, peer))) {
            Ok((stream, peer)) => {
                let service = Arc::new(Patient(service(peer.ip())));
                let task = connection::serve(stream, service, lifecycle.clone());
                lifecycle.connection(task);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepared(stream: TcpStream, unread: Duration) -> std::io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    limit_unread(&stream, unread)?;
    Ok(stream)
}

/// Ends a connection whose client leaves bytes unread for so long, whoever is waiting to write: an upgraded stream of
/// Engine.IO or the body of a response can be closed in no other way while it is full.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unread(stream: &TcpStream, most: Duration) -> std::io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
    let milliseconds = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    setsockopt(stream, TcpUserTimeout, &milliseconds).map_err(Into::into)
}

/// Elsewhere TCP's own patience is the limit.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unread(_: &TcpStream, _: Duration) -> std::io::Result<()> {
    Ok(())
}

/// Counts an answer; one that is promised counts when it comes.
fn counted(response: Reply) -> Reply {
    if response.extensions().get::<Later>().is_none() {
        count(response.status());
    }
    response
}

/// Counts an answer by its status class.
pub(super) fn count(status: StatusCode) {
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::counter!(HTTP_REQUESTS_TOTAL, "status" => class).increment(1);
}

/// The answer where no route was meant.
async fn unanswered(rejection: Rejection) -> Result<Reply, Rejection> {
    let wrong_method = rejection.find::<warp::reject::MethodNotAllowed>().is_some();
    let (status, code, message) = if wrong_method {
        (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "That method is not known here")
    } else {
        (StatusCode::NOT_FOUND, "not_found", "There is nothing at this path")
    };
    let body = format!(r#"{{"status":"error","code":"{code}","message":"{message}"}}"#);
    Ok(door::json(status, body))
}
