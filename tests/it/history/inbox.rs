//! What a client got: every event with its cursor, by connection, and what it was told besides.

use rowcast::cursor::{HistoryId, Position};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    ground::now,
    world::{Key, What, World},
};

/// A change that a client got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) key: Key,
    pub(crate) cursor: String,
    pub(crate) at: i64,
    pub(crate) connection: usize,
}

/// One connection of a client.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) from: i64,
    pub(crate) cursor: String,
    pub(crate) until: i64,
    pub(crate) end: String,
}

/// A client's memory, over all its connections.
pub(crate) struct Inbox {
    pub(crate) name: String,
    pub(crate) user: i64,
    /// Where it came in for the first time.
    pub(crate) start: Option<String>,
    /// Where it goes on from.
    pub(crate) cursor: Option<String>,
    pub(crate) got: Vec<Got>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) told_to_resync: usize,
    pub(crate) errors: Vec<String>,
    /// Threads whose last message has not come yet.
    waiting: Vec<Uuid>,
}

#[derive(Deserialize)]
struct Frame {
    r#type: String,
    cursor: Option<String>,
    data: Option<Data>,
    thread_id: Option<Uuid>,
    message_id: Option<Uuid>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    id: Uuid,
    thread_id: Uuid,
    content: String,
}

/// The content of the last message of every thread.
pub(crate) const LAST: &str = "the last one";

impl Inbox {
    pub(crate) fn new(name: String, user: i64, threads: &[i64]) -> Self {
        Self {
            name,
            user,
            start: None,
            cursor: None,
            got: Vec::new(),
            visits: Vec::new(),
            told_to_resync: 0,
            errors: Vec::new(),
            waiting: threads.iter().map(|&thread| World::thread(thread)).collect(),
        }
    }

    /// Notes that a connection was opened.
    pub(crate) fn come(&mut self) {
        let cursor = self.cursor.clone().unwrap_or_default();
        self.visits.push(Visit { from: now(), cursor, until: 0, end: String::new() });
    }

    /// Notes how the connection ended.
    pub(crate) fn go(&mut self, end: impl Into<String>) {
        if let Some(visit) = self.visits.last_mut() {
            (visit.until, visit.end) = (now(), end.into());
        }
    }

    /// Whether the last message of every thread is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a frame's text; `follow` says whether to keep the cursor of what no row caused.
    pub(crate) fn take(&mut self, text: &str, follow: bool) {
        let frame: Frame = serde_json::from_str(text).expect("a frame");
        let key = match (frame.r#type.as_str(), frame.data) {
            ("connection_established", _) => {
                self.start = self.start.take().or_else(|| frame.cursor.clone());
                if self.cursor.is_none() {
                    self.cursor = frame.cursor;
                }
                return;
            }
            ("resumed", _) => {
                if follow {
                    self.cursor = frame.cursor;
                }
                return;
            }
            ("resync_required", _) => {
                self.told_to_resync += 1;
                return;
            }
            ("new_message", Some(data)) => {
                if data.content == LAST {
                    self.waiting.retain(|thread| *thread != data.thread_id);
                }
                (What::New, data.id, word(&data.content))
            }
            ("message_updated", Some(data)) => (What::Updated, data.id, word(&data.content)),
            ("message_deleted", _) => {
                (What::Deleted, frame.message_id.expect("message_id"), String::new())
            }
            ("thread_joined", _) => {
                (What::Joined, frame.thread_id.expect("thread_id"), self.user.to_string())
            }
            ("thread_left", _) => {
                (What::Left, frame.thread_id.expect("thread_id"), self.user.to_string())
            }
            ("error", _) => {
                self.errors.push(frame.message.unwrap_or_default());
                return;
            }
            _ => return,
        };
        let cursor = frame.cursor.expect("an event of a row has a cursor");
        self.cursor = Some(cursor.clone());
        let connection = self.visits.len();
        self.got.push(Got { key, cursor, at: now(), connection });
    }
}

/// What a writer called the content.
pub(crate) fn word(content: &str) -> String {
    content.split('|').next().unwrap_or_default().to_owned()
}

/// A cursor for people.
pub(crate) fn shown(cursor: &str, history: HistoryId) -> String {
    match Position::decode(cursor, history) {
        Ok(Some(Position { base, partial: None })) => format!("{} @{}", base.snapshot, base.at),
        Ok(Some(Position { base, partial: Some((upto, id)) })) => {
            format!("{} @{} → {} @{} to id {id}", base.snapshot, base.at, upto.snapshot, upto.at)
        }
        Ok(None) => "of another history".to_owned(),
        Err(_) if cursor.is_empty() => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}
