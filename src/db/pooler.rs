//! What is at the other end: the server itself, or a pooler that hands its connections round.

use std::{future::poll_fn, pin::pin, time::Duration};

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};
use uuid::Uuid;

use super::{
    Target,
    connect::{Connection, Failure},
    plain_row,
};
use crate::{
    error::{Error, Result},
    lifecycle::Lifecycle,
};

/// A setting that only we know of: it is there when our settings reach the server, and ours when the session is.
const MARK: &str = "rowcast.direct";
/// How long the first answer may take; a pooler has us wait for a connection of its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to tell one kind of pooler from the other.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// Others use the pooler, too, and may leave us the same connection by chance.
const TRIES: usize = 8;

/// A connection, to be polled by whoever owns it.
pub struct Dialled {
    /// Its client.
    pub client: Client,
    /// The connection itself.
    pub connection: Connection,
    /// Whether a pooler is in between.
    pub pooled: bool,
}

/// Connects, and says what to.
pub async fn dial(target: &Target) -> Result<Dialled> {
    Ok(dial_with(target, target).await?)
}

/// Connects with settings where they are taken, and without where a pooler refuses them.
pub(super) async fn dial_with(
    settled: &Target,
    plain: &Target,
) -> std::result::Result<Dialled, Failure> {
    let nonce = Uuid::new_v4().simple().to_string();
    // Boxed: this is rare and large, and every caller's future holds it.
    let marked = settled.with_settings(&[(MARK, &nonce)]);
    let (client, mut connection) = match Box::pin(marked.open()).await {
        Err(Failure::Postgres(error)) if refuses_settings(&error) => {
            let (client, connection) = Box::pin(plain.open()).await?;
            return Ok(Dialled { client, connection, pooled: true });
        }
        result => result?,
    };
    let asking = mark(&client, &mut connection);
    let mark = timeout(ANSWER_WITHIN, asking).await.unwrap_or(Err(Failure::Deadline))?;
    Ok(Dialled { client, connection, pooled: mark.as_deref() != Some(&nonce) })
}

/// Reads the mark, on a connection that nobody polls yet.
async fn mark(
    client: &Client,
    connection: &mut Connection,
) -> std::result::Result<Option<String>, Failure> {
    let sql = format!("select pg_catalog.current_setting('{MARK}', true)");
    let mut asking = pin!(client.simple_query(&sql));
    let messages = loop {
        tokio::select! {
            biased;
            answer = &mut asking => break answer.map_err(Failure::Postgres)?,
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Failure::Postgres(error)),
                None => return Err(Failure::Deadline),
            },
        }
    };
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// pgbouncer and its like know a few start-up parameters only.
fn refuses_settings(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
    })
}

/// Whether the pooler that `client` leads to gives each transaction whatever connection is free: what one leaves in its
/// session, others find. Where that cannot be told in time it is taken to be so, for it is others who would be harmed.
///
/// Another client holds a transaction meanwhile. Where sessions stay apart, that is never on the connection of ours, and
/// ours stays the same.
pub async fn is_shared(client: &Client, target: &Target, lifecycle: &Lifecycle) -> bool {
    let telling = async {
        let other = target.client(lifecycle).await?;
        let ours = backend(client).await?;
        for _ in 0..TRIES {
            other.batch_execute("begin").await?;
            let theirs = backend(&other).await?;
            let shared = theirs == ours || backend(client).await? != ours;
            other.batch_execute("rollback").await?;
            if shared || backend(client).await? != ours {
                return Ok(true);
            }
        }
        Ok::<_, Error>(false)
    };
    timeout(TOLD_WITHIN, Box::pin(telling)).await.map_or(true, |told| told.unwrap_or(true))
}

/// Which process of the server's serves a client.
async fn backend(client: &Client) -> Result<Option<String>> {
    Ok(plain_row(client, "select pg_catalog.pg_backend_pid()").await?.pop().flatten())
}
