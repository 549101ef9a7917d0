//! A token bucket of one client's own: so many a second, so many at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;

/// A bucket that is full at first.
#[derive(Debug)]
pub struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// Makes a full one.
    pub fn new(rate: Rate) -> Self {
        Self { tokens: rate.burst.into(), filled: Instant::now() }
    }

    /// Takes `count` tokens; false when there are not as many.
    pub fn take(&mut self, rate: Rate, count: f64) -> bool {
        self.take_at(Instant::now(), rate, count)
    }

    /// How long until there are `count` tokens; none when there are.
    pub fn wait(&self, rate: Rate, count: f64) -> Option<Duration> {
        let lacking = count - self.tokens_at(Instant::now(), rate);
        (lacking > 0.0)
            .then(|| Duration::from_secs_f64(lacking / f64::from(rate.per_second.max(1))))
    }

    fn tokens_at(&self, now: Instant, rate: Rate) -> f64 {
        let came = (now - self.filled).as_secs_f64() * f64::from(rate.per_second);
        (self.tokens + came).min(rate.burst.into())
    }

    fn take_at(&mut self, now: Instant, rate: Rate, count: f64) -> bool {
        self.tokens = self.tokens_at(now, rate);
        self.filled = now;
        let enough = self.tokens >= count;
        if enough {
            self.tokens -= count;
        }
        enough
    }

    /// Takes `count` tokens that were owed already; the bucket may be empty for a while after it.
    pub fn owe(&mut self, count: f64) {
        self.tokens -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate { per_second: 2, burst: 3 };
        let mut bucket = Bucket::new(rate);
        let now = bucket.filled;
        let taken = (0..5).filter(|_| bucket.take_at(now, rate, 1.0)).count();
        assert_eq!(taken, 3);
        let later = now + Duration::from_millis(600);
        assert!(bucket.take_at(later, rate, 1.0) && !bucket.take_at(later, rate, 1.0));
        bucket.owe(10.0);
        assert!(!bucket.take_at(later + Duration::from_secs(4), rate, 1.0));
    }
}
