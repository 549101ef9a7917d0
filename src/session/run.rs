//! The one loop that drives every duplex dialect: frames in, changes out, until there is a reason to end.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Frame, Incoming, Reason, Session, Transport,
    follower::{Cursor, Next},
    standing,
};
use crate::{
    chat::Event,
    error::{Kind, Result},
    hub::Delivery,
    metrics::{
        CLOSED_TOTAL, COMMIT_TO_SOCKET, CONNECTIONS, CONNECTIONS_TOTAL, DELIVERIES_TOTAL,
        SLOW_DISCONNECTS_TOTAL,
    },
    signal::Signal,
};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Failures of the database in a row that a replay survives, waiting a little each time.
const REPLAY_TRIES: u32 = 8;

/// What turns a client's frames into actions and changes into its frames. It holds no connection and no clock.
pub trait Dialect: Send {
    /// Its name in metrics and logs.
    const NAME: &'static str;

    /// Greets a client that was let in.
    fn open(&mut self, session: &mut Session, out: &mut Vec<Frame>);

    /// Does what a frame asks. An error has been answered in the dialect's own shape.
    fn receive(
        &mut self,
        session: &mut Session,
        frame: Incoming,
        out: &mut Vec<Frame>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Tells of a change.
    fn deliver(&mut self, session: &Session, change: &Change<'_>, out: &mut Vec<Frame>);

    /// Passes on what was said.
    fn signal(&mut self, session: &Session, signal: &Signal, out: &mut Vec<Frame>);

    /// Says that what a cursor asked for has been replayed.
    fn caught_up(&mut self, session: &Session, out: &mut Vec<Frame>);

    /// Says that the client must fetch afresh.
    fn resync(&mut self, session: &Session, out: &mut Vec<Frame>);

    /// Asks the database for what the changes of one go have left open; most have left nothing.
    fn settle(
        &mut self,
        _session: &mut Session,
        _out: &mut Vec<Frame>,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Why the session is over for the dialect, asked after each change: a socket of one thread, say, that the user left.
    fn over(&self) -> Option<Reason> {
        None
    }
}

/// A change as a dialect gets it.
pub struct Change<'a> {
    /// The change itself.
    pub delivery: &'a Arc<Delivery>,
    /// What it means in the chat's domain.
    pub event: Option<&'a Event>,
    /// Where the client stands after it.
    pub cursor: &'a Cursor,
}

/// Runs a session to its end and returns why it ended.
pub async fn run<D: Dialect>(
    mut session: Session,
    mut transport: impl Transport,
    mut dialect: D,
) -> Reason {
    metrics::gauge!(CONNECTIONS, "dialect" => D::NAME).increment(1.0);
    metrics::counter!(CONNECTIONS_TOTAL, "dialect" => D::NAME).increment(1);
    session.arrive();
    let reason = converse(&mut session, &mut transport, &mut dialect).await;
    tracing::debug!(
        dialect = D::NAME,
        user = session.standing.user,
        reason = reason.label(),
        "session of user {} ended: {}",
        session.standing.user,
        reason.label()
    );
    if reason != Reason::ClientLeft {
        metrics::counter!(CLOSED_TOTAL, "reason" => reason.label()).increment(1);
        let _ = timeout(GOODBYE, transport.close(reason)).await;
    }
    drop(transport);
    session.depart().await;
    metrics::gauge!(CONNECTIONS, "dialect" => D::NAME).decrement(1.0);
    reason
}

async fn converse<D: Dialect>(
    session: &mut Session,
    transport: &mut impl Transport,
    dialect: &mut D,
) -> Reason {
    let lifecycle = session.services.lifecycle.clone();
    let ping_interval = session.services.settings.ping_interval;
    let share = rand::random_range(0.0..1.0);
    let mut heard = Instant::now();
    let mut pinged = false;
    let mut failures = 0;
    let mut out = Vec::new();
    let mut next = Vec::new();
    dialect.open(session, &mut out);
    loop {
        if let Err(reason) = flush::<D>(session, transport, &mut out).await {
            return reason;
        }
        let ping_at = heard + ping_interval * if pinged { 2 } else { 1 };
        let expires = expiry(session.claims.exp);
        let replaying = session.follower.is_replaying();
        tokio::select! {
            biased;
            () = lifecycle.turn_to_leave(share) => return Reason::GoingAway,
            () = sleep_until(expires) => return Reason::Unauthenticated,
            // A page of the log is read whole: it is short, and what it gives must not be thrown away.
            frame = transport.receive(), if !replaying => {
                heard = Instant::now();
                pinged = false;
                match frame {
                    Incoming::Gone => return Reason::ClientLeft,
                    Incoming::Broken(reason) => return reason,
                    Incoming::Alive => {}
                    frame => {
                        let outcome = dialect.receive(session, frame, &mut out).await;
                        if let Some(reason) = session.judge(&outcome) {
                            let _ = flush::<D>(session, transport, &mut out).await;
                            return reason;
                        }
                    }
                }
            }
            came = session.follower.next(&mut next) => match came {
                Ok(()) => {
                    failures = 0;
                    let caught_up = replaying && !session.follower.is_replaying();
                    if replaying {
                        // Nobody listened meanwhile: its silence begins now.
                        (heard, pinged) = (Instant::now(), false);
                    }
                    if let Some(reason) = pass_on(session, dialect, &mut next, &mut out) {
                        let _ = flush::<D>(session, transport, &mut out).await;
                        return reason;
                    }
                    dialect.settle(session, &mut out).await;
                    if caught_up {
                        dialect.caught_up(session, &mut out);
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
                let deadline = session.services.settings.send_deadline;
                if !matches!(timeout(deadline, transport.ping()).await, Ok(Ok(()))) {
                    return Reason::ClientLeft;
                }
            }
        }
    }
}

/// Gives the dialect what came, after the session has heeded it.
fn pass_on<D: Dialect>(
    session: &mut Session,
    dialect: &mut D,
    next: &mut Vec<Next>,
    out: &mut Vec<Frame>,
) -> Option<Reason> {
    for one in next.drain(..) {
        match one {
            Next::Change(delivery, cursor) => {
                let event = standing::event(&delivery);
                let event = event.as_ref().as_ref();
                let reason = event.and_then(|event| session.heed(&delivery, event));
                if reason.is_some() {
                    return reason;
                }
                let change = Change { delivery: &delivery, event, cursor: &cursor };
                dialect.deliver(session, &change, out);
                if let Some(reason) = dialect.over() {
                    return Some(reason);
                }
            }
            Next::Heed(delivery) => {
                let event = standing::event(&delivery);
                let heeded =
                    event.as_ref().as_ref().and_then(|event| session.heed(&delivery, event));
                if heeded.is_some() {
                    return heeded;
                }
            }
            Next::Signal(signal) => dialect.signal(session, &signal, out),
            Next::Resync => dialect.resync(session, out),
        }
    }
    None
}

/// Writes what is ready in one go. A client that does not take it in time is too slow.
async fn flush<D: Dialect>(
    session: &Session,
    transport: &mut impl Transport,
    out: &mut Vec<Frame>,
) -> Result<(), Reason> {
    if out.is_empty() {
        return Ok(());
    }
    let frames = std::mem::take(out);
    let count = frames.len() as u64;
    let captured = frames.iter().find_map(|frame| frame.at);
    match timeout(session.services.settings.send_deadline, transport.send(frames)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(Reason::ClientLeft),
        Err(_) => {
            metrics::counter!(SLOW_DISCONNECTS_TOTAL).increment(1);
            return Err(Reason::TooSlow);
        }
    }
    metrics::counter!(DELIVERIES_TOTAL, "dialect" => D::NAME).increment(count);
    if let Some(at) = captured {
        metrics::histogram!(COMMIT_TO_SOCKET).record(since(at));
    }
    Ok(())
}

/// Seconds since an instant of the wall clock, in microseconds since 1970.
fn since(at: i64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs_f64() - at as f64 / 1_000_000.0).max(0.0)
}

/// When a token ends, on the clock that timers use; a year from now at the latest.
pub(super) fn expiry(exp: i64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = Duration::from_secs(u64::try_from(exp).unwrap_or(0));
    Instant::now() + end.saturating_sub(now).min(Duration::from_secs(365 * 86_400))
}
