//! A mailbox: what one session has yet to take, bounded in number and in bytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Delivery, Hub};
use crate::{
    cursor::{HistoryId, Position},
    signal::Signal,
    topic::Topic,
};

/// Bytes of changes and signals that one mailbox holds on to; a single larger one still fits.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a session takes out.
#[derive(Clone)]
pub enum Item {
    /// A committed change.
    Change(Arc<Delivery>),
    /// Something said.
    Signal(Arc<Signal>),
    /// The database's history changed under us: what the client has can no longer be continued.
    Resync,
}

/// How a `take` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There are items.
    Items,
    /// Items were dropped. From here on the mailbox collects again: read the log from where the client stands.
    Lagged,
}

/// The session's end; dropping it gives up all topics.
pub struct Mailbox {
    hub: Hub,
    shared: Arc<Shared>,
}

impl Mailbox {
    pub(super) fn new(hub: Hub, shared: Arc<Shared>) -> Self {
        Self { hub, shared }
    }

    /// Holds topics from here on; returns where the feed stood at that moment: later changes will arrive, earlier ones will not.
    pub fn subscribe(&self, topics: &[Topic]) -> Option<(Position, HistoryId)> {
        self.hub.subscribe(&self.shared, topics)
    }

    /// Holds one topic; false when it did already, so that none of its changes can have passed it by.
    pub fn hold(&self, topic: &Topic) -> bool {
        self.hub.hold(&self.shared, topic)
    }

    /// Gives up a topic.
    pub fn unsubscribe(&self, topic: &Topic) {
        self.hub.unsubscribe(&self.shared, topic);
    }

    /// Waits for items and moves all there are to the end of `into`. Cancelling loses nothing.
    pub async fn take(&self, into: &mut Vec<Item>) -> Taken {
        loop {
            if let Some(taken) = self.shared.take_now(into) {
                return taken;
            }
            self.shared.filled.notified().await;
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.hub.close(&self.shared);
    }
}

/// The hub's end.
pub(super) struct Shared {
    pub(super) id: u64,
    capacity: usize,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    lagged: bool,
}

impl Queue {
    /// Drops what waits, but for the word that the history changed, which the log does not have.
    fn lag(&mut self) {
        self.items.truncate(usize::from(matches!(self.items.front(), Some(Item::Resync))));
        (self.bytes, self.lagged) = (0, true);
    }
}

impl Shared {
    pub(super) fn new(id: u64, capacity: usize) -> Self {
        Self { id, capacity, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Adds an item; a mailbox that is full drops all it has and says so at the next `take`.
    pub(super) fn push(&self, item: Item) {
        let mut queue = self.queue();
        if queue.lagged {
            return;
        }
        let size = match &item {
            Item::Change(delivery) => delivery.change.size(),
            Item::Signal(signal) => signal.size(),
            Item::Resync => 0,
        };
        let full = queue.items.len() >= self.capacity
            || (!queue.items.is_empty() && queue.bytes + size > MAX_BYTES);
        if full {
            queue.lag();
        } else {
            queue.bytes += size;
            queue.items.push_back(item);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Drops what waits: it is to be read from the log.
    pub(super) fn lag(&self) {
        self.queue().lag();
        self.filled.notify_one();
    }

    /// Drops what waits and leaves only the word that the history changed.
    pub(super) fn resync(&self) {
        *self.queue() = Queue { items: [Item::Resync].into(), ..Queue::default() };
        self.filled.notify_one();
    }

    fn take_now(&self, into: &mut Vec<Item>) -> Option<Taken> {
        let mut queue = self.queue();
        if queue.items.is_empty() {
            return std::mem::take(&mut queue.lagged).then_some(Taken::Lagged);
        }
        into.extend(queue.items.drain(..));
        queue.bytes = 0;
        Some(Taken::Items)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
