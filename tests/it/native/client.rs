//! What native tests knock with: any door with any headers, an event stream, a raw connection.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest},
};

use crate::harness::app::{App, PATIENCE, Socket};

/// A name and a value.
pub(crate) type Header<'a> = (&'a str, &'a str);

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The WebSocket.
    Socket,
    /// Server-Sent Events.
    Stream,
    /// One request.
    Rest,
}

/// All ways in.
pub(crate) const DOORS: [Door; 3] = [Door::Socket, Door::Stream, Door::Rest];

impl Door {
    /// Knocks; `query` is what follows the path. Returns 101 or 200, or the status of the refusal with its body.
    pub(crate) async fn knock(
        self,
        app: &App,
        query: &str,
        headers: &[Header<'_>],
    ) -> (u16, Value) {
        match self {
            Self::Socket => match socket(app, query, headers).await {
                Ok(_) => (101, Value::Null),
                Err(tungstenite::Error::Http(response)) => {
                    let body = response.body().as_deref().unwrap_or_default();
                    (response.status().as_u16(), read(body))
                }
                Err(error) => panic!("no answer but {error}"),
            },
            Self::Stream => {
                let response =
                    request(app, "GET", &format!("/api/chat/events{query}"), headers, "").await;
                match response.status().as_u16() {
                    200 => (200, Value::Null),
                    status => (status, read(&response.bytes().await.expect("a body"))),
                }
            }
            Self::Rest => {
                let response =
                    request(app, "GET", &format!("/api/chat/unread-count{query}"), headers, "")
                        .await;
                (response.status().as_u16(), read(&response.bytes().await.expect("a body")))
            }
        }
    }

    /// Whether it opens.
    pub(crate) async fn opens(self, app: &App, query: &str, headers: &[Header<'_>]) -> bool {
        matches!(self.knock(app, query, headers).await.0, 101 | 200)
    }
}

/// A handshake with headers of its own.
pub(crate) async fn socket(
    app: &App,
    query: &str,
    headers: &[Header<'_>],
) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{}/ws{query}", app.address()).into_client_request()?;
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a header's name");
        request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
    }
    Ok(Socket(connect_async(request).await?.0))
}

/// A request with headers of its own.
pub(crate) async fn request(
    app: &App,
    method: &str,
    path: &str,
    headers: &[Header<'_>],
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let url = format!("http://{}{path}", app.address());
    let mut request = reqwest::Client::new().request(method.parse().expect("a method"), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if method != "GET" {
        request = request.body(body);
    }
    timeout(PATIENCE, request.send()).await.expect("an answer in time").expect("an answer")
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}

/// What an event stream brings.
#[derive(Debug, PartialEq)]
pub(crate) enum Sent {
    /// An event, with its id.
    Event(Option<String>, Value),
    /// A comment, which keeps the connection alive.
    Comment,
    /// The end.
    End,
}

/// An event stream as a browser reads it.
pub(crate) struct EventStream {
    response: reqwest::Response,
    unread: Vec<u8>,
    /// The id of the last event that had one: what a browser comes back with.
    pub(crate) last_id: Option<String>,
}

impl EventStream {
    /// Opens one as a token's bearer.
    pub(crate) async fn open(app: &App, token: &str, last_id: Option<&str>) -> Self {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(last_id.map(|id| ("last-event-id", id)));
        let stream = Self::open_with(app, "", &headers).await;
        Self { last_id: last_id.map(str::to_owned), ..stream }
    }

    /// Opens one with a query and headers of its own.
    pub(crate) async fn open_with(app: &App, query: &str, headers: &[Header<'_>]) -> Self {
        let path = format!("/api/chat/events{query}");
        let response = request(app, "GET", &path, headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, unread: Vec::new(), last_id: None }
    }

    /// What comes next, within a time.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Sent {
        let deadline = Instant::now() + time;
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.unread.drain(..end + 2).collect();
                return self.sent(&String::from_utf8(text).expect("UTF-8"));
            }
            let chunk =
                timeout_at(deadline, self.response.chunk()).await.expect("an event in time");
            match chunk.expect("a whole body") {
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None => return Sent::End,
            }
        }
    }

    fn sent(&mut self, text: &str) -> Sent {
        let (mut id, mut data) = (None, None);
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" => {}
                "id" => id = Some(value.to_owned()),
                "data" => data = Some(serde_json::from_str(value).expect("JSON")),
                other => panic!("an unexpected field {other}"),
            }
        }
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        data.map_or(Sent::Comment, |data| Sent::Event(id, data))
    }

    /// The next event, comments passed over.
    pub(crate) async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            match self.next_within(PATIENCE).await {
                Sent::Event(id, data) => return (id, data),
                Sent::Comment => {}
                Sent::End => panic!("the stream ended"),
            }
        }
    }

    /// Reads on until an event of a type comes.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let (_, data) = self.next().await;
            if data["type"] == kind {
                return data;
            }
        }
    }

    /// Reads on until the server ends the stream.
    pub(crate) async fn ended(&mut self) {
        while self.next_within(PATIENCE).await != Sent::End {}
    }
}

/// A connection on which anything can be written.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects.
    pub(crate) async fn open(app: &App) -> Self {
        Self(TcpStream::connect(app.address()).await.expect("a connection"))
    }

    /// Writes; what the server no longer takes is not an error.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Reads what comes until the server closes, within a time.
    pub(crate) async fn closed_within(&mut self, time: Duration) -> Bytes {
        let mut came = Vec::new();
        // A reset is an end, too.
        let _ = timeout(time, self.0.read_to_end(&mut came)).await.expect("an end in time");
        came.into()
    }

    /// Reads until some text has come.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains(text) {
            let mut part = [0; 4_096];
            let count = timeout(PATIENCE, self.0.read(&mut part)).await.expect("bytes in time");
            let count = count.expect("an open connection");
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&came));
            came.extend_from_slice(&part[..count]);
        }
        String::from_utf8_lossy(&came).into_owned()
    }
}
