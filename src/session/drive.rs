//! The one loop that drives every duplex client: frames in, frames out, until there is a reason to end.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep_until, timeout};

use super::{Entry, Frame, Incoming, Reason, Seat, Services, Transport};
use crate::{
    error::{Kind, Result},
    metrics::{
        CLOSED_TOTAL, COMMIT_TO_SOCKET, CONNECTIONS, CONNECTIONS_TOTAL, DELIVERIES_TOTAL,
        SLOW_DISCONNECTS_TOTAL,
    },
};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Failures of the database in a row that a replay survives, waiting a little each time.
const REPLAY_TRIES: u32 = 8;
/// Consecutive bad frames that end a session.
const MAX_BAD_FRAMES: u32 = 64;
/// Consecutive frames over a rate limit that end a session.
const MAX_LIMITED_FRAMES: u32 = 512;

/// One end of a conversation: what a client's frames do, and what it is told.
pub trait Peer: Send {
    /// The dialect's name in metrics and logs.
    const NAME: &'static str;

    /// The bridge's parts.
    fn services(&self) -> &Services;

    /// Its place in the register.
    fn seat(&self) -> &Seat;

    /// Greets a client that was let in.
    fn open(&mut self, out: &mut Vec<Frame>);

    /// Does what a frame asks. An error has been answered in the dialect's own shape.
    fn receive(
        &mut self,
        frame: Incoming,
        out: &mut Vec<Frame>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Waits for what comes next and keeps it. Cancelling it loses nothing.
    fn wait(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Tells of what came; a reason ends the session.
    fn tell(&mut self, out: &mut Vec<Frame>) -> impl Future<Output = Option<Reason>> + Send;

    /// Whether what comes next does not wait for an event; meanwhile no frame is read.
    fn is_replaying(&self) -> bool;

    /// When the token that carries the whole session ends.
    fn expires(&self) -> Instant;

    /// What a client is told when the server goes away.
    fn going_away(&self) -> Reason {
        Reason::GoingAway
    }

    /// Ends what the client was at.
    fn leave(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Drives a session to its end and returns why it ended.
///
/// It is in a box, where it has its peer once: every future that a value is handed through keeps room for it. What a
/// session does now and then is in boxes of its own, so that it has room for none of it while it is idle.
pub fn drive<'a, P: Peer + 'a>(
    mut peer: P,
    mut transport: impl Transport + 'a,
) -> Pin<Box<dyn Future<Output = Reason> + Send + 'a>> {
    Box::pin(async move {
        metrics::gauge!(CONNECTIONS, "dialect" => P::NAME).increment(1.0);
        metrics::counter!(CONNECTIONS_TOTAL, "dialect" => P::NAME).increment(1);
        let reason = converse(&mut peer, &mut transport).await;
        if reason != Reason::ClientLeft {
            metrics::counter!(CLOSED_TOTAL, "reason" => reason.label()).increment(1);
            let _ = timeout(GOODBYE, Box::pin(transport.close(reason))).await;
        }
        drop(transport);
        Box::pin(peer.leave()).await;
        metrics::gauge!(CONNECTIONS, "dialect" => P::NAME).decrement(1.0);
        reason
    })
}

async fn converse<P: Peer>(peer: &mut P, transport: &mut impl Transport) -> Reason {
    let lifecycle = peer.services().lifecycle.clone();
    let entry = Arc::clone(peer.seat().entry());
    let settings = peer.services().settings.now();
    let (ping_interval, deadline) = (settings.ping_interval, settings.send_deadline);
    drop(settings);
    let share = rand::random_range(0.0..1.0);
    let mut heard = Instant::now();
    let mut pinged = false;
    let mut failures = 0;
    let mut patience = Patience::default();
    let mut out = Vec::new();
    peer.open(&mut out);
    loop {
        if let Err(reason) = flush::<P>(&entry, deadline, transport, &mut out).await {
            return reason;
        }
        let ping_at = heard + ping_interval * if pinged { 2 } else { 1 };
        let expires = peer.expires();
        let replaying = peer.is_replaying();
        tokio::select! {
            biased;
            () = lifecycle.turn_to_leave(share) => return peer.going_away(),
            () = sleep_until(expires) => return Reason::Unauthenticated,
            () = entry.dismissed() => return Reason::Dismissed,
            // A page of the log is read whole: it is short, and what it gives must not be thrown away.
            frame = transport.receive(), if !replaying => {
                heard = Instant::now();
                pinged = false;
                match frame {
                    Incoming::Gone => return Reason::ClientLeft,
                    Incoming::Broken(reason) => return reason,
                    Incoming::Alive => {}
                    frame => {
                        let outcome = Box::pin(peer.receive(frame, &mut out)).await;
                        if let Some(reason) = patience.judge(&outcome) {
                            let _ = flush::<P>(&entry, deadline, transport, &mut out).await;
                            return reason;
                        }
                    }
                }
            }
            came = peer.wait() => match came {
                Ok(()) => {
                    failures = 0;
                    if replaying {
                        // Nobody listened meanwhile: its silence begins now.
                        (heard, pinged) = (Instant::now(), false);
                    }
                    if let Some(reason) = peer.tell(&mut out).await {
                        let _ = flush::<P>(&entry, deadline, transport, &mut out).await;
                        return reason;
                    }
                }
                Err(error) => {
                    error.log("replaying the log for a client");
                    failures += 1;
                    if failures > REPLAY_TRIES || error.kind == Kind::Internal {
                        return Reason::Internal;
                    }
                    tokio::time::sleep(Duration::from_millis(100) * failures).await;
                }
            },
            () = sleep_until(ping_at), if transport.answers_pings() && !replaying => {
                if pinged {
                    return Reason::ClientLeft;
                }
                pinged = true;
                if !matches!(timeout(deadline, transport.ping()).await, Ok(Ok(()))) {
                    return Reason::ClientLeft;
                }
            }
        }
    }
}

/// Writes what is ready in one go. A client that does not take it in time is too slow.
async fn flush<P: Peer>(
    entry: &Entry,
    deadline: Duration,
    transport: &mut impl Transport,
    out: &mut Vec<Frame>,
) -> Result<(), Reason> {
    if out.is_empty() {
        return Ok(());
    }
    let frames = std::mem::take(out);
    let count = frames.len() as u64;
    let captured = frames.iter().find_map(|frame| frame.at);
    match timeout(deadline, transport.send(frames)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(Reason::ClientLeft),
        Err(_) => {
            metrics::counter!(SLOW_DISCONNECTS_TOTAL, "dialect" => P::NAME).increment(1);
            return Err(Reason::TooSlow);
        }
    }
    entry.deliver(count);
    metrics::counter!(DELIVERIES_TOTAL, "dialect" => P::NAME).increment(count);
    if let Some(at) = captured {
        metrics::histogram!(COMMIT_TO_SOCKET, "dialect" => P::NAME).record(since(at));
    }
    Ok(())
}

/// How many frames in a row were refused.
#[derive(Default)]
struct Patience {
    bad: u32,
    limited: u32,
}

impl Patience {
    /// Counts a frame; returns the reason to end when there were too many in a row.
    fn judge(&mut self, outcome: &Result<()>) -> Option<Reason> {
        match outcome.as_ref().map_err(|error| error.kind) {
            Err(Kind::Malformed) => self.bad += 1,
            Err(Kind::TooMany) => self.limited += 1,
            _ => *self = Self::default(),
        }
        if self.bad >= MAX_BAD_FRAMES {
            return Some(Reason::BadFrames);
        }
        (self.limited >= MAX_LIMITED_FRAMES).then_some(Reason::RateLimited)
    }
}

/// Seconds since an instant of the wall clock, in microseconds since 1970.
fn since(at: i64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs_f64() - at as f64 / 1_000_000.0).max(0.0)
}

/// When a token ends, on the clock that timers use; a year from now at the latest.
pub fn expiry(exp: i64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = Duration::from_secs(u64::try_from(exp).unwrap_or(0));
    Instant::now() + end.saturating_sub(now).min(Duration::from_secs(365 * 86_400))
}
