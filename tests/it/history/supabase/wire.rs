//! The wire of one subscriber: frames of Phoenix, version 2, on a real socket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use uuid::Uuid;

use super::super::{io::in_time, sockets::Line};

const TOPIC: &str = "realtime:posts";

/// One connection.
pub(super) struct Wire(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came.
pub(super) enum Came {
    /// The answer to a push.
    Reply {
        event: String,
        status: String,
        response: Value,
    },
    Change(Data),
    /// A cursor, or a word on how things stand.
    System {
        status: String,
        message: String,
        cursor: Option<String>,
    },
    /// The channel has ended, and wants to be joined again.
    Ended(String),
    Other,
}

/// A change as the payload has it.
#[derive(Deserialize)]
pub(super) struct Data {
    pub(super) r#type: String,
    pub(super) record: Option<Post>,
    pub(super) old_record: Option<Post>,
    pub(super) commit_timestamp: Option<String>,
    pub(super) errors: Option<Value>,
}

/// A row.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Post {
    pub(super) id: Option<Uuid>,
    pub(super) room: i64,
    pub(super) content: String,
}

/// join_ref, ref, topic, event, payload
type Frame = (IgnoredAny, Option<String>, IgnoredAny, String, Payload);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    status: String,
    message: String,
    cursor: Option<String>,
    response: Value,
    data: Option<Data>,
}

impl Wire {
    /// Connects, with a token for a key.
    pub(super) async fn open(line: &Line, token: &str) -> Result<Self, String> {
        let url = format!("ws://{}/realtime/v1/websocket?apikey={token}&vsn=2.0.0", line.address);
        let opening = async { connect_async(url).await.map_err(|error| error.to_string()) };
        Ok(Self(in_time(opening).await?.0))
    }

    /// Joins the one channel.
    pub(super) async fn join(
        &mut self,
        token: &str,
        asked: Value,
        options: Value,
    ) -> Result<(), String> {
        let config = json!({
            "broadcast": { "ack": false, "self": false },
            "presence": { "key": "" },
            "private": false,
            "postgres_changes": [asked],
            "postgres_changes_options": options,
        });
        self.push(TOPIC, "phx_join", json!({ "config": config, "access_token": token })).await
    }

    /// Shows a fresh token.
    pub(super) async fn refresh(&mut self, token: &str) -> Result<(), String> {
        self.push(TOPIC, "access_token", json!({ "access_token": token })).await
    }

    /// Says that it is there.
    pub(super) async fn beat(&mut self) -> Result<(), String> {
        self.push("phoenix", "heartbeat", json!({})).await
    }

    /// Every push has its event for a ref.
    async fn push(&mut self, topic: &str, event: &str, payload: Value) -> Result<(), String> {
        let join_ref = (topic == TOPIC).then_some("1");
        let frame = json!([join_ref, event, topic, event, payload]).to_string();
        let sending = self.0.send(Message::text(frame));
        in_time(async { sending.await.map_err(|error| error.to_string()) }).await
    }

    /// Waits for what comes next; cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Came, String> {
        let text = match self.0.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err("ended".to_owned()),
            Some(Ok(_)) => return Ok(Came::Other),
        };
        let (_, reference, _, event, payload): Frame =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let Payload { status, message, cursor, response, data } = payload;
        Ok(match (event.as_str(), data) {
            ("phx_reply", _) => {
                Came::Reply { event: reference.unwrap_or_default(), status, response }
            }
            ("postgres_changes", Some(data)) => Came::Change(data),
            ("system", _) => Came::System { status, message, cursor },
            ("phx_error" | "phx_close", _) => Came::Ended(event),
            _ => Came::Other,
        })
    }

    /// Leaves the channel and closes.
    pub(super) async fn leave(mut self) {
        let leaving = async {
            self.push(TOPIC, "phx_leave", json!({})).await?;
            self.0.close(None).await.map_err(|error| error.to_string())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), leaving).await;
    }
}
