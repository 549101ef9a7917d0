//! The line to one Engine.IO socket: frames in from a bounded inbox, packets out through its bounded buffer.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engineioxide::{DisconnectReason, Socket, Str};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};

use super::packet::{self, DISCONNECT, Event, Packet};
use crate::{
    error::{Error, Result},
    session::{Frame, Gone, Incoming, Reason, Transport},
};

/// Packets that a client is ahead of us, in number and in bytes; a client that is further ahead floods.
const AHEAD: usize = 4_096;
const AHEAD_BYTES: usize = 1024 * 1024;
/// A full buffer is looked at again after this.
const FULL_PAUSE: Duration = Duration::from_millis(5);
/// A client that was sent away closes by itself, or is closed after this.
const LEAVE: Duration = Duration::from_millis(500);

/// Where Engine.IO puts what a client sends; its half of the line.
#[derive(Default)]
pub struct Inbox {
    sender: Mutex<Option<mpsc::Sender<Incoming>>>,
    bytes: Arc<AtomicUsize>,
}

/// The client is further ahead than it may be.
pub(super) struct Flooded;

impl Inbox {
    /// Opens it; returns the other end.
    pub(super) fn open(&self) -> mpsc::Receiver<Incoming> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Adds a frame. What comes after the end is dropped.
    pub(super) fn put(&self, frame: Incoming) -> Result<(), Flooded> {
        let size = size(&frame);
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > AHEAD_BYTES {
            return Err(Flooded);
        }
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        match sender.as_ref().map(|sender| sender.try_send(frame)) {
            Some(Err(TrySendError::Full(_))) => Err(Flooded),
            _ => Ok(()),
        }
    }

    /// Ends it: what is in it is still read.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn size(frame: &Incoming) -> usize {
    match frame {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Our half of the line.
pub(in crate::dialects) struct Line {
    pub(super) socket: Arc<Socket<Inbox>>,
    incoming: mpsc::Receiver<Incoming>,
    /// Binary frames that belong to a packet which was refused as a whole.
    attachments: u32,
    /// Whether the client may yet change its dialect by this event, as its first.
    switch_on: Option<&'static str>,
    /// The event by which it did.
    pub(super) switched: Option<Event>,
}

impl Line {
    pub(super) fn new(socket: Arc<Socket<Inbox>>, incoming: mpsc::Receiver<Incoming>) -> Self {
        Self { socket, incoming, attachments: 0, switch_on: None, switched: None }
    }

    /// Ends what runs on the line when the client's first event is this one.
    pub(super) fn switch_on(&mut self, event: &'static str) {
        self.switch_on = Some(event);
    }

    /// The next packet, and what was wrong where it is none; an error is the end.
    pub(super) async fn packet(&mut self) -> Result<Result<Packet>, Gone> {
        loop {
            match self.take().await {
                Incoming::Text(text) => return Ok(packet::parse(&text)),
                Incoming::Alive => {}
                Incoming::Binary(_) => {
                    return Ok(Err(Error::malformed("Binary frames are not known here")));
                }
                Incoming::Broken(_) | Incoming::Gone => return Err(Gone),
            }
        }
    }

    /// Sends one packet; a full buffer is waited for.
    pub(super) async fn say(&self, text: &str) -> Result<(), Gone> {
        let mut text = Str::copy_from_slice(text);
        loop {
            text = match self.socket.emit(text) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(text)) => text,
                Err(TrySendError::Closed(_)) => return Err(Gone),
            };
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    /// Sends the client away for good and waits a moment for it to go.
    pub(super) async fn dismiss(&self) {
        if self.socket.emit(DISCONNECT).is_ok() {
            self.linger().await;
        }
    }

    /// Gives the client a moment to go by itself.
    pub(super) async fn linger(&self) {
        let _ = timeout(LEAVE, self.socket.closed()).await;
    }

    /// Closes the connection, whoever may still be on it. Without DISCONNECT before, a client comes back by itself.
    pub(super) fn hang_up(&self) {
        self.socket.close(DisconnectReason::ClosingServer);
    }

    /// The next frame. Cancelling it loses nothing.
    async fn take(&mut self) -> Incoming {
        let Some(frame) = self.incoming.recv().await else { return Incoming::Gone };
        self.socket.data.bytes.fetch_sub(size(&frame), Ordering::Relaxed);
        match frame {
            Incoming::Binary(_) if self.attachments > 0 => {
                self.attachments -= 1;
                Incoming::Alive
            }
            Incoming::Text(text) => match text.as_bytes().first() {
                Some(b'1') if packet::parse(&text).is_ok_and(|packet| packet.leaves_main()) => {
                    Incoming::Gone
                }
                Some(b'5' | b'6') => {
                    self.attachments = packet::announced(&text);
                    Incoming::Text(text)
                }
                Some(b'2') if self.switches(&text) => Incoming::Gone,
                _ => Incoming::Text(text),
            },
            frame => frame,
        }
    }

    /// Whether the frame is the first event, and the one that changes the dialect.
    fn switches(&mut self, text: &str) -> bool {
        let Some(wanted) = self.switch_on.take() else { return false };
        match packet::parse(text) {
            Ok(Packet::Event(event)) if event.name == wanted => self.switched = Some(event),
            _ => {}
        }
        self.switched.is_some()
    }
}

impl Transport for &mut Line {
    async fn receive(&mut self) -> Incoming {
        self.take().await
    }

    async fn send(&mut self, frames: Vec<Frame>) -> Result<(), Gone> {
        for frame in frames {
            self.say(frame.text()).await?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        // Engine.IO has a heartbeat of its own.
        Ok(())
    }

    async fn close(&mut self, reason: Reason) {
        if reason != Reason::GoingAway {
            let said = super::Thrown { code: reason.code(), message: reason.text() };
            let _ = self.socket.emit(packet::event_text("error", &said));
        }
        if !reason.retry() || reason == Reason::BadFrames || reason == Reason::RateLimited {
            self.dismiss().await;
        }
        self.hang_up();
    }

    fn answers_pings(&self) -> bool {
        false
    }
}
