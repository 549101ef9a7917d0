//! A member of the chat: a session like those of its dialects decides what is theirs.

use serde_json::{Value, json};

use super::{LAGGED, RESYNC, Said, gap, hidden};
use crate::{
    app::admin::shown,
    claims::Claims,
    error::{Error, Result},
    session::{Next, Services, Session, event},
    signal::Signal,
    topic::Topic,
};

pub(super) struct Chat {
    session: Session,
    topic: Topic,
}

impl Chat {
    pub(super) async fn join(
        services: &Services,
        topic: Topic,
        claims: Claims,
    ) -> Result<(Self, Value)> {
        if claims.sub.is_empty() {
            return Err(Error::malformed(
                "Threads and users are the chat's: the claims need a `sub`, a user's uuid or id",
            ));
        }
        let role = claims.role.clone();
        let mut session = Box::pin(Session::open(services.clone(), claims, None)).await?;
        session.follower.hold(topic.clone());
        let chat = Self { session, topic };
        let words = json!({
            "topic": chat.topic.as_str(),
            "role": role,
            "hears": chat.hears(),
            "user": chat.session.standing.username.as_ref(),
            "why": if chat.hears() { None } else { Some(chat.why()) },
        });
        Ok((chat, words))
    }

    /// Waits for what comes and says of each whether the member gets it.
    pub(super) async fn next(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let mut came = Vec::new();
        self.session.follower.next(&mut came).await?;
        for next in came {
            match next {
                Next::Change(delivery, _) => {
                    // As dialects do: what a change means comes before the change itself.
                    if let Some(event) = event(&delivery).as_ref()
                        && let Some(reason) = self.session.heed(&delivery, event)
                    {
                        return Err(Error::forbidden(format!(
                            "The session ends: {}",
                            reason.text()
                        )));
                    }
                    if delivery.change.topic == self.topic {
                        out.push(match self.hears() {
                            true => ("shown", shown::whole(&delivery.change)),
                            false => hidden(&delivery.change, &self.why()),
                        });
                    }
                }
                Next::Heed(delivery) => {
                    if let Some(event) = event(&delivery).as_ref() {
                        self.session.heed(&delivery, event);
                    }
                }
                Next::Signal(signal) => self.signal(&signal, out),
                Next::Lagged => out.push(gap(LAGGED)),
                Next::Resync => out.push(gap(RESYNC)),
            }
        }
        // Leaving a thread gives its topic up; the inspector goes on looking at what is withheld.
        if !self.session.follower.holds(&self.topic) {
            self.session.follower.hold(self.topic.clone());
        }
        Ok(())
    }

    /// Typing in the thread that is looked at.
    fn signal(&self, signal: &Signal, out: &mut Vec<Said>) {
        if let Signal::Typing { thread, username, is_typing, .. } = signal
            && self.topic.thread_id() == Some(*thread)
            && self.hears()
        {
            let words = if *is_typing { "types" } else { "stopped typing" };
            let said = json!({ "event": "typing", "text": format!("{username} {words}") });
            out.push(("signal", said.to_string()));
        }
    }

    fn hears(&self) -> bool {
        let standing = &self.session.standing;
        match self.topic.thread_id() {
            Some(thread) => standing.threads.contains_key(&thread),
            None => self.topic == Topic::user(standing.user),
        }
    }

    fn why(&self) -> String {
        let standing = &self.session.standing;
        match self.topic.thread_id() {
            Some(thread) => format!("{} is not in thread {thread}", standing.username),
            None => format!("it concerns another user than {}", standing.username),
        }
    }
}
