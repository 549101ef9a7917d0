//! The routing table: topic → mailboxes, and back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Delivery, Item, Wanted, filter::Index, mailbox::Shared};
use crate::{change::Link, cursor::Position, signal::Signal, topic::Topic};

/// Who holds what; both directions are kept in step.
#[derive(Default)]
pub(super) struct Routes {
    holders: HashMap<Topic, Holders>,
    /// Those of which somebody wants some rows only.
    looked_up: HashSet<Topic>,
    /// What their columns are, as far as it was heard.
    shapes: HashMap<Topic, Arc<str>>,
    held: HashMap<u64, HashSet<Topic>>,
}

/// Those who hold one topic. Links are for those who have all its changes, signals for those of them who listen to it.
#[derive(Default)]
struct Holders {
    all: HashMap<u64, Arc<Shared>>,
    /// Those who have all changes and no signals: of ten thousand people in a thread, nearly all.
    quiet: HashMap<u64, Arc<Shared>>,
    /// Those who want some rows only; none where there are none, which is the case of most topics.
    some: Option<Box<Index>>,
}

impl Holders {
    fn count(&self) -> usize {
        let some = self.some.iter().flat_map(|some| some.mailboxes());
        // One that wants several values is listed for each.
        self.all.len() + self.quiet.len() + some.map(|(id, _)| id).collect::<HashSet<_>>().len()
    }
}

impl Routes {
    pub(super) fn topics(&self) -> usize {
        self.holders.len()
    }

    /// What a mailbox holds.
    pub(super) fn held_by(&self, mailbox: u64) -> Vec<Topic> {
        self.held.get(&mailbox).into_iter().flatten().cloned().collect()
    }

    /// The topics after `after` whose names hold `search`, in no order, each with how many hold it.
    pub(super) fn named(&self, search: &str, after: &str) -> Vec<(Topic, usize)> {
        let fits = |topic: &Topic| topic.as_str() > after && topic.as_str().contains(search);
        let found = self.holders.iter().filter(|(topic, _)| fits(topic));
        found.map(|(topic, holders)| (topic.clone(), holders.count())).collect()
    }

    /// Adds a holder; false when it was one.
    pub(super) fn add(&mut self, mailbox: &Arc<Shared>, topic: &Topic) -> bool {
        let new = self.held.entry(mailbox.id).or_default().insert(topic.clone());
        if new {
            let holders = self.holders.entry(topic.clone()).or_default();
            let side = if mailbox.is_quiet() { &mut holders.quiet } else { &mut holders.all };
            side.insert(mailbox.id, Arc::clone(mailbox));
        }
        new
    }

    /// Spares a mailbox the signals of all that it holds.
    pub(super) fn hush(&mut self, mailbox: u64) {
        for topic in self.held.get(&mailbox).into_iter().flatten() {
            if let Some(holders) = self.holders.get_mut(topic) {
                holders.quiet.extend(holders.all.remove_entry(&mailbox));
            }
        }
    }

    /// Has a mailbox that holds a topic get its signals, or spares it them.
    pub(super) fn hear(&mut self, mailbox: u64, topic: &Topic, wanted: bool) {
        let Some(holders) = self.holders.get_mut(topic) else { return };
        let (from, to) = if wanted {
            (&mut holders.quiet, &mut holders.all)
        } else {
            (&mut holders.all, &mut holders.quiet)
        };
        to.extend(from.remove_entry(&mailbox));
    }

    /// Topics of which somebody wants some rows only.
    pub(super) fn looked_up(&self) -> Vec<Topic> {
        self.looked_up.iter().cloned().collect()
    }

    /// Takes note of what a topic's columns are; whether wishes are outdated by that.
    pub(super) fn shaped(&mut self, topic: &str, shape: &str) -> bool {
        let Ok(topic) = Topic::parse(topic) else { return false };
        let known = self.shapes.insert(topic.clone(), shape.into());
        if known.is_some_and(|known| *known == *shape) {
            return false;
        }
        let some = self.holders.get_mut(&topic).and_then(|holders| holders.some.as_mut());
        some.map(|some| some.outdate()).is_some()
    }

    /// Adds a holder of all or of some rows, or changes what it wants.
    pub(super) fn want(&mut self, mailbox: &Arc<Shared>, topic: &Topic, wanted: &Wanted) {
        self.remove(mailbox.id, topic);
        match wanted {
            Wanted::All => {
                self.add(mailbox, topic);
            }
            Wanted::Rows { rows, shape } => {
                let known = self.shapes.entry(topic.clone()).or_insert_with(|| Arc::clone(shape));
                let outdated = *known != *shape;
                self.held.entry(mailbox.id).or_default().insert(topic.clone());
                let holders = self.holders.entry(topic.clone()).or_default();
                holders.some.get_or_insert_default().set(mailbox, rows, outdated);
                self.looked_up.insert(topic.clone());
            }
        }
    }

    pub(super) fn remove(&mut self, mailbox: u64, topic: &Topic) {
        if let Some(held) = self.held.get_mut(&mailbox) {
            held.remove(topic);
        }
        self.drop_holder(mailbox, topic);
    }

    pub(super) fn remove_all(&mut self, mailbox: u64) {
        for topic in self.held.remove(&mailbox).unwrap_or_default() {
            self.drop_holder(mailbox, &topic);
        }
    }

    /// Delivers a change, then lets it move the subscriptions of those who got it.
    pub(super) fn push(&mut self, delivery: &Arc<Delivery>) {
        let Some(holders) = self.holders.get(&delivery.change.topic) else { return };
        for mailbox in holders.whole() {
            mailbox.push(Item::Change(Arc::clone(delivery)));
        }
        if let Some(some) = &holders.some {
            some.each(&delivery.change, |mailbox| {
                mailbox.push(Item::Change(Arc::clone(delivery)));
            });
        }
        match &delivery.change.link {
            None => {}
            Some(Link::Follow(topic)) => {
                for mailbox in holders.whole().cloned().collect::<Vec<_>>() {
                    self.add(&mailbox, topic);
                }
            }
            Some(Link::Leave(topic)) => {
                for mailbox in holders.whole().map(|mailbox| mailbox.id).collect::<Vec<_>>() {
                    self.remove(mailbox, topic);
                }
            }
        }
    }

    pub(super) fn signal(&self, topics: &[Topic], signal: &Arc<Signal>) {
        let mut told = HashSet::new();
        for holders in topics.iter().filter_map(|topic| self.holders.get(topic)) {
            for (id, mailbox) in &holders.all {
                // One topic is the usual case and needs no memory of whom it told.
                if topics.len() == 1 || told.insert(*id) {
                    mailbox.push(Item::Signal(Arc::clone(signal)));
                }
            }
        }
    }

    pub(super) fn resync(&self) {
        self.each(|_| true, Shared::resync);
    }

    /// Says that changes are missing to whoever holds one of some topics.
    pub(super) fn gap(&self, concerns: impl Fn(&Topic) -> bool) {
        self.each(concerns, Shared::gap);
    }

    /// Has everybody read the log, where the feed left off at the earliest.
    pub(super) fn lag(&self, left_off: Option<&Position>) {
        self.each(|_| true, |mailbox| mailbox.lag(left_off));
    }

    fn each(&self, concerns: impl Fn(&Topic) -> bool, mut tell: impl FnMut(&Shared)) {
        let mut told = HashSet::new();
        for (_, holders) in self.holders.iter().filter(|(topic, _)| concerns(topic)) {
            let some = holders.some.iter().flat_map(|some| some.mailboxes());
            let whole = holders.whole().map(|mailbox| (&mailbox.id, mailbox));
            for (id, mailbox) in whole.chain(some) {
                if told.insert(*id) {
                    tell(mailbox);
                }
            }
        }
    }

    fn drop_holder(&mut self, mailbox: u64, topic: &Topic) {
        if let Some(holders) = self.holders.get_mut(topic) {
            holders.all.remove(&mailbox);
            holders.quiet.remove(&mailbox);
            if let Some(some) = &mut holders.some {
                some.remove(mailbox);
                if some.is_empty() {
                    holders.some = None;
                    self.looked_up.remove(topic);
                }
            }
            if holders.whole().next().is_none() && holders.some.is_none() {
                self.holders.remove(topic);
            }
        }
    }
}

impl Holders {
    /// Those who have all changes.
    fn whole(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.all.values().chain(self.quiet.values())
    }
}
