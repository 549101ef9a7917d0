//! What a bearer may do in a private channel, as the policies on `realtime.messages` say.

use super::{bearer::Bearer, channel::Rights};
use crate::{
    error::{Error, Kind, Result},
    session::Services,
};

/// What may be written to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// Broadcasts.
    Broadcast,
    /// Presences.
    Presence,
    /// Broadcasts that are stored.
    Persistence,
}

/// What the bearer may read.
pub(super) async fn read(
    _services: &Services,
    _bearer: &Bearer,
    _channel: &str,
    _headers: &str,
    _presence: bool,
) -> Result<Rights> {
    Err(away())
}

/// Whether the bearer may write.
pub(super) async fn write(
    _services: &Services,
    _bearer: &Bearer,
    _channel: &str,
    _headers: &str,
    _extension: Extension,
) -> Result<bool> {
    Err(away())
}

/// What a client is told of a permit that could not be had.
pub(super) fn words(error: &Error, channel: &str) -> String {
    match error.kind {
        Kind::Timeout => "Query was cancelled, please try again".to_owned(),
        Kind::Unavailable | Kind::Internal => {
            "Realtime was unable to connect to the project database".to_owned()
        }
        _ => format!("You do not have permissions to read from this Channel topic: {channel}"),
    }
}

/// The same as the reason for a join that is refused.
pub(super) fn reason(error: &Error, channel: &str) -> String {
    let code = match error.kind {
        Kind::Timeout => "QueryCanceled",
        Kind::Unavailable | Kind::Internal => "UnableToConnectToProject",
        _ => "Unauthorized",
    };
    format!("{code}: {}", words(error, channel))
}

fn away() -> Error {
    Error::new(Kind::Unavailable, "private channels are not there yet")
}
