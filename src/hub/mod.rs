//! The hub: sources push changes and signals in by topic, mailboxes hold them until their session takes them.
//!
//! It is the waist of the bridge. Sources do not know who listens, sessions do not know who speaks, and a slow session
//! costs nobody else anything: its mailbox overflows, and it reads what it missed from the log.

mod delivery;
mod filter;
mod mailbox;
mod presence;
mod recent;
mod roster;
mod routes;
mod typing;
mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use delivery::Delivery;
pub use filter::{Equals, Wanted};
pub use mailbox::{Item, Mailbox, Taken};
pub use presence::{LINGERS, Presence, Present, Touched, Waiting};
pub use recent::Passed;
pub use roster::{Entry, Roster};
use tokio::{sync::Notify, time::Instant};
pub use typing::{Typing, Typist};
pub use window::{Look, Window};

use crate::{
    change::Batch,
    cursor::{HistoryId, Mark, Position, Snapshot},
    metrics::TOPICS,
    signal::Signal,
    topic::Topic,
};
use mailbox::Shared;
use recent::Recent;
use routes::Routes;
use window::Tap;

/// Changes that are pushed under one hold of the lock.
const PUSH_AT_ONCE: usize = 64;

/// A cheap handle; clones share one routing table.
#[derive(Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    presence: Presence,
    typing: Typing,
    roster: Roster,
    tap: Tap,
    /// Somebody has seen the database further than this is.
    stirred: Notify,
}

#[derive(Default)]
struct State {
    routes: Routes,
    recent: Recent,
    /// Where the feed stands, with the history it stands in; none before its first read.
    position: Option<(Position, HistoryId)>,
    /// When it was last heard that columns are others than wishes were made for.
    altered: Option<Instant>,
    next_mailbox: u64,
    published: u64,
}

impl Hub {
    /// Starts with no routes and no position.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, remembering so many changes for those who come back.
    pub fn remembering(most: usize) -> Self {
        let hub = Self::default();
        hub.state().recent = Recent::keeping(most);
        hub
    }

    /// Who is connected.
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// Who is typing where.
    pub fn typing(&self) -> &Typing {
        &self.0.typing
    }

    /// Who is in which channel.
    pub fn roster(&self) -> &Roster {
        &self.0.roster
    }

    /// Opens a mailbox for at most `capacity` items; it holds no topic yet.
    pub fn open(&self, capacity: usize) -> Mailbox {
        let mut state = self.state();
        state.next_mailbox += 1;
        let shared = Arc::new(Shared::new(state.next_mailbox, capacity));
        Mailbox::new(self.clone(), shared)
    }

    /// The same for changes alone: what is said passes it by, and neither wakes nor fills it.
    pub fn open_for_changes(&self, capacity: usize) -> Mailbox {
        let mailbox = self.open(capacity);
        mailbox.hush();
        mailbox
    }

    /// Where the feed stands: everything up to there has been pushed.
    pub fn position(&self) -> Option<(Position, HistoryId)> {
        self.state().position.clone()
    }

    /// Whether all that a snapshot shows has been pushed.
    fn has_reached(&self, snapshot: &Snapshot) -> bool {
        let state = self.state();
        state.position.as_ref().is_some_and(|(position, _)| position.base.snapshot.covers(snapshot))
    }

    fn stir(&self) {
        self.0.stirred.notify_one();
    }

    /// Waits until somebody wants the log to be read, or returns at once when somebody did since the last call.
    pub async fn stirred(&self) {
        self.0.stirred.notified().await;
    }

    /// How many changes have been pushed since the start.
    pub fn published(&self) -> u64 {
        self.state().published
    }

    /// Sets where the feed starts, or starts again after the history changed.
    pub fn start_at(&self, mark: Mark, history: HistoryId) {
        let mut state = self.state();
        state.recent.begin(&mark);
        let was = state.position.replace((Position::at(mark), history));
        if was.is_some_and(|(_, before)| before != history) {
            state.routes.resync();
        }
    }

    /// Has nobody told from memory what passed until now, nor for a while: the log lacks some of it.
    pub fn beware(&self) {
        let mut state = self.state();
        if let Some((position, _)) = state.position.clone() {
            state.recent.beware(position.furthest());
        }
    }

    /// Has whoever holds one of some topics fetch afresh: what was on them cannot be told.
    pub fn gap(&self, concerns: impl Fn(&Topic) -> bool) {
        self.state().routes.gap(concerns);
    }

    /// Sets where the feed goes on after a crash of the database, whose numbers may be behind those of before: whoever
    /// holds a topic reads the log from where it stands.
    pub fn go_on_from(&self, mark: Mark, history: HistoryId) {
        let mut state = self.state();
        state.recent.begin(&mark);
        let left_off = state.position.replace((Position::at(mark), history));
        // What was not pushed counts too: a checkpoint has to follow it.
        state.published += 1;
        state.routes.lag(left_off.as_ref().map(|(position, _)| position));
    }

    /// Pushes changes of one batch, in the log's order, to whoever holds their topics, and moves subscriptions as they say.
    pub fn publish(&self, batch: &Batch, changes: &[Arc<Delivery>]) {
        for chunk in changes.chunks(PUSH_AT_ONCE) {
            let mut state = self.state();
            for delivery in chunk {
                state.routes.push(delivery);
                state.recent.push(delivery);
            }
            state.published += chunk.len() as u64;
            if let Some(last) = chunk.last() {
                state.position = Some((batch.position_after(last.change.id), batch.history));
            }
            drop(state);
            self.0.tap.pass(chunk);
        }
    }

    /// Says that a batch has been pushed whole.
    pub fn finish(&self, batch: &Batch) {
        let mut state = self.state();
        state.position = Some((Position::at(batch.upto.clone()), batch.history));
        state.recent.finish(batch);
    }

    /// Topics of which somebody wants some rows only: what their columns are has to be told before their changes.
    pub fn looked_up(&self) -> Vec<Topic> {
        self.state().routes.looked_up()
    }

    /// Says what the columns of topics are. Who wishes for rows by columns that are others now gets every change of the
    /// topic until it wishes anew.
    pub fn shaped(&self, shapes: &HashMap<String, String>) {
        let mut state = self.state();
        for (topic, shape) in shapes {
            if state.routes.shaped(topic, shape) {
                state.altered = Some(Instant::now());
            }
        }
    }

    /// When it was last heard that columns are others: what was asked of the database before may be outdated.
    pub fn altered(&self) -> Option<Instant> {
        self.state().altered
    }

    /// Says something to whoever listens to one of the topics, once each.
    pub fn signal(&self, topics: &[Topic], signal: Signal) {
        self.state().routes.signal(topics, &Arc::new(signal));
    }

    fn subscribe(&self, mailbox: &Arc<Shared>, topics: &[Topic]) -> Option<(Position, HistoryId)> {
        let mut state = self.state();
        for topic in topics {
            state.routes.add(mailbox, topic);
        }
        metrics::gauge!(TOPICS).set(state.routes.topics() as f64);
        state.position.clone()
    }

    fn want(
        &self,
        mailbox: &Arc<Shared>,
        topics: &[(Topic, Wanted)],
    ) -> Option<(Position, HistoryId)> {
        let mut state = self.state();
        for (topic, wanted) in topics {
            state.routes.want(mailbox, topic, wanted);
        }
        metrics::gauge!(TOPICS).set(state.routes.topics() as f64);
        state.position.clone()
    }

    /// What the holder of a position lacks of some topics, at most so many changes at once, told from memory; none where
    /// the log has to be asked, as it has to where the hub is not as far as somebody who `had` more, or who has `seen` the
    /// database further.
    pub fn since(
        &self,
        position: &Position,
        history: HistoryId,
        had: Option<&Position>,
        seen: Option<&Snapshot>,
        topics: &[Topic],
        most: usize,
    ) -> Option<Passed> {
        let state = self.state();
        let (stands, now) = state.position.as_ref()?;
        let is_as_far = had.is_none_or(|had| stands.covers(had))
            && seen.is_none_or(|seen| stands.base.snapshot.covers(seen));
        let comparable = *now == history && is_as_far;
        comparable.then(|| state.recent.since(stands, position, topics, most)).flatten()
    }

    fn stands_at(&self, mailbox: &Shared) -> Option<Position> {
        let state = self.state();
        let (position, _) = state.position.as_ref()?;
        mailbox.is_empty().then(|| position.clone())
    }

    fn hold(&self, mailbox: &Arc<Shared>, topic: &Topic) -> bool {
        self.state().routes.add(mailbox, topic)
    }

    fn hush(&self, mailbox: &Shared) {
        let mut state = self.state();
        mailbox.hush();
        state.routes.hush(mailbox.id);
    }

    fn hear(&self, mailbox: &Shared, topic: &Topic, wanted: bool) {
        self.state().routes.hear(mailbox.id, topic, wanted);
    }

    fn unsubscribe(&self, mailbox: &Shared, topic: &Topic) {
        self.state().routes.remove(mailbox.id, topic);
    }

    fn close(&self, mailbox: &Shared) {
        let mut state = self.state();
        state.routes.remove_all(mailbox.id);
        metrics::gauge!(TOPICS).set(state.routes.topics() as f64);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
