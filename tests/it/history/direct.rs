//! Clients of the `direct` dialect: a token in Socket.IO's handshake, one partner joined, `since` after each return.
//!
//! Held to what `conversations` is held to.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    conversations::asking,
    diary::{Diary, Id, Way},
    dice::Dice,
    ground::now,
    guests::{self, Manner},
    io::Io,
    sockets::Line,
};

/// One connection, and whom it is about.
pub(crate) struct Direct {
    io: Io,
    partner: i64,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Message>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Message {
    id: Uuid,
    content: String,
    created_at: String,
}

impl Manner for Direct {
    async fn enter(line: &Line, diary: &Diary, dice: &mut Dice) -> Result<Self, String> {
        // Pairs are neighbours: an odd user and the next.
        let partner = if diary.user % 2 == 1 { diary.user + 1 } else { diary.user - 1 };
        let auth = format!(r#"{{"token":"{}"}}"#, line.token);
        let polls = dice.chance(40);
        let mut io = Io::open(line.address, "", &auth, polls).await?;
        io.ask("join_conversation", &format!(r#"{{"other_user_id":{partner}}}"#)).await?;
        Ok(Self { io, partner })
    }

    async fn catch_up(&mut self, line: &Line, diary: &mut Diary) -> Result<(), String> {
        let began = now();
        let thread = diary.threads[0];
        let path = format!("messages/conversation/{}", self.partner);
        loop {
            let (request, way) = asking(line, diary, thread, &path);
            let page: Page = guests::ask(request, diary).await?;
            for message in &page.messages {
                diary.hear(Id::Public(message.id), thread, &message.content, way.clone());
                diary.reach(thread, &message.created_at);
            }
            if !page.has_more {
                diary.settle(began);
                return Ok(());
            }
        }
    }

    async fn listen(&mut self, diary: &mut Diary) -> Result<(), String> {
        let event = self.io.event().await?;
        if let Some(data) = event.strip_prefix(r#"2["new_message","#) {
            let message: Message = serde_json::from_str(data.strip_suffix(']').unwrap_or(data))
                .map_err(|error| error.to_string())?;
            let thread = diary.threads[0];
            diary.hear(Id::Public(message.id), thread, &message.content, Way::Live);
            diary.reach(thread, &message.created_at);
        }
        Ok(())
    }

    async fn leave(self) {
        self.io.leave().await;
    }
}
