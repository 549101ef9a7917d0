//! Coming back within what the hub remembers: a page of the log that nobody has to read.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Follower, Replay};
use crate::{feed::Page, hub::Passed, metrics::REMEMBERED_ROWS_TOTAL, topic::Topic};

/// How long the hub is waited for: one read of the log for all who come takes less, and is what each would do.
const WAIT: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl Follower {
    /// Waits until the hub has all that the database had when this client came, where it remembers the rest of what that
    /// one lacks. Any transaction leaves it behind, also one that wrote nothing of ours, which does not ring.
    pub(super) async fn let_the_hub_come(&self, replay: &Replay) {
        let Some(asked) = &self.asked else { return };
        let had = replay.had.as_ref().map(|(_, upto)| upto);
        let until = Instant::now() + WAIT;
        let mut is_stirred = false;
        while !self.mailbox.has_reached(&asked.snapshot)
            && Instant::now() < until
            && self.mailbox.since(&replay.from, self.history, had, None, &[], 0).is_some()
        {
            if !std::mem::replace(&mut is_stirred, true) {
                self.mailbox.stir();
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The page as the hub remembers it, if it does.
    ///
    /// Not before the hub has all that the database had when this client came: what was committed by then is told before it
    /// hears that it has caught up.
    pub(super) fn remembered(
        &self,
        replay: &Replay,
        topics: &[Topic],
        most: usize,
    ) -> Option<Page> {
        let had = replay.had.as_ref().map(|(_, upto)| upto);
        let seen = self.asked.as_ref().map(|asked| &asked.snapshot);
        let passed = self.mailbox.since(&replay.from, self.history, had, seen, topics, most)?;
        metrics::counter!(REMEMBERED_ROWS_TOTAL).increment(passed.deliveries.len() as u64);
        let Passed { deliveries, position, more } = passed;
        Some(Page { deliveries, position, more })
    }
}
