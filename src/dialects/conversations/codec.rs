//! The `conversations` events: what a client asks for, and what changes look like. Pure: no I/O, no clock.

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use crate::{
    chat::{Event, Message},
    dialects::{
        reading,
        socketio::{packet, unknown_event},
    },
    error::{Error, Result},
    signal::Person,
};

/// The names that a client may use, for the error about any other.
const KNOWN: &str = "auth, subscribe_conversation, unsubscribe_conversation, typing, message:send, conversation:read";
/// Under which name a conversation is given.
pub(super) const CONVERSATION: &str = "conversationId";

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Auth { token: String },
    Subscribe { conversation: String },
    Unsubscribe { conversation: String },
    Typing { conversation: String, is_typing: bool },
    Send { conversation: String, content: String, message_type: String },
    Read { conversation: String, upto: Option<String> },
}

/// Reads an event.
pub(super) fn request(event: &packet::Event) -> Result<Request> {
    let data = &event.data;
    let conversation = || conversation(data);
    Ok(match event.name.as_str() {
        "auth" => Request::Auth { token: token(data)? },
        "subscribe_conversation" => Request::Subscribe { conversation: conversation()? },
        "unsubscribe_conversation" => Request::Unsubscribe { conversation: conversation()? },
        "typing" => {
            let is_typing = data.get("isTyping").and_then(Value::as_bool);
            let is_typing =
                is_typing.ok_or_else(|| Error::malformed("`isTyping` must be true or false"))?;
            Request::Typing { conversation: conversation()?, is_typing }
        }
        "message:send" => Request::Send {
            conversation: conversation()?,
            content: content(data)?,
            message_type: message_type(data)?,
        },
        "conversation:read" => {
            Request::Read { conversation: conversation()?, upto: message(data)? }
        }
        other => return Err(unknown_event(other, KNOWN)),
    })
}

fn token(data: &Value) -> Result<String> {
    let token = data.get("token").unwrap_or(data).as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Error::malformed("`token` is missing; it must be a string"))?;
    Ok(token.strip_prefix("Bearer ").unwrap_or(token).to_owned())
}

/// A conversation: under its name, or the id itself.
fn conversation(data: &Value) -> Result<String> {
    let value = if data.is_object() { data.get(CONVERSATION) } else { Some(data) };
    reading::id(value, CONVERSATION)
}

/// The message up to which something is read, where it is said.
pub(super) fn message(data: &Value) -> Result<Option<String>> {
    match data.get("messageId").filter(|value| !value.is_null()) {
        None => Ok(None),
        value => reading::id(value, "messageId").map(Some),
    }
}

/// A message's content, which the limits then check.
pub(super) fn content(data: &Value) -> Result<String> {
    reading::word(data.get("content"), "content")
}

/// A message's type.
pub(super) fn message_type(data: &Value) -> Result<String> {
    let value = data.get("messageType").filter(|value| !value.is_null());
    reading::message_type(value, "messageType")
}

/// A message as everybody sees it when it is new.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    id: Uuid,
    conversation_id: Uuid,
    sender_id: Option<Uuid>,
    content: &'a RawValue,
    message_type: &'a str,
    created_at: &'a str,
    is_read: bool,
}

impl<'a> From<&'a Message> for Shown<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.uuid,
            conversation_id: message.thread_uuid,
            sender_id: message.sender_uuid,
            content: &message.content,
            message_type: &message.message_type,
            created_at: &message.created_at,
            is_read: false,
        }
    }
}

/// The packet of a new message.
pub(super) fn new_message(message: &Message) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct NewMessage<'a> {
        conversation_id: Uuid,
        message: Shown<'a>,
    }
    let said = NewMessage { conversation_id: message.thread_uuid, message: message.into() };
    packet::event_text("new_message", &said)
}

/// What all members are told of a conversation with a new message: all but each one's own count, which `updated` adds.
pub(super) fn news(message: &Message) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct News<'a> {
        conversation_id: Uuid,
        last_message: Shown<'a>,
        updated_at: &'a str,
    }
    let news = News {
        conversation_id: message.thread_uuid,
        last_message: message.into(),
        updated_at: &message.created_at,
    };
    serde_json::to_string(&news).unwrap_or_default()
}

/// The packet that adds a member's own count to the news.
pub(super) fn updated(news: &str, unread: i64) -> String {
    let open = news.strip_suffix('}').unwrap_or(news);
    format!(r#"2["conversation:updated",{open},"unreadCount":{unread}}}]"#)
}

/// The packet of a conversation as SQL tells of it.
pub(super) fn conversation_updated(conversation: &str) -> String {
    format!(r#"2["conversation:updated",{conversation}]"#)
}

/// The packet of somebody's reading; none where it covered nothing that others wrote.
pub(super) fn message_read(event: &Event) -> Option<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Read {
        conversation_id: Uuid,
        message_id: Uuid,
        user_id: Uuid,
    }
    let Event::Marked { now, before } = event else { return None };
    if now.last_read_seq <= before.last_read_seq || now.read_count == 0 {
        return None;
    }
    let read = Read {
        conversation_id: now.thread_uuid,
        message_id: now.last_read_message_uuid?,
        user_id: now.user_uuid,
    };
    Some(packet::event_text("message:read", &read))
}

/// The packet of somebody's typing.
pub(super) fn typing(conversation: Uuid, user: Person, is_typing: bool) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Typing {
        conversation_id: Uuid,
        user_id: Uuid,
        is_typing: bool,
    }
    let said = Typing { conversation_id: conversation, user_id: user.uuid, is_typing };
    packet::event_text("typing:status", &said)
}
