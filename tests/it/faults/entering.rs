//! A client is let in where the database stood when it was asked, also while the bridge's feed is behind that.

use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::connect_async;

use super::{say, token};
use crate::{
    harness::{app::Socket, io::IoSocket},
    history::ground::{Ground, Terrain, until},
};

/// Two people in the direct thread of theirs.
const DIRECT: &str = "
    insert into chat.users (username) values ('ada'), ('grace');
    select chat.direct_thread(1, 2);";

/// A client's socket, whatever it speaks.
enum Client {
    Native(Socket),
    Rooms(Socket),
    Direct(IoSocket),
    Conversations(IoSocket),
}

impl Client {
    /// The content of the next message.
    async fn message(&mut self) -> String {
        let content = |value: &Value| value["content"].as_str().expect("a content").to_owned();
        match self {
            Self::Native(socket) => content(&socket.until("new_message").await["data"]),
            Self::Rooms(socket) => content(&socket.until("message").await["message"]),
            Self::Direct(socket) => content(&event(socket, "new_message").await),
            Self::Conversations(socket) => content(&event(socket, "new_message").await["message"]),
        }
    }
}

async fn event(socket: &mut IoSocket, name: &str) -> Value {
    loop {
        let packet = socket.next().await;
        let event: Option<(String, Value)> =
            packet.strip_prefix('2').and_then(|event| serde_json::from_str(event).ok());
        if let Some((is, data)) = event
            && is == name
        {
            return data;
        }
    }
}

/// Emits an event and reads on until it was done.
async fn asked(socket: &mut IoSocket, event: &str, data: &str) {
    socket.send(&format!(r#"21["{event}",{data}]"#)).await;
    loop {
        let packet = socket.next().await;
        if let Some(answer) = packet.strip_prefix("31") {
            return assert!(answer.contains(r#""success":true"#), "{answer}");
        }
    }
}

/// One client of each dialect with a socket, all of user 1 and in place.
async fn enter(ground: &Ground) -> [Client; 4] {
    let (address, token) = (ground.bridge.address, token(1));
    let open = async |path: &str| {
        let url = format!("ws://{address}{path}?token={token}");
        Socket(connect_async(url).await.expect("a socket").0)
    };
    let mut native = open("/ws").await;
    native.until("connection_established").await;
    let rooms = open("/ws/chat/1/").await;
    let mut direct = IoSocket::enter_at(address, &token, "").await;
    asked(&mut direct, "join_conversation", r#"{"other_user_id":2}"#).await;
    let mut conversations = IoSocket::enter_at(address, &token, "&dialect=conversations").await;
    asked(&mut conversations, "subscribe_conversation", r#"{"conversationId":1}"#).await;
    [
        Client::Native(native),
        Client::Rooms(rooms),
        Client::Direct(direct),
        Client::Conversations(conversations),
    ]
}

#[tokio::test]
async fn what_the_database_had_is_not_told_again_and_what_was_open_comes_once() {
    let ground = Ground::start_on(Terrain::FeedApart, DIRECT, &[], &[]).await;
    let mut first = enter(&ground).await;
    ground.sql(&say("live")).await;
    for client in &mut first {
        assert_eq!(client.message().await, "live");
    }
    // From here on the feed hears nothing; all else has the database.
    ground.proxy.refuse();
    until("cut off", Duration::from_secs(20), || async {
        ground.bridge.metric("rowcast_listener_up").await < 1.0
    })
    .await;
    ground.sql(&say("had, it may be, from the log")).await;
    let mut open = ground.client().await;
    let open = open.transaction().await.expect("a transaction");
    open.batch_execute(&say("open meanwhile")).await.expect("done");
    drop(first);
    let mut again = enter(&ground).await;
    open.commit().await.expect("committed");
    ground.sql(&say("after")).await;
    ground.proxy.open();
    for client in &mut again {
        assert_eq!(client.message().await, "open meanwhile");
        assert_eq!(client.message().await, "after");
    }
}
