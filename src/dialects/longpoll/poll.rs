//! The two polls: subscribe, ask the database once, then wait for what changes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    calls::{Caller, Recounts},
    codec::{self, LastMessage, Params, Updates},
};
use crate::{
    change::Json,
    chat::{Event, Recount},
    error::{Error, Result},
    hub::Delivery,
    session::{self, Parked, Woke},
};

/// Messages in one answer at most.
const PAGE: i32 = 100;

/// `poll/messages`: answers from the change itself, so that a message to a thousand polls is not a thousand queries.
pub(super) async fn messages(caller: Box<Caller>, params: Params) -> Result<String> {
    let thread = caller.standing.thread(&params.thread()?)?;
    let until = Instant::now() + params.timeout()?;
    let Caller { services, claims, standing, .. } = out_of(caller);
    let (chat, me) = (services.chat.clone(), standing.user);
    let last = match params.last_message()? {
        LastMessage::Id(id) => id,
        LastMessage::Uuid(uuid) => Box::pin(chat.message_of(thread, &uuid)).await?.unwrap_or(0),
    };
    drop(params);
    let mut parked = Box::pin(Parked::open(&services, claims, standing, Some(thread))).await?;
    drop(services);
    let ask = |after| Box::pin(chat.longpoll_messages(me, thread, last, after, PAGE));
    let mut asked = ask(None).await?;
    let after = asked.seq;
    loop {
        if asked.count > 0 {
            return Ok(String::from(Box::<str>::from(asked.answer)));
        }
        loop {
            match parked.wait(until).await? {
                Woke::Over => return Ok(codec::NO_MESSAGES.to_owned()),
                Woke::Ask => break,
                Woke::Changes(changes) => match sent(&changes, me, thread, after) {
                    Sent::Nothing => {}
                    Sent::Messages(messages) => return Ok(codec::new_messages(&messages)),
                    Sent::Unsure => break,
                },
            }
        }
        asked = ask(Some(after)).await?;
    }
}

enum Sent {
    Nothing,
    Messages(Vec<Arc<String>>),
    /// What became of them since, the database knows.
    Unsure,
}

/// Takes the caller out of its box, which a poll would else hold on to.
fn out_of(caller: Box<Caller>) -> Caller {
    *caller
}

/// The messages among changes of a thread, each encoded once for all polls.
fn sent(changes: &[Arc<Delivery>], me: i64, thread: i64, after: i64) -> Sent {
    let mut messages = Vec::new();
    let mut touched = false;
    for delivery in changes {
        match session::event(delivery).as_ref() {
            Some(Event::Sent(message)) if message.thread_id == thread && message.seq > after => {
                touched |= message.deleted_at.is_some();
                messages.push(delivery.memo("longpoll", || codec::message(message)));
            }
            Some(Event::Edited(_) | Event::Deleted(_)) => touched = true,
            Some(Event::Marked { now, .. }) => touched |= now.user_id == me,
            _ => {}
        }
    }
    match messages.len() {
        0 => Sent::Nothing,
        count if touched || count > PAGE as usize => Sent::Unsure,
        _ => Sent::Messages(messages),
    }
}

/// `poll/updates`: counts again when something changed, together with the other polls that the same change wakes.
pub(super) async fn updates(
    caller: Box<Caller>,
    recounts: Recounts,
    params: Params,
) -> Result<String> {
    let until = Instant::now() + params.timeout()?;
    let last_check = params.last_check()?;
    drop(params);
    let Caller { services, claims, standing, session } = out_of(caller);
    let (chat, me) = (services.chat.clone(), standing.user);
    let mut parked = Box::pin(Parked::open(&services, claims, standing, None)).await?;
    drop(services);
    loop {
        let asked = Box::pin(chat.longpoll_updates(me, &session, last_check)).await?;
        let asked: Updates = asked.read().map_err(Error::internal)?;
        if let Some(answer) = asked.answer {
            return Ok(String::from(Box::<str>::from(answer)));
        }
        let (Some(state), Some(quiet)) = (asked.state, asked.quiet) else {
            return Err(Error::internal("neither an answer nor a state to wait with"));
        };
        let state = Box::<str>::from(state).into_boxed_bytes();
        let state = Json::from_database(state.into()).ok_or_else(|| Error::internal("no JSON"))?;
        loop {
            let changes = match parked.wait(until).await? {
                Woke::Over => return Ok(String::from(Box::<str>::from(quiet))),
                Woke::Ask => break,
                Woke::Changes(changes) => changes,
            };
            if !changes.iter().any(|change| counts(change, me)) {
                continue;
            }
            let recount = Recount { session: session.clone(), reader: me, state: state.clone() };
            if let Some(answer) = recounts.ask(recount).await? {
                return Ok(answer.as_str().to_owned());
            }
        }
    }
}

/// Whether a change may have made more or fewer of a user's unread messages.
fn counts(change: &Delivery, me: i64) -> bool {
    match session::event(change).as_ref() {
        Some(Event::Sent(_) | Event::Deleted(_)) => true,
        Some(Event::Joined(member) | Event::Left(member) | Event::Marked { now: member, .. }) => {
            member.user_id == me
        }
        _ => false,
    }
}
