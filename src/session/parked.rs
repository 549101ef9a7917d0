//! A parked poll: a request that waits for changes, with a mailbox and nothing else.
//!
//! It subscribes first and is asked about in SQL then: what the answer does not have will be in the mailbox. While it
//! waits it holds no connection of the pool and no task but the request's own; dropping it frees everything.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{Reason, Services, standing};
use crate::{
    chat::{self, Chat, Event, Standing},
    claims::Claims,
    cursor::Mark,
    error::{Error, Kind, Result},
    hub::{Delivery, Item, Mailbox, Taken, Waiting},
    lifecycle::Lifecycle,
    topic::Topic,
};

/// Changes held for one poll; one that overflows asks the database again.
const CAPACITY: usize = 64;

/// A poll that may wait.
pub struct Parked {
    chat: Chat,
    lifecycle: Lifecycle,
    mailbox: Mailbox,
    claims: Claims,
    user: i64,
    /// Leaving this thread ends the poll.
    thread: Option<i64>,
    /// What the standing had seen.
    asked: Mark,
    _waiting: Waiting,
}

/// Why a poll woke up.
pub enum Woke {
    /// These changes came.
    Changes(Vec<Arc<Delivery>>),
    /// More came than the mailbox holds, or the history changed: ask the database.
    Ask,
    /// The time is over, or the server is going away.
    Over,
}

impl Parked {
    /// Subscribes a caller to their own topics and to one thread, or to all their threads; ask the database after this.
    pub async fn open(
        services: &Services,
        claims: Claims,
        standing: Standing,
        thread: Option<i64>,
    ) -> Result<Self> {
        let presence = services.hub.presence();
        if services.lifecycle.sessions() + presence.parked()
            >= services.settings.now().max_connections
        {
            return Err(Error::new(Kind::Unavailable, "The server is full; try again in a moment"));
        }
        let waiting = presence.park(standing.person());
        let mailbox = services.hub.open_for_changes(CAPACITY);
        let mut topics = vec![Topic::user(standing.user)];
        topics.extend(claims.revocation.clone());
        match thread {
            Some(thread) => topics.push(Topic::thread(thread)),
            None => topics.extend(standing.threads.keys().map(|&id| Topic::thread(id))),
        }
        let (position, _) = mailbox.subscribe(&topics).ok_or_else(super::starting)?;
        let mut standing = standing;
        if !standing.asked.snapshot.covers(&position.furthest().snapshot) {
            // What was pushed before we subscribed will not come, and the answer had not seen it.
            standing = Box::pin(services.chat.admit(&claims)).await?;
            if thread.is_none() {
                let topics: Vec<_> = standing.threads.keys().map(|&id| Topic::thread(id)).collect();
                mailbox.subscribe(&topics);
            }
        }
        Ok(Self {
            chat: services.chat.clone(),
            lifecycle: services.lifecycle.clone(),
            mailbox,
            claims,
            user: standing.user,
            thread,
            asked: standing.asked,
            _waiting: waiting,
        })
    }

    /// Waits for changes until a time; an error ends the poll: the caller may no longer have an answer.
    pub async fn wait(&mut self, until: Instant) -> Result<Woke> {
        let mut items = Vec::new();
        let expires = super::expiry(self.claims.exp);
        let taken = tokio::select! {
            biased;
            () = self.lifecycle.draining() => return Ok(Woke::Over),
            taken = self.mailbox.take(&mut items) => taken,
            () = sleep_until(until.min(expires)) => {
                let over = (until < expires).then_some(Woke::Over);
                return over.ok_or_else(|| ended(Reason::Unauthenticated));
            }
        };
        let resync = items.iter().any(|item| matches!(item, Item::Resync | Item::Gap));
        if matches!(taken, Taken::Lagged(_)) || resync {
            // Boxed: what waits for a minute must not have room for a query all the time.
            self.asked = Box::pin(self.chat.admit(&self.claims)).await?.asked;
            return Ok(Woke::Ask);
        }
        let mut changes = Vec::new();
        for item in items {
            if let Item::Change(delivery) = item {
                self.heed(&delivery)?;
                changes.push(delivery);
            }
        }
        Ok(Woke::Changes(changes))
    }

    /// Whether a change ends the poll.
    fn heed(&self, delivery: &Arc<Delivery>) -> Result<()> {
        let event = standing::event(delivery);
        let Some(event) = event.as_ref() else { return Ok(()) };
        if self.asked.sees(delivery.change.xid, delivery.change.at) {
            return Ok(());
        }
        if let Some(reason) = standing::verdict(self.user, &self.claims, delivery, event) {
            return Err(ended(reason));
        }
        match event {
            Event::Left(member)
                if member.user_id == self.user && Some(member.thread_id) == self.thread =>
            {
                Err(chat::not_a_participant())
            }
            _ => Ok(()),
        }
    }
}

fn ended(reason: Reason) -> Error {
    match reason {
        Reason::Deactivated => Error::forbidden(chat::DEACTIVATED),
        _ => Error::unauthorized(reason.text()),
    }
}

/// What a change means in the domain, worked out once for all.
pub fn event(delivery: &Delivery) -> Arc<Option<Event>> {
    standing::event(delivery)
}
