//! Typing: who types in which thread, and when that ends by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::signal::Person;

/// A cheap handle to the list; one sweep for all dialects ends what nobody ended.
#[derive(Debug, Clone, Default)]
pub struct Typing(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    threads: Mutex<HashMap<i64, Vec<Typist>>>,
    begun: Notify,
}

/// Who types in a thread.
#[derive(Debug, Clone)]
pub struct Typist {
    /// The user.
    pub person: Person,
    /// Their name at log-in.
    pub username: Arc<str>,
    ends: Instant,
}

impl Typing {
    /// Notes that somebody types in a thread for the next `lasting`; true when that is news.
    pub fn start(
        &self,
        thread: i64,
        person: Person,
        username: Arc<str>,
        lasting: Duration,
    ) -> bool {
        let mut threads = self.threads();
        let new = !threads.contains_key(&thread);
        let typists = threads.entry(thread).or_default();
        let was = typists.iter().position(|typist| typist.person == person);
        if let Some(place) = was {
            typists.remove(place);
        }
        // The latest is the last.
        typists.push(Typist { person, username, ends: Instant::now() + lasting });
        drop(threads);
        if new {
            self.0.begun.notify_one();
        }
        was.is_none()
    }

    /// Ends it; returns the typist when it had begun.
    pub fn stop(&self, thread: i64, person: Person) -> Option<Typist> {
        let mut threads = self.threads();
        let typists = threads.get_mut(&thread)?;
        let place = typists.iter().position(|typist| typist.person == person)?;
        let typist = typists.remove(place);
        if typists.is_empty() {
            threads.remove(&thread);
        }
        Some(typist)
    }

    /// Who types in a thread, the latest first.
    pub fn list(&self, thread: i64) -> Vec<Person> {
        let threads = self.threads();
        let typists = threads.get(&thread).map(Vec::as_slice).unwrap_or_default();
        let now = Instant::now();
        let typing = typists.iter().rev().filter(|typist| typist.ends > now);
        typing.map(|typist| typist.person).collect()
    }

    /// The threads where somebody types.
    pub fn busy(&self) -> Vec<i64> {
        self.threads().keys().copied().collect()
    }

    /// Waits until somebody types in one more thread.
    pub async fn begun(&self) {
        self.0.begun.notified().await;
    }

    /// Ends what is overdue at `now` and returns it: thread and typist.
    pub fn sweep(&self, now: Instant) -> Vec<(i64, Typist)> {
        let mut ended = Vec::new();
        self.threads().retain(|thread, typists| {
            typists.retain(|typist| {
                let over = typist.ends <= now;
                if over {
                    ended.push((*thread, typist.clone()));
                }
                !over
            });
            !typists.is_empty()
        });
        ended
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<i64, Vec<Typist>>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
