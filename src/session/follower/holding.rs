//! The topics that a follower holds, in its own list and at the hub at once.

use super::Follower;
use crate::{cursor::Mark, hub::Wanted, topic::Topic};

impl Follower {
    /// Holds threads that were joined and gives up those that were left, as the database said.
    pub fn stand_on(&mut self, joined: &[Topic], left: &[Topic], asked: Mark) {
        for topic in left {
            self.release(topic);
        }
        self.mailbox.subscribe(joined);
        self.topics.extend(joined.iter().cloned());
        self.asked = Some(asked);
        self.turned.clear();
    }

    /// Holds one more topic from here on.
    pub fn hold(&mut self, topic: Topic) {
        self.mailbox.subscribe(std::slice::from_ref(&topic));
        self.topics.insert(topic);
    }

    /// What is said in the client's topics is not wanted, but where it asks to hear it.
    pub fn hush(&self) {
        self.mailbox.hush();
    }

    /// What is said in a topic that is held is wanted, too, or no longer.
    pub fn hear(&self, topic: &Topic, wanted: bool) {
        self.mailbox.hear(topic, wanted);
    }

    /// Holds topics from here on, or changes what is wanted of them.
    pub fn want(&mut self, wanted: &[(Topic, Wanted)]) {
        self.mailbox.want(wanted);
        self.topics.extend(wanted.iter().map(|(topic, _)| topic.clone()));
    }

    /// Gives a topic up.
    pub fn release(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        self.mailbox.unsubscribe(topic);
    }

    /// Whether the client may get a topic's changes.
    pub fn holds(&self, topic: &Topic) -> bool {
        self.topics.contains(topic)
    }

    /// All topics held.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter()
    }
}
