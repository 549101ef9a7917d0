//! When to read next: at once after a ring, then ever more rarely.

use std::time::Duration;

use super::status::Mode;

/// Re-reads after a ring: a transaction that found the bell taken commits within these.
const FIRST_STEP: Duration = Duration::from_millis(1);
const LAST_STEP: Duration = Duration::from_millis(32);
/// With nothing in sight, a ring that got lost costs at most this.
const FALLBACK: Duration = Duration::from_millis(250);
/// Rings that brought nothing, more than those that did: nobody who commits rings so, and anybody may.
const FORGED: u32 = 32;
/// Rings are then heard this often.
const BREATH: Duration = Duration::from_millis(10);
/// Without LISTEN: 50 reads a second.
const POLL: Duration = Duration::from_millis(20);

/// The pace of one connection.
pub(super) struct Pace {
    mode: Mode,
    step: Option<Duration>,
    is_rung: bool,
    /// Reads after a ring that found nothing, less those that found something.
    empty: u32,
}

impl Pace {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, step: None, is_rung: false, empty: 0 }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// The bell rang. That says nothing of the next one: a pooler may let some through.
    pub(super) fn rung(&mut self) {
        self.step = Some(FIRST_STEP);
        self.is_rung = true;
    }

    /// How long to wait between a ring and its read; rings that come meanwhile are one with it. It is nothing unless the
    /// bell is rung again and again for nothing: NOTIFY has no permissions, and a flood must not make a read of each ring.
    pub(super) fn breath(&self) -> Duration {
        if self.empty < FORGED { Duration::ZERO } else { BREATH }
    }

    /// Whether echoes from other connections come back, which is what shows that LISTEN works; true when that is news.
    pub(super) fn listens(&mut self, heard: bool) -> bool {
        let mode = if heard { Mode::Notify } else { Mode::Poll };
        std::mem::replace(&mut self.mode, mode) != mode
    }

    /// How long to wait after a read that brought `changes`, with other transactions `open` or not.
    ///
    /// A transaction that is not open yet will ring by itself or find the bell taken by one that does.
    pub(super) fn after(&mut self, changes: u64, open: bool) -> Duration {
        self.empty = match (changes, std::mem::take(&mut self.is_rung)) {
            (0, true) => (self.empty + 1).min(2 * FORGED),
            (0, false) => self.empty,
            _ => self.empty.saturating_sub(1),
        };
        if self.mode == Mode::Poll {
            return POLL;
        }
        if changes > 0 {
            self.step = Some(FIRST_STEP);
        }
        let step = self.step.take().filter(|_| open);
        self.step = step.map(|step| step * 2).filter(|next| *next <= LAST_STEP);
        step.unwrap_or(FALLBACK)
    }

    /// Why a read comes about that no ring asked for.
    pub(super) fn cause(&self) -> &'static str {
        match (self.mode, self.step) {
            (Mode::Poll, _) => "poll",
            (Mode::Notify, Some(_)) => "reread",
            (Mode::Notify, None) => "fallback",
        }
    }

    /// Nothing rang for a while: whatever rang for nothing is over.
    pub(super) fn is_quiet(&mut self) {
        if self.step.is_none() {
            self.empty = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_ring_it_reads_soon_while_others_commit_and_then_rarely() {
        let mut pace = Pace::new(Mode::Notify);
        assert_eq!(pace.after(0, true), FALLBACK);
        pace.rung();
        let waits: Vec<_> = (0..7).map(|_| pace.after(0, true).as_millis()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 250]);
        assert_eq!(pace.after(3, true), FIRST_STEP);
        assert_eq!(pace.after(3, false), FALLBACK);
    }

    #[test]
    fn a_bell_that_rings_for_nothing_is_heard_a_hundred_times_a_second_until_it_rings_true_or_is_quiet()
     {
        let mut pace = Pace::new(Mode::Notify);
        let mut ring = |changes| {
            pace.rung();
            let breath = pace.breath();
            pace.after(changes, false);
            breath
        };
        let at_once = (0..1_000).take_while(|_| ring(0).is_zero()).count();
        assert_eq!(at_once, 32);
        assert!((0..1_000).all(|_| ring(0) == BREATH));
        // As many as are kept in mind, and no more.
        let until_believed = (0..1_000).take_while(|_| ring(1) == BREATH).count();
        assert_eq!(until_believed, 33);
        assert!((0..1_000).all(|_| ring(1).is_zero()));
        assert!((0..40).filter(|_| ring(0) == BREATH).count() > 0);
        pace.is_quiet();
        assert!(pace.breath().is_zero());
    }

    #[test]
    fn without_listen_it_polls_until_an_echo_proves_otherwise() {
        let mut pace = Pace::new(Mode::Poll);
        pace.rung();
        assert_eq!(pace.after(0, false), POLL);
        assert!(pace.listens(true) && !pace.listens(true));
        assert_eq!(pace.after(0, false), FALLBACK);
        assert!(pace.listens(false));
        assert_eq!(pace.after(0, false), POLL);
    }
}
