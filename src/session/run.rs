//! The chat's sessions on the common loop: what a dialect of the chat has to say, and how a session drives it.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use super::{
    Frame, Incoming, Peer, Reason, Seat, Services, Session, Transport, Who,
    drive::{drive, expiry},
    follower::{Cursor, Next},
    standing,
};
use crate::{chat::Event, error::Result, hub::Delivery, signal::Signal};

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
    fn over(&self, _session: &Session) -> Option<Reason> {
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
pub fn run<'a, D: Dialect + 'a>(
    session: Session,
    transport: impl Transport + 'a,
    dialect: D,
) -> impl Future<Output = Reason> + Send {
    let user = session.standing.user;
    let who = Who {
        user: session.standing.username.to_string(),
        sub: session.claims.sub.clone(),
        role: session.claims.role.clone(),
        address: session.address,
    };
    let seat = session.services.register.enter(D::NAME, who, session.follower.window());
    let chatting = Chatting { session, dialect, seat, next: Vec::new(), was_replaying: false };
    let driving = drive(chatting, transport);
    async move {
        let reason = driving.await;
        let label = reason.label();
        tracing::debug!(
            dialect = D::NAME,
            user,
            reason = label,
            "session of user {user} ended: {label}"
        );
        reason
    }
}

/// A session of the chat and its dialect, as the loop drives them.
struct Chatting<D> {
    session: Session,
    dialect: D,
    seat: Seat,
    next: Vec<Next>,
    was_replaying: bool,
}

impl<D: Dialect> Peer for Chatting<D> {
    const NAME: &'static str = D::NAME;

    fn services(&self) -> &Services {
        &self.session.services
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn open(&mut self, out: &mut Vec<Frame>) {
        self.session.arrive();
        self.dialect.open(&mut self.session, out);
    }

    async fn receive(&mut self, frame: Incoming, out: &mut Vec<Frame>) -> Result<()> {
        self.dialect.receive(&mut self.session, frame, out).await
    }

    async fn wait(&mut self) -> Result<()> {
        self.was_replaying = self.session.follower.is_replaying();
        self.session.follower.next(&mut self.next).await
    }

    async fn tell(&mut self, out: &mut Vec<Frame>) -> Option<Reason> {
        let caught_up = self.was_replaying && !self.session.follower.is_replaying();
        let afresh = self.next.iter().any(|one| matches!(one, Next::Resync));
        let reason = pass_on(&mut self.session, &mut self.dialect, &mut self.next, out);
        if reason.is_some() {
            return reason;
        }
        if afresh {
            // Boxed: an idle client's future need not have room for it.
            let stood = Box::pin(self.session.stand_anew()).await;
            if let Some(reason) = stood.or_else(|| self.dialect.over(&self.session)) {
                return Some(reason);
            }
        }
        self.dialect.settle(&mut self.session, out).await;
        if caught_up {
            self.dialect.caught_up(&self.session, out);
        }
        None
    }

    fn is_replaying(&self) -> bool {
        self.session.follower.is_replaying()
    }

    fn expires(&self) -> Instant {
        expiry(self.session.claims.exp)
    }

    async fn leave(&mut self) {
        self.session.depart().await;
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
                if let Some(reason) = dialect.over(session) {
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
            // The log has all changes; of what was said nobody keeps more.
            Next::Lagged => {}
        }
    }
    None
}
