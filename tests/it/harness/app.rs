//! The real app on port 0, over a database of its own with four people in it, and clients that speak to it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use rowcast::{app, auth, config::Config, lifecycle::Lifecycle};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message},
};

use super::Database;

/// The secret of all tests' tokens.
pub(crate) const SECRET: &str = "a secret of tests, 32 characters or more";
/// Nothing that a test waits for takes longer, or it is not coming.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Four people, of whom eve is in no thread; two threads.
pub(crate) const PEOPLE: &str = "
    insert into chat.users (uuid, username, first_name, last_name, role)
    select format('00000000-0000-4000-8000-00000000000%s', n)::uuid, name, initcap(name), 'Test', role
    from (values (1, 'ada', 'teacher'), (2, 'grace', 'teacher'), (3, 'linus', 'student'), (4, 'eve', 'student'))
        as people (n, name, role);
    insert into chat.threads (uuid, kind, name) values
        ('00000000-0000-4000-8000-0000000000a1', 'group', 'Mathematics'),
        ('00000000-0000-4000-8000-0000000000a2', 'chat', null);
    insert into chat.members (thread_id, user_id) values (1, 1), (1, 2), (1, 3), (2, 1), (2, 2);";

/// A person's public id.
pub(crate) fn person(name: &str) -> String {
    let nth = ["ada", "grace", "linus", "eve"].iter().position(|one| *one == name);
    format!("00000000-0000-4000-8000-00000000000{}", nth.expect("one of the four") + 1)
}

/// The public id of a thread: `maths` has ada, grace and linus; `pair` has ada and grace.
pub(crate) fn thread(name: &str) -> &'static str {
    match name {
        "maths" => "00000000-0000-4000-8000-0000000000a1",
        "pair" => "00000000-0000-4000-8000-0000000000a2",
        _ => panic!("no thread {name}"),
    }
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// A request under way: its status and JSON.
pub(crate) type Asking = tokio::task::JoinHandle<(u16, Value)>;

/// A running bridge.
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) addresses: app::Addresses,
    running: Option<app::Running>,
    http: reqwest::Client,
}

impl App {
    /// Starts with the default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with flags of its own.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let database = Database::new().await;
        database.client().await.batch_execute(PEOPLE).await.expect("people");
        Self::start_on(database, flags).await
    }

    /// Starts on a database as it is.
    pub(crate) async fn start_on(database: Database, flags: &[&str]) -> Self {
        Self::try_start_on(database, flags).await.expect("a start")
    }

    /// Starts with flags that may be refused.
    pub(crate) async fn try_start_on(
        database: Database,
        flags: &[&str],
    ) -> rowcast::error::Result<Self> {
        let running = bridge(&database.url(), flags).await?;
        Ok(Self::of(database, running))
    }

    /// Starts on a database with a URL of its own: as another role than the owner.
    pub(crate) async fn start_as(database: Database, url: &str, flags: &[&str]) -> Self {
        let running = bridge(url, flags).await.expect("a start");
        Self::of(database, running)
    }

    fn of(database: Database, running: app::Running) -> Self {
        let addresses = running.addresses;
        Self { database, addresses, running: Some(running), http: reqwest::Client::new() }
    }

    /// Another bridge over the same database.
    pub(crate) async fn beside(&self) -> app::Running {
        bridge(&self.database.url(), &[]).await.expect("a start")
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Runs SQL as the owner, as another service would.
    pub(crate) async fn sql(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.expect(sql);
    }

    /// One value of SQL.
    pub(crate) async fn value<T: tokio_postgres::types::FromSqlOwned>(&self, sql: &str) -> T {
        self.database.client().await.query_one(sql, &[]).await.expect(sql).get(0)
    }

    /// Asks as a person and returns the status and the JSON.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&str>,
    ) -> (u16, Value) {
        self.asking(method, path, token, body).await.expect("an answer")
    }

    /// Asks in the background.
    #[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
    pub(crate) fn asking(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&str>,
    ) -> Asking {
        let url = format!("http://{}{path}", self.address());
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        tokio::spawn(async move {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            let text = response.text().await.expect("a body");
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }

    /// How many polls wait.
    pub(crate) fn parked_polls(&self) -> usize {
        self.running.as_ref().map_or(0, app::Running::parked_polls)
    }

    /// Opens a socket as a person; `query` goes on after the token.
    pub(crate) async fn socket(&self, name: &str, query: &str) -> Socket {
        self.socket_with(&token(name), query).await.expect("a socket")
    }

    /// Tries to open a socket with a token.
    pub(crate) async fn socket_with(
        &self,
        token: &str,
        query: &str,
    ) -> Result<Socket, tungstenite::Error> {
        self.socket_at(&format!("/ws?{}", query.trim_start_matches('&')), token).await
    }

    /// Tries to open a socket at a path with a token.
    pub(crate) async fn socket_at(
        &self,
        path: &str,
        token: &str,
    ) -> Result<Socket, tungstenite::Error> {
        let join = if path.contains('?') { '&' } else { '?' };
        let url = format!("ws://{}{path}{join}token={token}", self.address());
        Ok(Socket(connect_async(url).await?.0))
    }

    /// Stops as SIGTERM does.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// A token of a person, good for an hour.
pub(crate) fn token(name: &str) -> String {
    token_with(&json!({ "sub": person(name), "exp": now() + 3_600, "iat": now() }))
}

/// A token with any payload.
pub(crate) fn token_with(payload: &Value) -> String {
    auth::mint(SECRET, payload).expect("a token")
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A client's socket.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The next text frame as JSON.
    pub(crate) async fn next(&mut self) -> Value {
        // Of all together: pings do not make anybody wait longer.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = timeout_at(deadline, self.0.next()).await.expect("a frame in time");
            match frame.expect("an open socket").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Reads on until a frame of a type comes, and returns it.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads on until the server closes, and returns the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match timeout_at(deadline, self.0.next()).await.expect("a close in time") {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    }

    /// Sends text.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.expect("sent");
    }

    /// Sends a JSON frame and returns the next frame.
    pub(crate) async fn ask(&mut self, frame: Value) -> Value {
        self.send(frame.to_string()).await;
        self.next().await
    }
}

/// A bridge over a database, on ports of its own.
async fn bridge(url: &str, flags: &[&str]) -> rowcast::error::Result<app::Running> {
    let mut arguments = vec!["rowcast", "--port=0", "--admin-port=0", "--database-url", url];
    arguments.extend(["--jwt-secret", SECRET, "--grace=3s"]);
    arguments.extend(flags);
    app::start(Flags::parse_from(arguments).config, None, Lifecycle::new()).await
}
