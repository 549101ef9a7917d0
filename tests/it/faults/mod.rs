//! What happens when something breaks: each test breaks one thing of a real installation and watches.

mod crash;
mod door;
mod drain;
mod entering;
mod gaps;
mod outage;
mod pooled;
mod ready;
mod slow;
mod standing;
pub(crate) mod writer;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{
    harness::app::{PATIENCE, Socket, now, token_with},
    history::ground::Ground,
};

/// Two people in one thread; what more a test needs it adds.
pub(crate) const PAIR: &str = "
    insert into chat.users (username) values ('ada'), ('grace');
    insert into chat.threads (kind) values ('group');
    insert into chat.members (thread_id, user_id) values (1, 1), (1, 2);";

/// A token of a user by integer id.
pub(crate) fn token(user: i64) -> String {
    token_with(&json!({ "sub": user.to_string(), "exp": now() + 3_600, "iat": now() }))
}

/// Opens a socket as a user, and reads the greeting; returns it with the cursor that it says.
pub(crate) async fn open(ground: &Ground, user: i64, cursor: Option<&str>) -> (Socket, String) {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let url = format!("ws://{}/ws?token={}{cursor}", ground.bridge.address, token(user));
    let mut socket = Socket(connect_async(url).await.expect("a socket").0);
    let greeting = socket.until("connection_established").await;
    (socket, text(&greeting["cursor"]))
}

/// The contents of the next messages, and the cursor of the last.
pub(crate) async fn messages(socket: &mut Socket, count: usize) -> (Vec<String>, String) {
    let (mut contents, mut cursor) = (Vec::new(), String::new());
    while contents.len() < count {
        let frame = socket.until("new_message").await;
        contents.push(text(&frame["data"]["content"]));
        cursor = text(&frame["cursor"]);
    }
    (contents, cursor)
}

/// Reads messages until the server closes; returns their contents, the last cursor and the code.
async fn until_closed(socket: &mut Socket) -> (Vec<String>, Option<String>, u16) {
    let (mut contents, mut cursor) = (Vec::new(), None);
    loop {
        match timeout(PATIENCE, socket.0.next()).await.expect("a close in time") {
            Some(Ok(Message::Text(frame))) => {
                let frame: Value = serde_json::from_str(&frame).expect("JSON");
                if frame["type"] == "new_message" {
                    contents.push(text(&frame["data"]["content"]));
                    cursor = Some(text(&frame["cursor"]));
                }
            }
            Some(Ok(Message::Close(Some(frame)))) => return (contents, cursor, frame.code.into()),
            Some(Ok(_)) => {}
            other => panic!("no close frame but {other:?}"),
        }
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

pub(crate) fn say(content: impl std::fmt::Display) -> String {
    format!("insert into chat.messages (thread_id, sender_id, content) values (1, 2, '{content}')")
}
