//! Clients of the `rooms` dialect: the poll with `since` and `wait`, and the room's WebSocket with a poll after each return.
//!
//! Held to: lost 0. A `timestamp` that an answer gave stands for a place in the room, so polls repeat nothing, whatever
//! broke in between. On sockets twice 0, over all connections; what the last one told, the poll after it gives again,
//! because its `timestamp` is that of the poll before.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{
    diary::{Diary, Id, Way},
    dice::Dice,
    ground::now,
    guests::{self, Manner},
    io::in_time,
    sockets::Line,
};

/// One connection.
pub(crate) struct Rooms(WebSocketStream<MaybeTlsStream<TcpStream>>);

#[derive(Deserialize)]
struct Answer {
    messages: Vec<Said>,
    timestamp: String,
}

#[derive(Deserialize)]
struct Frame {
    message: Option<Said>,
}

#[derive(Deserialize)]
struct Said {
    id: i64,
    room: i64,
    content: String,
}

impl Manner for Rooms {
    async fn enter(line: &Line, diary: &Diary, _: &mut Dice) -> Result<Self, String> {
        let room = diary.threads[0];
        let url = format!("ws://{}/ws/chat/{room}/?token={}", line.address, line.token);
        let opening = async { connect_async(url).await.map_err(|error| error.to_string()) };
        Ok(Self(in_time(opening).await?.0))
    }

    async fn catch_up(&mut self, line: &Line, diary: &mut Diary) -> Result<(), String> {
        let began = now();
        while ask(line, diary, 0).await? > 0 {}
        diary.settle(began);
        Ok(())
    }

    async fn listen(&mut self, diary: &mut Diary) -> Result<(), String> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame: Frame =
                    serde_json::from_str(&text).map_err(|error| error.to_string())?;
                if let Some(said) = frame.message {
                    diary.hear(Id::Number(said.id), said.room, &said.content, Way::Live);
                }
                Ok(())
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err("ended".to_owned()),
            Some(Ok(_)) => Ok(()),
        }
    }

    async fn leave(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.close(None)).await;
    }
}

/// Polls until the last message is here, now at once, now with patience, and sometimes goes away in the middle.
pub(crate) async fn poll(line: Line, mut diary: Diary, mut dice: Dice) -> Diary {
    let mut gives_up = None;
    while !diary.is_complete() {
        if line.is_over(&mut gives_up) {
            diary.errors.push("the last messages did not come".to_owned());
            return diary;
        }
        diary.visits += 1;
        let wait = if dice.chance(70) { 1 + dice.below(10) } else { 0 };
        let patience = dice.millis(20, 3_000);
        let asking = ask(&line, &mut diary, wait);
        if dice.chance(20) && !*line.finishing.borrow() {
            let _ = tokio::time::timeout(patience, asking).await;
        } else if asking.await.is_err() {
            tokio::time::sleep(dice.millis(30, 150)).await;
        } else if wait == 0 {
            tokio::time::sleep(dice.millis(5, 400)).await;
        }
    }
    diary
}

/// Asks once; returns how many messages came.
async fn ask(line: &Line, diary: &mut Diary, wait: u64) -> Result<usize, String> {
    let (room, address) = (diary.threads[0], line.address);
    let first = diary.reached(room).is_none();
    let asked = now();
    // The first one comes without `since`, as the README advises, and has the newest page.
    let since = diary.reached(room).map(|at| format!("&since={at}")).unwrap_or_default();
    let url = format!("http://{address}/api/chat/messages/poll/?room_id={room}&wait={wait}{since}");
    let answer: Answer = guests::ask(line.http.get(url).bearer_auth(&line.token), diary).await?;
    for said in &answer.messages {
        diary.hear(Id::Number(said.id), said.room, &said.content, Way::After);
    }
    if first {
        diary.from = asked;
    }
    diary.go_on(room, answer.timestamp);
    Ok(answer.messages.len())
}
