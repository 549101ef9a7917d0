//! The one error type at the boundary: a kind, a message that is safe to show, and its source.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// What went wrong, in terms that every dialect can map to its own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not what the protocol says it should be.
    Malformed,
    /// No token, or one that is not or no longer good.
    Unauthorized,
    /// It costs more than the caller has.
    Payment,
    /// Known, and not allowed.
    Forbidden,
    /// What was asked for is not there.
    Missing,
    /// The request contradicts what is already there; a cursor that is too old is one of these.
    Conflict,
    /// Larger than the limit.
    TooLarge,
    /// More often than the limit.
    TooMany,
    /// The request did not come within its deadline.
    Timeout,
    /// The database or another part that is needed is away for now.
    Unavailable,
    /// A fault of ours; the source is in the log.
    Internal,
}

/// An error whose `message` may be shown to anybody; the `source` is only ever logged.
#[derive(Debug)]
pub struct Error {
    /// What kind of error it is.
    pub kind: Kind,
    /// A sentence for the user: what was wrong, what is accepted, what to do.
    pub message: Cow<'static, str>,
    /// How long to wait before another try, in milliseconds; set for `TooMany`.
    pub retry_after_ms: Option<u64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with the boundary error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of a kind.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after_ms: None, source: None }
    }

    /// Says that the request is not well formed.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    /// Says that the caller is not or no longer authenticated.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthorized, message)
    }

    /// Says that the caller may not do that.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    /// Says that a limit was reached and when to try again.
    pub fn too_many(message: impl Into<Cow<'static, str>>, retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(Kind::TooMany, message) }
    }

    /// Says that something needed is away; the source goes to the log.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            Kind::Unavailable,
            "The database is not reachable right now; try again in a moment",
        )
        .because(source)
    }

    /// Says that something of ours broke; the source goes to the log.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "Something went wrong on our side; it has been logged")
            .because(source)
    }

    /// Attaches what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Logs an error that is ours rather than the client's, once, where it is handled.
    pub fn log(&self, doing: &'static str) {
        if let Some(source) = &self.source {
            tracing::warn!(doing, kind = ?self.kind, error = %Chain(source.as_ref()), "failed while {doing}");
        }
    }

    /// Whether an error was caused by the server's side and may pass by itself.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Internal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Prints an error with everything that caused it, `: `-separated.
pub struct Chain<'a>(pub &'a (dyn StdError + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_shows_and_the_source_does_not() {
        let error = Error::unavailable(std::io::Error::other("password for 10.0.0.1"));
        assert!(!error.to_string().contains("10.0.0.1"));
        assert!(Chain(&error).to_string().contains("10.0.0.1"));
    }
}
