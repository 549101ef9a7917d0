//! The methods, each with one call of one SQL function.

use std::{future::Future, pin::Pin};

use super::{
    codec::{Method, Params},
    poll,
};
use crate::{
    change::Json,
    chat::{Recount, Standing},
    claims::Claims,
    error::Result,
    session::{self, Gather, Limited, Services, TYPING_LASTS},
};

/// Who calls.
pub(super) struct Caller {
    pub(super) services: Services,
    pub(super) claims: Claims,
    pub(super) standing: Standing,
    /// A hash of the session.
    pub(super) session: String,
}

/// Counts again for waiting polls: those that one change wakes are asked about together.
pub(super) type Recounts = Gather<Recount, Option<Json>>;

pub(super) fn recounts(services: &Services) -> Recounts {
    let chat = services.chat.clone();
    Gather::start(&services.lifecycle, "recounts", move |asked| {
        let chat = chat.clone();
        async move { chat.longpoll_recount(&asked).await }
    })
}

/// Takes the call from the caller's rate, and notes it as a sign of life.
pub(super) async fn limited(caller: &Caller, method: &Method) -> Result<()> {
    let limited = match method {
        Method::Send => Limited::Message,
        Method::TypingStart | Method::TypingStop => Limited::Typing,
        _ => Limited::Rest,
    };
    caller.services.limits.take(caller.standing.user, limited)?;
    session::touch(&caller.services, &caller.standing).await;
    Ok(())
}

/// A call under way; its result is JSON.
pub(super) type Calling = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

/// Does what a call asks.
pub(super) fn call(
    caller: Box<Caller>,
    recounts: Recounts,
    method: Method,
    params: Params,
) -> Calling {
    match method {
        Method::PollMessages => Box::pin(poll::messages(caller, params)),
        Method::PollUpdates => Box::pin(poll::updates(caller, recounts, params)),
        method => Box::pin(async move { at_once(&caller, method, &params).await }),
    }
}

async fn at_once(caller: &Caller, method: Method, params: &Params) -> Result<String> {
    let Caller { services, standing, .. } = caller;
    let (chat, hub, me) = (&services.chat, &services.hub, standing.user);
    let result = match method {
        Method::Count => chat.longpoll_count(me).await?,
        Method::MarkRead => {
            let thread = params.optional_thread()?;
            let thread = thread.map(|thread| standing.thread(&thread)).transpose()?;
            chat.longpoll_read(me, thread).await?
        }
        Method::Threads => chat.longpoll_threads(me).await?,
        Method::Send => {
            let thread = standing.thread(&params.thread()?)?;
            let content = services.limits.content_of("body", params.body()?)?;
            session::stop_typing(hub, thread, standing.person());
            chat.longpoll_send(me, thread, &content).await?
        }
        Method::TypingStart => {
            let thread = standing.thread(&params.thread()?)?;
            session::start_typing(hub, thread, standing, TYPING_LASTS);
            return Ok(done(me));
        }
        Method::TypingStop => {
            let thread = standing.thread(&params.thread()?)?;
            session::stop_typing(hub, thread, standing.person());
            return Ok(done(me));
        }
        Method::TypingStatus(thread) => {
            let thread = standing.thread(&thread)?;
            let typists: Vec<i64> =
                hub.typing().list(thread).into_iter().map(|person| person.id).collect();
            chat.longpoll_typing(me, thread, &typists).await?
        }
        Method::PresenceUpdate => {
            let status = params.status()?;
            session::say_presence(services, standing, status).await?;
            let status = status.as_str();
            return Ok(format!(r#"{{"success":true,"partner_id":{me},"status":"{status}"}}"#));
        }
        Method::PresenceStatus => presence(caller, params).await?,
        Method::PollMessages | Method::PollUpdates => return Ok("null".to_owned()),
    };
    Ok(result.as_str().to_owned())
}

async fn presence(caller: &Caller, params: &Params) -> Result<Json> {
    let chat = &caller.services.chat;
    let mut partners = Vec::new();
    for partner in params.partners()? {
        // Most are integers, and a partner who is not there is left out of the answer.
        partners.extend(match partner.parse::<i64>() {
            Ok(id) => Some(id),
            Err(_) => chat.user(&partner).await?,
        });
    }
    let presence = caller.services.hub.presence();
    let here: Vec<_> = partners
        .iter()
        .filter_map(|&user| presence.of(user).map(|(shown, silent)| (user, shown, silent)))
        .collect();
    chat.longpoll_presence(caller.standing.user, &partners, &here).await
}

fn done(me: i64) -> String {
    format!(r#"{{"success":true,"partner_id":{me}}}"#)
}
