//! What a change of the chat's tables means, read once per change from the record that SQL made.

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::change::{Change, Json, Op};

/// A change of the domain.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Sent(Message),
    /// A message was edited.
    Edited(Message),
    /// A message was deleted.
    Deleted(Gone),
    /// A user came into a thread.
    Joined(Member),
    /// A user left a thread.
    Left(Member),
    /// A member's watermarks moved.
    Marked {
        /// Where they are now.
        now: Member,
        /// Where they were.
        before: Watermarks,
    },
    /// A user's row changed.
    User(User),
    /// A user's row is gone.
    UserGone,
    /// Somebody blocked somebody.
    Blocked(Block),
    /// A block was lifted.
    Unblocked(Block),
    /// A token was revoked.
    Revoked,
    /// A cookie session ended.
    SessionEnded,
}

/// A message as the log holds it.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of chat.messages")]
pub struct Message {
    pub id: i64,
    pub uuid: Uuid,
    pub thread_id: i64,
    pub thread_uuid: Uuid,
    pub seq: i64,
    pub sender_id: Option<i64>,
    pub sender_uuid: Option<Uuid>,
    pub sender: Option<Sender>,
    /// A JSON string, spliced as it is.
    pub content: Box<RawValue>,
    pub message_type: String,
    pub attachments: Option<Box<RawValue>>,
    pub created_at: String,
    pub edited_at: Option<String>,
    pub deleted_at: Option<String>,
}

/// Who sent a message.
#[derive(Debug, Deserialize)]
pub struct Sender {
    pub username: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub full_name: Option<String>,
    pub role: Option<String>,
}

/// What is left of a deleted message.
#[derive(Debug, Deserialize)]
pub struct Gone {
    pub id: i64,
    pub uuid: Uuid,
    pub thread_id: i64,
    pub thread_uuid: Uuid,
}

/// Who does not want to hear from whom.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of chat.blocks")]
pub struct Block {
    pub blocker_id: i64,
    pub blocked_id: i64,
}

/// A member of a thread, with how far they have read and received.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of chat.members")]
pub struct Member {
    pub thread_id: i64,
    pub thread_uuid: Uuid,
    pub user_id: i64,
    pub user_uuid: Uuid,
    #[serde(default)]
    pub last_read_seq: i64,
    #[serde(default)]
    pub last_read_message_id: Option<i64>,
    #[serde(default)]
    pub last_read_message_uuid: Option<Uuid>,
    #[serde(default)]
    pub last_delivered_seq: i64,
    #[serde(default)]
    pub last_delivered_message_id: Option<i64>,
    #[serde(default)]
    pub last_delivered_message_uuid: Option<Uuid>,
    /// Messages of others that the last reading covered.
    #[serde(default)]
    pub read_count: i64,
    /// When, RFC 3339.
    #[serde(default)]
    pub at: Option<String>,
}

/// Where a member's watermarks were.
#[derive(Debug, Default, Deserialize)]
pub struct Watermarks {
    #[serde(default)]
    pub last_read_seq: i64,
    #[serde(default)]
    pub last_delivered_seq: i64,
}

/// A user's row.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of chat.users")]
pub struct User {
    pub id: i64,
    pub uuid: Uuid,
    pub active: bool,
    pub feed: bool,
    pub status: Option<String>,
    pub last_seen_at: Option<String>,
    pub tokens_valid_after: Option<jiff::Timestamp>,
}

/// Reads a change of the chat's tables; `None` for other tables, and for a record that does not fit (it is logged).
pub fn event(change: &Change) -> Option<Event> {
    let read = match (&*change.relation, change.op) {
        ("chat.messages", Op::Insert) => read(&change.record).map(Event::Sent),
        ("chat.messages", Op::Update) => message_update(change),
        ("chat.messages", Op::Delete) => read(&change.old_record).map(Event::Deleted),
        ("chat.members", Op::Insert) => read(&change.record).map(Event::Joined),
        ("chat.members", Op::Delete) => read(&change.old_record).map(Event::Left),
        ("chat.members", Op::Update) => read(&change.record)
            .map(|now| Event::Marked { now, before: read(&change.old_record).unwrap_or_default() }),
        ("chat.users", Op::Update) => read(&change.record).map(Event::User),
        ("chat.users", Op::Delete) => Ok(Event::UserGone),
        ("chat.blocks", Op::Insert) => read(&change.record).map(Event::Blocked),
        ("chat.blocks", Op::Delete) => read(&change.old_record).map(Event::Unblocked),
        ("chat.revoked_tokens", Op::Insert) => Ok(Event::Revoked),
        ("chat.login_sessions", Op::Delete) => Ok(Event::SessionEnded),
        _ => return None,
    };
    read.inspect_err(|error| {
        let id = change.id;
        tracing::warn!(id, %error, "change {id} of {} has a record that does not fit: {error}", change.relation);
    })
    .ok()
}

fn message_update(change: &Change) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    struct Deletion {
        deleted_at: Option<String>,
    }
    let now: Deletion = read(&change.record)?;
    if now.deleted_at.is_some() {
        return read(&change.record).map(Event::Deleted);
    }
    read(&change.record).map(Event::Edited)
}

fn read<'a, T: Deserialize<'a>>(json: &'a Option<Json>) -> Result<T, serde_json::Error> {
    json.as_ref().map_or_else(|| serde_json::from_str("null"), Json::read)
}
