//! Who is in which thread, and what writers know of what they did.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::Uuid;

/// What was done to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    New,
    Updated,
    Deleted,
    /// The client's own coming and going; the id is the thread's, the text the user's.
    Joined,
    Left,
}

/// A change as writers, the log and clients all name it: what, to which message, with which content.
pub(crate) type Key = (What, Uuid, String);

/// The size of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) users: i64,
    pub(crate) threads: i64,
    /// The last so many of the threads are direct ones, of two neighbours each: users 1 and 2, 3 and 4…
    pub(crate) pairs: i64,
    /// Users after the others who come into threads after the others and leave them again.
    pub(crate) movers: i64,
}

impl World {
    /// The threads that a user is in from beginning to end.
    pub(crate) fn threads_of(&self, user: i64) -> Vec<i64> {
        let within = |thread: &i64| match self.pair(*thread) {
            Some((one, other)) => user == one || user == other,
            None => (thread + user) % 4 == 0,
        };
        (1..=self.threads).filter(within).collect()
    }

    /// Whose direct thread it is, if it is one.
    pub(crate) fn pair(&self, thread: i64) -> Option<(i64, i64)> {
        let nth = thread - (self.threads - self.pairs);
        (nth > 0 && thread <= self.threads).then_some((2 * nth - 1, 2 * nth))
    }

    /// The direct thread of a user who has one.
    pub(crate) fn direct_of(&self, user: i64) -> i64 {
        self.threads - self.pairs + (user + 1) / 2
    }

    /// The threads that movers come into and leave.
    pub(crate) fn moving(&self) -> std::ops::RangeInclusive<i64> {
        self.threads + 1..=self.threads + 3
    }

    /// All threads.
    pub(crate) fn all(&self) -> i64 {
        *self.moving().end()
    }

    /// The public id of a thread.
    pub(crate) fn thread(thread: i64) -> Uuid {
        Uuid::from_u128(
            0xb000_0000_0000_4000_8000_0000_0000_0000 + u128::from(thread.unsigned_abs()),
        )
    }

    /// The thread of a public id.
    pub(crate) fn number(thread: Uuid) -> i64 {
        i64::from(thread.as_fields().3[7]) + 256 * i64::from(thread.as_fields().3[6])
    }

    /// The people, the threads and who is in them.
    pub(crate) fn sql(&self) -> String {
        let mut sql = format!(
            "insert into chat.users (username) select 'user' || n from generate_series(1, {}) n order by n;\n",
            self.users + self.movers
        );
        for thread in 1..=self.all() {
            let uuid = Self::thread(thread);
            let (kind, key) = match self.pair(thread) {
                Some((one, other)) => ("chat", format!("'{one}:{other}'")),
                None => ("group", "null".to_owned()),
            };
            sql += &format!(
                "insert into chat.threads (uuid, kind, direct_key) values ('{uuid}', '{kind}', {key});\n"
            );
        }
        for user in 1..=self.users + self.movers {
            for thread in self.threads_of(user) {
                sql += &format!("insert into chat.members values ({thread}, {user});\n");
            }
        }
        sql
    }
}

/// How a transaction ended, as far as its writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed,
    RolledBack,
    /// The connection was lost in the commit.
    Unknown,
}

/// A transaction: what it did for good, what it took back by a savepoint, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) writer: u64,
    pub(crate) kind: &'static str,
    pub(crate) done: Vec<Key>,
    pub(crate) undone: Vec<Key>,
    pub(crate) outcome: Outcome,
    /// When the writer began, in microseconds since 1970.
    pub(crate) began: i64,
    /// When the writer knew, in microseconds since 1970.
    pub(crate) acked: i64,
}

/// When a mover was in a thread: from when it was known to be in, until when it was going to leave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    pub(crate) user: i64,
    pub(crate) thread: i64,
    pub(crate) asked: i64,
    pub(crate) joined: i64,
    pub(crate) leaving: Option<i64>,
    pub(crate) left: Option<i64>,
}

/// What all writers know.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Mutex<Vec<Entry>>,
    pub(crate) stays: Mutex<Vec<Stay>>,
    pub(crate) changes: AtomicU64,
}

impl Ledger {
    pub(crate) fn note(&self, entry: Entry) {
        if entry.outcome == Outcome::Committed {
            self.changes.fetch_add(entry.done.len() as u64, Ordering::Relaxed);
        }
        self.entries.lock().expect("whole").push(entry);
    }

    /// Changes that are known to be committed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// When each change's transaction was begun.
    pub(crate) fn began(&self) -> HashMap<Key, i64> {
        let entries = self.entries.lock().expect("whole");
        entries
            .iter()
            .flat_map(|entry| entry.done.iter().map(|key| (key.clone(), entry.began)))
            .collect()
    }

    /// When each change was known to be committed.
    pub(crate) fn acked(&self) -> HashMap<Key, i64> {
        let entries = self.entries.lock().expect("whole");
        let committed = entries.iter().filter(|entry| entry.outcome == Outcome::Committed);
        committed
            .flat_map(|entry| entry.done.iter().map(|key| (key.clone(), entry.acked)))
            .collect()
    }
}
