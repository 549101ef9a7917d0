//! The routing table: topic → mailboxes, and back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Delivery, Item, mailbox::Shared};
use crate::{change::Link, signal::Signal, topic::Topic};

/// Who holds what; both directions are kept in step.
#[derive(Default)]
pub(super) struct Routes {
    holders: HashMap<Topic, HashMap<u64, Arc<Shared>>>,
    held: HashMap<u64, HashSet<Topic>>,
}

impl Routes {
    pub(super) fn topics(&self) -> usize {
        self.holders.len()
    }

    /// Adds a holder; false when it was one.
    pub(super) fn add(&mut self, mailbox: &Arc<Shared>, topic: &Topic) -> bool {
        let new = self.held.entry(mailbox.id).or_default().insert(topic.clone());
        if new {
            self.holders.entry(topic.clone()).or_default().insert(mailbox.id, Arc::clone(mailbox));
        }
        new
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
        for mailbox in holders.values() {
            mailbox.push(Item::Change(Arc::clone(delivery)));
        }
        match &delivery.change.link {
            None => {}
            Some(Link::Follow(topic)) => {
                for mailbox in holders.values().cloned().collect::<Vec<_>>() {
                    self.add(&mailbox, topic);
                }
            }
            Some(Link::Leave(topic)) => {
                for mailbox in holders.keys().copied().collect::<Vec<_>>() {
                    self.remove(mailbox, topic);
                }
            }
        }
    }

    pub(super) fn signal(&self, topics: &[Topic], signal: &Arc<Signal>) {
        let mut told = HashSet::new();
        for holders in topics.iter().filter_map(|topic| self.holders.get(topic)) {
            for (id, mailbox) in holders {
                // One topic is the usual case and needs no memory of whom it told.
                if topics.len() == 1 || told.insert(*id) {
                    mailbox.push(Item::Signal(Arc::clone(signal)));
                }
            }
        }
    }

    pub(super) fn resync(&self) {
        self.each(Shared::resync);
    }

    pub(super) fn lag(&self) {
        self.each(Shared::lag);
    }

    fn each(&self, mut tell: impl FnMut(&Shared)) {
        let mut told = HashSet::new();
        for (id, mailbox) in self.holders.values().flatten() {
            if told.insert(*id) {
                tell(mailbox);
            }
        }
    }

    fn drop_holder(&mut self, mailbox: u64, topic: &Topic) {
        if let Some(holders) = self.holders.get_mut(topic) {
            holders.remove(&mailbox);
            if holders.is_empty() {
                self.holders.remove(topic);
            }
        }
    }
}
