//! The door that every dialect's HTTP side has: who asks, from which page, how often, and the upgrade to a WebSocket.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{sync::Notify, time::timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::{Filter, Rejection, reply::Response};

use crate::{
    auth::token::{self, Source, Sources},
    claims::Claims,
    error::{Error, Kind, Result},
    session::{Services, SocketTransport, authenticate},
};

/// How the client reached a trusted proxy: `http` or `https`.
pub const SCHEME: header::HeaderName = header::HeaderName::from_static("x-forwarded-proto");
/// A request's body must be there within this.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Tells a connection that its request has been read whole: what it still waits for is the answer.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<Notify>);

impl Received {
    /// Waits until the request has been read; for ever where nobody says so.
    pub async fn whole(&self) {
        self.0.notified().await;
    }
}

/// Who asks, as the connection or a trusted proxy has it; a request without one was made by nobody outside.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client's own address.
    pub address: IpAddr,
    /// Milliseconds that its address has to wait, after too many handshakes or bad tokens.
    pub wait: Option<u64>,
}

impl Client {
    /// Refuses who asks too often.
    pub fn may_ask(&self) -> Result<()> {
        let Some(wait) = self.wait else { return Ok(()) };
        let message = format!("Too many attempts from your address; try again in {wait} ms");
        Err(Error::too_many(message, wait))
    }
}

/// A request, read whole.
#[derive(Debug)]
pub struct Ask {
    /// Its method.
    pub method: Method,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query, without the question mark.
    pub query: String,
    /// Its body.
    pub body: Bytes,
    /// Whom it comes from; none where nobody outside made it.
    pub address: Option<IpAddr>,
}

impl Ask {
    /// A parameter of the query, decoded; the first where it is given twice.
    pub fn parameter(&self, name: &str) -> Option<String> {
        pairs(&self.query).find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// Reads a request whose body is at most `most` bytes; the errors are for the dialect to answer.
pub fn ask(most: usize) -> impl Filter<Extract = (Result<Ask>,), Error = Rejection> + Clone {
    let query = warp::query::raw().or_else(|_| async { Ok::<_, Rejection>((String::new(),)) });
    let received = warp::ext::optional::<Received>().and(warp::ext::optional::<Client>());
    let head = warp::method().and(warp::header::headers_cloned()).and(query);
    head.and(received).and(warp::body::stream()).then(
        move |method, headers, query, received: Option<Received>, client: Option<Client>, body| async move {
            client.map_or(Ok(()), |client| client.may_ask())?;
            let body = timeout(BODY_DEADLINE, read_body(body, most)).await.map_err(|_| {
                Error::new(Kind::Timeout, "The request's body did not come in time")
            })??;
            if let Some(Received(received)) = received {
                received.notify_one();
            }
            let address = client.map(|client| client.address);
            Ok(Ask { method, headers, query, body, address })
        },
    )
}

async fn read_body<B: Buf>(
    body: impl Stream<Item = std::result::Result<B, warp::Error>>,
    most: usize,
) -> Result<Bytes> {
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| Error::malformed("The request's body broke off"))?;
        if whole.len() + part.remaining() > most {
            let message = format!("The request's body is larger than {most} bytes");
            return Err(Error::new(Kind::TooLarge, message));
        }
        whole.extend_from_slice(part.chunk());
    }
    Ok(whole.freeze())
}

/// Verifies who asks. A cookie goes along with requests that other pages make: from those it counts for nothing.
pub async fn claims(services: &Services, ask: &Ask) -> Result<Claims> {
    let presented = token::presented(&ask.headers, Some(&ask.query), Sources::USUAL);
    let origin = text(&ask.headers, header::ORIGIN);
    if !may_connect(services, &ask.headers) {
        return Err(Error::forbidden(
            "This page's origin may not connect; see ROWCAST_ALLOWED_ORIGINS",
        ));
    }
    let by_cookie = presented.as_ref().is_some_and(|one| one.source == Source::Cookie);
    if by_cookie && ask.method != Method::GET && ask.method != Method::HEAD
        || by_cookie && is_upgrade(ask)
    {
        let settings = services.settings.now();
        let listed = |origin| settings.allowed_origins.iter().any(|one| one == origin);
        if origin.is_some_and(|origin| !is_own(&ask.headers, origin) && !listed(origin)) {
            return Err(Error::forbidden(
                "A cookie from another origin's page is not accepted here",
            ));
        }
    }
    authenticate(services, presented.map(|one| one.credential)).await
}

/// Whether pages of the request's origin may connect; the bridge's own may.
pub fn may_connect(services: &Services, headers: &HeaderMap) -> bool {
    let origin = text(headers, header::ORIGIN);
    services.settings.now().allows_origin(origin)
        || origin.is_some_and(|origin| is_own(headers, origin))
}

/// Whether an origin is that which the request was sent to.
fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    is_of(origin, text(headers, header::HOST), text(headers, SCHEME))
}

/// Whether an origin is a page of that host. The scheme is known where a trusted proxy says it: others' word does not come so
/// far.
pub fn is_of(origin: &str, host: Option<&str>, scheme: Option<&str>) -> bool {
    let Some((its_scheme, its_host)) = origin.split_once("://") else { return false };
    Some(its_host) == host && scheme.is_none_or(|scheme| scheme == its_scheme)
}

/// Whether a request asks for a WebSocket.
pub fn is_upgrade(ask: &Ask) -> bool {
    let wants = |name, token: &str| {
        text(&ask.headers, name)
            .is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
    };
    wants(header::UPGRADE, "websocket") && wants(header::CONNECTION, "upgrade")
}

/// Answers a handshake (RFC 6455 §4.2.2) and runs `then` on the socket as a session of its own.
pub fn upgrade<F>(
    services: &Services,
    ask: &Ask,
    on_upgrade: Option<OnUpgrade>,
    then: impl FnOnce(SocketTransport<TokioIo<hyper::upgrade::Upgraded>>) -> F + Send + 'static,
) -> Result<Response>
where
    F: Future + Send + 'static,
{
    upgrade_for(services, ask, on_upgrade, services.settings.now().max_frame, then)
}

/// The same, for frames of at most `max_frame` bytes.
pub fn upgrade_for<F>(
    services: &Services,
    ask: &Ask,
    on_upgrade: Option<OnUpgrade>,
    max_frame: usize,
    then: impl FnOnce(SocketTransport<TokioIo<hyper::upgrade::Upgraded>>) -> F + Send + 'static,
) -> Result<Response>
where
    F: Future + Send + 'static,
{
    let key = text(&ask.headers, header::SEC_WEBSOCKET_KEY);
    let version = text(&ask.headers, header::SEC_WEBSOCKET_VERSION);
    let (Some(on_upgrade), Some(key), Some("13")) = (on_upgrade, key, version) else {
        return Err(Error::malformed("Not a WebSocket handshake of version 13"));
    };
    let accept = derive_accept_key(key.as_bytes());
    // In a box, because it brings the session along, and the task would keep room for it.
    let then = Box::new(then);
    services.lifecycle.session(async move {
        match timeout(BODY_DEADLINE, on_upgrade).await {
            Ok(Ok(upgraded)) => {
                let transport = SocketTransport::new(TokioIo::new(upgraded), max_frame);
                let transport = Box::pin(transport).await;
                then(transport).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "an upgrade failed: {error}"),
            Err(_) => tracing::debug!("an upgrade did not come in time"),
        }
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(warp::reply::Response::default().into_body())
        .map_err(Error::internal)
}

/// Refuses more connections than the limit.
pub fn room(services: &Services) -> Result<()> {
    if services.lifecycle.is_draining() {
        return Err(Error::new(
            Kind::Unavailable,
            "The server is going away; try again in a moment",
        ));
    }
    if services.lifecycle.sessions() >= services.settings.now().max_connections {
        return Err(Error::new(Kind::Unavailable, "The server is full; try again in a moment"));
    }
    Ok(())
}

/// A JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let body: Bytes = body.into();
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let store = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, store);
    response
}

/// The HTTP status of an error.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Payment => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Missing => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A JSON answer for an error, with the headers that its kind calls for.
pub fn refusal(error: &Error, body: String) -> Response {
    let mut response = json(status(error.kind), body);
    if let Some(wait) = error.retry_after_ms {
        let seconds = header::HeaderValue::from(wait.div_ceil(1_000));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    if error.kind == Kind::Unauthorized {
        let scheme = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// An ISO 8601 time, in microseconds since 1970; without an offset it is UTC. A `+` that a query turned into a space is read as the `+` it was.
pub fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    let stamp = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let civil = |text: &str| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let plus = || {
        let (time, offset) = text.rsplit_once(' ')?;
        (time.len() > 10).then(|| format!("{time}+{offset}"))
    };
    let found = stamp(text).or_else(|| civil(text)).or_else(|| stamp(&plus()?));
    found.map(jiff::Timestamp::as_microsecond)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The pairs of a query, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
}
