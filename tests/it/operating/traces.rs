//! Traces, at a receiver that decodes what a collector would; and logs of which each line is a JSON object.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
};
use prost::Message;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use super::serve::Serve;
use crate::harness::app::{App, PATIENCE, SECRET, token};

const UNREAD: &str = "/api/chat/unread-count";

/// A span as a person reads it.
#[derive(Debug, Clone)]
struct Span {
    name: String,
    trace: String,
    id: String,
    parent: String,
    kind: i32,
    says: BTreeMap<String, String>,
    resource: BTreeMap<String, String>,
}

/// A collector.
struct Collector {
    url: String,
    spans: mpsc::Receiver<Span>,
    seen: Vec<Span>,
}

impl Collector {
    #[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (put, spans) = mpsc::channel(10_000);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let put = put.clone();
                let answers = service_fn(move |request| receive(request, put.clone()));
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = http1::Builder::new().serve_connection(io, answers).await;
                });
            }
        });
        Self { url, spans, seen: Vec::new() }
    }

    /// The first span, of those there and those to come, that fits.
    async fn find(&mut self, fits: impl Fn(&Span) -> bool) -> Span {
        let mut next = 0;
        loop {
            if let Some(found) = self.seen[next..].iter().find(|span| fits(span)) {
                return found.clone();
            }
            next = self.seen.len();
            let span = timeout(PATIENCE, self.spans.recv()).await;
            let span = span.unwrap_or_else(|_| panic!("none fitted of {:#?}", self.seen));
            self.seen.push(span.expect("a collector"));
        }
    }

    /// Everything that has come.
    fn all(&mut self) -> &[Span] {
        while let Ok(span) = self.spans.try_recv() {
            self.seen.push(span);
        }
        &self.seen
    }
}

async fn receive(
    request: Request<Incoming>,
    put: mpsc::Sender<Span>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let export = ExportTraceServiceRequest::decode(body).expect("what OTLP says");
    for of_resource in export.resource_spans {
        let resource = words(&of_resource.resource.expect("a resource").attributes);
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        for span in spans {
            let span = Span {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind,
                says: words(&span.attributes),
                resource: resource.clone(),
            };
            put.send(span).await.expect("a test");
        }
    }
    Ok(Response::new(Full::default()))
}

fn words(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair).unwrap_or_default())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn serve(app: &App, flags: &[&str]) -> Serve {
    let url = app.database.url();
    let mut all = vec!["--database-url", &url, "--jwt-secret", SECRET, "--node", "north"];
    all.extend(flags);
    Serve::start(&all).await
}

async fn ask(serve: &Serve, traceparent: &str) {
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", bearer.as_str()), ("traceparent", traceparent)];
    assert_eq!(serve.status(&format!("{UNREAD}?secret=hidden"), &headers).await, 200);
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_with_its_sql_below() {
    let app = App::start().await;
    let mut collector = Collector::start().await;
    let mut serve = serve(&app, &["--otlp-endpoint", &collector.url]).await;
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    ask(&serve, &format!("00-{trace}-{parent}-01")).await;
    let mut ada = serve.socket(&token("ada")).await;
    ada.until("connection_established").await;
    app.sql("insert into chat.messages (thread_id, sender_id, content) values (1, 2, 'Hello')")
        .await;
    ada.until("new_message").await;
    serve.signal(Signal::SIGTERM);
    assert!(serve.ended().await.success());

    let request = collector.find(|span| span.trace == trace && span.parent == parent).await;
    assert_eq!((request.name.as_str(), request.kind), (&*format!("GET {UNREAD}"), 2));
    assert_eq!(request.says["http.response.status_code"], "200");
    assert_eq!(request.says["client.address"], "127.0.0.1");
    assert_eq!(request.resource["service.name"], "rowcast");
    assert_eq!(request.resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(request.resource["rowcast.node"], "north");
    assert_eq!(request.resource["service.instance.id"].len(), 36);
    let sql = collector.find(|span| span.name == "sql" && span.parent == request.id).await;
    assert_eq!((sql.trace.as_str(), sql.kind), (trace, 3));
    assert!(sql.says["db.query.text"].contains("chat."), "{sql:?}");
    let handshake = collector.find(|span| span.name == "GET /ws").await;
    assert_eq!(handshake.says["http.response.status_code"], "101");
    assert!(handshake.trace != trace && handshake.parent.is_empty());
    let read = |span: &Span| span.name == "feed read" && span.says["rowcast.changes"] != "0";
    assert_eq!(collector.find(read).await.parent, "");
    let all = format!("{:?}", collector.all());
    for secret in [token("ada").as_str(), "hidden", SECRET] {
        assert!(!all.contains(secret), "{secret} is in a trace");
    }
}

#[tokio::test]
async fn the_callers_word_goes_before_the_ratio() {
    let app = App::start().await;
    let mut collector = Collector::start().await;
    let flags = ["--otlp-endpoint", &collector.url, "--trace-ratio", "0"];
    let mut serve = serve(&app, &flags).await;
    let (kept, not_kept) = ("1".repeat(32), "2".repeat(32));
    ask(&serve, &format!("00-{not_kept}-b7ad6b7169203331-00")).await;
    ask(&serve, "nonsense").await;
    ask(&serve, &format!("00-{kept}-b7ad6b7169203331-01")).await;
    serve.signal(Signal::SIGTERM);
    assert!(serve.ended().await.success());
    collector.find(|span| span.trace == kept).await;
    let others: Vec<&Span> = collector.all().iter().filter(|span| span.trace != kept).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[tokio::test]
async fn a_collector_that_is_away_changes_nothing_for_clients() {
    let app = App::start().await;
    // Taken, and not listened on.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let mut serve = serve(&app, &["--otlp-endpoint", &url]).await;
    let mut ada = serve.socket(&token("ada")).await;
    ada.until("connection_established").await;
    for round in 0..20 {
        ask(&serve, "").await;
        let sql = format!(
            "insert into chat.messages (thread_id, sender_id, content) values (1, 2, '{round}')"
        );
        app.sql(&sql).await;
        assert_eq!(ada.until("new_message").await["data"]["content"], round.to_string());
    }
    serve.signal(Signal::SIGTERM);
    assert!(serve.ended().await.success());
}

#[tokio::test]
async fn every_line_of_the_log_is_one_object_with_the_same_fields_to_the_end() {
    let app = App::start().await;
    let mut serve = serve(&app, &["--log", "debug"]).await;
    let _ada = serve.socket(&token("ada")).await;
    assert_eq!(serve.status(UNREAD, &[("authorization", "Bearer nonsense")]).await, 401);
    serve.signal(Signal::SIGTERM);
    let mut lines = 0;
    // `next` fails on what is no JSON.
    while let Some(line) = serve.next().await {
        let mut names: Vec<&str> =
            line.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["fields", "level", "target", "timestamp"], "{line}");
        assert!(line["fields"]["message"].is_string(), "{line}");
        let time = line["timestamp"].as_str().expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        lines += 1;
    }
    assert!(lines > 3, "{lines}");
    // A start that fails says so in the same form.
    for flags in [&["--database-url", "nonsense"][..], &["--env-file", "/nowhere"]] {
        let mut failed = Serve::spawn(flags);
        let mut last = None;
        while let Some(line) = failed.next().await {
            last = Some(line);
        }
        assert_eq!(last.expect("a line")["level"], "ERROR");
        assert!(!failed.ended().await.success());
    }
}
