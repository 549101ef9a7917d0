//! The follower: one client's place in the history, from its cursor through the log to live, nothing lost or repeated.
//!
//! Its mailbox is subscribed before the log is read, so what the log does not have yet will be in the mailbox, and what
//! both have is told by the position. A mailbox that overflowed is the same case: read the log from here, go on live.

mod holding;
mod next;
mod remembered;

use std::{collections::HashSet, sync::Arc};

pub use next::{Cursor, Next};

use crate::{
    change::{Change, Link},
    cursor::{HistoryId, Mark, Position},
    db::Pool,
    error::{Kind, Result},
    feed::{self, Page},
    hub::{Delivery, Hub, Item, Mailbox, Taken, Wanted, Window},
    metrics::{LAGGED_TOTAL, MAILBOX_ITEMS, RESYNC_TOTAL},
    topic::Topic,
};

/// Changes taken from memory at once.
const AT_ONCE: usize = 512;

/// One client's mailbox and place.
pub struct Follower {
    pool: Pool,
    mailbox: Mailbox,
    topics: HashSet<Topic>,
    position: Position,
    history: HistoryId,
    /// Where the log is read from until it has caught up; then none.
    replay: Option<Replay>,
    /// Where the client came in: what is after it and before `position` it has had live.
    start: Position,
    /// What the answer had seen that `topics` come from: it speaks for all links up to there.
    asked: Option<Mark>,
    /// Topics that a link brought or took away since that answer: what comes later of them is news, too, whatever a clock
    /// says that was set back.
    turned: Vec<Topic>,
    /// Whether changes from between that answer and the client's coming in may still be in the mailbox.
    arriving: bool,
    items: Vec<Item>,
}

#[derive(Clone)]
struct Replay {
    from: Position,
    /// What the client has had meanwhile, live: from, to.
    had: Option<(Position, Position)>,
}

impl Follower {
    /// Opens a mailbox that holds `topics`; none while the feed has not started.
    pub fn open(hub: &Hub, pool: Pool, capacity: usize, topics: &[Topic]) -> Option<Self> {
        let wanted: Vec<_> = topics.iter().map(|topic| (topic.clone(), Wanted::All)).collect();
        Self::open_for(hub, pool, capacity, &wanted)
    }

    /// Opens a mailbox that gets of each topic what is wanted of it; none while the feed has not started.
    pub fn open_for(
        hub: &Hub,
        pool: Pool,
        capacity: usize,
        wanted: &[(Topic, Wanted)],
    ) -> Option<Self> {
        let mailbox = hub.open(capacity);
        let (position, history) = mailbox.want(wanted)?;
        Some(Self {
            pool,
            mailbox,
            topics: wanted.iter().map(|(topic, _)| topic.clone()).collect(),
            start: position.clone(),
            position,
            history,
            replay: None,
            asked: None,
            turned: Vec::new(),
            arriving: false,
            items: Vec::new(),
        })
    }

    /// Holds what the database said that the client may have, as of `asked`; the client comes in here.
    ///
    /// Where the hub is behind that answer it comes in where the database stood: what the answer had seen, an earlier
    /// connection of the same client may have been told, by the log.
    pub fn come_in(&mut self, topics: &[Topic], asked: Mark) {
        if let Some((hub, history)) = self.mailbox.subscribe(topics) {
            // After a crash the numbers may say another thing than the clock. Whichever is right, the log knows the rest.
            let unsure =
                asked.at > hub.furthest().at && !asked.snapshot.covers(&hub.furthest().snapshot);
            let position = if unsure { Position::at(asked.clone()) } else { hub.with(&asked) };
            self.replay = unsure.then(|| Replay { from: position.clone(), had: None });
            self.start = position.clone();
            self.position = position;
            self.history = history;
        }
        self.topics.extend(topics.iter().cloned());
        self.asked = Some(asked);
        self.arriving = true;
    }

    /// Whether an answer of the database had seen all that this client will not be told of any more.
    pub fn is_covered_by(&self, asked: &Mark) -> bool {
        asked.snapshot.covers(&self.start.furthest().snapshot)
    }

    /// A view of its mailbox for others.
    pub fn window(&self) -> Window {
        self.mailbox.window()
    }

    /// Goes back to a cursor: what the client lacks from there is read from the log, but nothing it has had live.
    pub fn resume(&mut self, cursor: &str) -> Result<Option<()>> {
        let Some(from) = Position::decode(cursor, self.history)? else {
            metrics::counter!(RESYNC_TOTAL).increment(1);
            return Ok(None);
        };
        let (from, had) = match self.asked.as_ref().filter(|asked| self.is_ahead_of(&from, asked)) {
            // A client's word does not let it pass by what says where it belongs: it has had the rest, as it says.
            Some(asked) => {
                let upto = [from, self.position.clone()].into_iter();
                let upto = upto.max_by_key(|position| position.furthest().at);
                let asked = Position::at(asked.clone());
                (asked.clone(), upto.map(|upto| (asked, upto)))
            }
            None => {
                let had = (self.start.clone(), self.position.clone());
                (from, (self.start != self.position).then_some(had))
            }
        };
        // From now on the client has had everything since the earlier of the two, and does not get it again.
        if self.start.base.snapshot.covers(&from.base.snapshot) {
            self.start = from.clone();
        }
        self.replay = Some(Replay { from, had });
        Ok(Some(()))
    }

    /// Goes back to a position, to be told again of all that came after it.
    pub fn rewind(&mut self, from: Position) {
        self.replay = Some(Replay { from, had: None });
    }

    /// Goes back to just after a change that it was told of.
    pub fn rewind_to(&mut self, cursor: &Cursor) -> Result<()> {
        if let Some(position) = Position::decode(cursor.as_str(), self.history)? {
            self.rewind(position);
        }
        Ok(())
    }

    /// Stands where the hub does, if all that was pushed to this client has been taken: one that gets little must not
    /// be left behind where the log ends.
    pub fn keep_up(&mut self) {
        if self.replay.is_none()
            && let Some(position) = self.mailbox.stands_at()
            && position.covers(&self.position)
        {
            self.position = position;
            self.arriving = false;
        }
    }

    /// Whether a cursor skips changes that this session has to look at for their links.
    fn is_ahead_of(&self, cursor: &Position, asked: &Mark) -> bool {
        let far = cursor.furthest();
        is_behind(asked, far) && (self.arriving || far.at > self.position.furthest().at)
    }

    /// The cursor of a client that has had all up to here.
    pub fn cursor(&self) -> String {
        let position = self.replay.as_ref().map_or(&self.position, |replay| &replay.from);
        position.encode(self.history)
    }

    /// Whether the log is being read: what comes next does not wait for an event.
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Waits for what comes next and adds it to `out`. Cancelling it loses nothing: a page of the log is read again.
    pub async fn next(&mut self, out: &mut Vec<Next>) -> Result<()> {
        if let Some(replay) = self.replay.clone() {
            // Boxed: an idle client's future need not have room for a replay.
            return Box::pin(self.page(replay, out)).await;
        }
        match self.mailbox.take(&mut self.items).await {
            Taken::Items => {
                metrics::histogram!(MAILBOX_ITEMS).record(self.items.len() as f64);
                self.live(out);
            }
            Taken::Lagged(dropped) => {
                metrics::counter!(LAGGED_TOTAL).increment(1);
                self.replay = dropped.map(|dropped| self.after_lagging(dropped));
                out.push(Next::Lagged);
            }
        }
        Ok(())
    }

    /// Where to read on when the mailbox dropped what it had from a position on, what came while the client was let in
    /// included. A client that got little may stand far behind that position, further than the log goes back: there was
    /// nothing for it in between.
    fn after_lagging(&self, dropped: Position) -> Replay {
        let arriving = self.arriving && !dropped.covers(&self.start);
        // An answer that had seen more than the hub had pushed leaves nothing to look at again.
        let earlier = |asked: &&Mark| arriving && is_behind(asked, self.position.furthest());
        match self.asked.as_ref().filter(earlier) {
            Some(asked) => {
                let asked = Position::at(asked.clone());
                Replay { from: asked.clone(), had: Some((asked, self.position.clone())) }
            }
            None if dropped.covers(&self.position) => Replay { from: dropped, had: None },
            None => Replay { from: self.position.clone(), had: None },
        }
    }

    fn live(&mut self, out: &mut Vec<Next>) {
        for item in std::mem::take(&mut self.items) {
            match item {
                // Read from the log in a moment, with what passed by.
                Item::Change(_) if self.replay.is_some() => {}
                Item::Change(delivery) => {
                    if self.take_live(delivery, out) {
                        self.replay = Some(Replay { from: self.position.clone(), had: None });
                    }
                }
                Item::Signal(signal) => out.push(Next::Signal(signal)),
                Item::Resync => self.start_over(out),
                Item::Gap => {
                    metrics::counter!(RESYNC_TOTAL).increment(1);
                    out.push(Next::Resync);
                }
            }
        }
    }

    /// Passes on a change unless the log gave it already, or its topic was lost before it; true when changes may have
    /// passed by.
    fn take_live(&mut self, delivery: Arc<Delivery>, out: &mut Vec<Next>) -> bool {
        let change = &delivery.change;
        let held = self.topics.contains(&change.topic);
        let had = self.position.has(change.xid, change.id, change.at);
        let before = had && self.start.has(change.xid, change.id, change.at);
        self.arriving &= before;
        // What the log gave it gave with its links, and with later ones: an old joining here would undo a later leaving.
        let news = !self.is_answered(change) && (before || !had);
        let passed_by = self.follow(&delivery, news).1;
        if held && before && news {
            // It came while the client was let in: after the database was asked, before the client's place began.
            out.push(Next::Heed(delivery));
            return passed_by;
        }
        if !held || had {
            return passed_by;
        }
        let shared = delivery.batch.from.snapshot.covers(&self.position.base.snapshot);
        self.position = if shared {
            delivery.batch.position_after(delivery.change.id)
        } else {
            // The log was read further than this batch began: the client has that, and the batch up to here.
            let upto = delivery.batch.upto.clone();
            Position::within(self.position.base.clone(), upto, delivery.change.id)
        };
        let cursor = if shared {
            Cursor::Shared(Arc::clone(&delivery))
        } else {
            Cursor::Own(self.position.encode(self.history))
        };
        out.push(Next::Change(delivery, cursor));
        passed_by
    }

    /// Keeps the topics in step with what the change says: whether there is one more, and whether changes of a topic
    /// held may have passed the mailbox by.
    ///
    /// The hub did so for the mailbox when it pushed the change, and may be further by now: giving up a topic here can
    /// undo a later joining there, until that comes here too. A link that the answer about the topics had seen is in that
    /// answer: an old joining must not bring back a thread that was left since, nor an old leaving take one away.
    fn follow(&mut self, delivery: &Delivery, news: bool) -> (bool, bool) {
        if let Some(Link::Follow(topic) | Link::Leave(topic)) = &delivery.change.link
            && news
            && !self.turned.contains(topic)
        {
            self.turned.push(topic.clone());
        }
        match &delivery.change.link {
            Some(Link::Follow(topic)) if news => {
                let passed_by = self.mailbox.hold(topic);
                (self.topics.insert(topic.clone()), passed_by)
            }
            Some(Link::Leave(topic)) if news => {
                self.release(topic);
                (false, false)
            }
            Some(Link::Leave(topic)) if self.topics.contains(topic) => {
                (false, self.mailbox.hold(topic))
            }
            _ => (false, false),
        }
    }

    /// Whether a change is one that the answer about the client's standing and topics had not seen.
    pub fn is_news(&self, change: &Change) -> bool {
        !self.is_answered(change) || self.has_turned(change)
    }

    fn is_answered(&self, change: &Change) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.sees(change.xid, change.at))
    }

    fn has_turned(&self, change: &Change) -> bool {
        match &change.link {
            Some(Link::Follow(topic) | Link::Leave(topic)) => self.turned.contains(topic),
            None => false,
        }
    }

    /// Reads one page, from memory where that is there, else of the log. A page ends early at a change that brings a topic:
    /// the next one has that topic's too.
    async fn page(&mut self, replay: Replay, out: &mut Vec<Next>) -> Result<()> {
        let topics: Vec<Topic> = self.topics.iter().cloned().collect();
        self.let_the_hub_come(&replay).await;
        let page = match self.remembered(&replay, &topics, AT_ONCE) {
            Some(page) => Ok(page),
            None => feed::replay(&self.pool, &replay.from, self.history, Some(&topics)).await,
        };
        self.turn(replay, page, out)
    }

    /// Takes what a read of the log gave.
    fn turn(&mut self, replay: Replay, page: Result<Page>, out: &mut Vec<Next>) -> Result<()> {
        if page.as_ref().is_err_and(|error| error.kind == Kind::Conflict) {
            self.start_over(out);
            return Ok(());
        }
        let page = page?;
        self.replay = None;
        for delivery in page.deliveries {
            let change = &delivery.change;
            let position = delivery.batch.position_after(change.id);
            let had = replay.had.as_ref().is_some_and(|(start, upto)| {
                upto.has(change.xid, change.id, change.at)
                    && !start.has(change.xid, change.id, change.at)
            });
            let (held, news) = (self.topics.contains(&change.topic), self.is_news(change));
            let (more_topics, passed_by) = self.follow(&delivery, news);
            if held && !had {
                let cursor = Cursor::Shared(Arc::clone(&delivery));
                out.push(Next::Change(delivery, cursor));
            } else if held && news {
                out.push(Next::Heed(delivery));
            }
            if more_topics || passed_by {
                self.replay = Some(Replay { from: position, had: replay.had });
                return Ok(());
            }
        }
        if page.more {
            self.replay = Some(Replay { from: page.position, had: replay.had });
        } else {
            self.position = page.position;
            self.arriving = false;
        }
        Ok(())
    }

    fn start_over(&mut self, out: &mut Vec<Next>) {
        metrics::counter!(RESYNC_TOTAL).increment(1);
        self.replay = None;
        // Subscribing to nothing new tells where the feed stands.
        if let Some((position, history)) = self.mailbox.subscribe(&[]) {
            self.position = position;
            self.history = history;
        }
        out.push(Next::Resync);
    }
}

/// Whether one moment is before another: by the clock, for a crash may give numbers out again, and by the numbers, for a
/// clock may be set back.
fn is_behind(mark: &Mark, other: &Mark) -> bool {
    mark.at < other.at && !mark.snapshot.covers(&other.snapshot)
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
