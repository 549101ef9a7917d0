//! A Socket.IO client as the protocol's page has it: packets as text over Engine.IO's WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::app::{App, PATIENCE};

/// One Engine.IO connection; heartbeats are answered by themselves.
pub(crate) struct IoSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Engine.IO's first packet.
    pub(crate) open: String,
}

impl IoSocket {
    /// Opens a connection; `query` goes on after the transport.
    pub(crate) async fn open(app: &App, query: &str) -> Self {
        Self::open_at(app.address(), query).await
    }

    /// Opens a connection with headers of its own.
    pub(crate) async fn open_with(
        app: &App,
        query: &str,
        headers: &[(&'static str, String)],
    ) -> Self {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{query}", app.address());
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (stream, _) = connect_async(request).await.expect("a socket");
        let mut socket = Self { stream, open: String::new() };
        socket.open = socket.frame().await.expect("the open packet");
        socket
    }

    async fn open_at(address: SocketAddr, query: &str) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let (stream, _) = connect_async(url).await.expect("a socket");
        let mut socket = Self { stream, open: String::new() };
        socket.open = socket.frame().await.expect("the open packet");
        assert!(socket.open.starts_with("0{"), "{}", socket.open);
        socket
    }

    /// Opens a connection as a browser's page of an origin does.
    pub(crate) async fn open_from(app: &App, origin: &str) -> Self {
        Self::open_with(app, "", &[("origin", origin.to_owned())]).await
    }

    /// Opens a connection and connects with a token.
    pub(crate) async fn enter(app: &App, token: &str, query: &str) -> Self {
        Self::enter_at(app.address(), token, query).await
    }

    /// The same at an address.
    pub(crate) async fn enter_at(address: SocketAddr, token: &str, query: &str) -> Self {
        let mut socket = Self::open_at(address, query).await;
        socket.send(&format!(r#"0{{"token":"{token}"}}"#)).await;
        let connected = socket.next().await;
        assert!(connected.starts_with(r#"0{"sid":""#), "{connected}");
        socket
    }

    /// The next Socket.IO packet.
    pub(crate) async fn next(&mut self) -> String {
        self.until_closed().await.expect("a packet, not the end")
    }

    /// The next Socket.IO packet, or none at the end.
    pub(crate) async fn until_closed(&mut self) -> Option<String> {
        // Of all together: heartbeats do not make anybody wait longer.
        let waiting = async {
            loop {
                let frame = self.frame().await?;
                match frame.as_bytes().first() {
                    Some(b'2') => self.raw(Message::text("3")).await,
                    Some(b'4') => return Some(frame[1..].to_owned()),
                    Some(b'1' | b'6') => {}
                    _ => panic!("what is {frame}?"),
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("a packet in time")
    }

    async fn frame(&mut self) -> Option<String> {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
            match frame {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a Socket.IO packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.raw(Message::text(format!("4{packet}"))).await;
    }

    /// Sends any frame; the other side may have closed already.
    pub(crate) async fn raw(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }
}
