//! The register: one entry for each session, there as long as it runs, for those who look after the bridge.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::Notify;

use crate::hub::{Hub, Look, Window};

/// A cheap handle to the list of sessions.
#[derive(Clone, Default)]
pub struct Register(Arc<Inner>);

#[derive(Default)]
struct Inner {
    next: AtomicU64,
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
}

/// Who is on a session.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// Their name at log-in; empty where the dialect knows none.
    pub user: String,
    /// Whom the token is about.
    pub sub: String,
    /// The database role that the token names.
    pub role: String,
    /// Where they are, as the connection or a trusted proxy has it.
    pub address: Option<IpAddr>,
}

/// A session as others see it.
pub struct Entry {
    /// Its number, in the order of their coming.
    pub id: u64,
    /// What its client speaks.
    pub dialect: &'static str,
    /// Who is on it.
    pub who: Who,
    /// Since when it is there.
    pub since: SystemTime,
    delivered: AtomicU64,
    windows: Mutex<Vec<Window>>,
    dismissed: Notify,
}

/// A session's own hold on its entry; dropping it takes the entry out of the register.
pub struct Seat {
    register: Register,
    entry: Arc<Entry>,
}

impl Register {
    /// Enters a session, with the mailbox that it has from the beginning.
    pub fn enter(&self, dialect: &'static str, who: Who, window: Window) -> Seat {
        let entry = Arc::new(Entry {
            id: self.0.next.fetch_add(1, Ordering::Relaxed) + 1,
            dialect,
            who,
            since: SystemTime::now(),
            delivered: AtomicU64::new(0),
            windows: Mutex::new(vec![window]),
            dismissed: Notify::new(),
        });
        self.entries().insert(entry.id, Arc::clone(&entry));
        Seat { register: self.clone(), entry }
    }

    /// The newest sessions before a number that fit, `limit` at most, and whether there are more.
    pub fn newest(
        &self,
        before: u64,
        limit: usize,
        fits: impl Fn(&Entry) -> bool,
    ) -> (Vec<Arc<Entry>>, bool) {
        // Looking at an entry takes locks of the hub: not under ours.
        let all: Vec<Arc<Entry>> =
            self.entries().range(..before).map(|(_, one)| one).cloned().collect();
        let mut found: Vec<_> =
            all.into_iter().rev().filter(|one| fits(one)).take(limit.saturating_add(1)).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    /// Ends a session; false when it is not there.
    pub fn dismiss(&self, id: u64) -> bool {
        let entry = self.entries().get(&id).cloned();
        entry.inspect(|entry| entry.dismissed.notify_one()).is_some()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Frames handed to the client.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Whether something waits in one of its mailboxes.
    pub fn is_behind(&self) -> bool {
        self.windows().iter().filter_map(Window::fill).any(|(waiting, _)| waiting > 0)
    }

    /// What all of its mailboxes show together; the fill is the fullest one's.
    pub fn look(&self, hub: &Hub) -> Look {
        let mut all = Look::default();
        for look in self.windows().iter().filter_map(|window| window.look(hub)) {
            if (look.waiting, look.capacity) > (all.waiting, all.capacity) {
                (all.waiting, all.capacity) = (look.waiting, look.capacity);
            }
            all.topics.extend(look.topics);
        }
        all.topics.sort_unstable();
        all.topics.dedup();
        all
    }

    /// Resolves when an operator ends the session.
    pub(super) async fn dismissed(&self) {
        self.dismissed.notified().await;
    }

    /// Counts frames handed to the client.
    pub(super) fn deliver(&self, frames: u64) {
        self.delivered.fetch_add(frames, Ordering::Relaxed);
    }

    /// Adds a mailbox that the session has opened besides; those that are closed are forgotten.
    pub fn add(&self, window: Window) {
        let mut windows = self.windows();
        windows.retain(Window::is_open);
        windows.push(window);
    }

    fn windows(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The entry.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.register.entries().remove(&self.entry.id);
    }
}
