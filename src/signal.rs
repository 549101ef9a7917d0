//! What is said but not stored: typing, presence, broadcasts.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use uuid::Uuid;

use crate::topic::Topic;

/// A passing event between people; it has no cursor and is not replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A user began or stopped typing in a thread.
    Typing {
        /// The thread.
        thread: i64,
        /// The typist.
        user: Person,
        /// Their name at log-in.
        username: Arc<str>,
        /// Whether they type now.
        is_typing: bool,
    },
    /// A user came or went.
    Presence {
        /// Who.
        user: Person,
        /// The threads that they are in: whoever shares one may know.
        threads: Vec<i64>,
        /// What they are now.
        status: Status,
        /// When they were last seen, in microseconds since 1970; set when they went.
        last_seen: Option<i64>,
    },
    /// Something was said in a channel.
    Broadcast(Broadcast),
    /// Somebody came to a channel, changed there, or left it.
    Moves(Moves),
}

impl Signal {
    /// Roughly how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        let more = match self {
            Self::Typing { .. } | Self::Presence { .. } => 0,
            Self::Broadcast(broadcast) => {
                broadcast.event.len() + broadcast.meta.len() + broadcast.said.size()
            }
            Self::Moves(moves) => moves.joins.len() + moves.leaves.len(),
        };
        size_of::<Self>() + more
    }
}

/// Something said in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// Where, such as `channel:public:room1`.
    pub channel: Topic,
    /// The application's name for it.
    pub event: String,
    /// What was said.
    pub said: Said,
    /// What the bridge says of it: a JSON object, or nothing.
    pub meta: String,
    /// Which member of the channel said it; none for who is no member.
    pub from: Option<u64>,
    /// Its frames.
    pub made: Made,
}

/// What is said in a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// JSON.
    Json(String),
    /// Bytes.
    Bytes(Bytes),
    /// JSON that holds the event, too, and goes on as it is.
    Message(String),
}

impl Said {
    /// Its size, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Json(text) | Self::Message(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Who came to a channel and who left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    /// The channel.
    pub channel: Topic,
    /// Who came: a JSON object, key to metas.
    pub joins: String,
    /// Who left, likewise.
    pub leaves: String,
    /// Its frames.
    pub made: Made,
}

/// What was made of a signal for the wire, once for all who get it; two versions at most.
#[derive(Debug, Default)]
pub struct Made([OnceLock<Arc<dyn Any + Send + Sync>>; 2]);

impl Made {
    /// What was made for a version, which is 0 or 1 and has one type.
    pub fn get<T: Send + Sync + 'static>(
        &self,
        version: usize,
        make: impl FnOnce() -> T,
    ) -> Option<Arc<T>> {
        let made = self.0.get(version)?.get_or_init(|| Arc::new(make()));
        Arc::clone(made).downcast().ok()
    }
}

impl Clone for Made {
    /// A copy is another signal, of which nothing has been made.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Made {
    /// It follows from the rest of the signal.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Made {}

/// A user by both forms of their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Person {
    /// The integer id.
    pub id: i64,
    /// The public id.
    pub uuid: Uuid,
}

/// A user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A connection is open, or a request was made not long ago.
    Online,
    /// The same, but they said that they are away.
    Away,
    /// None of it, or they said that they are offline.
    Offline,
}

impl Status {
    /// Parses the word on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Online, Self::Away, Self::Offline].into_iter().find(|status| status.as_str() == text)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Offline => "offline",
        }
    }
}
