//! Who is let in, and what throws them out again: the standing in the database, kept true by the feed.

use std::sync::Arc;

use super::{Reason, Services, Session};
use crate::{
    auth::token::Credential,
    chat::{self, Event},
    claims::Claims,
    error::{Error, Kind, Result},
    hub::Delivery,
    topic::Topic,
};

/// Verifies what a client presented. An opaque cookie is looked up in the database.
pub async fn authenticate(services: &Services, presented: Option<Credential>) -> Result<Claims> {
    match presented {
        None => Err(Error::unauthorized(
            "No token; send `Authorization: Bearer …`, `?token=…` or the cookie session_id",
        )),
        Some(Credential::Token(token)) => services.verifier.verify(&token).await,
        Some(Credential::Session(id)) => {
            let session = services.chat.session(&id).await?;
            session.ok_or_else(|| Error::unauthorized("Unknown or expired session"))
        }
    }
}

impl Session {
    /// Stands by what the database says now, where what was followed is not to be relied on: in another history, or where
    /// the log has a gap, in which the user may have been put out.
    pub(super) async fn stand_anew(&mut self) -> Option<Reason> {
        let standing = match self.services.chat.admit(&self.claims).await {
            Ok(standing) if standing.user == self.standing.user => standing,
            // Restored to when this user had another number: let in again as that.
            Ok(_) => return Some(Reason::GoingAway),
            Err(error) if error.kind == Kind::Forbidden => return Some(Reason::Deactivated),
            Err(error) if error.kind == Kind::Unauthorized => return Some(Reason::Unauthenticated),
            Err(error) => {
                error.log("asking again who a client is");
                return Some(Reason::Internal);
            }
        };
        let before = std::mem::replace(&mut self.standing, standing);
        // Where it was all along it holds what it held: a socket of one thread only that.
        let joined = self.standing.threads.keys().filter(|id| !before.threads.contains_key(id));
        let joined: Vec<_> = joined.map(|&id| Topic::thread(id)).collect();
        let left = before.threads.keys().filter(|id| !self.standing.threads.contains_key(id));
        let left: Vec<_> = left.copied().collect();
        for &thread in &left {
            self.no_longer_types(thread);
        }
        let left: Vec<_> = left.into_iter().map(Topic::thread).collect();
        self.follower.stand_on(&joined, &left, self.standing.asked.clone());
        None
    }

    /// What a change of the domain means to this client's being here; applied before the dialect sees it.
    pub fn heed(&mut self, delivery: &Delivery, event: &Event) -> Option<Reason> {
        // What the database's answer had seen is in it: an old deactivation, replayed, is not one of now.
        if !self.follower.is_news(&delivery.change) {
            return None;
        }
        let me = self.standing.user;
        let verdict = verdict(me, &self.claims, delivery, event);
        match event {
            Event::User(user) if user.id == me => self.standing.feed = user.feed,
            Event::Joined(member) if member.user_id == me => {
                self.standing.threads.insert(member.thread_id, member.thread_uuid);
            }
            Event::Left(member) if member.user_id == me => {
                self.standing.threads.remove(&member.thread_id);
                self.no_longer_types(member.thread_id);
            }
            Event::Sent(message) if message.sender_id == Some(me) => {
                self.no_longer_types(message.thread_id);
            }
            _ => {}
        }
        verdict
    }
}

/// Whether a change throws the bearer of a token out.
pub(super) fn verdict(
    me: i64,
    claims: &Claims,
    delivery: &Delivery,
    event: &Event,
) -> Option<Reason> {
    let thrown_out = match event {
        Event::User(user) if user.id == me => {
            if !user.active {
                return Some(Reason::Deactivated);
            }
            let issued = claims.iat.saturating_mul(1_000_000);
            user.tokens_valid_after.is_some_and(|after| after.as_microsecond() >= issued)
        }
        Event::UserGone => delivery.change.topic == Topic::user(me),
        Event::Revoked | Event::SessionEnded => {
            claims.revocation.as_ref() == Some(&delivery.change.topic)
        }
        _ => false,
    };
    thrown_out.then_some(Reason::Unauthenticated)
}

/// What a change means, worked out once for all clients.
pub(super) fn event(delivery: &Delivery) -> Arc<Option<Event>> {
    delivery.memo("chat", || chat::event(&delivery.change))
}
