//! The `direct` events: what a client asks for, and what changes look like. Pure: no I/O, no clock.

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use crate::{
    chat::{Event, Message, Partner},
    dialects::{
        reading,
        socketio::{packet, unknown_event},
    },
    error::Result,
    signal::{Person, Status},
};

/// The names that a client may use, for the error about any other.
const KNOWN: &str = "join_conversation, leave_conversation, send_message_realtime, typing, stop_typing, \
                     mark_read_realtime, mark_delivered";
/// Characters of a message that a notification shows.
const PREVIEW: usize = 100;

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Join { partner: String },
    Leave { room: String },
    Send { receiver: String, content: String },
    Typing { receiver: String, is_typing: bool },
    Read { partner: String },
    Delivered { message: String },
}

/// Reads an event.
pub(super) fn request(event: &packet::Event) -> Result<Request> {
    let data = &event.data;
    let receiver = || id(data, "receiver_id");
    Ok(match event.name.as_str() {
        "join_conversation" => Request::Join { partner: id(data, "other_user_id")? },
        "leave_conversation" => Request::Leave { room: id(data, "room_id")? },
        "send_message_realtime" => Request::Send { receiver: receiver()?, content: content(data)? },
        "typing" => Request::Typing { receiver: receiver()?, is_typing: true },
        "stop_typing" => Request::Typing { receiver: receiver()?, is_typing: false },
        "mark_read_realtime" => Request::Read { partner: id(data, "other_user_id")? },
        "mark_delivered" => Request::Delivered { message: id(data, "message_id")? },
        other => return Err(unknown_event(other, KNOWN)),
    })
}

/// A uuid or an integer id under a name.
pub(super) fn id(data: &Value, name: &str) -> Result<String> {
    reading::id(data.get(name), name)
}

/// A message's content, which the limits then check.
pub(super) fn content(data: &Value) -> Result<String> {
    reading::word(data.get("content"), "content")
}

/// A message as the guide shows it.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    sender_id: Option<Uuid>,
    receiver_id: Uuid,
    content: &'a RawValue,
    is_read: bool,
    created_at: &'a str,
}

#[derive(Serialize)]
struct Notification<'a> {
    message_id: Uuid,
    sender_id: Option<Uuid>,
    sender_name: &'a str,
    content_preview: String,
    created_at: &'a str,
}

/// The two packets of a new message: for whoever shows it, and for whoever is told of it.
pub(super) fn message(message: &Message, receiver: Uuid) -> (String, String) {
    let shown = Shown {
        id: message.uuid,
        sender_id: message.sender_uuid,
        receiver_id: receiver,
        content: &message.content,
        is_read: false,
        created_at: &message.created_at,
    };
    let content: String = serde_json::from_str(message.content.get()).unwrap_or_default();
    let sender = message.sender.as_ref().and_then(|sender| sender.full_name.as_deref());
    let notification = Notification {
        message_id: message.uuid,
        sender_id: message.sender_uuid,
        sender_name: sender.unwrap_or_default(),
        content_preview: content.chars().take(PREVIEW).collect(),
        created_at: &message.created_at,
    };
    (
        packet::event_text("new_message", &shown),
        packet::event_text("new_message_notification", &notification),
    )
}

/// The packet of a watermark that moved; reading implies delivery, so one packet tells both.
pub(super) fn marked(event: &Event) -> Option<String> {
    #[derive(Serialize)]
    struct Read<'a> {
        reader_id: Uuid,
        count: i64,
        read_at: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Delivered<'a> {
        message_id: Uuid,
        delivered_at: Option<&'a str>,
    }
    let Event::Marked { now, before } = event else { return None };
    if now.last_read_seq > before.last_read_seq {
        let read =
            Read { reader_id: now.user_uuid, count: now.read_count, read_at: now.at.as_deref() };
        return (now.read_count > 0).then(|| packet::event_text("messages_read", &read));
    }
    if now.last_delivered_seq > before.last_delivered_seq {
        let message_id = now.last_delivered_message_uuid?;
        let delivered = Delivered { message_id, delivered_at: now.at.as_deref() };
        return Some(packet::event_text("message_delivered", &delivered));
    }
    None
}

/// The packet of somebody's typing, at a time.
pub(super) fn typing(user: Person, is_typing: bool, at: &str) -> String {
    #[derive(Serialize)]
    struct Typing<'a> {
        user_id: Uuid,
        timestamp: &'a str,
    }
    let name = if is_typing { "user_typing" } else { "user_stopped_typing" };
    packet::event_text(name, &Typing { user_id: user.uuid, timestamp: at })
}

/// The packet of somebody's coming or going.
pub(super) fn presence(user: Person, status: Status, last_seen: Option<i64>) -> String {
    #[derive(Serialize)]
    struct Online {
        user_id: Uuid,
    }
    #[derive(Serialize)]
    struct Offline {
        user_id: Uuid,
        last_seen: Option<String>,
    }
    match status {
        Status::Online | Status::Away => {
            packet::event_text("user_online", &Online { user_id: user.uuid })
        }
        Status::Offline => {
            let last_seen = last_seen.and_then(time);
            packet::event_text("user_offline", &Offline { user_id: user.uuid, last_seen })
        }
    }
}

/// An instant in microseconds since 1970 as RFC 3339 in UTC, to the microsecond.
pub(super) fn time(micros: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{at:.6}"))
}

/// Whom a message in a direct thread is for: the one of the two who did not send it.
pub(super) fn receiver(message: &Message, me: Person, partner: Partner) -> Uuid {
    if message.sender_id == Some(me.id) { partner.uuid } else { me.uuid }
}
