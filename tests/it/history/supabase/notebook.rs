//! A notebook: what a subscriber's application has applied, and where it goes on from.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    super::{
        ground::now,
        inbox::{LAST, word},
        world::{Key, What},
    },
    wire::Data,
};

/// What the application does about gaps, as docs/migrate-from-supabase.md has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Keeps a cursor, and applies changes when the cursor that covers them has come.
    Held,
    /// Keeps a cursor, and applies changes as they come.
    Raw,
    /// Keeps the latest `commit_timestamp`.
    Since,
}

/// What it subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// All changes that it may see.
    All,
    /// All changes of rows with a room among its own.
    In,
    /// New rows of its first room.
    Inserts,
}

/// A change that was applied.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) key: Key,
    pub(crate) at: i64,
    pub(crate) visit: usize,
    /// Whether it was after the last cursor of an earlier visit, so that it may come once more.
    pub(crate) loose: bool,
}

/// One connection: when it was joined and from which time, if from one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joined {
    pub(crate) asked: i64,
    pub(crate) time: Option<i64>,
}

/// A subscriber's memory, over all its connections.
pub(crate) struct Notebook {
    pub(crate) name: String,
    pub(crate) how: How,
    pub(crate) wish: Wish,
    pub(crate) rooms: Vec<i64>,
    /// The first cursor: what is beyond it is owed.
    pub(crate) start: Option<String>,
    /// For who keeps no cursor: what was written after this is owed.
    pub(crate) from: i64,
    pub(crate) applied: Vec<Applied>,
    pub(crate) visits: Vec<Joined>,
    pub(crate) errors: Vec<String>,
    cursor: Option<String>,
    since: i64,
    /// Came since the last cursor, and waits for the next.
    held: Vec<Applied>,
    /// What came since the last cursor of this visit, and of all before it.
    fresh: HashSet<Key>,
    loose: HashSet<Key>,
    waiting: HashSet<i64>,
}

impl Notebook {
    pub(crate) fn new(name: String, how: How, wish: Wish, rooms: Vec<i64>) -> Self {
        let from = now();
        Self {
            name,
            how,
            wish,
            waiting: rooms.iter().copied().collect(),
            rooms,
            start: None,
            from,
            applied: Vec::new(),
            visits: Vec::new(),
            errors: Vec::new(),
            cursor: None,
            since: from,
            held: Vec::new(),
            fresh: HashSet::new(),
            loose: HashSet::new(),
        }
    }

    /// The entry of `postgres_changes` that it joins with.
    pub(super) fn asked(&self) -> Value {
        let rooms: Vec<String> = self.rooms.iter().map(i64::to_string).collect();
        let (event, filter) = match self.wish {
            Wish::All => ("*", None),
            Wish::In if self.rooms.len() == 1 => ("*", Some(format!("room=eq.{}", rooms[0]))),
            Wish::In => ("*", Some(format!("room=in.({})", rooms.join(",")))),
            Wish::Inserts => ("INSERT", Some(format!("room=eq.{}", rooms[0]))),
        };
        let mut asked = json!({ "event": event, "schema": "public", "table": "posts" });
        if let Some(filter) = filter {
            asked["filter"] = filter.into();
        }
        asked
    }

    /// Begins a visit; returns the options to join with.
    pub(super) fn come(&mut self) -> Value {
        let time = (self.how == How::Since).then_some(self.since);
        self.visits.push(Joined { asked: now(), time });
        self.held.clear();
        self.loose.extend(self.fresh.drain());
        match time {
            Some(time) => {
                let time = jiff::Timestamp::from_microsecond(time).expect("a time");
                json!({ "wait": true, "since": format!("{time:.3}") })
            }
            None => json!({ "wait": true, "cursor": self.cursor }),
        }
    }

    /// Whether a change that is for everybody is for it.
    pub(crate) fn wants(&self, what: What, room: i64) -> bool {
        self.rooms.contains(&room) && (self.wish != Wish::Inserts || what == What::New)
    }

    /// Notes a change.
    pub(super) fn change(&mut self, data: Data) {
        if let Some(errors) = &data.errors {
            self.errors.push(errors.to_string());
        }
        let what = match data.r#type.as_str() {
            "INSERT" => What::New,
            "UPDATE" => What::Updated,
            _ => What::Deleted,
        };
        let row = if what == What::Deleted { data.old_record } else { data.record };
        let Some((row, id)) = row.and_then(|row| row.id.map(|id| (row, id))) else {
            self.errors.push(format!("a change without its row: {what:?}"));
            return;
        };
        let content = if what == What::Deleted { String::new() } else { row.content };
        if content == LAST {
            self.waiting.remove(&row.room);
        }
        let key = (what, id, word(&content));
        if let Some(time) = data.commit_timestamp.and_then(|time| time.parse().ok()) {
            let time: jiff::Timestamp = time;
            self.since = self.since.max(time.as_microsecond());
        }
        let visit = self.visits.len();
        let applied = Applied { key: key.clone(), at: now(), visit, loose: false };
        if self.how == How::Held {
            self.held.push(applied);
        } else {
            self.apply(applied);
        }
        self.fresh.insert(key);
    }

    /// Notes where it stands.
    pub(super) fn stand(&mut self, cursor: String) {
        self.start.get_or_insert_with(|| cursor.clone());
        self.cursor = Some(cursor);
        for applied in std::mem::take(&mut self.held) {
            self.apply(applied);
        }
        self.fresh.clear();
    }

    fn apply(&mut self, mut applied: Applied) {
        applied.loose = self.loose.remove(&applied.key);
        self.applied.push(applied);
    }

    /// Whether the last message of every room is here and applied.
    pub(super) fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }
}
