//! Notifications as they come in, for the commands that listen; the feed has an ear of its own.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};

use super::{
    Target,
    connect::Connection,
    pooler::{self, Dialled},
};
use crate::{error::Result, lifecycle::Lifecycle};

/// Notifications that wait to be taken; further ones are dropped, for they only say that there is something to read.
const WAITING: usize = 64;

/// A connection that listens.
pub struct Listener {
    /// For what belongs on the same connection.
    pub client: Client,
    notes: mpsc::Receiver<String>,
}

impl Listener {
    /// Connects and listens on a channel, whose name must be a plain identifier. Where a pooler hands connections round
    /// nothing would come, and others were left with what was asked for: there it hears nothing.
    pub async fn open(target: &Target, channel: &str, lifecycle: &Lifecycle) -> Result<Self> {
        let Dialled { client, connection, pooled } = pooler::dial(target).await?;
        let (sender, notes) = mpsc::channel(WAITING);
        lifecycle.service("listener", drive(connection, sender));
        if !(pooled && pooler::is_shared(&client, target, lifecycle).await) {
            client.batch_execute(&format!("listen {channel}")).await?;
        }
        Ok(Self { client, notes })
    }

    /// The next notification's payload; none when the connection is gone.
    pub async fn next(&mut self) -> Option<String> {
        self.notes.recv().await
    }
}

async fn drive(mut connection: Connection, sender: mpsc::Sender<String>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(note) = message {
            let _ = sender.try_send(note.payload().to_owned());
        }
    }
}
