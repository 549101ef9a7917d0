//! The console's API on the admin port: who gets in, what it lists, what its streams say, and what hostile input gets.

mod gate;
mod hostile;
mod inspect;
mod lists;
mod tail;

use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::app::{App, PATIENCE};

/// The token of all tests.
const TOKEN: &str = "an operator's token of tests";
const FLAG: &str = "--admin-token=an operator's token of tests";

/// A request to the admin port.
fn request(app: &App, method: &str, path: &str) -> RequestBuilder {
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let method = method.parse().expect("a method");
    client.request(method, format!("http://{}{path}", app.addresses.admin))
}

/// The answer to a request.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Asks the console with its token.
async fn get(app: &App, call: &str) -> Value {
    let request = request(app, "GET", &format!("/admin/api/{call}")).bearer_auth(TOKEN);
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{call}: {body}");
    body
}

/// Posts to the console with its token.
async fn post(app: &App, call: &str, body: Value) -> (u16, Value) {
    let request = request(app, "POST", &format!("/admin/api/{call}")).bearer_auth(TOKEN);
    answer(request.body(body.to_string())).await
}

/// Asks again until the answer fits.
async fn until(app: &App, call: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let body = get(app, call).await;
            if fits(&body) {
                return body;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{call} never fitted"))
}

/// A stream of Server-Sent Events.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self { response, read: String::new() }
    }

    async fn tail(app: &App, query: &str) -> Self {
        let mut events = Self::open(request(app, "GET", &format!("/admin/api/tail{query}"))).await;
        assert_eq!(events.next().await.0, "open");
        events
    }

    /// Joins a topic; returns the stream and what it said of the joining.
    async fn inspect(app: &App, wish: Value) -> (Self, Value) {
        let request = request(app, "POST", "/admin/api/inspect").body(wish.to_string());
        let mut events = Self::open(request).await;
        let (name, joined) = events.next().await;
        assert_eq!(name, "joined");
        (events, joined)
    }

    /// The next event: its name and its JSON.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.map(|value| value.trim().to_owned())
                };
                let event = field("event:").zip(field("data:"));
                self.read = rest.to_owned();
                if let Some((event, data)) = event {
                    return (event, serde_json::from_str(&data).expect("JSON"));
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time");
            let chunk = chunk.expect("a chunk").expect("an open stream");
            self.read.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// Whether it has ended.
    async fn ends(&mut self) -> bool {
        loop {
            match timeout(PATIENCE, self.response.chunk()).await.expect("an end in time") {
                Ok(None) | Err(_) => return true,
                Ok(Some(_)) => {}
            }
        }
    }
}
