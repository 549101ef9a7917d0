//! The rooms dialect's functions: each answers with JSON that is ready to send.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Chat, Range};
use crate::{
    change::Json,
    db::types::Micros,
    error::{Error, Result},
};

/// A room's messages since a time.
#[derive(Deserialize)]
pub struct Polled {
    /// The number in the room up to which the client has all after this.
    pub seq: i64,
    /// How many messages there are.
    pub count: i64,
    /// What to send as `since` next.
    pub timestamp: String,
    /// The messages.
    pub messages: Box<RawValue>,
}

/// A waiting poll that a message has answered: its user, the room, and the number that was reached.
pub struct Marking {
    /// The user.
    pub reader: i64,
    /// The room.
    pub room: i64,
    /// The number of the last message given.
    pub reached: i64,
}

impl Chat {
    /// The reader's rooms, or one of them, with who types where, the latest first.
    pub async fn rooms(
        &self,
        reader: i64,
        room: Option<i64>,
        typing: &[(i64, i64)],
    ) -> Result<Json> {
        let (rooms, typists): (Vec<i64>, Vec<i64>) = typing.iter().copied().unzip();
        let sql = "select chat.rooms_list($1, $2, $3, $4)";
        self.json(sql, &[&reader, &room, &rooms, &typists]).await
    }

    /// A room's messages since a time (in microseconds since 1970), or after a number; without either, the newest.
    pub async fn rooms_poll(
        &self,
        reader: i64,
        room: i64,
        since: Option<i64>,
        after: Option<i64>,
        most: i32,
    ) -> Result<Polled> {
        let since = since.map(Micros);
        let sql = "select chat.rooms_poll($1, $2, $3, $4, $5)";
        let polled = self.json(sql, &[&reader, &room, &since, &after, &most]).await?;
        polled.read().map_err(Error::internal)
    }

    /// Timestamps to send next, for polls that messages have answered, all in one call.
    pub async fn rooms_marks(&self, answered: &[Marking]) -> Result<Vec<String>> {
        let readers: Vec<i64> = answered.iter().map(|one| one.reader).collect();
        let rooms: Vec<i64> = answered.iter().map(|one| one.room).collect();
        let reached: Vec<i64> = answered.iter().map(|one| one.reached).collect();
        let sql = "select chat.rooms_marks($1, $2, $3)";
        let rows = self.pool.query(sql, &[&readers, &rooms, &reached]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// A page of a room's messages.
    pub async fn rooms_history(&self, reader: i64, room: i64, range: Range) -> Result<Json> {
        let Range { before, after, limit } = range;
        let sql = "select chat.rooms_history($1, $2, $3, $4, $5)";
        self.json(sql, &[&reader, &room, &before, &after, &limit]).await
    }

    /// Writes a message.
    pub async fn rooms_send(&self, sender: i64, room: i64, content: &str) -> Result<Json> {
        self.json("select chat.rooms_send($1, $2, $3)", &[&sender, &room, &content]).await
    }
}
