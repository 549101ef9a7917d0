//! Calls of the functions behind conversations: `sql/functions/conversations.sql`.

use std::collections::HashMap;

use super::Chat;
use crate::{change::Json, cursor::Mark, db::types::Micros, error::Result};

/// How many messages a user has yet to read, per thread.
#[derive(Debug)]
pub struct Counts {
    /// Thread to count.
    pub unread: HashMap<i64, Unread>,
    /// What this answer had seen.
    pub asked: Mark,
}

/// What is unread in a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// Messages by others after the watermark.
    pub count: i64,
    /// The watermark.
    pub read: i64,
}

/// A page of a conversation.
#[derive(Debug, Default)]
pub struct Conversation<'a> {
    /// Only messages before this one.
    pub before: Option<&'a str>,
    /// Only messages since a time, in microseconds since 1970.
    pub since: Option<i64>,
    /// At most so many.
    pub limit: i32,
}

impl Chat {
    /// The reader's conversations, newest activity first.
    pub async fn conversations(&self, reader: i64) -> Result<Json> {
        self.json("select chat.conversations($1)", &[&reader]).await
    }

    /// One conversation as `conversation:updated` tells of it; none for a thread that the reader is not in.
    pub async fn conversation(&self, reader: i64, thread: i64) -> Result<Option<Json>> {
        let sql = "select chat.conversation($1, $2)";
        Ok(self.pool.query_one(sql, &[&reader, &thread]).await?.try_get(0)?)
    }

    /// What is unread in all of the reader's threads.
    pub async fn conversation_counts(&self, reader: i64) -> Result<Counts> {
        let sql = "select threads, counts, marks, snapshot, rowcast.moment() as at \
                   from chat.conversation_counts($1)";
        let row = self.pool.query_one(sql, &[&reader]).await?;
        let threads: Vec<i64> = row.try_get("threads")?;
        let counts: Vec<i64> = row.try_get("counts")?;
        let marks: Vec<i64> = row.try_get("marks")?;
        let unread = counts.into_iter().zip(marks).map(|(count, read)| Unread { count, read });
        let Micros(at) = row.try_get("at")?;
        let asked = Mark { snapshot: row.try_get("snapshot")?, at };
        Ok(Counts { unread: threads.into_iter().zip(unread).collect(), asked })
    }

    /// A page of a conversation, ascending.
    pub async fn conversation_page(
        &self,
        reader: i64,
        conversation: &str,
        page: Conversation<'_>,
    ) -> Result<Json> {
        let Conversation { before, since, limit } = page;
        let since = since.map(Micros);
        let sql = "select chat.conversation_page($1, $2, $3, $4, $5)";
        self.json(sql, &[&reader, &conversation, &before, &since, &limit]).await
    }

    /// Writes into a conversation.
    pub async fn conversation_send(
        &self,
        sender: i64,
        conversation: &str,
        content: &str,
        message_type: &str,
    ) -> Result<Json> {
        let sql = "select chat.conversation_send($1, $2, $3, $4)";
        self.json(sql, &[&sender, &conversation, &content, &message_type]).await
    }

    /// Marks a conversation as read, all of it or up to a message.
    pub async fn conversation_read(
        &self,
        reader: i64,
        conversation: &str,
        upto: Option<&str>,
    ) -> Result<Json> {
        let sql = "select chat.conversation_read($1, $2, $3)";
        self.json(sql, &[&reader, &conversation, &upto]).await
    }
}
