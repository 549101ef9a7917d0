//! Clients of the `conversations` dialect: `auth` on Socket.IO, all of one's conversations subscribed, `since` after each return.
//!
//! Held to: lost 0. On the socket twice 0, over all connections. `since` is the last `createdAt` that the client has, a
//! time and no cursor: the answer may repeat what the checkpoint in force at that time does not see, and nothing else.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    diary::{Diary, Id, Way},
    dice::Dice,
    ground::now,
    guests::{self, Manner},
    io::Io,
    sockets::Line,
    world::World,
};

/// Messages in one answer.
const PAGE: usize = 50;

/// One connection.
pub(crate) struct Conversations(Io);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    conversation_id: Uuid,
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: Uuid,
    content: String,
    created_at: String,
}

impl Manner for Conversations {
    async fn enter(line: &Line, diary: &Diary, dice: &mut Dice) -> Result<Self, String> {
        let polls = dice.chance(40);
        let mut io = Io::open(line.address, "", "", polls).await?;
        io.ask("auth", &format!(r#"{{"token":"{}"}}"#, line.token)).await?;
        for &thread in &diary.threads {
            let conversation = World::thread(thread);
            let data = format!(r#"{{"conversationId":"{conversation}"}}"#);
            io.ask("subscribe_conversation", &data).await?;
        }
        Ok(Self(io))
    }

    async fn catch_up(&mut self, line: &Line, diary: &mut Diary) -> Result<(), String> {
        let began = now();
        for thread in diary.threads.clone() {
            since(
                line,
                diary,
                thread,
                &format!("conversations/{}/messages", World::thread(thread)),
            )
            .await?;
        }
        diary.settle(began);
        Ok(())
    }

    async fn listen(&mut self, diary: &mut Diary) -> Result<(), String> {
        let event = self.0.event().await?;
        if let Some(data) = event.strip_prefix(r#"2["new_message","#) {
            let told: Told = serde_json::from_str(data.strip_suffix(']').unwrap_or(data))
                .map_err(|error| error.to_string())?;
            let thread = World::number(told.conversation_id);
            diary.hear(Id::Public(told.message.id), thread, &told.message.content, Way::Live);
            diary.reach(thread, &told.message.created_at);
        }
        Ok(())
    }

    async fn leave(self) {
        self.0.leave().await;
    }
}

async fn since(line: &Line, diary: &mut Diary, thread: i64, path: &str) -> Result<(), String> {
    loop {
        let (request, way) = asking(line, diary, thread, path);
        let messages: Vec<Message> = guests::ask(request, diary).await?;
        let before = diary.reached(thread).map(str::to_owned);
        for message in &messages {
            diary.hear(Id::Public(message.id), thread, &message.content, way.clone());
            diary.reach(thread, &message.created_at);
        }
        // An answer with nothing newer is the end.
        if diary.reached(thread) == before.as_deref() {
            return Ok(());
        }
    }
}

/// The question for what a thread has since the last message that the client has of it.
pub(crate) fn asking(
    line: &Line,
    diary: &Diary,
    thread: i64,
    path: &str,
) -> (reqwest::RequestBuilder, Way) {
    let began = || {
        let from = jiff::Timestamp::from_microsecond(diary.from).expect("a time");
        format!("{from:.6}")
    };
    let since = diary.reached(thread).map_or_else(began, str::to_owned);
    let time = since.parse::<jiff::Timestamp>().expect("a time").as_microsecond();
    let url = format!("http://{}/api/{path}?limit={PAGE}&since={since}", line.address);
    let request = line.http.get(url).bearer_auth(&line.token);
    (request, Way::Since { time, asked: now() })
}
