//! A session: one client, whatever it speaks, from being let in to the reason it ends.

mod bucket;
mod close;
mod drive;
mod follower;
mod limits;
mod members;
mod parked;
pub mod permit;
mod register;
mod run;
mod services;
mod standing;
mod thread;
mod transport;

use std::{collections::HashSet, net::IpAddr};

pub use crate::db::Gather;
pub use bucket::Bucket;
pub use close::Reason;
pub use drive::{Peer, drive, expiry};
pub use follower::{Cursor, Follower, Next};
pub use limits::{Event as Limited, Limits};
pub use members::{
    TYPING_LASTS, keep_presence, keep_typing, say_presence, start_typing, stop_typing, touch,
};
pub use parked::{Parked, Woke, event};
pub use permit::Permit;
pub use register::{Entry, Register, Seat, Who};
pub use run::{Change, Dialect, run};
pub use services::{Services, Settings};
pub use standing::authenticate;
pub use transport::{Body, Frame, Gone, Incoming, SocketTransport, StreamTransport, Transport};

use crate::{
    chat::Standing,
    claims::Claims,
    error::{Error, Kind, Result},
    hub::Present,
    topic::Topic,
};

/// What a session knows of its client.
pub struct Session {
    /// The bridge's parts.
    pub services: Services,
    /// Who the client is, as its token says.
    pub claims: Claims,
    /// Who the client is, as the database says, kept true by the feed.
    pub standing: Standing,
    /// Where the client is; none where nobody outside asked.
    pub address: Option<IpAddr>,
    /// Its place in the history.
    pub follower: Follower,
    typing: HashSet<i64>,
    present: Option<Present>,
}

impl Session {
    /// Lets a client in: subscribes it first, then asks the database, so that what changes in between is not missed.
    pub async fn open(services: Services, claims: Claims, address: Option<IpAddr>) -> Result<Self> {
        let mut standing = services.chat.admit(&claims).await?;
        let own = own_topics(&standing, &claims);
        let capacity = services.settings.now().mailbox;
        let mut follower = Follower::open(&services.hub, services.pool.clone(), capacity, &own)
            .ok_or_else(starting)?;
        if !follower.is_covered_by(&standing.asked) {
            standing = services.chat.admit(&claims).await?;
        }
        let threads: Vec<Topic> = standing.threads.keys().map(|&id| Topic::thread(id)).collect();
        follower.come_in(&threads, standing.asked.clone());
        let typing = HashSet::new();
        Ok(Self { services, claims, standing, address, follower, typing, present: None })
    }

    /// Replaces the token by a fresh one of the same user.
    pub async fn renew(&mut self, claims: Claims) -> Result<()> {
        // Held before the database is asked, so that a revocation in between is not missed.
        let fresh = claims.revocation.clone();
        if let Some(topic) = &fresh {
            self.follower.hold(topic.clone());
        }
        let admitted = self.services.chat.admit(&claims).await.and_then(|standing| {
            (standing.user == self.standing.user).then_some(()).ok_or_else(|| {
                Error::forbidden("The fresh token is another user's; open a new connection for it")
            })
        });
        let idle = match admitted {
            Ok(()) => std::mem::replace(&mut self.claims, claims).revocation,
            Err(_) => fresh,
        };
        if let Some(topic) = idle.filter(|topic| self.claims.revocation.as_ref() != Some(topic)) {
            self.follower.release(&topic);
        }
        admitted
    }

    /// Takes a token of the client's bucket for a kind of event.
    pub fn take(&self, event: Limited) -> Result<()> {
        self.services.limits.take(self.standing.user, event)
    }

    /// The topics of all threads that the client is in.
    pub fn thread_topics(&self) -> Vec<Topic> {
        self.standing.threads.keys().map(|&id| Topic::thread(id)).collect()
    }
}

/// That the feed has not begun yet: nobody has a place in it.
pub fn starting() -> Error {
    Error::new(Kind::Unavailable, "The bridge is starting; try again in a moment")
}

/// The topics that are the client's whatever threads it is in.
fn own_topics(standing: &Standing, claims: &Claims) -> Vec<Topic> {
    [Some(Topic::user(standing.user)), claims.revocation.clone()].into_iter().flatten().collect()
}
