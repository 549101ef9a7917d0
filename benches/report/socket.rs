//! A WebSocket client that costs next to nothing: a handshake, then frames told apart by their headers (RFC 6455 §5.2).

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Result, bail, ensure};

const DEADLINE: Duration = Duration::from_secs(20);
/// How a frame of a new message begins.
pub(crate) const NEWS: &[u8] = br#"{"type":"new_message""#;

/// A client's end.
pub(crate) struct Socket {
    stream: TcpStream,
    frames: Frames,
    /// Frames that came with the handshake's answer.
    early: usize,
}

impl Socket {
    /// Connects, says who it is and waits for the greeting.
    pub(crate) fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let mut socket = Self::connect(address, "/ws", token)?;
        let mut greeted = std::mem::take(&mut socket.early) > 0;
        while !greeted {
            socket.read(|_| greeted = true)?;
        }
        Ok(socket)
    }

    /// The same as a client of Socket.IO.
    pub(crate) fn open_io(address: SocketAddr, token: &str) -> Result<Self> {
        let mut socket = Self::connect(address, "/socket.io/?EIO=4&transport=websocket", token)?;
        socket.send("40")?;
        let mut connected = false;
        while !connected {
            socket.read(|frame| connected |= frame.starts_with(b"40{"))?;
        }
        Ok(socket)
    }

    /// Connects to a path; nobody greets.
    pub(crate) fn connect(address: SocketAddr, path: &str, token: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let mut head = Vec::new();
        let mut bytes = [0; 4_096];
        let end = loop {
            let read = stream.read(&mut bytes)?;
            ensure!(read > 0, "the bridge hung up: {}", String::from_utf8_lossy(&head));
            head.extend_from_slice(bytes.get(..read).unwrap_or_default());
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let rest = head.split_off(end);
        if !head.starts_with(b"HTTP/1.1 101") {
            bail!("no WebSocket: {}", String::from_utf8_lossy(&[head, rest].concat()));
        }
        let mut socket = Self { stream, frames: Frames::default(), early: 0 };
        let mut early = 0;
        socket.frames.take(&rest, |_| early += 1);
        socket.early = early;
        Ok(socket)
    }

    /// Sends a text.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(&masked(text))?)
    }

    /// Waits for bytes and tells of the frames that they complete.
    pub(crate) fn read(&mut self, each: impl FnMut(&[u8])) -> Result<()> {
        let mut bytes = [0; 65_536];
        let read = self.stream.read(&mut bytes)?;
        ensure!(read > 0, "the bridge hung up");
        self.frames.take(bytes.get(..read).unwrap_or_default(), each);
        Ok(())
    }

    /// The connection, for whoever waits for many at once.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Puts frames together from what comes in.
#[derive(Default)]
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    /// Tells of every frame that `bytes` complete.
    pub(crate) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        if self.0.is_empty() {
            let rest = cut(bytes, &mut each);
            self.0.extend_from_slice(rest);
        } else {
            self.0.extend_from_slice(bytes);
            let left = cut(&self.0, &mut each).len();
            self.0.drain(..self.0.len() - left);
        }
    }
}

/// Tells of the whole frames and returns what is left. A server's frames are not masked.
fn cut<'a>(mut bytes: &'a [u8], each: &mut impl FnMut(&[u8])) -> &'a [u8] {
    while let Some((payload, rest)) = first(bytes) {
        each(payload);
        bytes = rest;
    }
    bytes
}

fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&short, after) = bytes.get(1..)?.split_first()?;
    let (length, payload) = match short & 0x7f {
        126 => {
            let (length, payload) = after.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), payload)
        }
        127 => {
            let (length, payload) = after.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), payload)
        }
        short => (u64::from(short), after),
    };
    payload.split_at_checked(usize::try_from(length).ok()?)
}

/// A server's frame around a text.
pub(crate) fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(length) if length < 126 => frame.push(length as u8),
        Ok(length) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text);
    frame
}

/// A client's frame around a text; a mask of zeros leaves the text as it is.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    let mut bytes = frame(text.as_bytes());
    let head = bytes.len() - text.len();
    if let Some(length) = bytes.get_mut(1) {
        *length |= 0x80;
    }
    bytes.splice(head..head, [0; 4]);
    bytes
}
