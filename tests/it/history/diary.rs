//! A diary: what a client without a cursor for everything heard of, how it came to hear of it, and where it goes on from.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    ground::now,
    inbox::{LAST, word},
};

/// A message's id, in the form that the dialect has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Number(i64),
    Public(Uuid),
}

/// How a client came to hear of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// Told on a socket.
    Live,
    /// An answer to "after this one", by an id or by a timestamp that stands for a place: it repeats nothing.
    After,
    /// An answer to "since this time", asked at a moment: it may repeat what the checkpoint of that time does not see.
    Since { time: i64, asked: i64 },
}

/// A message as it was heard of.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) id: Id,
    pub(crate) thread: i64,
    pub(crate) word: String,
    pub(crate) way: Way,
    pub(crate) at: i64,
    /// In which connection, or which poll.
    pub(crate) visit: usize,
}

/// The dialects whose clients keep diaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    Longpoll,
    Rooms,
    Conversations,
    Direct,
    Supabase,
}

/// A client's memory.
pub(crate) struct Diary {
    pub(crate) tongue: Tongue,
    pub(crate) name: String,
    pub(crate) user: i64,
    /// The threads that it follows, in all of which it is from beginning to end.
    pub(crate) threads: Vec<i64>,
    /// What was written after this is owed.
    pub(crate) from: i64,
    pub(crate) heard: Vec<Heard>,
    /// Connections and polls so far.
    pub(crate) visits: usize,
    /// Every message written before such a moment was owed by such a place in what was heard.
    pub(crate) owed: Vec<(i64, usize)>,
    pub(crate) errors: Vec<String>,
    waiting: HashSet<i64>,
    latest: HashMap<i64, String>,
}

impl Diary {
    pub(crate) fn new(tongue: Tongue, name: String, user: i64, threads: Vec<i64>) -> Self {
        Self {
            tongue,
            name,
            user,
            from: now(),
            heard: Vec::new(),
            visits: 0,
            owed: Vec::new(),
            errors: Vec::new(),
            waiting: threads.iter().copied().collect(),
            latest: HashMap::new(),
            threads,
        }
    }

    /// Notes a message.
    pub(crate) fn hear(&mut self, id: Id, thread: i64, content: &str, way: Way) {
        if content == LAST {
            self.waiting.remove(&thread);
        }
        let word = word(content);
        self.heard.push(Heard { id, thread, word, way, at: now(), visit: self.visits });
    }

    /// Notes the time of a message, or of an answer, from which a thread's next question goes on; it never goes back.
    pub(crate) fn reach(&mut self, thread: i64, time: &str) {
        let latest = self.latest.entry(thread).or_default();
        // All have the same width and zone, so their order is that of the text.
        if latest.as_str() < time {
            time.clone_into(latest);
        }
    }

    /// Notes the timestamp that an answer gave for the next question.
    pub(crate) fn go_on(&mut self, thread: i64, timestamp: String) {
        self.latest.insert(thread, timestamp);
    }

    /// The time that a thread's next question goes on from.
    pub(crate) fn reached(&self, thread: i64) -> Option<&str> {
        self.latest.get(&thread).map(String::as_str)
    }

    /// Notes that all that was asked for at a moment has come.
    pub(crate) fn settle(&mut self, asked: i64) {
        self.owed.push((asked, self.heard.len()));
    }

    /// Whether the last message of every thread is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }
}
