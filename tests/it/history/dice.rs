//! Dice: throws that a seed decides, so that a schedule can be played again.

use std::time::Duration;

use uuid::Uuid;

/// SplitMix64; each actor of a run throws its own.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one actor in the run of a seed.
    pub(crate) fn new(seed: u64, actor: u64) -> Self {
        let mut dice = Self(seed ^ actor.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.throw();
        dice
    }

    /// Any number.
    pub(crate) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.throw() % end.max(1)
    }

    /// True so many times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A duration between two, in milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    /// One of a list, by its place.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("a length")
    }

    /// A random id, the same in every run of the seed.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let bits = (u128::from(self.throw()) << 64) | u128::from(self.throw());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}
