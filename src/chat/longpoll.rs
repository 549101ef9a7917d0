//! The long-polling dialect's functions: each answers with a `result` that is ready to send.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Chat;
use crate::{change::Json, db::types::Micros, error::Result, signal::Status};

/// A poll for a thread's messages, asked of the database.
#[derive(Deserialize)]
pub struct Asked {
    /// The number in the thread after which messages are new.
    pub seq: i64,
    /// How many are new now.
    pub count: i64,
    /// The answer with them.
    pub answer: Box<RawValue>,
}

/// A waiting poll for updates of which a thread has changed.
pub struct Recount {
    /// A hash of the session.
    pub session: String,
    /// Its user.
    pub reader: i64,
    /// The state that it waits with.
    pub state: Json,
}

impl Chat {
    /// A thread's messages after one that the client has, or after a number.
    pub async fn longpoll_messages(
        &self,
        reader: i64,
        thread: i64,
        last: i64,
        after: Option<i64>,
        most: i32,
    ) -> Result<Asked> {
        let sql = "select chat.longpoll_messages($1, $2, $3, $4, $5)";
        let asked = self.json(sql, &[&reader, &thread, &last, &after, &most]).await?;
        asked.read().map_err(crate::error::Error::internal)
    }

    /// What differs from the unread state that a session was last given, or has changed since a time.
    pub async fn longpoll_updates(
        &self,
        reader: i64,
        session: &str,
        last_check: Option<i64>,
    ) -> Result<Json> {
        let last_check = last_check.map(Micros);
        let sql = "select chat.longpoll_updates($1, $2, $3)";
        self.json(sql, &[&reader, &session, &last_check]).await
    }

    /// Counts again for waiting polls, all in one call; an answer for each whose state differs now.
    pub async fn longpoll_recount(&self, asked: &[Recount]) -> Result<Vec<Option<Json>>> {
        let sessions: Vec<&str> = asked.iter().map(|one| one.session.as_str()).collect();
        let readers: Vec<i64> = asked.iter().map(|one| one.reader).collect();
        let states: Vec<Json> = asked.iter().map(|one| one.state.clone()).collect();
        let sql = "select nth, answer from chat.longpoll_recount($1, $2, $3)";
        let rows = self.pool.query(sql, &[&sessions, &readers, &states]).await?;
        let mut answers: Vec<Option<Json>> = asked.iter().map(|_| None).collect();
        for row in rows {
            let nth: i64 = row.try_get("nth")?;
            let place = usize::try_from(nth - 1).ok().and_then(|place| answers.get_mut(place));
            if let Some(place) = place {
                *place = Some(row.try_get("answer")?);
            }
        }
        Ok(answers)
    }

    /// The reader's threads.
    pub async fn longpoll_threads(&self, reader: i64) -> Result<Json> {
        self.json("select chat.longpoll_threads($1)", &[&reader]).await
    }

    /// Writes a message.
    pub async fn longpoll_send(&self, sender: i64, thread: i64, content: &str) -> Result<Json> {
        self.json("select chat.longpoll_send($1, $2, $3)", &[&sender, &thread, &content]).await
    }

    /// Unread messages, in all and by kind of thread.
    pub async fn longpoll_count(&self, reader: i64) -> Result<Json> {
        self.json("select chat.longpoll_count($1)", &[&reader]).await
    }

    /// Marks a thread as read, or all of them.
    pub async fn longpoll_read(&self, reader: i64, thread: Option<i64>) -> Result<Json> {
        self.json("select chat.longpoll_read($1, $2)", &[&reader, &thread]).await
    }

    /// Names who types in a thread.
    pub async fn longpoll_typing(&self, reader: i64, thread: i64, typists: &[i64]) -> Result<Json> {
        self.json("select chat.longpoll_typing($1, $2, $3)", &[&reader, &thread, &typists]).await
    }

    /// Presence of partners; `here` are those of them who are here, what they show and for how long they have been silent.
    pub async fn longpoll_presence(
        &self,
        reader: i64,
        partners: &[i64],
        here: &[(i64, Option<Status>, Duration)],
    ) -> Result<Json> {
        let active: Vec<i64> = here.iter().map(|(user, ..)| *user).collect();
        let shown: Vec<Option<&str>> =
            here.iter().map(|(_, shown, _)| shown.map(Status::as_str)).collect();
        let idle: Vec<f64> = here.iter().map(|(.., silent)| silent.as_secs_f64()).collect();
        let sql = "select chat.longpoll_presence($1, $2, $3, $4, $5)";
        self.json(sql, &[&reader, &partners, &active, &shown, &idle]).await
    }
}
