//! One TCP connection's life: requests one after the other, long ones without hyper's buffers, upgrades, an end that drains.
//!
//! While a request is being answered hyper holds two buffers of 8 KiB for its connection. A poll that waits for a minute
//! needs neither: its answer-to-be is taken out, hyper is dropped, and comes back when there is something to write. A request to
//! upgrade stays with hyper, however long it takes: what comes back could not hand the stream over any more.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, Version, header};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
    upgrade::OnUpgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

use super::rewound::Rewound;
use crate::{dialects::door::Received, lifecycle::Lifecycle};

/// A client that does not finish its request's head in this time is not one.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// A connection of HTTP/2 on which nothing comes is pinged after this, and gone when it stays silent for `HEADER_DEADLINE`.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A request that takes longer than this waits for something.
const LONG: Duration = Duration::from_millis(200);
/// Bytes that a client may send ahead while its request waits.
const MOST_AHEAD: usize = 16 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>;

/// What a service has to be to answer a connection's requests.
pub(super) trait Answers:
    Service<
        Request<Incoming>,
        Response = Response<Self::Content>,
        Error: Into<Failure> + Send,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its answers.
    type Content: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static;
}

impl<S, B> Answers for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<Failure> + Send,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    type Content = B;
}

/// Serves a connection to its end. An upgrade takes the stream away, and its session goes on by itself.
pub(super) async fn serve<S: Answers>(stream: TcpStream, service: S, lifecycle: Lifecycle) {
    let mut first = [0; 3];
    let Ok(Ok(_)) = timeout(HEADER_DEADLINE, stream.peek(&mut first)).await else { return };
    // HTTP/2 with prior knowledge, as some proxies speak it.
    if first == *b"PRI" {
        return Box::pin(multiplexed(stream, service, lifecycle)).await;
    }
    let mut io = Rewound::new(Bytes::new(), stream);
    let mut ready = None;
    loop {
        let talking = Box::pin(talk(io, &service, ready, &lifecycle));
        let Some(Waiting { stream, mut ahead, left }) = talking.await else { return };
        let Left { answer, way_back } = left;
        let answer = tokio::select! {
            answer = answer => answer,
            () = gone(&stream, &mut ahead) => return,
        };
        let mut before = BytesMut::from(&way_back[..]);
        before.extend_from_slice(&ahead);
        io = Rewound::new(before.freeze(), stream);
        ready = Some(answer);
    }
}

/// A connection whose request waits.
struct Waiting<B, E> {
    stream: TcpStream,
    /// What the client sent after its request.
    ahead: BytesMut,
    left: Left<B, E>,
}

/// An answer that takes long.
struct Left<B, E> {
    answer: Answer<B, E>,
    /// A request of the same kind, by which hyper gets to write the answer.
    way_back: Vec<u8>,
}

/// Where the service puts it.
struct Desk<B, E> {
    answer: Mutex<Option<Left<B, E>>>,
    left: Notify,
}

/// Serves requests by hyper until one takes long, or to the connection's end.
async fn talk<S: Answers>(
    io: Rewound,
    service: &S,
    ready: Option<Result<Response<S::Content>, S::Error>>,
    lifecycle: &Lifecycle,
) -> Option<Waiting<S::Content, S::Error>> {
    let desk = Arc::new(Desk { answer: Mutex::new(None), left: Notify::new() });
    let asked = AtomicBool::new(ready.is_some());
    // Ending a connection on which nothing has been asked closes it at once: an answer that is ready comes first.
    let may_end = Notify::new();
    if ready.is_none() {
        may_end.notify_one();
    }
    let ready = Mutex::new(ready);
    let answering = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let ready = ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if ready.is_some() {
            may_end.notify_one();
        }
        let begun = ready.is_none().then(|| begin(service, request));
        let desk = Arc::clone(&desk);
        async move {
            match (ready, begun) {
                (Some(ready), _) => ready,
                (None, Some(begun)) => in_time_or_left(begun, &desk).await,
                (None, None) => std::future::pending().await,
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    let mut serving = builder.serve_connection(TokioIo::new(io), answering).with_upgrades();
    let mut draining = false;
    let served = loop {
        tokio::select! {
            served = &mut serving => break served,
            () = desk.left.notified() => {
                let parts = serving.into_parts()?;
                let left = desk.answer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
                let (unread, stream) = parts.io.into_inner().into_parts();
                let mut ahead = BytesMut::from(&parts.read_buf[..]);
                ahead.extend_from_slice(&unread);
                return Some(Waiting { stream, ahead, left });
            }
            () = silence(&asked) => return None,
            () = ending(lifecycle, &may_end), if !draining => {
                draining = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error: {error}");
    }
    None
}

async fn ending(lifecycle: &Lifecycle, may_end: &Notify) {
    lifecycle.draining().await;
    may_end.notified().await;
}

/// An answer that has been begun.
struct Begun<B, E> {
    answer: Answer<B, E>,
    /// Tells that the request has been read whole.
    received: Received,
    /// Its way back, where it may leave.
    way_back: Option<Vec<u8>>,
}

fn begin<S: Answers>(service: &S, mut request: Request<Incoming>) -> Begun<S::Content, S::Error> {
    let way_back = request.extensions().get::<OnUpgrade>().is_none().then(|| way_back(&request));
    let received = Received::default();
    request.extensions_mut().insert(received.clone());
    Begun { answer: Box::pin(service.call(apart(request))), received, way_back }
}

/// The answer, unless it takes long: then it is left on the desk, and this is dropped.
async fn in_time_or_left<B, E>(
    Begun { mut answer, received, way_back }: Begun<B, E>,
    desk: &Desk<B, E>,
) -> Result<Response<B>, E> {
    let Some(way_back) = way_back else { return answer.await };
    let long = async {
        received.whole().await;
        tokio::time::sleep(LONG).await;
    };
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = long => {}
    }
    *desk.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Left { answer, way_back });
    desk.left.notify_one();
    std::future::pending().await
}

/// Copies a request's head out of the connection's read buffer, which it would hold on to.
fn apart(request: Request<Incoming>) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    let mut all = BytesMut::with_capacity(parts.headers.values().map(HeaderValue::len).sum());
    parts.headers.values().for_each(|value| all.extend_from_slice(value.as_bytes()));
    let mut all = all.freeze();
    for value in parts.headers.values_mut() {
        let sensitive = value.is_sensitive();
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(all.split_to(value.len())) {
            copy.set_sensitive(sensitive);
            *value = copy;
        }
    }
    if let Ok(copy) = parts.uri.to_string().parse() {
        parts.uri = copy;
    }
    Request::from_parts(parts, body)
}

/// A request without a body that hyper answers as it would this one: the same version, and as to staying connected.
fn way_back(request: &Request<Incoming>) -> Vec<u8> {
    let minor = if request.version() == Version::HTTP_10 { '0' } else { '1' };
    let mut head = format!("GET / HTTP/1.{minor}\r\nhost: a\r\n").into_bytes();
    if let Some(value) = request.headers().get(header::CONNECTION) {
        head.extend_from_slice(b"connection: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Resolves when the client has gone, or sends more than it may before it has its answer; keeps what it sends.
async fn gone(stream: &TcpStream, ahead: &mut BytesMut) {
    while ahead.len() <= MOST_AHEAD && stream.readable().await.is_ok() {
        let mut some = [0; 256];
        match stream.try_read(&mut some) {
            Ok(0) => return,
            Ok(count) => ahead.extend_from_slice(&some[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Resolves when the first request has not come in time: hyper's own deadline begins with its first byte.
async fn silence(asked: &AtomicBool) {
    tokio::time::sleep(HEADER_DEADLINE).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// A connection of HTTP/2: its requests share it, and none can be taken out. One that asks nothing in time ends, and one
/// that answers no ping.
async fn multiplexed<S: Answers>(stream: TcpStream, service: S, lifecycle: Lifecycle) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL);
    http2.keep_alive_timeout(HEADER_DEADLINE);
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let answering = service_fn(move |request| {
        noted.store(true, Ordering::Relaxed);
        service.call(request)
    });
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), answering);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = silence(&asked) => return,
        () = lifecycle.draining() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error: {error}");
    }
}
