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
}

impl Extension {
    fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Presence => "presence",
        }
    }
}

/// What the bearer may read; what may be written is asked when it matters.
pub(super) async fn read(
    services: &Services,
    bearer: &Bearer,
    channel: &str,
    headers: &str,
    presence: bool,
) -> Result<Rights> {
    let who = bearer.subject();
    let may = services.permit.may_read(&who, channel, headers, presence).await?;
    Ok(Rights { hear: may.broadcast, see: presence.then_some(may.presence), say: None, be: None })
}

/// Whether the bearer may write.
pub(super) async fn write(
    services: &Services,
    bearer: &Bearer,
    channel: &str,
    headers: &str,
    extension: Extension,
) -> Result<bool> {
    let who = bearer.subject();
    match services.permit.may_write(&who, channel, headers, extension.as_str()).await {
        // A role that is not there may nothing.
        Err(error) if error.kind == Kind::Forbidden => Ok(false),
        may => may,
    }
}

/// What a client is told of a permit that could not be had.
pub(super) fn words(error: &Error, channel: &str) -> String {
    match error.kind {
        Kind::Timeout => "Query was cancelled, please try again".to_owned(),
        Kind::Missing => "Realtime was unable to find the expected messages partition".to_owned(),
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
        Kind::Missing => "MissingPartition",
        Kind::Unavailable | Kind::Internal => "UnableToConnectToProject",
        _ => "Unauthorized",
    };
    format!("{code}: {}", words(error, channel))
}
