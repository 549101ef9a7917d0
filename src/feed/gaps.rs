//! Gaps: changes that capture could not write. Who holds their topics is told to fetch afresh, for the log cannot say what.

use std::time::Duration;

use tokio::time::Instant;

use crate::{hub::Hub, metrics::GAPS_TOTAL, topic::Topic};

/// A capture that fails at every write tells its clients so often at most. Positions from so short a time before a failure
/// count as before it (`log`, `chat._is_whole()`), so that nobody comes back with one in ignorance.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What of the log is missing: a topic, or the relation of ours that a change was of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Gap(String);

impl Gap {
    pub(crate) fn new(missing: String) -> Self {
        Self(missing)
    }

    /// Whether a change that is missing may have been on a topic.
    pub(crate) fn touches(&self, topic: &Topic) -> bool {
        let kind = topic.as_str().split_once(':').map_or("", |(kind, _)| kind);
        match self.0.as_str() {
            "realtime.messages" => kind == "channel",
            relation if relation.starts_with("chat.") => {
                matches!(kind, "thread" | "user" | "token")
            }
            missing => missing == topic.as_str(),
        }
    }
}

/// The gaps of which clients are to be told.
#[derive(Default)]
pub(super) struct Gaps {
    owed: Vec<Gap>,
    told: Option<Instant>,
}

impl Gaps {
    /// Notes what a read found, and tells whoever it concerns, unless that was just done.
    pub(super) fn tell(&mut self, found: Vec<Gap>, hub: &Hub) {
        if !found.is_empty() {
            hub.beware();
        }
        for gap in found {
            if !self.owed.contains(&gap) {
                tracing::warn!(missing = gap.0, "changes of {} are missing in the log", gap.0);
                self.owed.push(gap);
            }
        }
        if self.owed.is_empty() || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        metrics::counter!(GAPS_TOTAL).increment(1);
        let owed = std::mem::take(&mut self.owed);
        hub.gap(|topic| owed.iter().any(|gap| gap.touches(topic)));
        self.told = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_concerns_the_topics_that_its_change_may_have_been_on() {
        let touches = |missing: &str, topic: &str| {
            Gap::new(missing.to_owned()).touches(&Topic::parse(topic).expect("legal"))
        };
        assert!(touches("chat.messages", "thread:7") && touches("chat.members", "user:1"));
        assert!(touches("chat.revoked_tokens", "token:abc"));
        assert!(!touches("chat.messages", "table:public.todos"));
        assert!(
            touches("realtime.messages", "channel:room") && !touches("realtime.messages", "user:1")
        );
        assert!(touches("table:public.todos", "table:public.todos"));
        assert!(!touches("table:public.todos", "table:public.todos2"));
    }
}
