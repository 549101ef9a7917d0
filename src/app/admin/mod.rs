//! The operator's side: probes that are open, and a console that wants a token.

mod act;
mod figures;
mod gate;
mod inspect;
mod lists;
mod page;
mod probes;
mod shown;
mod stream;
mod tail;

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, Method, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use warp::{Filter, filters::BoxedFilter, path::FullPath, reply::Response};

use crate::{
    config::Config,
    dialects::door::{self, Ask},
    error::{Error, Kind, Result},
    feed::Status,
    session::Services,
};
use gate::Gate;
pub(super) use probes::record;

/// Claims and names are small.
const MOST: usize = 64 * 1024;
/// Streams open at a time, of all consoles together.
const STREAMS: usize = 16;

/// What the console works with.
struct Console {
    services: Services,
    status: Status,
    gate: Gate,
    recorder: PrometheusHandle,
    node: String,
    started: SystemTime,
    streams: Arc<Semaphore>,
}

/// All routes of the admin port.
pub(super) fn routes(
    config: &Config,
    services: &Services,
    status: &Status,
    recorder: PrometheusHandle,
) -> Result<BoxedFilter<(Response,)>> {
    let lifecycle = &services.lifecycle;
    let console = Arc::new(Console {
        services: services.clone(),
        status: status.clone(),
        gate: Gate::new(config)?,
        recorder: recorder.clone(),
        node: config.node.clone(),
        started: SystemTime::now(),
        streams: Arc::new(Semaphore::new(STREAMS)),
    });
    let probes = probes::routes(recorder, status.clone(), lifecycle.clone());
    let pages = warp::path("admin").and(warp::path::full()).and(door::ask(MOST)).then(
        move |path: FullPath, ask: Result<Ask>| {
            let console = Arc::clone(&console);
            async move {
                let answered = match ask {
                    Ok(ask) => Box::pin(console.answer(path.as_str(), ask)).await,
                    Err(error) => Err(error),
                };
                guarded(answered.unwrap_or_else(|error| refusal(&error)))
            }
        },
    );
    Ok(probes.or(pages).unify().boxed())
}

impl Console {
    async fn answer(self: Arc<Self>, path: &str, ask: Ask) -> Result<Response> {
        self.gate.is_there()?;
        self.gate.knows_host(&ask.headers)?;
        let Some(call) = path.strip_prefix("/admin/api/") else { return page::file(path, &ask) };
        self.gate.admits(&ask.headers, ask.address)?;
        if ask.method == Method::POST && call != "inspect" {
            self.gate.may_write()?;
        }
        match (&ask.method, call) {
            (&Method::GET, "overview") => Ok(self.overview()),
            (&Method::GET, "sessions") => self.sessions(&ask),
            (&Method::GET, "topics") => self.topics(&ask),
            (&Method::GET, "database") => self.database().await,
            (&Method::GET, "tables") => self.tables(&ask).await,
            (&Method::GET, "failures") => self.failures().await,
            (&Method::GET, "doctor") => self.doctor().await,
            (&Method::GET, "tail") => self.tail(&ask),
            (&Method::POST, "inspect") => self.inspect(&ask).await,
            (&Method::POST, "tables/watch") => self.watch(&ask).await,
            (&Method::POST, "tables/unwatch") => self.unwatch(&ask).await,
            (&Method::POST, "sessions/end") => self.end(&ask),
            _ => Err(Error::new(Kind::Missing, "The console has no such call")),
        }
    }
}

/// What is wrong, in words.
fn refusal(error: &Error) -> Response {
    error.log("answering the console");
    let body = serde_json::json!({ "status": "error", "message": error.message });
    door::refusal(error, body.to_string())
}

/// Nothing of the console is for other pages, or for being kept or guessed at.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// JSON that was made here or in SQL.
fn said(body: impl Into<bytes::Bytes>) -> Response {
    door::json(StatusCode::OK, body)
}
