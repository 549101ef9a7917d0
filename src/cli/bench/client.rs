//! One listening client of the native dialect.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use uuid::Uuid;

use super::tally::Board;
use crate::{auth, cli::token::claims};

/// Connecting and the greeting, each.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any run.
const TTL: Duration = Duration::from_secs(2 * 3_600);

/// A socket that was greeted.
pub(super) struct Client {
    nth: usize,
    socket: WebSocketStream<TcpStream>,
}

/// What is read of a frame.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    content: &'a str,
}

impl Client {
    pub(super) async fn connect(
        url: &str,
        user: &Uuid,
        secret: &str,
        nth: usize,
    ) -> anyhow::Result<Self> {
        let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'))
        else {
            bail!("--url must be http://HOST:PORT, the bridge's own address behind any proxy");
        };
        let claims = claims(&user.to_string(), "authenticated", TTL);
        let token = auth::mint(secret, &serde_json::Value::Object(claims))?;
        let stream = timeout(PATIENCE, TcpStream::connect(authority)).await;
        let stream = stream.context("connecting took too long")?;
        let stream = stream.with_context(|| format!("no bridge answers at {authority}"))?;
        stream.set_nodelay(true)?;
        let handshake = client_async(format!("ws://{authority}/ws?token={token}"), stream);
        let (socket, _) = timeout(PATIENCE, handshake)
            .await
            .context("the handshake took too long")?
            .map_err(|error| anyhow::anyhow!(refused(&error)))?;
        let mut client = Self { nth, socket };
        let greeting = timeout(PATIENCE, client.socket.next()).await.context("no greeting came")?;
        let Some(Ok(Message::Text(text))) = greeting else { bail!("the bridge sent no greeting") };
        ensure!(text.contains("connection_established"), "what is {text}?");
        Ok(client)
    }

    /// Notes what comes, to the end of the run.
    pub(super) async fn listen(mut self, board: Arc<Board>) {
        while let Some(Ok(message)) = self.socket.next().await {
            let at = Instant::now();
            let Message::Text(text) = message else { continue };
            let Ok(Frame { kind: "new_message", data: Some(data) }) = serde_json::from_str(&text)
            else {
                continue;
            };
            if let Ok(number) = data.content.parse() {
                board.got(self.nth, number, at);
            }
        }
        board.gone();
    }
}

/// Without the address, which holds a token.
fn refused(error: &tokio_tungstenite::tungstenite::Error) -> String {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::Http(answer) if answer.status() == 401 => {
            "the bridge refused the token (401): is the secret the one that it runs with?"
                .to_owned()
        }
        Error::Http(answer) => format!("the bridge refused the socket with {}", answer.status()),
        other => format!("the handshake failed: {other}"),
    }
}
