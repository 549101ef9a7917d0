//! The shapes: for each cell of the table a function that knows what a client gathered, and takes out who, where and what.

use serde_json::{Value, json};

use super::world::Said;

/// Knows an item, or not.
pub(super) type Shape = fn(&Value) -> Option<Said>;

fn some(item: &Value, path: &str) -> Option<Value> {
    item.pointer(path).cloned()
}

fn is(item: &Value, kind: &str) -> Option<()> {
    (item["type"] == kind).then_some(())
}

pub(super) mod native {
    use super::*;

    pub(crate) fn message(item: &Value) -> Option<Said> {
        is(item, "new_message").map(|()| data(item))
    }

    pub(crate) fn edit(item: &Value) -> Option<Said> {
        is(item, "message_updated")?;
        some(item, "/data/edited_at")?;
        Some(Said { message: some(item, "/data/id"), ..data(item) })
    }

    fn data(item: &Value) -> Said {
        Said {
            thread: some(item, "/data/thread_id"),
            who: some(item, "/data/sender_id"),
            content: some(item, "/data/content"),
            ..Said::default()
        }
    }

    pub(crate) fn delete(item: &Value) -> Option<Said> {
        is(item, "message_deleted")?;
        let (thread, message) = (some(item, "/thread_id"), some(item, "/message_id"));
        Some(Said { thread, message, ..Said::default() })
    }

    pub(crate) fn read(item: &Value) -> Option<Said> {
        is(item, "messages_read")?;
        let message = some(item, "/up_to_message_id");
        Some(Said {
            thread: some(item, "/thread_id"),
            who: some(item, "/reader_id"),
            message,
            ..Said::default()
        })
    }

    pub(crate) fn delivered(item: &Value) -> Option<Said> {
        is(item, "message_delivered")?;
        Some(Said { message: some(item, "/up_to_message_id"), ..member(item) })
    }

    fn member(item: &Value) -> Said {
        let (thread, who) = (some(item, "/thread_id"), some(item, "/user_id"));
        Said { thread, who, ..Said::default() }
    }

    pub(crate) fn typing(item: &Value) -> Option<Said> {
        is(item, "typing")?;
        (item["is_typing"] == true).then(|| member(item))
    }

    pub(crate) fn stopped(item: &Value) -> Option<Said> {
        is(item, "typing")?;
        (item["is_typing"] == false).then(|| member(item))
    }

    pub(crate) fn online(item: &Value) -> Option<Said> {
        is(item, "presence")?;
        let who = some(item, "/user_id");
        (item["status"] == "online").then(|| Said { who, ..Said::default() })
    }

    pub(crate) fn offline(item: &Value) -> Option<Said> {
        is(item, "presence")?;
        let who = some(item, "/user_id");
        let gone = item["status"] == "offline" && item["last_seen"].is_string();
        gone.then(|| Said { who, ..Said::default() })
    }

    pub(crate) fn joined(item: &Value) -> Option<Said> {
        is(item, "thread_joined").map(|()| member(item))
    }

    pub(crate) fn left(item: &Value) -> Option<Said> {
        is(item, "thread_left").map(|()| member(item))
    }
}

pub(super) mod longpoll {
    use super::*;

    pub(crate) fn message(item: &Value) -> Option<Said> {
        is(item, "poll/messages")?;
        Some(Said {
            thread: some(item, "/thread"),
            who: some(item, "/value/author_id"),
            content: some(item, "/value/body"),
            ..Said::default()
        })
    }

    pub(crate) fn news(item: &Value) -> Option<Said> {
        is(item, "poll/updates")?;
        let (thread, content) = (some(item, "/value/thread_id"), some(item, "/value/last_message"));
        Some(Said { thread, content, ..Said::default() })
    }

    pub(crate) fn unread(item: &Value) -> Option<Said> {
        is(item, "poll/updates")?;
        let (thread, unread) = (some(item, "/value/thread_id"), some(item, "/value/unread_count"));
        Some(Said { thread, unread, ..Said::default() })
    }
}

pub(super) mod rooms {
    use super::*;

    pub(crate) fn message(item: &Value) -> Option<Said> {
        is(item, "message")?;
        Some(Said {
            thread: some(item, "/message/room"),
            who: some(item, "/message/sender/id"),
            content: some(item, "/message/content"),
            ..Said::default()
        })
    }

    pub(crate) fn last(item: &Value) -> Option<Said> {
        is(item, "last_message")?;
        let (thread, content) = (some(item, "/thread"), some(item, "/value/content"));
        Some(Said { thread, content, ..Said::default() })
    }

    pub(crate) fn read(item: &Value) -> Option<Said> {
        is(item, "last_message")?;
        let message = some(item, "/value/id");
        let read = item["value"]["is_read"] == true;
        read.then(|| Said { thread: some(item, "/thread"), message, ..Said::default() })
    }

    pub(crate) fn unread(item: &Value) -> Option<Said> {
        is(item, "unread_count")?;
        let (thread, unread) = (some(item, "/thread"), some(item, "/value"));
        Some(Said { thread, unread, ..Said::default() })
    }

    pub(crate) fn typing(item: &Value) -> Option<Said> {
        is(item, "typing")?;
        let who = some(item, "/user_id");
        (item["is_typing"] == true).then(|| Said { who, ..Said::default() })
    }

    pub(crate) fn stopped(item: &Value) -> Option<Said> {
        is(item, "typing")?;
        let who = some(item, "/user_id");
        (item["is_typing"] == false).then(|| Said { who, ..Said::default() })
    }
}

/// What a status that is asked for again and again shows: somebody came into a list, or went out of it.
pub(super) mod shown {
    use super::*;

    fn change(item: &Value, list: &str, on: bool) -> Option<Said> {
        is(item, list)?;
        let there = some(item, "/thread").filter(|thread| *thread != json!(0));
        let said = Said { thread: there, who: some(item, "/user"), ..Said::default() };
        (item["on"] == on).then_some(said)
    }

    pub(crate) fn typing(item: &Value) -> Option<Said> {
        change(item, "typing_users", true)
    }

    pub(crate) fn stopped(item: &Value) -> Option<Said> {
        change(item, "typing_users", false)
    }

    pub(crate) fn online(item: &Value) -> Option<Said> {
        change(item, "presence", true)
    }

    pub(crate) fn offline(item: &Value) -> Option<Said> {
        change(item, "presence", false)
    }

    pub(crate) fn joined(item: &Value) -> Option<Said> {
        change(item, "participants", true)
    }

    pub(crate) fn left(item: &Value) -> Option<Said> {
        change(item, "participants", false)
    }
}

pub(super) mod conversations {
    use super::*;

    pub(crate) fn message(item: &Value) -> Option<Said> {
        is(item, "new_message")?;
        Some(Said {
            thread: some(item, "/data/conversationId"),
            who: some(item, "/data/message/senderId"),
            content: some(item, "/data/message/content"),
            ..Said::default()
        })
    }

    pub(crate) fn last(item: &Value) -> Option<Said> {
        is(item, "conversation:updated")?;
        let content = some(item, "/data/lastMessage/content");
        Some(Said { thread: some(item, "/data/conversationId"), content, ..Said::default() })
    }

    pub(crate) fn unread(item: &Value) -> Option<Said> {
        is(item, "conversation:updated")?;
        let unread = some(item, "/data/unreadCount");
        Some(Said { thread: some(item, "/data/conversationId"), unread, ..Said::default() })
    }

    pub(crate) fn read(item: &Value) -> Option<Said> {
        is(item, "message:read")?;
        Some(Said { message: some(item, "/data/messageId"), ..member(item) })
    }

    fn member(item: &Value) -> Said {
        let (thread, who) = (some(item, "/data/conversationId"), some(item, "/data/userId"));
        Said { thread, who, ..Said::default() }
    }

    pub(crate) fn typing(item: &Value) -> Option<Said> {
        is(item, "typing:status")?;
        (item["data"]["isTyping"] == true).then(|| member(item))
    }

    pub(crate) fn stopped(item: &Value) -> Option<Said> {
        is(item, "typing:status")?;
        (item["data"]["isTyping"] == false).then(|| member(item))
    }
}

pub(super) mod direct {
    use super::*;

    pub(crate) fn message(item: &Value) -> Option<Said> {
        is(item, "new_message")?;
        some(item, "/data/receiver_id")?;
        let (who, content) = (some(item, "/data/sender_id"), some(item, "/data/content"));
        Some(Said { who, content, ..Said::default() })
    }

    pub(crate) fn notification(item: &Value) -> Option<Said> {
        is(item, "new_message_notification")?;
        let (who, content) = (some(item, "/data/sender_id"), some(item, "/data/content_preview"));
        Some(Said { who, content, ..Said::default() })
    }

    pub(crate) fn read(item: &Value) -> Option<Said> {
        is(item, "messages_read")?;
        let who = some(item, "/data/reader_id");
        let some_were_read = item["data"]["count"].as_i64() > Some(0);
        some_were_read.then(|| Said { who, ..Said::default() })
    }

    pub(crate) fn delivered(item: &Value) -> Option<Said> {
        is(item, "message_delivered")?;
        Some(Said { message: some(item, "/data/message_id"), ..Said::default() })
    }

    fn user(item: &Value, kind: &str) -> Option<Said> {
        is(item, kind)?;
        Some(Said { who: some(item, "/data/user_id"), ..Said::default() })
    }

    pub(crate) fn typing(item: &Value) -> Option<Said> {
        user(item, "user_typing")
    }

    pub(crate) fn stopped(item: &Value) -> Option<Said> {
        user(item, "user_stopped_typing")
    }

    pub(crate) fn online(item: &Value) -> Option<Said> {
        user(item, "user_online")
    }

    pub(crate) fn offline(item: &Value) -> Option<Said> {
        some(item, "/data/last_seen")?.as_str()?;
        user(item, "user_offline")
    }
}
