//! Calls of the functions behind messages between two people: `sql/functions/direct.sql`.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use uuid::Uuid;

use super::Chat;
use crate::{
    change::Json,
    claims::Claims,
    db::types::{Micros, Xid},
    error::{Error, Result},
};

/// The other one of a direct thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Partner {
    /// Their integer id.
    pub id: i64,
    /// Their public id.
    pub uuid: Uuid,
}

/// What a connection has to know of its user's direct threads.
#[derive(Debug, Default)]
pub struct DirectView {
    /// Thread to partner.
    pub threads: HashMap<i64, Partner>,
    /// Who has blocked or is blocked by the user.
    pub refused: HashSet<i64>,
}

/// A direct thread that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Its integer id.
    pub thread: i64,
    /// Its public id.
    pub uuid: Uuid,
    /// The other one.
    pub partner: Partner,
    /// The transaction that made it just now.
    pub made_by: Option<u64>,
}

impl Chat {
    /// Whose direct thread is which, and who is refused.
    pub async fn direct_view(&self, reader: i64) -> Result<DirectView> {
        #[derive(Deserialize)]
        struct View {
            threads: Vec<Thread>,
            refused: HashSet<i64>,
        }
        #[derive(Deserialize)]
        struct Thread {
            thread: i64,
            id: i64,
            uuid: Uuid,
        }
        let json = self.json("select chat.direct_view($1)", &[&reader]).await?;
        let view: View = json.read().map_err(Error::internal)?;
        let partner = |one: Thread| (one.thread, Partner { id: one.id, uuid: one.uuid });
        Ok(DirectView {
            threads: view.threads.into_iter().map(partner).collect(),
            refused: view.refused,
        })
    }

    /// Opens the direct thread with somebody, and makes it when there is none.
    pub async fn direct_open(&self, caller: i64, partner: &str) -> Result<Opened> {
        let sql = "select thread_id, thread_uuid, partner_id, partner_uuid, made_by \
                   from chat.direct_open($1, $2)";
        let row = self.pool.query_one(sql, &[&caller, &partner]).await?;
        Ok(Opened {
            thread: row.try_get("thread_id")?,
            uuid: row.try_get("thread_uuid")?,
            partner: Partner { id: row.try_get("partner_id")?, uuid: row.try_get("partner_uuid")? },
            made_by: row.try_get::<_, Option<Xid>>("made_by")?.map(|Xid(xid)| xid),
        })
    }

    /// Writes to somebody, for a price.
    pub async fn direct_send(
        &self,
        sender: i64,
        receiver: &str,
        content: &str,
        price: i64,
    ) -> Result<Json> {
        let sql = "select chat.direct_send($1, $2, $3, $4)";
        self.json(sql, &[&sender, &receiver, &content, &price]).await
    }

    /// Marks what somebody wrote as read.
    pub async fn direct_read(&self, reader: i64, partner: &str) -> Result<Json> {
        self.json("select chat.direct_read($1, $2)", &[&reader, &partner]).await
    }

    /// Notes that somebody's message has reached the reader.
    pub async fn direct_delivered(&self, reader: i64, message: &str) -> Result<()> {
        self.pool.execute("select chat.direct_delivered($1, $2)", &[&reader, &message]).await
    }

    /// A page of what two people said; `since` is in microseconds since 1970.
    pub async fn direct_history(
        &self,
        reader: i64,
        partner: &str,
        before: Option<&str>,
        since: Option<i64>,
        limit: i32,
    ) -> Result<Json> {
        let since = since.map(Micros);
        let sql = "select chat.direct_history($1, $2, $3, $4, $5)";
        self.json(sql, &[&reader, &partner, &before, &since, &limit]).await
    }

    /// The reader's direct threads, each with the partner's id.
    pub async fn direct_conversations(&self, reader: i64) -> Result<Vec<(i64, Json)>> {
        let sql = "select partner_id, body from chat.direct_conversations($1)";
        let rows = self.pool.query(sql, &[&reader]).await?;
        rows.iter().map(|row| Ok((row.try_get("partner_id")?, row.try_get("body")?))).collect()
    }

    /// A user as others see them, with their id.
    pub async fn profile(&self, reader: i64, partner: &str) -> Result<(i64, Json)> {
        let sql = "select person_id, body from chat.profile($1, $2)";
        let row = self.pool.query_one(sql, &[&reader, &partner]).await?;
        Ok((row.try_get("person_id")?, row.try_get("body")?))
    }

    /// Blocks somebody, or lifts the block.
    pub async fn block(&self, caller: i64, partner: &str, wanted: bool) -> Result<Json> {
        self.json("select chat.block($1, $2, $3)", &[&caller, &partner, &wanted]).await
    }

    /// Ends the token that asks, or all of the user's.
    pub async fn log_out(&self, caller: i64, claims: &Claims, everywhere: bool) -> Result<Json> {
        let time = |seconds: i64| Micros(seconds.saturating_mul(1_000_000));
        let issued = (claims.iat > 0).then(|| time(claims.iat));
        let expires = time(claims.exp);
        let login = claims.revocation.as_ref().map(|topic| topic.as_str());
        let login = login.filter(|topic| topic.starts_with("login:"));
        let sql = "select chat.log_out($1, $2, $3, $4, $5, $6)";
        self.json(sql, &[&caller, &claims.jti, &issued, &expires, &login, &everywhere]).await
    }
}
