//! What a subject may do in a private channel: tried on `realtime.messages` under its role and claims, and rolled back.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Permit, Subject, writable};
use crate::{
    db::due,
    error::{Error, Kind, Result},
};

/// How long a right to speak is held to be true; listening is asked for anew, at a join and at a fresh token.
const WRITE_IS_FRESH: Duration = Duration::from_secs(5);
/// Questions about channels at a time.
pub(super) const AT_ONCE: usize = 2;
/// How long the wait for a turn and then a policy may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a subject may hear in a private channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// Broadcasts.
    pub broadcast: bool,
    /// Who is there.
    pub presence: bool,
}

/// A broadcast to store.
#[derive(Debug)]
pub struct Kept<'a> {
    /// Its id, new.
    pub id: Uuid,
    /// The application's event.
    pub event: &'a str,
    /// Its payload in JSON…
    pub json: Option<&'a str>,
    /// …or in bytes.
    pub bytes: Option<&'a [u8]>,
    /// How long a replay may give it, where that is not as long as it is there.
    pub seconds: Option<i64>,
}

impl Permit {
    /// What the subject may hear in a private channel; presence is only asked about where it is wanted.
    pub async fn may_read(
        &self,
        who: &Subject,
        channel: &str,
        headers: &str,
        presence: bool,
    ) -> Result<Rights> {
        let sql = "select rowcast.may_read($1, $2, $3, $4, $5, $6)";
        let extensions: Vec<String> =
            self.try_out(sql, who, channel, headers, &[&presence]).await?;
        let has = |extension: &str| extensions.iter().any(|one| one == extension);
        Ok(Rights { broadcast: has("broadcast"), presence: has("presence") })
    }

    /// Whether the subject may speak in a private channel by an extension, `broadcast` or `presence`.
    pub async fn may_write(
        &self,
        who: &Subject,
        channel: &str,
        headers: &str,
        extension: &str,
    ) -> Result<bool> {
        let sql = "select rowcast.may_write($1, $2, $3, $4, $5, $6)";
        let since = Instant::now().checked_sub(WRITE_IS_FRESH).unwrap_or_else(Instant::now);
        let key = (who.clone(), channel.to_owned(), extension.to_owned());
        let more: [&(dyn postgres_types::ToSql + Sync); 1] = [&extension];
        let asked = self.try_out(sql, who, channel, headers, &more);
        self.0.speakers.get(key, since, asked).await
    }

    /// Stores a broadcast to a private channel; whether the subject may have it stored.
    pub async fn keep(
        &self,
        who: &Subject,
        channel: &str,
        headers: &str,
        kept: &Kept<'_>,
    ) -> Result<bool> {
        let sql = "select rowcast.keep_broadcast($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let Kept { id, event, json, bytes, seconds } = kept;
        writable(&[event])?;
        // `jsonb` has no such character, however it is written.
        if json.is_some_and(|json| json.contains("\\u0000")) {
            return Err(Error::malformed("A null character cannot be stored or compared"));
        }
        self.try_out(sql, who, channel, headers, &[id, event, json, bytes, seconds]).await
    }

    /// Runs one of them; one that takes too long is cancelled and its connection closed.
    async fn try_out<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &self,
        sql: &str,
        who: &Subject,
        channel: &str,
        headers: &str,
        more: &[&(dyn postgres_types::ToSql + Sync)],
    ) -> Result<T> {
        writable(&[who.role(), who.sub(), channel, headers])?;
        let asking = async {
            let _turn = self.0.turns.acquire().await.map_err(Error::internal)?;
            let lease = self.0.pool.raw().await?;
            let statement = lease.prepare(sql).await?;
            let (role, sub, claims) = (who.role(), who.sub(), who.claims());
            let asked: [&(dyn postgres_types::ToSql + Sync); 5] =
                [&role, &sub, &claims, &channel, &headers];
            let rows = lease.query(&statement, &[&asked, more].concat()).await;
            let row = rows.map_err(explain)?.pop();
            lease.done();
            Ok(due(row)?.try_get(0)?)
        };
        timeout(DEADLINE, asking).await.unwrap_or_else(|_| Err(cancelled()))
    }
}

/// The kinds that a join's refusal tells apart; a policy's own message may speak of what is not for the client.
fn explain(error: tokio_postgres::Error) -> Error {
    let Some(raised) = error.as_db_error() else { return error.into() };
    match raised.code().code() {
        "57014" => cancelled(),
        "23514" => {
            Error::new(Kind::Missing, "Realtime was unable to find the expected messages partition")
        }
        code if code.starts_with("RC")
            || ["08", "53", "57"].iter().any(|class| code.starts_with(class)) =>
        {
            error.into()
        }
        code => {
            let (code, message) = (code.to_owned(), raised.message().to_owned());
            tracing::warn!(
                code,
                message,
                "a policy of realtime.messages failed: {message} ({code})"
            );
            Error::forbidden(format!("A policy of realtime.messages failed ({code})"))
        }
    }
}

fn cancelled() -> Error {
    Error::new(Kind::Timeout, "Query was cancelled, please try again")
}
