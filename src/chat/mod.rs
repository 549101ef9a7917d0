//! The chat domain: calls of its SQL functions, and what its changes mean. The rules are in the database.

mod admission;
mod conversations;
mod direct;
mod event;
mod longpoll;
mod presence;
mod rooms;

use std::{collections::HashMap, sync::Arc};

use serde_json::value::RawValue;
use uuid::Uuid;

pub use conversations::{Conversation, Counts, Unread};
pub use direct::{DirectView, Opened, Partner};
pub use event::{Block, Event, Member, Message, User, event};
pub use longpoll::{Asked, Recount};
pub use presence::Gone;
pub use rooms::{Marking, Polled};

use admission::Admissions;

use crate::{
    change::Json,
    claims::Claims,
    cursor::{Mark, Position, Snapshot},
    db::{Pool, types::Micros},
    error::{Error, Kind, Result},
    lifecycle::Lifecycle,
    topic::Topic,
};

/// A cheap handle to the domain's functions.
#[derive(Clone)]
pub struct Chat {
    pool: Pool,
    admissions: Admissions,
}

/// What the database says of a bearer: who they are, and the threads they are in.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The user's integer id.
    pub user: i64,
    /// The user's public id.
    pub uuid: Uuid,
    /// Their name at log-in.
    pub username: Arc<str>,
    /// Their name for people.
    pub full_name: String,
    /// Their role in the domain.
    pub role: String,
    /// Whether they get the messages of all their threads unasked.
    pub feed: bool,
    /// Their threads: integer id to public id.
    pub threads: HashMap<i64, Uuid>,
    /// What this answer had seen.
    pub asked: Mark,
}

impl Standing {
    /// A thread that the user is in, by either form of its id; any other is refused alike.
    pub fn thread(&self, reference: &str) -> Result<i64> {
        let found = match reference.parse::<i64>() {
            Ok(id) => self.threads.contains_key(&id).then_some(id),
            Err(_) => {
                let uuid = Uuid::parse_str(reference).ok();
                self.threads.iter().find(|(_, known)| Some(**known) == uuid).map(|(id, _)| *id)
            }
        };
        found.ok_or_else(not_a_participant)
    }
}

/// A page of messages that a device missed.
pub struct Offline {
    /// The `data` of the answer, as JSON.
    pub body: String,
    /// Where the device stands after it; none in the middle of pages from the tables, which go on by time.
    pub position: Option<Position>,
}

/// From where on a device wants what it missed.
pub enum Since {
    /// From a time that an earlier answer gave, or any other, in microseconds since 1970.
    Time(i64),
    /// From a cursor.
    Position(Position),
}

/// A page of a thread's history.
#[derive(Debug, Default)]
pub struct Range {
    /// Only messages before this one.
    pub before: Option<i64>,
    /// Only messages after this one.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: i32,
}

impl Chat {
    /// Wraps a pool; people who come or go at the same moment are asked about together.
    pub fn start(pool: Pool, lifecycle: &Lifecycle) -> Self {
        Self { admissions: Admissions::start(&pool, lifecycle), pool }
    }

    /// Whether a token was revoked, whoever its bearer is.
    pub async fn is_revoked(&self, claims: &Claims) -> Result<bool> {
        match &claims.jti {
            Some(jti) => self.pool.value("select chat.is_revoked($1)", &[jti]).await,
            None => Ok(false),
        }
    }

    /// What an opaque session id from a cookie stands for; none when it is unknown or over.
    pub async fn session(&self, session: &str) -> Result<Option<Claims>> {
        let sql = "select sub, created_at, expires_at, topic from chat.session($1)";
        let Some(row) = self.pool.query_opt(sql, &[&session]).await? else { return Ok(None) };
        let Micros(expires) = row.try_get("expires_at")?;
        let Micros(created) = row.try_get("created_at")?;
        Ok(Some(Claims {
            sub: row.try_get("sub")?,
            jti: None,
            role: "authenticated".to_owned(),
            exp: expires / 1_000_000,
            iat: created.div_euclid(1_000_000),
            revocation: Topic::parse(row.try_get("topic")?).ok(),
            raw: RawValue::NULL.to_owned(),
        }))
    }

    /// Finds a thread by either form of its id. One that is not there is refused like one the caller is not in.
    pub async fn thread(&self, reference: &str) -> Result<i64> {
        let row = self.pool.query_one("select chat.thread($1)", &[&reference]).await?;
        row.try_get::<_, Option<i64>>(0)?.ok_or_else(not_a_participant)
    }

    /// Finds a message by either form of its id.
    pub async fn message(&self, reference: &str) -> Result<Option<i64>> {
        let row = self.pool.query_one("select chat.message($1)", &[&reference]).await?;
        Ok(row.try_get(0)?)
    }

    /// The same in one thread: a message of another is as one that is not there.
    pub async fn message_of(&self, thread: i64, reference: &str) -> Result<Option<i64>> {
        let row =
            self.pool.query_one("select chat.message_of($1, $2)", &[&thread, &reference]).await?;
        Ok(row.try_get(0)?)
    }

    /// Finds a user by either form of their id.
    pub async fn user(&self, reference: &str) -> Result<Option<i64>> {
        let row = self.pool.query_one("select chat.user($1)", &[&reference]).await?;
        Ok(row.try_get(0)?)
    }

    /// Turns the general feed on or off for all of a user's devices.
    pub async fn set_feed(&self, reader: i64, wanted: bool) -> Result<()> {
        self.pool.execute("select chat.set_feed($1, $2)", &[&reader, &wanted]).await
    }

    /// What a device missed.
    pub async fn offline(&self, reader: i64, since: Since, limit: i32) -> Result<Offline> {
        let (time, position) = match since {
            Since::Time(at) => (Some(Micros(at)), None),
            Since::Position(position) => (None, Some(position)),
        };
        let base = position.as_ref().map(|position| position.base.snapshot.clone());
        let base_at = position.as_ref().map(|position| Micros(position.base.at));
        let partial = position.and_then(|position| position.partial);
        let last_id = partial.as_ref().map(|(_, id)| *id);
        let upto_at = partial.as_ref().map(|(mark, _)| Micros(mark.at));
        let upto = partial.map(|(mark, _)| mark.snapshot);
        let rows = self
            .pool
            .query(
                "select part, base, base_at, upto, upto_at, last_id \
                 from chat.offline_messages($1, $2, $3, $4, $5, $6, $7, $8)",
                &[&reader, &time, &base, &base_at, &upto, &upto_at, &last_id, &limit],
            )
            .await?;
        let parts: Vec<&str> =
            rows.iter().map(|row| row.try_get("part")).collect::<Result<_, _>>()?;
        let row = rows.last().ok_or_else(|| Error::internal("an offline page without an end"))?;
        let mark = |snapshot: Option<Snapshot>, at: Option<Micros>| {
            snapshot.zip(at).map(|(snapshot, Micros(at))| Mark { snapshot, at })
        };
        let base = mark(row.try_get("base")?, row.try_get("base_at")?);
        let upto = mark(row.try_get("upto")?, row.try_get("upto_at")?);
        let partial = upto.zip(row.try_get("last_id")?);
        let position = base.map(|base| Position { base, partial });
        Ok(Offline { body: parts.concat(), position })
    }

    /// Unread counts: in all, and per thread.
    pub async fn unread(&self, reader: i64) -> Result<Json> {
        self.json("select chat.unread($1)", &[&reader]).await
    }

    /// Marks a thread as read, all of it or up to a message.
    pub async fn mark_read(&self, reader: i64, thread: i64, upto: Option<i64>) -> Result<Json> {
        self.json("select chat.mark_read($1, $2, $3)", &[&reader, &thread, &upto]).await
    }

    /// Notes that a thread's messages have reached one of the reader's devices.
    pub async fn mark_delivered(&self, reader: i64, thread: i64, upto: i64) -> Result<()> {
        let sql = "select chat.mark_delivered($1, $2, $3)";
        self.pool.execute(sql, &[&reader, &thread, &upto]).await
    }

    /// The reader's threads.
    pub async fn threads(&self, reader: i64) -> Result<Json> {
        self.json("select chat.threads_of($1)", &[&reader]).await
    }

    /// A page of the messages of a thread, by either form of its id.
    pub async fn history(&self, reader: i64, thread: &str, range: Range) -> Result<Json> {
        let Range { before, after, limit } = range;
        let sql = "select chat.history_page($1, chat.thread($2), $3, $4, $5)";
        self.json(sql, &[&reader, &thread, &before, &after, &limit]).await
    }

    /// Writes a message and returns it as everybody will see it. One whose id the sender chose is written once, however often it is sent.
    pub async fn send(
        &self,
        sender: i64,
        thread: i64,
        id: Option<Uuid>,
        content: &str,
        message_type: &str,
        attachments: Option<&RawValue>,
    ) -> Result<Json> {
        let attachments = attachments
            .map(|json| serde_json::from_str::<serde_json::Value>(json.get()))
            .transpose()
            .map_err(|_| Error::malformed("`attachments` must be a JSON array"))?;
        let sql = "select chat.send($1, $2, $3, $4, $5, $6)";
        self.json(sql, &[&sender, &thread, &content, &message_type, &attachments, &id]).await
    }

    /// Notes that a user has gone offline; returns when, in microseconds since 1970.
    pub async fn seen(&self, user: i64) -> Result<Option<i64>> {
        let row = self.pool.query_one("select chat.seen($1)", &[&user]).await?;
        Ok(row.try_get::<_, Option<Micros>>(0)?.map(|Micros(at)| at))
    }

    async fn json(
        &self,
        sql: &str,
        params: &[&(dyn postgres_types::ToSql + Sync)],
    ) -> Result<Json> {
        Ok(self.pool.query_one(sql, params).await?.try_get(0)?)
    }
}

/// What a user is told who was deactivated, by SQL as well.
pub const DEACTIVATED: &str = "Account deactivated";

/// The one answer for a thread that is not there and one that the caller is not in.
pub fn not_a_participant() -> Error {
    Error::new(Kind::Forbidden, "Not a participant")
}
