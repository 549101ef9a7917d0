//! The project's gateway: everything of Supabase but the realtime part is passed on to the project, so that an application
//! changes one URL.

use std::{
    convert::Infallible,
    error::Error as _,
    io,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either as Which, FutureExt, MapOk, TryFutureExt};
use http_body_util::{BodyExt, Either, combinators::MapErr};
use hyper::body::Incoming;
use tokio::time::sleep;
use tower::Service;

use super::paced::{Late, Paced, SILENT};
use crate::error::{Chain, Error, Result};

/// What the project serves.
const SERVED: [&str; 5] = ["/auth/v1", "/rest/v1", "/storage/v1", "/functions/v1", "/graphql/v1"];
/// The project must accept a connection within this; how long what is sent and answered may take, `paced` says.
const CONNECT: Duration = Duration::from_secs(10);
/// What concerns one connection only (RFC 9110 §7.6.1), and what is decided here.
const NOT_PASSED_ON: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// A way to the project.
#[derive(Debug, Clone)]
struct Upstream {
    client: reqwest::Client,
    /// Without a slash at its end.
    url: String,
}

/// A service of the routes, and before it the project's where there is one.
#[derive(Debug, Clone)]
pub struct Gateway<S> {
    routes: S,
    upstream: Option<Upstream>,
}

impl<S> Gateway<S> {
    /// Puts the project's paths before a service of the routes.
    pub fn new(upstream: Option<&str>, routes: S) -> Result<Self> {
        let upstream = upstream.map(str::trim).filter(|url| !url.is_empty());
        Ok(Self { routes, upstream: upstream.map(Upstream::open).transpose()? })
    }
}

impl Upstream {
    fn open(url: &str) -> Result<Self> {
        let wrong = || {
            Error::malformed(format!(
                "ROWCAST_SUPABASE_UPSTREAM is no http(s) URL without a query: `{url}`"
            ))
        };
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        let known = matches!(parsed.scheme_str(), Some("http" | "https"));
        if !known || parsed.host().is_none() || parsed.query().is_some() {
            return Err(wrong());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Passes a request on; what the project answers is passed back as it comes.
    async fn pass_on(self, request: Request<Incoming>) -> Response<reqwest::Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers;
        strip(&mut headers);
        let (body, over) = Paced::sent(body);
        let asked = self
            .client
            .request(parts.method, format!("{}{path}", self.url))
            .headers(headers)
            .body(reqwest::Body::wrap(body));
        let silence = async {
            let _ = over.await;
            sleep(SILENT).await;
        };
        let answer = tokio::select! {
            answer = asked.send() => answer.map_err(Some),
            () = silence => Err(None),
        };
        match answer {
            Ok(answer) => {
                let response: Response<reqwest::Body> = answer.into();
                let mut response = response.map(|body| reqwest::Body::wrap(Paced::answered(body)));
                strip(response.headers_mut());
                let headers = response.headers_mut();
                // Which page may read the answer is decided here.
                let cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
                let cors: Vec<HeaderName> = headers.keys().filter(cors).cloned().collect();
                for name in cors {
                    headers.remove(name);
                }
                response
            }
            Err(error) => {
                let (status, message) = refusal(error);
                let body = format!(r#"{{"message":"{message}"}}"#);
                let mut response = Response::new(reqwest::Body::from(body));
                *response.status_mut() = status;
                let kind = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
        }
    }
}

/// What a client is told when there is no answer: because the project did not give one in time, or why it is not there.
fn refusal(error: Option<reqwest::Error>) -> (StatusCode, &'static str) {
    let late = (StatusCode::GATEWAY_TIMEOUT, "The project did not answer in time");
    let Some(error) = error.map(reqwest::Error::without_url) else {
        tracing::warn!("the project does not answer");
        return late;
    };
    let mut cause = error.source();
    while let Some(deeper) = cause.filter(|cause| !cause.is::<Late>()) {
        cause = deeper.source();
    }
    if cause.is_some() {
        return (StatusCode::REQUEST_TIMEOUT, "The request's body did not come in time");
    }
    tracing::warn!(error = %Chain(&error), "the project does not answer");
    if error.is_timeout() {
        late
    } else {
        (StatusCode::BAD_GATEWAY, "The project is not reachable")
    }
}

/// Takes out what concerns one connection only, what `Connection` names included.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in NOT_PASSED_ON.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Whether a path is the project's.
fn is_served(path: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    SERVED.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(below))
}

/// The body of an answer: the routes', or the project's.
type Body<B> = MapErr<Either<B, reqwest::Body>, fn(Broken) -> io::Error>;
/// Why a body broke off.
type Broken = Box<dyn std::error::Error + Send + Sync>;
/// Makes an answer of the routes one that might be the project's.
type Wrap<B> = fn(Response<B>) -> Response<Body<B>>;

fn body<B>(either: Either<B, reqwest::Body>) -> Body<B>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Broken>>,
{
    either.map_err(io::Error::other)
}

impl<S, B> Service<Request<Incoming>> for Gateway<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes, Error: Into<Broken>>,
{
    type Response = Response<Body<B>>;
    type Error = Infallible;
    type Future =
        Which<MapOk<S::Future, Wrap<B>>, BoxFuture<'static, Result<Self::Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        match &self.upstream {
            Some(upstream) if is_served(request.uri().path()) => {
                let answer = upstream.clone().pass_on(request);
                Which::Right(
                    answer
                        .map(|answer| Ok(answer.map(|answer| body(Either::Right(answer)))))
                        .boxed(),
                )
            }
            _ => {
                let wrap: Wrap<B> = |answer| answer.map(|answer| body(Either::Left(answer)));
                Which::Left(self.routes.call(request).map_ok(wrap))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_projects_paths_are_passed_on() {
        for path in ["/auth/v1", "/rest/v1/todos", "/storage/v1/object/a%2Fb"] {
            assert!(is_served(path), "{path}");
        }
        for path in ["/", "/auth/v12", "/realtime/v1/websocket", "/rest"] {
            assert!(!is_served(path), "{path}");
        }
    }

    #[test]
    fn what_concerns_one_connection_is_taken_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, x-once"), ("x-once", "1"), ("host", "a"), ("apikey", "k")]
        {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["apikey"]);
    }

    #[test]
    fn an_upstream_is_an_address() {
        for bad in ["project.supabase.co", "ftp://a", "https://a?x=1", "https://"] {
            assert!(Upstream::open(bad).is_err(), "{bad}");
        }
    }
}
