//! What was pushed of late, by topic: who comes back within it is told from memory what a read of the log would give.
//!
//! It knows from where on it is whole. A position from before that, one that does not compare with where the hub stands, or
//! one from around a gap is the log's to answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Delivery;
use crate::{
    change::Batch,
    cursor::{Mark, Position},
    topic::Topic,
};

/// Bytes of the changes that are kept, should they be fewer than are wanted.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How long a change is kept, in microseconds of the database's clock: what was deleted is not to be in memory for as long as
/// nothing else comes.
const OLDEST: i64 = 600_000_000;
/// From a gap on nothing is kept for so long, in microseconds of the database's clock: whoever has a position from just
/// behind one may not have heard of it, which the log tells (`feed::log`).
const WARY: i64 = 60_000_000;

/// Some of what a position lacks, in order.
pub struct Passed {
    /// The changes.
    pub deliveries: Vec<Arc<Delivery>>,
    /// Where somebody stands who has had them.
    pub position: Position,
    /// Whether there is more.
    pub more: bool,
}

/// The changes kept, and from where on they are all.
#[derive(Default)]
pub(super) struct Recent {
    /// Whoever has all of this lacks nothing that is not here; none while nothing is kept.
    from: Option<Mark>,
    /// Until the database's clock is past this, nothing is.
    wary_until: Option<i64>,
    /// In the order in which they were pushed, with the number that it gives each.
    order: VecDeque<Arc<Delivery>>,
    by_topic: HashMap<Topic, VecDeque<(u64, Arc<Delivery>)>>,
    pushed: u64,
    bytes: usize,
    most: usize,
}

impl Recent {
    /// Keeps so many.
    pub(super) fn keeping(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Forgets everything; what is pushed from a mark on is kept.
    pub(super) fn begin(&mut self, from: &Mark) {
        self.clear();
        if self.wary_until.is_none_or(|until| from.at > until) {
            self.wary_until = None;
            self.from = Some(from.clone());
        }
    }

    /// Forgets everything, and keeps nothing for a while, as of a mark: changes before it are missing in the log.
    pub(super) fn beware(&mut self, now: &Mark) {
        self.clear();
        self.wary_until = Some(now.at.saturating_add(WARY));
    }

    /// Keeps a change.
    pub(super) fn push(&mut self, delivery: &Arc<Delivery>) {
        if self.from.is_none() {
            return;
        }
        self.pushed += 1;
        self.bytes += delivery.change.size();
        self.order.push_back(Arc::clone(delivery));
        let of_topic = self.by_topic.entry(delivery.change.topic.clone()).or_default();
        of_topic.push_back((self.pushed, Arc::clone(delivery)));
        while self.order.len() > self.most || self.bytes > MOST_BYTES {
            self.drop_oldest();
        }
    }

    /// Notes that a batch has been pushed whole, which may have brought nothing but a later time.
    pub(super) fn finish(&mut self, batch: &Batch) {
        if self.from.is_none() {
            self.begin(&batch.upto);
        }
        let oldest = batch.upto.at.saturating_sub(OLDEST);
        while self.order.front().is_some_and(|one| one.change.at < oldest) {
            self.drop_oldest();
        }
    }

    /// What the holder of a position lacks of some topics, at most so many changes at once, up to where the `hub` stands;
    /// none where the log has to be asked.
    pub(super) fn since(
        &self,
        hub: &Position,
        position: &Position,
        topics: &[Topic],
        most: usize,
    ) -> Option<Passed> {
        let (base, far) = (&position.base, position.furthest());
        let is_between_batches = hub.partial.is_none();
        let is_within = base.covers(self.from.as_ref()?) && hub.base.covers(far);
        if !is_between_batches || !is_within {
            return None;
        }
        // As in the log, the clock is not asked: there was no crash since `from`, and one that was set back would mislead.
        let has = |mark: &Mark, one: &Delivery| mark.snapshot.sees(one.change.xid);
        let is_of_its_batch = |one: &Delivery| position.partial.is_some() && has(far, one);
        let had_of_it = position.partial.as_ref().map_or(0, |(_, last)| *last);
        let lacking = topics.iter().filter_map(|topic| self.by_topic.get(topic)).flat_map(|kept| {
            let newest_first = kept
                .iter()
                .rev()
                .take_while(|(_, one)| !base.snapshot.covers(&one.batch.upto.snapshot));
            newest_first.filter(|(_, one)| {
                let had = is_of_its_batch(one) && one.change.id <= had_of_it;
                !has(base, one) && !had
            })
        });
        // The rest of the batch that the position is in comes first, by its ids; then what is beyond, as it was pushed.
        let (mut rest, mut beyond): (Vec<_>, Vec<_>) =
            lacking.partition(|(_, one)| is_of_its_batch(one));
        rest.sort_unstable_by_key(|(_, one)| one.change.id);
        beyond.sort_unstable_by_key(|(number, _)| *number);
        let more = rest.len() + beyond.len() > most;
        let rest = rest.into_iter().map(|(_, one)| Some(within(one, base, far)));
        let beyond = beyond.into_iter().map(|(_, one)| {
            let batch = &one.batch;
            if batch.from.snapshot.covers(&far.snapshot) {
                return Some(Arc::clone(one));
            }
            // The position cuts this batch: its holder has some of it.
            let nested = batch.upto.snapshot.covers(&far.snapshot);
            nested.then(|| within(one, far, &batch.upto))
        });
        let deliveries: Vec<_> = rest.chain(beyond).take(most).collect::<Option<_>>()?;
        let position = match deliveries.last() {
            Some(last) if more => last.batch.position_after(last.change.id),
            _ => hub.clone(),
        };
        Some(Passed { deliveries, position, more })
    }

    /// From here on whoever lacks the oldest has to ask the log.
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        self.bytes -= oldest.change.size();
        if let Some(of_topic) = self.by_topic.get_mut(&oldest.change.topic) {
            of_topic.pop_front();
            if of_topic.is_empty() {
                self.by_topic.remove(&oldest.change.topic);
            }
        }
        self.from = Some(oldest.batch.upto.clone());
    }

    fn clear(&mut self) {
        *self = Self { wary_until: self.wary_until, ..Self::keeping(self.most) };
    }
}

/// A change as one of another batch, for those whose positions are in that; itself where it is of that already.
fn within(one: &Arc<Delivery>, from: &Mark, upto: &Mark) -> Arc<Delivery> {
    if one.batch.from == *from && one.batch.upto == *upto {
        return Arc::clone(one);
    }
    let batch = Batch { from: from.clone(), upto: upto.clone(), history: one.batch.history };
    Arc::new(Delivery::new(one.change.clone(), Arc::new(batch)))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, Hub},
        *,
    };
    use crate::{
        change::{Change, Op},
        cursor::{HistoryId, Snapshot},
    };

    const HISTORY: HistoryId = HistoryId(1);
    const MANY: usize = 100;

    /// Everything below a number, at a time of the same number.
    fn mark(xid: u64) -> Mark {
        let snapshot = Snapshot::parse(&format!("{xid}:{xid}:")).expect("legal");
        Mark { snapshot, at: i64::try_from(xid).expect("small") }
    }

    fn topic(name: &str) -> Topic {
        Topic::parse(name).expect("legal")
    }

    /// Pushes one batch, of changes by transactions of the same numbers as their ids.
    fn push(hub: &Hub, from: u64, upto: u64, changes: &[(i64, &str)]) {
        let batch = Arc::new(Batch { from: mark(from), upto: mark(upto), history: HISTORY });
        let changes: Vec<_> = changes
            .iter()
            .map(|&(id, name)| {
                let change = Change {
                    id,
                    xid: id.unsigned_abs(),
                    at: id,
                    topic: topic(name),
                    relation: "chat.messages".into(),
                    op: Op::Insert,
                    key: None,
                    record: None,
                    old_record: None,
                    link: None,
                };
                Arc::new(Delivery::new(change, Arc::clone(&batch)))
            })
            .collect();
        hub.publish(&batch, &changes);
        hub.finish(&batch);
    }

    /// A hub that has pushed two batches.
    fn hub(most: usize) -> Hub {
        let hub = Hub::remembering(most);
        hub.start_at(mark(10), HISTORY);
        push(&hub, 10, 20, &[(11, "thread:1"), (12, "thread:2"), (13, "thread:1")]);
        push(&hub, 20, 30, &[(21, "thread:2"), (22, "thread:1"), (23, "thread:3")]);
        hub
    }

    fn since(hub: &Hub, position: &Position, most: usize) -> Option<(Vec<i64>, Passed)> {
        let topics = [topic("thread:1"), topic("thread:2")];
        let passed = hub.since(position, HISTORY, None, None, &topics, most)?;
        Some((passed.deliveries.iter().map(|one| one.change.id).collect(), passed))
    }

    #[test]
    fn what_passed_is_told_in_order_and_by_topic_page_by_page() {
        let hub = hub(MANY);
        let (ids, passed) = since(&hub, &Position::at(mark(10)), MANY).expect("kept");
        assert_eq!(ids, [11, 12, 13, 21, 22]);
        assert!(!passed.more && passed.position == Position::at(mark(30)));
        let within = Position::within(mark(10), mark(20), 12);
        assert_eq!(since(&hub, &within, MANY).expect("kept").0, [13, 21, 22]);
        let (ids, first) = since(&hub, &Position::at(mark(10)), 2).expect("kept");
        assert_eq!((ids, first.more), (vec![11, 12], true));
        assert_eq!(since(&hub, &first.position, MANY).expect("kept").0, [13, 21, 22]);
        assert_eq!(since(&hub, &Position::at(mark(30)), MANY).expect("kept").0, [0; 0]);
    }

    #[test]
    fn a_position_that_cuts_a_batch_keeps_what_its_holder_has_of_it() {
        let hub = hub(MANY);
        // Of another bridge, which read at another moment.
        let (ids, passed) = since(&hub, &Position::at(mark(13)), MANY).expect("kept");
        assert_eq!(ids, [13, 21, 22]);
        let cursors: Vec<_> = passed.deliveries.iter().map(|one| one.cursor()).collect();
        assert_eq!(cursors[0], Position::within(mark(13), mark(20), 13).encode(HISTORY));
        assert_eq!(cursors[1], Position::within(mark(20), mark(30), 21).encode(HISTORY));
        // In the middle of a batch that goes further than ours.
        let within = Position::within(mark(10), mark(22), 12);
        let (ids, passed) = since(&hub, &within, MANY).expect("kept");
        assert_eq!(ids, [13, 21, 22]);
        let cursors: Vec<_> = passed.deliveries.iter().map(|one| one.cursor()).collect();
        assert_eq!(cursors[1], Position::within(mark(10), mark(22), 21).encode(HISTORY));
        assert_eq!(cursors[2], Position::within(mark(22), mark(30), 22).encode(HISTORY));
    }

    #[test]
    fn what_it_does_not_know_it_does_not_tell() {
        let (all, few) = (hub(MANY), hub(4));
        assert!(since(&all, &Position::at(mark(9)), MANY).is_none(), "from before it began");
        assert!(since(&few, &Position::at(mark(13)), MANY).is_none(), "11 and 12 are forgotten");
        assert_eq!(since(&few, &Position::at(mark(20)), MANY).expect("kept").0, [21, 22]);
        assert!(since(&all, &Position::at(mark(31)), MANY).is_none(), "ahead of the hub");
        let topics = [topic("thread:1")];
        let (position, had) = (Position::at(mark(20)), Position::at(mark(31)));
        assert!(all.since(&position, HistoryId(2), None, None, &topics, MANY).is_none());
        assert!(all.since(&position, HISTORY, Some(&had), None, &topics, MANY).is_none());
        let seen =
            |xid| all.since(&position, HISTORY, None, Some(&mark(xid).snapshot), &topics, MANY);
        assert!(
            seen(30).is_some() && seen(31).is_none(),
            "what the database had when it was asked"
        );
        all.go_on_from(mark(40), HISTORY);
        assert!(since(&all, &Position::at(mark(30)), MANY).is_none(), "from before a crash");
    }

    #[test]
    fn what_is_old_is_forgotten_even_when_nothing_else_comes() {
        let hub = hub(MANY);
        let later = 30 + OLDEST.unsigned_abs();
        push(&hub, 30, later, &[]);
        assert!(since(&hub, &Position::at(mark(20)), MANY).is_none());
        assert_eq!(since(&hub, &Position::at(mark(30)), MANY).expect("kept").0, [0; 0]);
    }

    #[test]
    fn around_a_gap_the_log_is_asked() {
        let hub = hub(MANY);
        hub.beware();
        assert!(since(&hub, &Position::at(mark(20)), MANY).is_none());
        let wary = WARY.unsigned_abs();
        push(&hub, 30, wary, &[(31, "thread:1")]);
        assert!(since(&hub, &Position::at(mark(30)), MANY).is_none());
        assert!(since(&hub, &Position::at(mark(wary)), MANY).is_none());
        push(&hub, wary, wary + 100, &[]);
        push(&hub, wary + 100, wary + 200, &[(wary.cast_signed() + 150, "thread:1")]);
        let later = Position::at(mark(wary + 100));
        assert_eq!(since(&hub, &later, MANY).expect("kept").0, [wary.cast_signed() + 150]);
    }
}
