//! A change: one committed row change as the log holds it, and the batch that it was read in.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    cursor::{HistoryId, Mark, Position},
    topic::Topic,
};

/// One row of the change log.
#[derive(Debug, Clone)]
pub struct Change {
    /// The log's identity; per thread and per row its order is commit order.
    pub id: i64,
    /// The transaction that wrote it.
    pub xid: u64,
    /// When it was captured (not committed), in microseconds since 1970.
    pub at: i64,
    /// What it is about.
    pub topic: Topic,
    /// The table, `schema.name`.
    pub relation: Arc<str>,
    /// What was done to the row.
    pub op: Op,
    /// The row's key.
    pub key: Option<Json>,
    /// The row as it is now; none for a deletion.
    pub record: Option<Json>,
    /// The row as it was, as much of it as the log keeps.
    pub old_record: Option<Json>,
    /// What holders of `topic` gain or lose by this change.
    pub link: Option<Link>,
}

impl Change {
    /// Roughly how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        size_of::<Self>() + json(&self.key) + json(&self.record) + json(&self.old_record)
    }
}

/// What a change makes of the subscriptions of those who hold its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// They get that topic too, from here on.
    Follow(Topic),
    /// They no longer get it.
    Leave(Topic),
}

impl Link {
    /// Parses `+topic` and `-topic`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("+", topic) => Topic::parse(topic).ok().map(Self::Follow),
            ("-", topic) => Topic::parse(topic).ok().map(Self::Leave),
            _ => None,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow(topic) => write!(f, "+{topic}"),
            Self::Leave(topic) => write!(f, "-{topic}"),
        }
    }
}

/// The kind of a row change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A row came.
    Insert,
    /// A row changed.
    Update,
    /// A row went.
    Delete,
    /// All rows went.
    Truncate,
}

impl Op {
    /// Parses the log's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INSERT" => Self::Insert,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "TRUNCATE" => Self::Truncate,
            _ => return None,
        })
    }

    /// The log's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
        }
    }
}

/// JSON text exactly as SQL made it, to be spliced into frames and never printed again.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Takes over text that the database made, and therefore is JSON in UTF-8; `None` for anything else.
    pub fn from_database(text: Bytes) -> Option<Self> {
        std::str::from_utf8(&text).is_ok().then_some(Self(text))
    }

    /// Takes over text that was put together of such.
    pub fn of_text(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// Where the text lies, and how long it is: clones have one place.
    pub fn place(&self) -> (*const u8, usize) {
        (self.0.as_ptr(), self.0.len())
    }

    /// The text, without a copy.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Reads the fields that a dialect needs.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of JSON", self.0.len())
    }
}

/// What became visible between two snapshots: every change of the log that `upto` shows and `from` does not.
#[derive(Debug)]
pub struct Batch {
    /// The snapshot before.
    pub from: Mark,
    /// The snapshot after.
    pub upto: Mark,
    /// The history that both belong to.
    pub history: HistoryId,
}

impl Batch {
    /// Where somebody stands who had all of `from` and then this batch up to and including the change `id`.
    pub fn position_after(&self, id: i64) -> Position {
        Position::within(self.from.clone(), self.upto.clone(), id)
    }
}
