//! Presence: who is here on this node, by open connections, waiting polls, recent requests, and by their own word.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    metrics::PARKED_POLLS,
    signal::{Person, Status},
};

/// A request keeps its user online for this long.
pub const LINGERS: Duration = Duration::from_secs(300);
/// Who asked the database what a user said has had an answer by now, or was cut off.
const ASKING: Duration = Duration::from_secs(10);

/// A cheap handle to everybody's presence.
#[derive(Debug, Clone, Default)]
pub struct Presence(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    users: HashMap<i64, Here>,
    /// When those without a connection are to be looked at, one entry each.
    due: BTreeSet<(Instant, i64)>,
    parked: usize,
}

/// A user who is here, or was a moment ago.
#[derive(Debug)]
struct Here {
    person: Person,
    sockets: usize,
    parked: usize,
    /// The last request; the end of the last connection forgets it.
    heard: Option<Instant>,
    /// The last time that they said how they are.
    spoke: Option<Instant>,
    said: Option<Status>,
    /// Since when the database is being asked what they said; nothing is told before.
    asking: Option<Instant>,
    /// What others were told.
    shown: Status,
    due: Option<Instant>,
}

/// What a request makes of its user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// They come in by it: `know` must follow, with what the database has them saying.
    First,
    /// This is news to others.
    News(Status),
    /// Nothing new.
    Nothing,
}

/// One open connection of a user; `leave` or dropping it takes it away.
#[derive(Debug)]
pub struct Present {
    presence: Presence,
    person: Person,
    left: bool,
}

/// One waiting poll of a user; dropping it takes it away and counts as a request.
#[derive(Debug)]
pub struct Waiting {
    presence: Presence,
    person: Person,
}

impl Presence {
    /// Counts a connection in; a status is news. Opening one ends an explicit `offline`.
    pub fn enter(&self, person: Person) -> (Present, Option<Status>) {
        let mut state = self.state();
        let here = state.here(person);
        here.sockets += 1;
        here.asking = None;
        if here.said == Some(Status::Offline) {
            // A goodbye is no sign of life: it must not keep the user here when this connection ends.
            (here.said, here.spoke) = (None, None);
        }
        let news = state.settle(person.id, Instant::now());
        drop(state);
        (Present { presence: self.clone(), person, left: false }, news)
    }

    /// Counts a waiting poll in; its request has been noted by `touch`.
    pub fn park(&self, person: Person) -> Waiting {
        let mut state = self.state();
        state.parked += 1;
        metrics::gauge!(PARKED_POLLS).set(state.parked as f64);
        state.here(person).parked += 1;
        drop(state);
        Waiting { presence: self.clone(), person }
    }

    /// How many polls wait.
    pub fn parked(&self) -> usize {
        self.state().parked
    }

    /// Notes a request.
    pub fn touch(&self, person: Person) -> Touched {
        let now = Instant::now();
        let mut state = self.state();
        let known = state.users.contains_key(&person.id);
        let here = state.here(person);
        here.heard = Some(now);
        if !known || here.asking.is_some_and(|since| now - since > ASKING) {
            here.asking = Some(now);
            state.settle(person.id, now);
            return Touched::First;
        }
        // The look at the user that is due will find them heard of; it need not be put off now.
        if here.status(now) == here.shown {
            return Touched::Nothing;
        }
        state.settle(person.id, now).map_or(Touched::Nothing, Touched::News)
    }

    /// Notes what the database has a user saying, after `Touched::First`; a status is news.
    pub fn know(&self, user: i64, said: Option<Status>) -> Option<Status> {
        let mut state = self.state();
        let here = state.users.get_mut(&user)?;
        if here.asking.take().is_some() {
            here.said = said;
        }
        state.settle(user, Instant::now())
    }

    /// Notes what a user says of themselves; a status is news.
    pub fn say(&self, person: Person, said: Status) -> Option<Status> {
        let now = Instant::now();
        let mut state = self.state();
        let here = state.here(person);
        here.said = Some(said);
        here.spoke = Some(now);
        here.asking = None;
        state.settle(person.id, now)
    }

    /// Whether others see a user as here, online or away.
    pub fn is_online(&self, user: i64) -> bool {
        self.shown(user) != Status::Offline
    }

    /// What others see of a user.
    pub fn shown(&self, user: i64) -> Status {
        self.state().users.get(&user).map_or(Status::Offline, |here| here.shown)
    }

    /// Whether a user is here at all; then what they show (none where only the database knows) and for how long they have been silent.
    pub fn of(&self, user: i64) -> Option<(Option<Status>, Duration)> {
        let now = Instant::now();
        let state = self.state();
        let here = state.users.get(&user).filter(|here| here.is_active(now))?;
        let silent = match here.sockets + here.parked {
            0 => here.last_sign().map_or(LINGERS, |sign| now - sign),
            _ => Duration::ZERO,
        };
        Some(((here.sockets > 0).then(|| here.status(now)), silent))
    }

    /// Finds those who have been silent for too long, at most so many; they are offline from here on, and that is news.
    pub fn sweep(&self, now: Instant, most: usize) -> Vec<Person> {
        let mut state = self.state();
        let mut gone = Vec::new();
        while gone.len() < most
            && let Some(&(at, user)) = state.due.first()
            && at <= now
        {
            state.due.pop_first();
            let Some(here) = state.users.get_mut(&user) else { continue };
            here.due = None;
            let person = here.person;
            if state.settle(user, now) == Some(Status::Offline) {
                gone.push(person);
            }
        }
        gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn here(&mut self, person: Person) -> &mut Here {
        self.users.entry(person.id).or_insert(Here {
            person,
            sockets: 0,
            parked: 0,
            heard: None,
            spoke: None,
            said: None,
            asking: None,
            shown: Status::Offline,
            due: None,
        })
    }

    /// Works out what a user shows now and when to look again; returns it when that is news.
    fn settle(&mut self, user: i64, now: Instant) -> Option<Status> {
        let here = self.users.get_mut(&user)?;
        let active = here.is_active(now);
        let connected = here.sockets + here.parked > 0;
        let again = here.last_sign().filter(|_| active && !connected).map(|sign| sign + LINGERS);
        if again != here.due {
            if let Some(due) = std::mem::replace(&mut here.due, again) {
                self.due.remove(&(due, user));
            }
            self.due.extend(again.map(|due| (due, user)));
        }
        let status = here.status(now);
        let news = here.asking.is_none() && status != here.shown;
        if news {
            here.shown = status;
        }
        if !active {
            self.users.remove(&user);
        }
        news.then_some(status)
    }
}

impl Here {
    fn last_sign(&self) -> Option<Instant> {
        self.heard.max(self.spoke)
    }

    fn is_active(&self, now: Instant) -> bool {
        self.sockets + self.parked > 0 || self.last_sign().is_some_and(|sign| now < sign + LINGERS)
    }

    fn status(&self, now: Instant) -> Status {
        match self.said {
            _ if !self.is_active(now) => Status::Offline,
            Some(said) => said,
            None => Status::Online,
        }
    }
}

impl Present {
    /// Counts the connection out; a status is news. Earlier requests do not outlast the user's last connection.
    pub fn leave(mut self) -> Option<Status> {
        self.left = true;
        let mut state = self.presence.state();
        let here = state.users.get_mut(&self.person.id)?;
        here.sockets = here.sockets.saturating_sub(1);
        if here.sockets == 0 {
            here.heard = None;
        }
        state.settle(self.person.id, Instant::now())
    }
}

impl Drop for Present {
    /// Cut off before it could tell anybody: the next sweep does.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let mut state = self.presence.state();
        let Some(here) = state.users.get_mut(&self.person.id) else { return };
        here.sockets = here.sockets.saturating_sub(1);
        if here.sockets == 0 {
            here.heard = None;
            let now = Instant::now();
            if let Some(due) = here.due.replace(now) {
                state.due.remove(&(due, self.person.id));
            }
            state.due.insert((now, self.person.id));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.presence.state();
        state.parked = state.parked.saturating_sub(1);
        metrics::gauge!(PARKED_POLLS).set(state.parked as f64);
        let Some(here) = state.users.get_mut(&self.person.id) else { return };
        here.parked = here.parked.saturating_sub(1);
        here.heard = Some(now);
        if here.parked == 0 {
            state.settle(self.person.id, now);
        }
    }
}
