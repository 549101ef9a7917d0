//! What carries frames: a WebSocket, or a one-way stream such as Server-Sent Events.

use std::future::Future;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as SocketError, Message, Utf8Bytes,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::{Cursor, Reason};

/// Small, because most sockets are idle most of the time.
const READ_BUFFER: usize = 1_024;
const WRITE_BUFFER: usize = 8_192;
/// Frames of one write; beyond the buffer's limit a write waits for the client.
const MAX_WRITE_BUFFER: usize = 64 * 1024 * 1024;

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes; only some dialects have any.
    Binary(Bytes),
}

/// A frame to a client.
#[derive(Clone)]
pub struct Frame {
    /// What it holds.
    pub body: Body,
    /// Where the client stands after it; none for what no change caused.
    pub cursor: Option<Cursor>,
    /// When the change was captured, in microseconds since 1970.
    pub at: Option<i64>,
}

impl Frame {
    /// A frame that answers or greets.
    pub fn plain(text: impl Into<Utf8Bytes>) -> Self {
        Body::Text(text.into()).into()
    }

    /// Its text; empty for bytes.
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text,
            Body::Binary(_) => "",
        }
    }
}

impl From<Body> for Frame {
    fn from(body: Body) -> Self {
        Self { body, cursor: None, at: None }
    }
}

/// What comes from a client.
#[derive(Debug)]
pub enum Incoming {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
    /// A sign of life.
    Alive,
    /// What ends the connection: after it nothing can be read.
    Broken(Reason),
    /// The end.
    Gone,
}

/// The client is gone; there is nothing to say to it.
#[derive(Debug)]
pub struct Gone;

/// A way to a client.
pub trait Transport: Send {
    /// Waits for a frame; cancelling it loses nothing.
    fn receive(&mut self) -> impl Future<Output = Incoming> + Send;
    /// Writes frames and flushes once.
    fn send(&mut self, frames: Vec<Frame>) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Asks for a sign of life.
    fn ping(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Says goodbye and waits for the client's.
    fn close(&mut self, reason: Reason) -> impl Future<Output = ()> + Send;
    /// Whether a client that stays silent is gone.
    fn answers_pings(&self) -> bool;
}

/// A WebSocket on an upgraded connection.
pub struct SocketTransport<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> SocketTransport<S> {
    /// Takes over a connection after the handshake.
    pub async fn new(stream: S, max_frame: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(max_frame))
            .max_frame_size(Some(max_frame));
        Self(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for SocketTransport<S> {
    async fn receive(&mut self) -> Incoming {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text),
            Some(Ok(Message::Binary(bytes))) => Incoming::Binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Alive,
            Some(Err(SocketError::Capacity(_))) => Incoming::Broken(Reason::TooBig),
            Some(Err(SocketError::Utf8(_))) => Incoming::Broken(Reason::NoText),
            Some(Err(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Incoming::Gone
            }
            Some(Err(SocketError::Protocol(_))) => Incoming::Broken(Reason::NoFrame),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Incoming::Gone,
        }
    }

    async fn send(&mut self, frames: Vec<Frame>) -> Result<(), Gone> {
        for frame in frames {
            let message = match frame.body {
                Body::Text(text) => Message::Text(text),
                Body::Binary(bytes) => Message::Binary(bytes),
            };
            self.0.feed(message).await.map_err(|_| Gone)?;
        }
        self.0.flush().await.map_err(|_| Gone)
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.0.send(Message::Ping(Bytes::new())).await.map_err(|_| Gone)
    }

    async fn close(&mut self, reason: Reason) {
        let frame = CloseFrame { code: reason.code().into(), reason: reason.text().into() };
        if self.0.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        // Polled to its end, or the client sees 1006 instead of our code.
        while let Some(Ok(_)) = self.0.next().await {}
        // What comes after a frame that was refused is taken, too: left unread, it would turn our end into a reset.
        let stream = self.0.get_mut();
        if stream.shutdown().await.is_ok() {
            let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
        }
    }

    fn answers_pings(&self) -> bool {
        true
    }
}

/// A stream to a client that cannot answer: frames go into the body of a response.
pub struct StreamTransport(pub mpsc::Sender<Frame>);

impl Transport for StreamTransport {
    async fn receive(&mut self) -> Incoming {
        self.0.closed().await;
        Incoming::Gone
    }

    async fn send(&mut self, frames: Vec<Frame>) -> Result<(), Gone> {
        for frame in frames {
            self.0.send(frame).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        // The body's own comment lines keep it alive; its end is noticed by `receive`.
        Ok(())
    }

    async fn close(&mut self, _reason: Reason) {
        // Dropping the sender ends the body; what waits in the channel is still sent.
    }

    fn answers_pings(&self) -> bool {
        false
    }
}
