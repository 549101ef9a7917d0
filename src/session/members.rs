//! Presence and typing of users, told to those who share a thread: by sessions, by requests, and by what ends by itself.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Services, Session, standing};
use crate::{
    chat::{Event, Gone, Standing},
    error::Result,
    hub::{Hub, Item, Touched, Typist},
    signal::{Person, Signal, Status},
    topic::Topic,
};

/// Typing ends by itself this long after the last signal, where a dialect has no other habit.
pub const TYPING_LASTS: Duration = Duration::from_secs(5);
/// Typing that nobody ended is looked for this often.
const TYPING_SWEEP: Duration = Duration::from_millis(250);
/// So is silence…
const PRESENCE_SWEEP: Duration = Duration::from_secs(1);
/// …for so many users at most in one call of the database.
const GONE_AT_ONCE: usize = 500;
/// Changes held for the watch over typists; what overflows ends by its time.
const WATCHED: usize = 1_024;

impl Standing {
    /// The user by both forms of their id.
    pub fn person(&self) -> Person {
        Person { id: self.user, uuid: self.uuid }
    }
}

impl Session {
    /// The client's user.
    pub fn person(&self) -> Person {
        self.standing.person()
    }

    /// Counts the client in, and tells others when that is news.
    pub(super) fn arrive(&mut self) {
        let (present, news) = self.services.hub.presence().enter(self.person());
        self.present = Some(present);
        if let Some(status) = news {
            announce(&self.services.hub, self.person(), self.thread_ids(), status, None);
        }
    }

    /// Ends what the client was at, counts it out, and tells others when it was the user's last sign of life.
    pub(super) async fn depart(&mut self) {
        let user = self.person();
        for thread in std::mem::take(&mut self.typing) {
            stop_typing(&self.services.hub, thread, user);
        }
        match self.present.take().and_then(crate::hub::Present::leave) {
            Some(Status::Offline) => {
                let noted = self.services.chat.has_gone(user.id).await.unwrap_or_else(|error| {
                    error.log("noting when a user was last seen");
                    None
                });
                tell_of(&self.services, noted);
            }
            Some(status) => {
                announce(&self.services.hub, user, self.thread_ids(), status, None);
            }
            None => {}
        }
    }

    /// Says that the user types in a thread, or no longer does.
    pub fn type_in(&mut self, thread: i64, is_typing: bool) {
        self.type_for(thread, is_typing, TYPING_LASTS);
    }

    /// The same, where a dialect's typing lasts longer or shorter.
    pub fn type_for(&mut self, thread: i64, is_typing: bool, lasting: Duration) {
        let hub = &self.services.hub;
        if is_typing {
            self.typing.insert(thread);
            start_typing(hub, thread, &self.standing, lasting);
        } else {
            self.typing.remove(&thread);
            stop_typing(hub, thread, self.person());
        }
    }

    /// The user's message in a thread, or their leaving it, ends their typing there.
    pub(super) fn no_longer_types(&mut self, thread: i64) {
        self.typing.remove(&thread);
        stop_typing(&self.services.hub, thread, self.person());
    }

    fn thread_ids(&self) -> Vec<i64> {
        self.standing.threads.keys().copied().collect()
    }
}

/// Notes a request of a user, which keeps them online for a while, and tells others when that is news.
pub async fn touch(services: &Services, standing: &Standing) {
    let presence = services.hub.presence();
    let person = standing.person();
    let news = match presence.touch(person) {
        Touched::Nothing => None,
        Touched::News(status) => Some(status),
        Touched::First => {
            let said = services.chat.said(person.id).await.unwrap_or_else(|error| {
                error.log("asking what a user said of themselves");
                None
            });
            presence.know(person.id, said)
        }
    };
    if let Some(status) = news {
        let threads = standing.threads.keys().copied().collect();
        announce(&services.hub, person, threads, status, None);
    }
}

/// Stores what a user says of themselves, and tells others when that is news.
pub async fn say_presence(services: &Services, standing: &Standing, said: Status) -> Result<()> {
    let person = standing.person();
    services.chat.say_presence(person.id, said).await?;
    if let Some(status) = services.hub.presence().say(person, said) {
        let last_seen =
            (status == Status::Offline).then(|| jiff::Timestamp::now().as_microsecond());
        let threads = standing.threads.keys().copied().collect();
        announce(&services.hub, person, threads, status, last_seen);
    }
    Ok(())
}

/// Notes when users were last seen, once for all, and tells others.
async fn gone(services: &Services, people: &[Person]) {
    let ids: Vec<i64> = people.iter().map(|person| person.id).collect();
    let noted = services.chat.gone(&ids).await.unwrap_or_else(|error| {
        error.log("noting when users were last seen");
        Vec::new()
    });
    tell_of(services, noted);
}

/// Tells others of users who went, but for those who have come back meanwhile.
fn tell_of(services: &Services, noted: impl IntoIterator<Item = Gone>) {
    for Gone { person, last_seen, threads } in noted {
        if !services.hub.presence().is_online(person.id) {
            announce(&services.hub, person, threads, Status::Offline, last_seen);
        }
    }
}

fn announce(hub: &Hub, user: Person, threads: Vec<i64>, status: Status, last_seen: Option<i64>) {
    let topics: Vec<Topic> = threads.iter().map(|&id| Topic::thread(id)).collect();
    hub.signal(&topics, Signal::Presence { user, threads, status, last_seen });
}

/// Says that a user types in a thread; `lasting` from now on, unless it is ended or said again.
pub fn start_typing(hub: &Hub, thread: i64, standing: &Standing, lasting: Duration) {
    let (user, username) = (standing.person(), Arc::clone(&standing.username));
    if hub.typing().start(thread, user, Arc::clone(&username), lasting) {
        let signal = Signal::Typing { thread, user, username, is_typing: true };
        hub.signal(&[Topic::thread(thread)], signal);
    }
}

/// Ends typing and says so, once, whoever notices first.
pub fn stop_typing(hub: &Hub, thread: i64, user: Person) {
    if let Some(typist) = hub.typing().stop(thread, user) {
        say_stopped(hub, thread, typist);
    }
}

fn say_stopped(hub: &Hub, thread: i64, typist: Typist) {
    let Typist { person: user, username, .. } = typist;
    let signal = Signal::Typing { thread, user, username, is_typing: false };
    hub.signal(&[Topic::thread(thread)], signal);
}

/// Finds users who have been silent for too long, and says so; runs for as long as the bridge does.
pub async fn keep_presence(services: Services) {
    loop {
        sleep(PRESENCE_SWEEP).await;
        loop {
            let silent = services.hub.presence().sweep(Instant::now(), GONE_AT_ONCE);
            if silent.is_empty() {
                break;
            }
            gone(&services, &silent).await;
        }
    }
}

/// Ends typing that nobody ended, and that of users who sent or left by any way, SQL included.
pub async fn keep_typing(hub: Hub) {
    let mailbox = hub.open(WATCHED);
    let mut watched = HashSet::new();
    let mut items = Vec::new();
    let mut swept = Instant::now();
    loop {
        tokio::select! {
            _ = mailbox.take(&mut items) => {
                for item in items.drain(..) {
                    end_by_change(&hub, &item);
                }
            }
            () = hub.typing().begun() => {}
            () = tokio::time::sleep_until(swept + TYPING_SWEEP) => {
                swept = Instant::now();
                for (thread, typist) in hub.typing().sweep(swept) {
                    say_stopped(&hub, thread, typist);
                }
            }
        }
        let busy: HashSet<i64> = hub.typing().busy().into_iter().collect();
        for thread in busy.difference(&watched) {
            mailbox.subscribe(&[Topic::thread(*thread)]);
        }
        for thread in watched.difference(&busy) {
            mailbox.unsubscribe(&Topic::thread(*thread));
        }
        watched = busy;
    }
}

fn end_by_change(hub: &Hub, item: &Item) {
    let Item::Change(delivery) = item else { return };
    let event = standing::event(delivery);
    let ended = match event.as_ref() {
        Some(Event::Sent(message)) => {
            let sender = message.sender_id.zip(message.sender_uuid);
            sender.map(|(id, uuid)| (message.thread_id, Person { id, uuid }))
        }
        Some(Event::Left(member)) => {
            Some((member.thread_id, Person { id: member.user_id, uuid: member.user_uuid }))
        }
        _ => None,
    };
    if let Some((thread, user)) = ended {
        stop_typing(hub, thread, user);
    }
}
