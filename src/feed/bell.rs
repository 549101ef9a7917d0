//! The bell: turns notifications of the listening connection into one thing to wait for.

use std::{future::poll_fn, sync::Arc};

use serde::Deserialize;
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::status::Status;
use crate::{db::connect::Connection, error::Chain, lifecycle::Lifecycle};

/// Rings that come while nobody waits are one ring: a bell says "read", not what.
pub(super) struct Bell {
    rung: Notify,
    echoed: Notify,
    lost: CancellationToken,
}

/// What the bell's payload says. NOTIFY has no permissions, so this is never more than a hint.
#[derive(Deserialize)]
struct Ring {
    v: u32,
}

impl Bell {
    /// Takes over a connection and drives it until it closes or the bell is dropped.
    pub(super) fn hang(connection: Connection, lifecycle: &Lifecycle, status: Status) -> Arc<Self> {
        let bell = Arc::new(Self {
            rung: Notify::new(),
            echoed: Notify::new(),
            lost: CancellationToken::new(),
        });
        let mut driven = Box::pin(drive(connection, Arc::clone(&bell), status));
        let lost = bell.lost.clone();
        lifecycle.service("listener", async move {
            driven.as_mut().await;
            lost.cancel();
        });
        bell
    }

    /// Waits for a ring, or returns at once when there was one since the last call.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Waits for our own echo.
    pub(super) async fn echoed(&self) {
        self.echoed.notified().await;
    }

    /// Waits for the end of the connection.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

async fn drive(mut connection: Connection, bell: Arc<Bell>, status: Status) {
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(note)) if note.channel() == "rowcast_echo" => {
                if status.echo(note.payload()) {
                    bell.echoed.notify_one();
                }
            }
            // A forged ring costs one read of nothing; a payload of a later version is still a ring.
            Ok(AsyncMessage::Notification(note)) => {
                if serde_json::from_str::<Ring>(note.payload()).is_ok_and(|ring| ring.v >= 1) {
                    bell.rung.notify_one();
                }
            }
            Ok(AsyncMessage::Notice(notice)) => tracing::debug!(%notice, "notice: {notice}"),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the listening connection ended");
                break;
            }
        }
    }
}
