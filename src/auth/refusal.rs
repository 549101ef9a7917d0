//! Why a token is refused: one sum type, so that each dialect can say it in its own words.

use crate::error::{Error, Kind};

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is no token at all, or one that cannot be read.
    Malformed(&'static str),
    /// None of the keys has signed it.
    Unsigned,
    /// It names a key that nobody knows.
    UnknownKey(String),
    /// It does not say when it ends.
    NoEnd,
    /// When it ends is no time.
    OddEnd,
    /// It ended so many seconds ago.
    Expired(i64),
    /// It is not valid yet.
    Early,
    /// It is from another issuer.
    Issuer,
    /// It is for another audience.
    Audience,
    /// The keys could never be fetched.
    NoKeys,
}

impl From<Refusal> for Error {
    /// What is told of it where a dialect has no words of its own; why is told to operators only.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Expired(_) => Self::unauthorized("Token expired"),
            Refusal::Early => Self::unauthorized("Token is not valid yet"),
            Refusal::Issuer => Self::unauthorized("Token is from another issuer"),
            Refusal::Audience => Self::unauthorized("Token is for another audience"),
            Refusal::NoKeys => Self::new(
                Kind::Unavailable,
                "The keys that verify tokens are not reachable right now; try again in a moment",
            ),
            Refusal::Malformed(_)
            | Refusal::Unsigned
            | Refusal::UnknownKey(_)
            | Refusal::NoEnd
            | Refusal::OddEnd => {
                tracing::debug!(why = ?refusal, "token refused: {refusal:?}");
                Self::unauthorized("Invalid token")
            }
        }
    }
}
