//! `GET /api/chat/messages/poll/`: what a room has since a timestamp, at once or, with `wait`, when it comes.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{codec, rest};
use crate::{
    chat::{Event, Marking, Standing},
    claims::Claims,
    dialects::door::{self, Ask},
    error::{Error, Result},
    hub::Delivery,
    session::{self, Gather, Parked, Services, Woke},
};

/// Messages in one answer at most.
const PAGE: i32 = 500;

/// Makes timestamps for answers: polls that one message answers are served together.
pub(super) type Marks = Gather<Marking, String>;

pub(super) fn marks(services: &Services) -> Marks {
    let chat = services.chat.clone();
    Gather::start(&services.lifecycle, "marks", move |answered| {
        let chat = chat.clone();
        async move { chat.rooms_marks(&answered).await }
    })
}

/// What a poll asks.
pub(super) struct Asked {
    room: i64,
    since: Option<i64>,
    wait: Duration,
}

impl Asked {
    pub(super) fn read(standing: &Standing, ask: &Ask) -> Result<Self> {
        let since = ask.parameter("since").filter(|since| !since.is_empty());
        let since = since.map(|since| {
            door::instant(&since).ok_or_else(|| {
                Error::malformed("`since` is not an ISO 8601 time such as 2024-01-15T10:00:00Z")
            })
        });
        Ok(Self {
            since: since.transpose()?,
            wait: codec::wait(ask.parameter("wait").as_deref())?,
            room: rest::room_of(standing, ask, None)?,
        })
    }
}

pub(super) async fn poll(
    services: Services,
    marks: Marks,
    claims: Claims,
    standing: Standing,
    asked: Asked,
) -> Result<String> {
    let Asked { room, since, wait } = asked;
    let (chat, me) = (services.chat.clone(), standing.user);
    let until = Instant::now() + wait;
    let mut parked = match wait.is_zero() {
        true => None,
        false => Some(Box::pin(Parked::open(&services, claims, standing, Some(room))).await?),
    };
    drop(services);
    let mut polled = Box::pin(chat.rooms_poll(me, room, since, None, PAGE)).await?;
    let after = polled.seq;
    loop {
        let Some(parked) = parked.as_mut().filter(|_| polled.count == 0) else {
            return Ok(codec::polled(polled.messages.get(), &polled.timestamp));
        };
        loop {
            match parked.wait(until).await? {
                Woke::Over => return Ok(codec::polled("[]", &polled.timestamp)),
                Woke::Ask => break,
                Woke::Changes(changes) => match sent(&changes, me, room, after) {
                    Sent::Nothing => {}
                    Sent::Messages(messages, reached) => {
                        let stamp = marks.ask(Marking { reader: me, room, reached }).await?;
                        return Ok(codec::polled(&messages, &stamp));
                    }
                    Sent::Unsure => break,
                },
            }
        }
        let asked = Box::pin(chat.rooms_poll(me, room, None, Some(after), PAGE)).await?;
        // With nothing given in between the first timestamp still holds, and it may stand for a place.
        if asked.count > 0 {
            polled = asked;
        }
    }
}

enum Sent {
    Nothing,
    /// As a JSON array, with the number of the last one.
    Messages(String, i64),
    /// What became of them since, the database knows.
    Unsure,
}

/// The messages among changes of a room, each encoded once for all clients.
fn sent(changes: &[Arc<Delivery>], me: i64, room: i64, after: i64) -> Sent {
    let mut messages = Vec::new();
    let mut reached = after;
    let mut touched = false;
    for delivery in changes {
        match session::event(delivery).as_ref() {
            Some(Event::Sent(message)) if message.thread_id == room && message.seq > after => {
                touched |= message.deleted_at.is_some();
                reached = reached.max(message.seq);
                messages.push(delivery.memo("rooms", || codec::message(message)));
            }
            Some(Event::Edited(_) | Event::Deleted(_)) => touched = true,
            Some(Event::Marked { now, .. }) => touched |= now.user_id == me,
            _ => {}
        }
    }
    if messages.is_empty() {
        return Sent::Nothing;
    }
    if touched {
        return Sent::Unsure;
    }
    let list: Vec<&str> = messages.iter().map(|message| message.as_str()).collect();
    Sent::Messages(format!("[{}]", list.join(",")), reached)
}
