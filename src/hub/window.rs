//! Windows: mailboxes, topics and passing changes as an operator sees them, from outside and without holding anything open.

use std::sync::{Arc, Weak};

use tokio::sync::broadcast;

use super::{Delivery, Hub, Shared};
use crate::topic::Topic;

/// Changes that one who looks on may be behind; one that is further behind is told how many it missed.
const PASSING: usize = 256;

/// A view of one mailbox, for as long as it is open.
pub struct Window(pub(super) Weak<Shared>);

/// What a window showed.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Changes and signals that have not been taken yet.
    pub waiting: usize,
    /// How many of them fit.
    pub capacity: usize,
    /// The topics held.
    pub topics: Vec<Topic>,
}

impl Window {
    /// Whether the mailbox is still open.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// What is waiting in the mailbox, and how much fits; none when it is closed.
    pub fn fill(&self) -> Option<(usize, usize)> {
        self.0.upgrade().map(|shared| shared.fill())
    }

    /// Looks at the mailbox; none when it is closed.
    pub fn look(&self, hub: &Hub) -> Option<Look> {
        let shared = self.0.upgrade()?;
        let (waiting, capacity) = shared.fill();
        Some(Look { waiting, capacity, topics: hub.state().routes.held_by(shared.id) })
    }
}

/// Where all changes pass, for those who look on.
pub(super) struct Tap(broadcast::Sender<Arc<Delivery>>);

impl Default for Tap {
    fn default() -> Self {
        Self(broadcast::Sender::new(PASSING))
    }
}

impl Tap {
    /// Shows changes to those who look on; where nobody does, this is one load.
    pub(super) fn pass(&self, changes: &[Arc<Delivery>]) {
        if self.0.receiver_count() > 0 {
            for delivery in changes {
                let _ = self.0.send(Arc::clone(delivery));
            }
        }
    }
}

impl Hub {
    /// Looks on as changes are pushed. Who does not keep up is told how many passed unseen.
    pub fn look_on(&self) -> broadcast::Receiver<Arc<Delivery>> {
        self.0.tap.0.subscribe()
    }

    /// The first topics by name, of those after `after` whose names hold `search`, each with how many mailboxes hold it.
    pub fn topics(&self, search: &str, after: &str, limit: usize) -> Vec<(Topic, usize)> {
        let mut found = self.state().routes.named(search, after);
        found.sort_unstable();
        found.truncate(limit);
        found
    }
}
