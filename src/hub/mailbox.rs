//! A mailbox: what one session has yet to take, bounded in number and in bytes.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::{Delivery, Hub, Passed, Wanted, Window};
use crate::{
    cursor::{HistoryId, Position, Snapshot},
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
    /// The log lacks changes that were for this mailbox; what it has goes on.
    Gap,
}

/// How a `take` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// There are items.
    Items,
    /// Items were dropped. From here on the mailbox collects again: read the log from where the client stands, or from
    /// here, if that is later: nothing for this mailbox came in between. None: no change was among what was dropped.
    Lagged(Option<Position>),
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

    /// Holds topics of which it gets only what it wants; a topic that it holds otherwise is narrowed or widened.
    pub fn want(&self, topics: &[(Topic, Wanted)]) -> Option<(Position, HistoryId)> {
        self.hub.want(&self.shared, topics)
    }

    /// Holds one topic; false when it did already, so that none of its changes can have passed it by.
    pub fn hold(&self, topic: &Topic) -> bool {
        self.hub.hold(&self.shared, topic)
    }

    /// What the holder of a position lacks, told from memory (`Hub::since`).
    pub fn since(
        &self,
        position: &Position,
        history: HistoryId,
        had: Option<&Position>,
        seen: Option<&Snapshot>,
        topics: &[Topic],
        most: usize,
    ) -> Option<Passed> {
        self.hub.since(position, history, had, seen, topics, most)
    }

    /// Whether the hub has pushed all that a snapshot shows.
    pub fn has_reached(&self, snapshot: &Snapshot) -> bool {
        self.hub.has_reached(snapshot)
    }

    /// Has the feed read the log now, not when it would.
    pub fn stir(&self) {
        self.hub.stir();
    }

    /// Where the hub stands, provided that all it pushed to this mailbox has been taken.
    pub fn stands_at(&self) -> Option<Position> {
        self.hub.stands_at(&self.shared)
    }

    /// From now on topics come without their signals, but for those that it asks to hear.
    pub fn hush(&self) {
        self.hub.hush(&self.shared);
    }

    /// Gets the signals of a topic that it holds, too, or no longer.
    pub fn hear(&self, topic: &Topic, wanted: bool) {
        self.hub.hear(&self.shared, topic, wanted);
    }

    /// Gives up a topic.
    pub fn unsubscribe(&self, topic: &Topic) {
        self.hub.unsubscribe(&self.shared, topic);
    }

    /// A view of it for others.
    pub fn window(&self) -> Window {
        Window(Arc::downgrade(&self.shared))
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
    /// Whether new topics come without their signals; changed under the hub's lock.
    quiet: AtomicBool,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    lagged: bool,
    /// What had been pushed before the first change that was dropped.
    dropped: Option<Position>,
}

impl Queue {
    /// Drops what waits, but for the words that the history changed or that there is a gap, which the log does not have.
    fn lag(&mut self) {
        let first = self.items.iter().find_map(|item| match item {
            Item::Change(delivery) => Some(before(delivery)),
            Item::Signal(_) | Item::Resync | Item::Gap => None,
        });
        self.dropped = self.dropped.take().or(first);
        self.items.retain(|item| matches!(item, Item::Resync | Item::Gap));
        (self.bytes, self.lagged) = (0, true);
    }

    fn drop_one(&mut self, item: &Item) {
        if let Item::Change(delivery) = item {
            self.dropped.get_or_insert_with(|| before(delivery));
        }
    }
}

/// Where the hub stood before a change.
fn before(delivery: &Delivery) -> Position {
    delivery.batch.position_after(delivery.change.id - 1)
}

impl Shared {
    pub(super) fn new(id: u64, capacity: usize) -> Self {
        Self {
            id,
            capacity,
            quiet: AtomicBool::new(false),
            queue: Mutex::default(),
            filled: Notify::new(),
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(super) fn hush(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Adds an item; a mailbox that is full drops all it has and says so at the next `take`.
    pub(super) fn push(&self, item: Item) {
        let mut queue = self.queue();
        if queue.lagged {
            queue.drop_one(&item);
            return;
        }
        let size = match &item {
            Item::Change(delivery) => delivery.change.size(),
            Item::Signal(signal) => signal.size(),
            Item::Resync | Item::Gap => 0,
        };
        let full = queue.items.len() >= self.capacity
            || (!queue.items.is_empty() && queue.bytes + size > MAX_BYTES);
        if full {
            queue.lag();
            queue.drop_one(&item);
        } else {
            queue.bytes += size;
            queue.items.push_back(item);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Drops what waits: it is to be read from the log, and so is what came after a position.
    pub(super) fn lag(&self, after: Option<&Position>) {
        let mut queue = self.queue();
        queue.lag();
        queue.dropped = queue.dropped.take().or_else(|| after.cloned());
        drop(queue);
        self.filled.notify_one();
    }

    /// Drops what waits and leaves only the word that the history changed.
    pub(super) fn resync(&self) {
        *self.queue() = Queue { items: [Item::Resync].into(), ..Queue::default() };
        self.filled.notify_one();
    }

    /// Says that changes are missing, after what waits, be it full or not.
    pub(super) fn gap(&self) {
        let mut queue = self.queue();
        if !queue.items.iter().any(|item| matches!(item, Item::Gap)) {
            queue.items.push_back(Item::Gap);
        }
        drop(queue);
        self.filled.notify_one();
    }

    fn take_now(&self, into: &mut Vec<Item>) -> Option<Taken> {
        let mut queue = self.queue();
        if queue.items.is_empty() {
            let lagged = std::mem::take(&mut queue.lagged);
            return lagged.then(|| Taken::Lagged(queue.dropped.take()));
        }
        into.extend(queue.items.drain(..));
        queue.bytes = 0;
        Some(Taken::Items)
    }

    /// How many items wait, and how many fit; one that overflowed is full.
    pub(super) fn fill(&self) -> (usize, usize) {
        let queue = self.queue();
        (if queue.lagged { self.capacity } else { queue.items.len() }, self.capacity)
    }

    /// Whether everything that was pushed has been taken.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.items.is_empty() && !queue.lagged
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
