//! The clients' harness: any number of WebSockets that are read to the last byte, the same for every peer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};

use crate::socket::{Frames, masked};

const CONNECTED_WITHIN: Duration = Duration::from_secs(60);
/// What every message's text has before its number, whatever is around it.
pub(super) const MARK: &[u8] = b"no ";
/// And after it.
const END: u8 = b'.';

/// How one client comes in.
pub(super) struct Dial {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) token: String,
    /// What it says as soon as it is connected, and which frame it waits for before it says the next.
    pub(super) script: Vec<Step>,
}

/// A frame to wait for, by what it contains, and what to say then.
pub(super) struct Step {
    pub(super) heard: &'static str,
    pub(super) say: Option<String>,
}

/// Connected clients; dropping them hangs up.
pub(super) struct Clients {
    pub(super) board: Arc<Board>,
    _hang_up: Runtime,
}

/// What has come, over all clients.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heard: u64,
    wanted: u64,
    gone: Option<String>,
    times: Option<HashMap<u64, Instant>>,
    last: Option<String>,
}

impl Clients {
    /// Connects all, at most so many at the same moment, and returns when the last one is in.
    pub(super) fn open(dials: Vec<Dial>, at_once: usize) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let board = Arc::new(Board::default());
        let doors = Arc::new(Semaphore::new(at_once));
        let count = dials.len();
        let (in_to, mut is_in) = mpsc::channel(count.max(1));
        for dial in dials {
            let (board, doors, in_to) = (Arc::clone(&board), Arc::clone(&doors), in_to.clone());
            runtime.spawn(async move {
                let Ok(door) = doors.acquire_owned().await else { return };
                let come = timeout(CONNECTED_WITHIN, Box::pin(connect(&dial, &board))).await;
                drop(door);
                match come.context("no answer in time").and_then(|come| come) {
                    Ok((stream, frames)) => {
                        let _ = in_to.send(Ok(())).await;
                        if let Err(error) = Box::pin(listen(stream, frames, &board)).await {
                            board.gone(&error);
                        }
                    }
                    Err(error) => {
                        let _ = in_to.send(Err(error)).await;
                    }
                }
            });
        }
        for nth in 0..count {
            let come = is_in.blocking_recv().context("the clients stopped")?;
            come.with_context(|| format!("client {nth} of {count}"))?;
        }
        Ok(Self { board, _hang_up: runtime })
    }
}

impl Board {
    /// So many more messages are to come.
    pub(super) fn expect(&self, messages: u64) {
        let mut state = self.lock();
        state.wanted = state.heard + messages;
    }

    /// Waits until what was expected has come, or, with nothing expected, until so many have.
    pub(super) fn wait_for(&self, messages: u64, patience: Duration) -> Result<()> {
        let mut state = self.lock();
        let wanted = if state.wanted > 0 { state.wanted } else { messages };
        // From here on whoever completes them tells.
        state.wanted = wanted;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| {
                state.heard < wanted && state.gone.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &state.gone {
            bail!("a client was cut off: {why}");
        }
        ensure!(state.heard >= wanted, "{} of {wanted} messages came", state.heard);
        ensure!(state.heard == wanted, "{} messages came, {wanted} were sent", state.heard);
        state.wanted = 0;
        state.heard = 0;
        Ok(())
    }

    /// Forgets what came until nothing more does.
    pub(super) fn settle(&self) {
        let mut before = u64::MAX;
        loop {
            let heard = self.lock().heard;
            if heard == before {
                break;
            }
            before = heard;
            thread::sleep(Duration::from_millis(200));
        }
        let mut state = self.lock();
        state.heard = 0;
        state.wanted = 0;
    }

    /// Notes when each number came, or stops that.
    pub(super) fn keep_times(&self, wanted: bool) {
        self.lock().times = wanted.then(HashMap::new);
    }

    /// When each number came first.
    pub(super) fn times(&self) -> HashMap<u64, Instant> {
        self.lock().times.clone().unwrap_or_default()
    }

    /// The last message, as it came.
    pub(super) fn last(&self) -> Option<String> {
        self.lock().last.clone()
    }

    fn gone(&self, why: &anyhow::Error) {
        self.lock().gone.get_or_insert_with(|| format!("{why:#}"));
        self.changed.notify_all();
    }

    fn take(&self, frame: &[u8], now: Instant) -> bool {
        let Some(number) = number(frame) else { return false };
        let mut state = self.lock();
        state.heard += 1;
        if let Some(times) = &mut state.times {
            times.entry(number).or_insert(now);
        }
        if state.last.is_none() || state.times.is_some() {
            state.last = Some(String::from_utf8_lossy(frame).into_owned());
        }
        state.wanted > 0 && state.heard >= state.wanted || state.times.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(dial: &Dial, board: &Board) -> Result<(TcpStream, Frames)> {
    let mut stream = TcpStream::connect(dial.address).await?;
    stream.set_nodelay(true)?;
    let (path, token) = (&dial.path, &dial.token);
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut bytes = [0; 4_096];
    let mut answer = Vec::new();
    let end = loop {
        let read = stream.read(&mut bytes).await?;
        ensure!(read > 0, "hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(bytes.get(..read).unwrap_or_default());
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let rest = answer.split_off(end);
    ensure!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    let mut frames = Frames::default();
    let mut heard: Vec<Vec<u8>> = Vec::new();
    frames.take(&rest, |frame| heard.push(frame.to_vec()));
    for step in &dial.script {
        while !step.heard.is_empty() {
            let found = heard.iter().position(|frame| contains(frame, step.heard.as_bytes()));
            if let Some(found) = found {
                // What was missed may come before.
                for frame in heard.drain(..=found) {
                    board.take(&frame, Instant::now());
                }
                break;
            }
            let read = stream.read(&mut bytes).await?;
            let last = heard.last().map(|frame| String::from_utf8_lossy(frame).into_owned());
            ensure!(read > 0, "hung up, waiting for {}; said last: {last:?}", step.heard);
            frames.take(bytes.get(..read).unwrap_or_default(), |frame| heard.push(frame.to_vec()));
        }
        if let Some(say) = &step.say {
            stream.write_all(&masked(say)).await?;
        }
    }
    // What was missed may come with the greeting.
    heard.iter().for_each(|frame| {
        board.take(frame, Instant::now());
    });
    Ok((stream, frames))
}

async fn listen(mut stream: TcpStream, mut frames: Frames, board: &Board) -> Result<()> {
    let mut pong = false;
    loop {
        stream.readable().await?;
        let mut bytes = [0; 16_384];
        let read = match stream.try_read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        ensure!(read > 0, "hung up");
        let now = Instant::now();
        let mut tell = false;
        frames.take(bytes.get(..read).unwrap_or_default(), |frame| {
            tell |= board.take(frame, now);
            pong |= contains(frame, b"pusher:ping");
        });
        if tell {
            board.changed.notify_all();
        }
        if std::mem::take(&mut pong) {
            stream.write_all(&masked(r#"{"event":"pusher:pong","data":{}}"#)).await?;
        }
    }
}

fn contains(frame: &[u8], what: &[u8]) -> bool {
    frame.windows(what.len()).any(|part| part == what)
}

/// The number of a message, in whichever shape it comes.
pub(super) fn number(frame: &[u8]) -> Option<u64> {
    let mut rest = frame;
    while let Some(at) = rest.windows(MARK.len()).position(|part| part == MARK) {
        rest = rest.get(at + MARK.len()..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && rest.get(digits) == Some(&END) {
            return std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok();
        }
    }
    None
}
