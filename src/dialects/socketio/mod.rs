//! Socket.IO on Engine.IO, for the dialects that speak it: the handshake, the line to a client, the packets.
//!
//! Engine.IO (long-polling, WebSocket, upgrade, heartbeat) is a layer below CORS and around the routes. It says who came;
//! a session drives the line from there, as it does every other dialect's. Packets are text that was made once.

mod answer;
mod gate;
mod line;
pub(super) mod packet;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Socket, Str, config::EngineIoConfig, handler::EngineIoHandler,
    service::EngineIoService,
};
use serde::Serialize;

pub(super) use answer::{answer, body, heard, resync, unknown_event};
pub use line::Inbox;
pub(super) use line::Line;

use crate::session::{Incoming, Reason, Services, Session};

/// Where Socket.IO's clients look for it.
const PATH: &str = "/socket.io";
/// Packets that wait for one client; a client that does not take them in time is too slow.
const BUFFER: usize = 256;
/// Small, because most sockets are idle most of the time.
const READ_BUFFER: usize = 1_024;

/// How a client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// By a token in the handshake.
    Handshake,
    /// By the event `auth`, which may want an answer.
    Event(Option<u64>),
}

/// Runs a session of a dialect on a line to its end.
pub(super) type Start = for<'a> fn(
    Box<Session>,
    &'a mut Line,
    Entered,
) -> Pin<Box<dyn Future<Output = Reason> + Send + 'a>>;

/// The dialects behind the gate.
#[derive(Clone, Copy)]
pub(super) struct Doors {
    /// For a token in the handshake.
    pub(super) direct: Start,
    /// For the event `auth`.
    pub(super) conversations: Start,
}

/// Why a client is sent away.
#[derive(Serialize)]
struct Thrown {
    code: u16,
    message: &'static str,
}

/// What Engine.IO calls.
#[derive(Clone)]
pub struct Handler(Arc<Parts>);

struct Parts {
    services: Services,
    doors: Doors,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// Puts Engine.IO around the routes.
pub(super) fn around<S: Clone>(
    services: &Services,
    doors: Doors,
    routes: S,
) -> EngineIoService<Handler, S> {
    let settings = services.settings.now();
    let config = EngineIoConfig::builder()
        .req_path(PATH)
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_interval)
        .max_buffer_size(BUFFER)
        .max_payload(settings.max_frame as u64)
        .ws_read_buffer_size(READ_BUFFER)
        .ws_max_message_size(settings.max_frame)
        .ws_max_frame_size(settings.max_frame)
        .build();
    let handler = Handler(Arc::new(Parts { services: services.clone(), doors }));
    EngineIoService::with_config_inner(routes, Arc::new(handler), config)
}

impl EngineIoHandler for Handler {
    type Data = Inbox;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Inbox>>) {
        let incoming = socket.data.open();
        let line = Line::new(socket, incoming);
        let Parts { services, doors } = &*self.0;
        services.lifecycle.session(gate::pass(services.clone(), *doors, line));
    }

    fn on_disconnect(&self, socket: Arc<Socket<Inbox>>, _: DisconnectReason) {
        socket.data.close();
    }

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<Socket<Inbox>>) {
        // A copy: what waits must not hold on to the buffer that it was read into.
        hear(&socket, Incoming::Text(message.as_str().into()));
    }

    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Socket<Inbox>>) {
        hear(&socket, Incoming::Binary(data));
    }
}

/// Puts a frame into the inbox; who sends faster than is read is sent away.
fn hear(socket: &Arc<Socket<Inbox>>, frame: Incoming) {
    if socket.data.put(frame).is_err() {
        let reason = Reason::RateLimited;
        let said = Thrown { code: reason.code(), message: reason.text() };
        let _ = socket.emit(packet::event_text("error", &said));
        let _ = socket.emit(packet::DISCONNECT);
        socket.close(DisconnectReason::ClosingServer);
    }
}

/// Reads what a client could send, as a packet; see [`crate::fuzz`].
#[doc(hidden)]
pub fn hostile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (packet::announced(&text), packet::parse(&text).is_ok());
}
