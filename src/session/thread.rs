//! Which thread a client means, and whether it is in it.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Session;
use crate::{chat, error::Result, topic::Topic};

/// The feed is this far behind a commit, at most, before nobody waits for it any longer.
const FEED_WITHIN: Duration = Duration::from_millis(500);

impl Session {
    /// A thread that the client is in, by either form of its id. The feed may be a moment behind the database, which is then asked.
    pub async fn thread(&mut self, reference: &str) -> Result<(i64, Uuid)> {
        let known = match (reference.parse::<i64>(), Uuid::parse_str(reference)) {
            (Ok(id), _) => self.standing.threads.get_key_value(&id),
            (_, Ok(uuid)) => self.standing.threads.iter().find(|(_, known)| **known == uuid),
            _ => None,
        };
        if let Some((id, uuid)) = known {
            return Ok((*id, *uuid));
        }
        let id = self.services.chat.thread(reference).await?;
        let fresh = self.services.chat.admit(&self.claims).await?;
        let uuid = *fresh.threads.get(&id).ok_or_else(chat::not_a_participant)?;
        self.join(id, uuid);
        Ok((id, uuid))
    }

    /// Notes that the client is in a thread, before the feed says so.
    pub fn join(&mut self, id: i64, uuid: Uuid) {
        self.standing.threads.insert(id, uuid);
        self.follower.hold(Topic::thread(id));
    }

    /// The client has to ask for a thread's typing and presence: unasked for they are not even brought to it, of which a
    /// thread of ten thousand people lives.
    pub fn hush(&self) {
        self.follower.hush();
    }

    /// Brings a thread's typing and presence to the client, or no longer.
    pub fn hear(&self, thread: i64, wanted: bool) {
        self.follower.hear(&Topic::thread(thread), wanted);
    }

    /// Waits until everybody on this node has been told of a transaction.
    pub async fn told_of(&self, xid: u64) {
        let until = Instant::now() + FEED_WITHIN;
        let hub = &self.services.hub;
        while Instant::now() < until
            && hub.position().is_some_and(|(position, _)| !position.base.snapshot.sees(xid))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
