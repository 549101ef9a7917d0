//! Clients on WebSockets that come, stay a while, go in one way or another, and come back by their cursor.

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{dice::Dice, inbox::Inbox};

/// What clients need.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// How long a client stays at most, in milliseconds.
    pub(crate) longest: u64,
    /// How long a reader that stops reading does not read at most, in milliseconds.
    pub(crate) pause: u64,
    /// Turns true when all has been written; then clients stay until they have it.
    pub(crate) finishing: watch::Receiver<bool>,
    /// When a client gives up at last.
    pub(crate) patience: Duration,
    /// For those who ask over HTTP.
    pub(crate) http: reqwest::Client,
}

impl Line {
    /// Whether a client has waited long enough after all was written; `end` is its own memory of when that is.
    pub(crate) fn is_over(&self, end: &mut Option<Instant>) -> bool {
        *self.finishing.borrow()
            && Instant::now() >= *end.get_or_insert_with(|| Instant::now() + self.patience)
    }
}

/// How a client ends a stay.
#[derive(Debug, Clone, Copy)]
enum Leave {
    Politely,
    ByCable,
    NotReading,
}

/// Lives a client's life; returns what it got.
pub(crate) async fn live(mut line: Line, mut inbox: Inbox, mut dice: Dice) -> Inbox {
    let follow = dice.chance(50);
    // Such a socket fills soon when it is not read.
    let slow = dice.chance(25);
    let mut gives_up = None;
    while !inbox.is_complete() {
        if *line.finishing.borrow() {
            let end = *gives_up.get_or_insert_with(|| Instant::now() + line.patience);
            if Instant::now() >= end {
                inbox.errors.push("the last messages did not come".to_owned());
                return inbox;
            }
        }
        inbox.come();
        match connect(&line, inbox.cursor.as_deref(), slow).await {
            Ok(socket) => {
                let stay = dice.millis(50, line.longest);
                let leave = match dice.below(10) {
                    0..4 => Leave::Politely,
                    4..8 => Leave::ByCable,
                    _ => Leave::NotReading,
                };
                let pause = dice.millis(200, line.pause);
                let end = visit(&mut line, socket, &mut inbox, follow, stay, leave, pause).await;
                inbox.go(end);
            }
            Err(why) => {
                inbox.go(why);
                tokio::time::sleep(dice.millis(30, 150)).await;
            }
        }
        if !*line.finishing.borrow() {
            let away = if dice.chance(20) { dice.millis(300, 2_500) } else { dice.millis(0, 60) };
            tokio::time::sleep(away).await;
        }
    }
    inbox
}

async fn connect(
    line: &Line,
    cursor: Option<&str>,
    slow: bool,
) -> Result<WebSocketStream<TcpStream>, String> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if slow {
        socket.set_recv_buffer_size(4_096).expect("a buffer");
    }
    let opening = async {
        let stream = socket.connect(line.address).await.map_err(|error| error.to_string())?;
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let url = format!("ws://{}/ws?token={}{cursor}", line.address, line.token);
        let opened = client_async(url, stream).await.map_err(|error| error.to_string())?;
        Ok(opened.0)
    };
    let opened = timeout(Duration::from_secs(15), opening).await;
    opened.unwrap_or_else(|_| Err("no answer to the handshake".to_owned()))
}

/// One connection's life; returns how it ended.
async fn visit(
    line: &mut Line,
    mut socket: WebSocketStream<TcpStream>,
    inbox: &mut Inbox,
    follow: bool,
    stay: Duration,
    leave: Leave,
    pause: Duration,
) -> String {
    let mut until = Instant::now() + stay;
    let mut paused = false;
    loop {
        let finishing = *line.finishing.borrow_and_update();
        if finishing {
            until = until.max(Instant::now() + line.patience);
        }
        let frame = tokio::select! {
            frame = timeout_at(until, socket.next()) => frame,
            _ = line.finishing.changed(), if !finishing => continue,
        };
        match frame {
            Ok(Some(Ok(Message::Text(text)))) => inbox.take(&text, follow),
            Ok(Some(Ok(Message::Close(frame)))) => {
                return format!("closed with {:?}", frame.map(|frame| u16::from(frame.code)));
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return format!("error: {error}"),
            Ok(None) => return "ended".to_owned(),
            Err(_) => match leave {
                Leave::Politely => {
                    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
                    return "left politely".to_owned();
                }
                Leave::ByCable => return "left by the cable".to_owned(),
                Leave::NotReading if paused => return "left after not reading".to_owned(),
                Leave::NotReading => {
                    tokio::time::sleep(pause).await;
                    paused = true;
                    until = Instant::now() + Duration::from_millis(500);
                }
            },
        }
        if inbox.is_complete() {
            let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
            return "done".to_owned();
        }
    }
}
