//! A Phoenix client of version 2 that hides nothing: what it sends and gets are the frames.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::harness::app::{App, PATIENCE, Socket, now, token_with};

/// A table that everybody may read, watched.
pub(super) const TODOS: &str = "
    create table public.todos (id int primary key, task text, tags char(3));
    grant select on public.todos to anon;
    select rowcast.watch('public.todos')";

/// A token of a role.
pub(crate) fn token_of(role: &str) -> String {
    token_with(&json!({ "role": role, "exp": now() + 3_600 }))
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Came {
    /// Text, as JSON.
    Text(Value),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A client.
pub(crate) struct Phoenix(pub(super) Socket);

impl Phoenix {
    /// Connects with a key.
    pub(crate) async fn connect(app: &App, key: &str) -> Self {
        let path = format!("/realtime/v1/websocket?vsn=2.0.0&apikey={key}");
        Self(app.socket_at(&path, "unused").await.expect("a socket"))
    }

    /// Connects and joins a channel with a config.
    pub(crate) async fn joined(app: &App, key: &str, name: &str, config: Value) -> Self {
        let mut client = Self::connect(app, key).await;
        let reply = client.join(name, config).await;
        assert_eq!(reply["status"], "ok", "{reply}");
        client
    }

    /// Joins a channel and returns the reply's payload.
    pub(crate) async fn join(&mut self, name: &str, config: Value) -> Value {
        self.ask(name, "phx_join", json!({ "config": config })).await
    }

    /// Sends a push whose ref is its event, and returns the reply's payload; nothing may come before it.
    pub(crate) async fn ask(&mut self, name: &str, event: &str, payload: Value) -> Value {
        self.push(name, event, payload).await;
        let frame = self.next().await;
        assert_eq!((&frame[1], &frame[3]), (&json!(event), &json!("phx_reply")), "{frame}");
        frame[4].clone()
    }

    /// Sends a push.
    pub(crate) async fn push(&mut self, name: &str, event: &str, payload: Value) {
        let frame = json!(["1", event, format!("realtime:{name}"), event, payload]);
        self.0.send(frame.to_string()).await;
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, frame: Vec<u8>) {
        self.0.0.send(Message::binary(frame)).await.expect("sent");
    }

    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self.any().await {
            Came::Text(frame) => frame,
            Came::Binary(bytes) => panic!("binary {bytes:?}"),
        }
    }

    /// The next frame.
    pub(crate) async fn any(&mut self) -> Came {
        // Of all together: pings do not make anybody wait longer.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = timeout_at(deadline, self.0.0.next()).await.expect("a frame in time");
            match frame.expect("an open socket").expect("a frame") {
                Message::Text(text) => {
                    return Came::Text(serde_json::from_str(&text).expect("JSON"));
                }
                Message::Binary(bytes) => return Came::Binary(bytes.to_vec()),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Shows that nothing more has come: the next frame answers a heartbeat.
    pub(crate) async fn nothing_more(&mut self) {
        self.0.send(r#"[null,"last","phoenix","heartbeat",{}]"#).await;
        let frame = self.next().await;
        assert_eq!((&frame[1], &frame[2]), (&json!("last"), &json!("phoenix")), "{frame}");
    }
}

/// A broadcast of kind 3.
pub(crate) fn user_push(
    name: &str,
    event: &str,
    meta: &str,
    json: bool,
    payload: &[u8],
) -> Vec<u8> {
    let topic = format!("realtime:{name}");
    let sizes = [1, 1, topic.len(), event.len(), meta.len()].map(|size| size as u8);
    let names = format!("1r{topic}{event}{meta}");
    [&[3], &sizes[..], &[u8::from(json)], names.as_bytes(), payload].concat()
}

/// A broadcast of kind 4.
pub(crate) fn user_broadcast(
    name: &str,
    event: &str,
    meta: &str,
    json: bool,
    payload: &[u8],
) -> Vec<u8> {
    let topic = format!("realtime:{name}");
    let sizes = [topic.len(), event.len(), meta.len()].map(|size| size as u8);
    let names = format!("{topic}{event}{meta}");
    [&[4], &sizes[..], &[u8::from(json)], names.as_bytes(), payload].concat()
}

/// The status and body with which a handshake is refused.
pub(crate) async fn refused(app: &App, query: &str) -> (u16, String) {
    match app.socket_at(&format!("/realtime/v1/websocket?{query}"), "unused").await {
        Err(SocketError::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).expect("text"))
        }
        Err(error) => panic!("no answer but {error}"),
        Ok(_) => panic!("let in"),
    }
}
