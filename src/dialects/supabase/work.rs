//! What a socket waits for besides frames and the hub: joins, permits and tokens under way, and changes of tables.

use std::{future::Future, pin::Pin};

use futures_util::{StreamExt, stream::FuturesUnordered};

use uuid::Uuid;

use super::{
    bearer::Bearer,
    channel::{Channel, Rights},
    codec::Asked,
    joining::Opened,
    private::Extension,
    watching::{Told, Watching},
};
use crate::error::Result;

/// A question on its way; it ends without an answer when its channel does.
type Work = Pin<Box<dyn Future<Output = Option<Done>> + Send>>;

/// An answer.
pub(super) struct Done {
    /// The channel's name…
    pub(super) name: String,
    /// …and which of its joinings asked.
    pub(super) member: u64,
    /// What was asked.
    pub(super) what: What,
}

/// What was asked and is answered.
pub(super) enum What {
    /// A join; the error is the reason that the client gets.
    Joined(Result<Box<Opened>, String>),
    /// A fresh token, with what its bearer may do.
    Renewed(Result<(Bearer, Rights), String>),
    /// Whether the bearer may write; none where the database could not be asked.
    Allowed(Extension, Option<bool>),
    /// Whether the bearer may get presences.
    Sees(Option<bool>),
    /// A broadcast that was to be stored, with its id; whether it was.
    Kept(Asked, Uuid, Result<bool>),
    /// Nothing new.
    Checked,
    /// The token was not revoked.
    Stands,
    /// The token was revoked; the words for that.
    Revoked(String),
    /// What came of the changes of tables; an error has lasted.
    Told(Box<Watching>, Vec<Told>, Result<()>),
}

/// All that is under way on a socket.
#[derive(Default)]
pub(super) struct Works(FuturesUnordered<Work>);

impl Works {
    /// Starts something in a channel's name.
    pub(super) fn start(
        &self,
        channel: &Channel,
        work: impl Future<Output = What> + Send + 'static,
    ) {
        let (name, member) = (channel.name().to_owned(), channel.member);
        let alive = channel.alive();
        self.0.push(Box::pin(async move {
            let what = alive.run_until_cancelled_owned(work).await?;
            Some(Done { name, member, what })
        }));
    }

    /// Waits for an answer; for ever when nothing is under way. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Done {
        while let Some(done) = self.0.next().await {
            if let Some(done) = done {
                return done;
            }
        }
        std::future::pending().await
    }
}
