//! A Socket.IO line that may break at any time: packets over Engine.IO's WebSocket, or over its long-polling.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// An answer that does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// Engine.IO's separator of packets in one body.
const BETWEEN: char = '\u{1e}';

/// One Engine.IO connection.
pub(crate) struct Io {
    carrier: Carrier,
    /// Events that came while an answer was waited for.
    early: VecDeque<String>,
    acks: u64,
}

enum Carrier {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Polls {
        http: reqwest::Client,
        url: String,
        packets: mpsc::Receiver<String>,
        _polling: JoinSet<()>,
    },
}

impl Io {
    /// Opens a connection and the namespace; `query` goes on after the transport.
    pub(crate) async fn open(
        address: SocketAddr,
        query: &str,
        auth: &str,
        polls: bool,
    ) -> Result<Self, String> {
        let carrier = if polls { poll(address, query).await } else { socket(address, query).await };
        let mut io = Self { carrier: carrier?, early: VecDeque::new(), acks: 0 };
        io.send(&format!("0{auth}")).await?;
        loop {
            let packet = in_time(io.packet()).await?;
            match packet.as_bytes().first() {
                Some(b'0') => return Ok(io),
                Some(b'2') => io.early.push_back(packet),
                _ => return Err(format!("not let in: {packet}")),
            }
        }
    }

    /// Emits an event and waits for its answer, which must be no error.
    pub(crate) async fn ask(&mut self, event: &str, data: &str) -> Result<String, String> {
        self.acks += 1;
        let number = self.acks;
        self.send(&format!(r#"2{number}["{event}",{data}]"#)).await?;
        let ack = format!("3{number}[");
        loop {
            let packet = in_time(self.packet()).await?;
            match packet.strip_prefix(&ack) {
                Some(answer) if answer.contains(r#""error""#) => {
                    return Err(format!("{event} was answered with {answer}"));
                }
                Some(answer) => return Ok(answer.trim_end_matches(']').to_owned()),
                None => self.early.push_back(packet),
            }
        }
    }

    /// The next event; cancelling it loses nothing.
    pub(crate) async fn event(&mut self) -> Result<String, String> {
        loop {
            let packet = match self.early.pop_front() {
                Some(packet) => packet,
                None => self.packet().await?,
            };
            match packet.as_bytes().first() {
                Some(b'2') => return Ok(packet),
                Some(b'1') => return Err(format!("disconnected: {packet}")),
                _ => {}
            }
        }
    }

    /// Says goodbye.
    pub(crate) async fn leave(mut self) {
        let _ = timeout(Duration::from_secs(1), self.send("1")).await;
    }

    /// The next packet of Socket.IO; heartbeats are answered by themselves.
    async fn packet(&mut self) -> Result<String, String> {
        loop {
            let frame = match &mut self.carrier {
                Carrier::Socket(stream) => match stream.next().await {
                    Some(Ok(Message::Text(text))) => text.to_string(),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err("ended".to_owned()),
                    Some(Ok(_)) => continue,
                },
                Carrier::Polls { packets, .. } => packets.recv().await.ok_or("ended")?,
            };
            match frame.as_bytes().first() {
                Some(b'2') => self.frame("3".to_owned()).await?,
                Some(b'4') => return Ok(frame[1..].to_owned()),
                Some(b'1') => return Err("closed".to_owned()),
                _ => {}
            }
        }
    }

    async fn send(&mut self, packet: &str) -> Result<(), String> {
        self.frame(format!("4{packet}")).await
    }

    async fn frame(&mut self, frame: String) -> Result<(), String> {
        match &mut self.carrier {
            Carrier::Socket(stream) => {
                stream.send(Message::text(frame)).await.map_err(|error| error.to_string())
            }
            Carrier::Polls { http, url, .. } => {
                let sent = http.post(url.as_str()).body(frame).timeout(PATIENCE).send().await;
                let sent = sent.and_then(reqwest::Response::error_for_status);
                sent.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// What must come, but not for ever.
pub(crate) async fn in_time<T>(
    coming: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    timeout(PATIENCE, coming).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn socket(address: SocketAddr, query: &str) -> Result<Carrier, String> {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
    let opening = async { connect_async(url).await.map_err(|error| error.to_string()) };
    let (stream, _) = in_time(opening).await?;
    Ok(Carrier::Socket(Box::new(stream)))
}

async fn poll(address: SocketAddr, query: &str) -> Result<Carrier, String> {
    let http = reqwest::Client::new();
    let url = format!("http://{address}/socket.io/?EIO=4&transport=polling{query}");
    let open = body(&http, &url).await?;
    let sid = open.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next());
    let url = format!("{url}&sid={}", sid.ok_or_else(|| format!("what is {open}?"))?);
    let (sender, packets) = mpsc::channel(4_096);
    let mut polling = JoinSet::new();
    let (asking, asked) = (http.clone(), url.clone());
    polling.spawn(async move {
        while let Ok(text) = body(&asking, &asked).await {
            for packet in text.split(BETWEEN) {
                if sender.send(packet.to_owned()).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(Carrier::Polls { http, url, packets, _polling: polling })
}

async fn body(http: &reqwest::Client, url: &str) -> Result<String, String> {
    // A poll is answered by a heartbeat at the latest.
    let asking = http.get(url).timeout(Duration::from_secs(60)).send();
    let answer = asking.await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}
