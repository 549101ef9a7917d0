//! A connection over which requests are sent one after the other: as little as can be, so that the peer is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is kept, unless the peer says with an answer that it closes it: then the next request makes another.
pub(super) struct Http {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// What an answer's head says of its body.
#[derive(Default)]
struct Head {
    status: String,
    length: usize,
    chunked: bool,
    close: bool,
}

impl Http {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, stream: Some(open(address)?) })
    }

    /// Sends a POST whose path and body are given, and waits for its answer.
    pub(super) fn send(&mut self, (path, body): &(String, String)) -> Result<()> {
        self.ask("POST", path, "", body).map(drop)
    }

    /// Sends a request and returns the body of its answer, which has to be a success.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Result<Vec<u8>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => open(self.address)?,
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let head = head(&mut stream)?;
        let answer = if head.chunked {
            chunks(&mut stream)?
        } else {
            let mut answer = vec![0; head.length];
            stream.read_exact(&mut answer)?;
            answer
        };
        ensure!(
            head.status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')),
            "{} {}",
            head.status,
            String::from_utf8_lossy(&answer)
        );
        self.stream = (!head.close).then_some(stream);
        Ok(answer)
    }
}

fn open(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::with_capacity(65_536, stream))
}

fn head(stream: &mut impl BufRead) -> Result<Head> {
    let mut head = Head::default();
    ensure!(stream.read_line(&mut head.status)? > 0, "hung up before it answered");
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "hung up after {}", head.status);
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => head.length = value.parse().context("a length")?,
            Some(("transfer-encoding", "chunked")) => head.chunked = true,
            Some(("connection", "close")) => head.close = true,
            _ if line.is_empty() => return Ok(head),
            _ => {}
        }
    }
}

/// A body that comes in pieces, each with its length before it (RFC 9112 §7.1).
fn chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).context("the length of a chunk")?;
        let begin = body.len();
        // Each ends with a line's end.
        body.resize(begin + length + 2, 0);
        stream.read_exact(body.get_mut(begin..).unwrap_or_default())?;
        body.truncate(begin + length);
        if length == 0 {
            return Ok(body);
        }
    }
}
