//! What is said but not stored: typing and presence.

use std::sync::Arc;

use uuid::Uuid;

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
}

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
