//! A socket whose frames are gathered as they come, so that it can be written to and looked at at any time.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::world::Person;
use crate::harness::app::App;

/// Nothing that is waited for takes longer, or it is not coming.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Frames that may wait to be written.
const AHEAD: usize = 64;

/// What a client gathers, in order.
#[derive(Clone)]
pub(super) struct Log(watch::Sender<Vec<Value>>);

impl Log {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    pub(super) fn add(&self, item: Value) {
        self.0.send_modify(|items| items.push(item));
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// What was gathered from a place on.
    pub(super) fn since(&self, from: usize) -> Vec<Value> {
        self.0.borrow()[from..].to_vec()
    }

    /// Waits until something from a place on is as wanted; false when it does not come.
    pub(super) async fn has(&self, from: usize, wanted: impl Fn(&Value) -> bool) -> bool {
        let mut receiver = self.0.subscribe();
        let found = receiver.wait_for(|items| items[from..].iter().any(&wanted));
        timeout(PATIENCE, found).await.is_ok()
    }
}

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Native,
    /// The socket of a room.
    Room(i64),
    Conversations,
    Direct,
}

/// An open socket; dropping it closes it.
pub(super) struct Wire {
    pub(super) log: Log,
    outgoing: mpsc::Sender<String>,
    io: bool,
}

impl Wire {
    /// Opens one and waits until the other side has let it in.
    pub(super) async fn open(app: &App, who: Person, speech: Speech, token: &str) -> Self {
        let host = app.address();
        let io = matches!(speech, Speech::Conversations | Speech::Direct);
        let path = match speech {
            Speech::Native => format!("ws?token={token}"),
            Speech::Room(room) => format!("ws/chat/{room}/?token={token}"),
            Speech::Conversations => {
                "socket.io/?EIO=4&transport=websocket&dialect=conversations".to_owned()
            }
            Speech::Direct => "socket.io/?EIO=4&transport=websocket".to_owned(),
        };
        let (stream, _) = connect_async(format!("ws://{host}/{path}")).await.expect("a socket");
        let (outgoing, commands) = mpsc::channel(AHEAD);
        let wire = Self { log: Log::new(), outgoing, io };
        drive(stream, wire.log.clone(), commands, io);
        match speech {
            Speech::Native => wire.until(0, "connection_established").await,
            Speech::Room(_) => {
                wire.send(&json!({ "type": "ping" }));
                wire.until(0, "pong").await;
            }
            Speech::Conversations | Speech::Direct => {
                wire.packet(format!(r#"40{{"token":"{token}"}}"#));
                // An answer shows that the session runs.
                wire.packet(r#"42999["the start"]"#.to_owned());
                wire.until(0, "ack").await;
            }
        }
        assert!(wire.log.len() > 0, "{who:?}");
        wire
    }

    /// Sends a frame, or an event `[name, data]` that wants an ack.
    pub(super) fn send(&self, frame: &Value) {
        let text = if self.io { format!("421{frame}") } else { frame.to_string() };
        self.packet(text);
    }

    /// Sends an event or frame and waits for its answer.
    pub(super) async fn ask(&self, frame: Value, answer: &str) {
        let from = self.log.len();
        self.send(&frame);
        self.until(from, answer).await;
        let came = self.log.since(from);
        assert!(!came.iter().any(is_error), "{frame} was answered by {came:?}");
    }

    /// Sends what must be refused.
    pub(super) async fn refused(&self, frame: Value) {
        let from = self.log.len();
        self.send(&frame);
        let came = self.log.has(from, is_error).await;
        assert!(came, "{frame} was not refused: {:?}", self.log.since(from));
    }

    async fn until(&self, from: usize, kind: &str) {
        let answers = |item: &Value| item["type"] == kind || item["type"] == "error";
        let came = self.log.has(from, answers).await;
        assert!(came, "no {kind} but {:?}", self.log.since(from));
    }

    fn packet(&self, text: String) {
        self.outgoing.try_send(text).expect("a socket that is written to");
    }
}

fn is_error(item: &Value) -> bool {
    item["type"] == "error" || !item["data"][0]["error"].is_null()
}

/// Reads and writes until either side ends.
#[expect(clippy::disallowed_methods, reason = "a test's task ends with the test")]
fn drive(
    mut stream: tokio_tungstenite::WebSocketStream<
        tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    >,
    log: Log,
    mut commands: mpsc::Receiver<String>,
    io: bool,
) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                frame = stream.next() => match frame {
                    Some(Ok(Message::Text(text))) if io && text.as_str() == "2" => {
                        let _ = stream.send(Message::text("3")).await;
                    }
                    Some(Ok(Message::Text(text))) if io => {
                        if let Some(item) = packet(&text) {
                            log.add(item);
                        }
                    }
                    Some(Ok(Message::Text(text))) => {
                        log.add(serde_json::from_str(&text).unwrap_or(json!({ "trouble": text.as_str() })));
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map(|frame| u16::from(frame.code));
                        log.add(json!({ "type": "closed", "code": code }));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                text = commands.recv() => match text {
                    Some(text) => {
                        let _ = stream.send(Message::text(text)).await;
                    }
                    None => {
                        let _ = stream.close(None).await;
                        return;
                    }
                },
            }
        }
    });
}

/// A Socket.IO packet as `{type, data}`: an event's name and what goes with it, or `ack`.
fn packet(text: &str) -> Option<Value> {
    let body = text.strip_prefix('4')?;
    let json = body.find(['[', '{'])?;
    let data: Value = serde_json::from_str(&body[json..]).ok()?;
    Some(match body.as_bytes().first()? {
        b'2' => json!({ "type": data[0], "data": data[1] }),
        b'3' => json!({ "type": "ack", "data": data }),
        b'4' => json!({ "type": "error", "data": data }),
        _ => return None,
    })
}
