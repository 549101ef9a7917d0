//! Presence in the database: what users said of themselves, and when they were last seen.

use uuid::Uuid;

use super::Chat;
use crate::{
    db::{Pool, types::Micros},
    error::Result,
    signal::{Person, Status},
};

/// A user who went offline.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Who.
    pub person: Person,
    /// When, in microseconds since 1970.
    pub last_seen: Option<i64>,
    /// The threads that they are in.
    pub threads: Vec<i64>,
}

impl Chat {
    /// Stores what a user says of themselves.
    pub async fn say_presence(&self, user: i64, said: Status) -> Result<()> {
        self.pool.execute("select chat.say_presence($1, $2)", &[&user, &said.as_str()]).await
    }

    /// What a user last said of themselves.
    pub async fn said(&self, user: i64) -> Result<Option<Status>> {
        let row = self.pool.query_one("select chat.said($1)", &[&user]).await?;
        Ok(row.try_get::<_, Option<&str>>(0)?.and_then(Status::parse))
    }

    /// Who else is in threads, each once; of very many the first thousand.
    pub async fn others_in(&self, user: i64, threads: &[i64]) -> Result<Vec<Person>> {
        let sql = "select user_id, user_uuid from chat.others_in($1, $2)";
        let rows = self.pool.query(sql, &[&user, &threads]).await?;
        rows.iter()
            .map(|row| Ok(Person { id: row.try_get("user_id")?, uuid: row.try_get("user_uuid")? }))
            .collect()
    }

    /// Notes that users went offline, all in one call.
    pub async fn gone(&self, users: &[i64]) -> Result<Vec<Gone>> {
        gone(&self.pool, users).await
    }
}

pub(super) async fn gone(pool: &Pool, users: &[i64]) -> Result<Vec<Gone>> {
    let sql = "select user_id, user_uuid, last_seen_at, threads from chat.gone($1)";
    let rows = pool.query(sql, &[&users]).await?;
    rows.iter()
        .map(|row| {
            let id = row.try_get("user_id")?;
            let uuid: Uuid = row.try_get("user_uuid")?;
            let last_seen = row.try_get::<_, Option<Micros>>("last_seen_at")?;
            Ok(Gone {
                person: Person { id, uuid },
                last_seen: last_seen.map(|Micros(at)| at),
                threads: row.try_get("threads")?,
            })
        })
        .collect()
}
