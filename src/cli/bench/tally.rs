//! The count: when each message was committed, when it came to whom, and what that makes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

/// Where clients and the writer note what they see.
pub(super) struct Board {
    began: Instant,
    noted: Mutex<Noted>,
    changed: Notify,
}

#[derive(Default)]
struct Noted {
    /// Since the beginning, in microseconds: when a message's commit was asked for, and when it was acknowledged.
    asked: Vec<u64>,
    acknowledged: Vec<u64>,
    /// For each client how often it got each message…
    times: Vec<Vec<u8>>,
    /// …and when, with its number.
    got: Vec<(u64, u64)>,
    /// Messages that clients have, each counted once.
    distinct: usize,
    gone: u64,
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Tally {
    sockets: usize,
    messages: u64,
    deliveries: u64,
    lost: u64,
    twice: u64,
    disconnected: u64,
    seconds: f64,
    /// From the commit's acknowledgement to the client, in microseconds, sorted.
    latencies: Vec<u64>,
    /// The commits themselves, in microseconds, sorted.
    commits: Vec<u64>,
}

impl Board {
    pub(super) fn new(sockets: usize, began: Instant) -> Self {
        let noted = Noted { times: vec![Vec::new(); sockets], ..Noted::default() };
        Self { began, noted: Mutex::new(noted), changed: Notify::new() }
    }

    /// The next message's commit is asked for.
    pub(super) fn committing(&self, at: Instant) {
        let at = self.since(at);
        self.noted().asked.push(at);
    }

    /// It is acknowledged.
    pub(super) fn committed(&self, at: Instant) {
        let at = self.since(at);
        self.noted().acknowledged.push(at);
    }

    pub(super) fn got(&self, nth: usize, number: u64, at: Instant) {
        let at = self.since(at);
        let mut noted = self.noted();
        let Ok(place) = usize::try_from(number) else { return };
        // Numbers of this run only: a person may be in no other thread.
        if place >= noted.asked.len() {
            return;
        }
        let times = &mut noted.times[nth];
        if times.len() <= place {
            times.resize(place + 1, 0);
        }
        times[place] = times[place].saturating_add(1);
        let first = times[place] == 1;
        noted.distinct += usize::from(first);
        noted.got.push((number, at));
        drop(noted);
        self.changed.notify_one();
    }

    /// A client was disconnected.
    pub(super) fn gone(&self) {
        self.noted().gone += 1;
    }

    /// Waits until every client has every message.
    pub(super) async fn complete(&self) {
        loop {
            if self.noted().is_complete() {
                return;
            }
            self.changed.notified().await;
        }
    }

    /// A line for whoever waits.
    pub(super) fn progress(&self, elapsed: Duration) -> String {
        let noted = self.noted();
        let recent = noted.got.len().saturating_sub(10_000);
        let mut latencies: Vec<u64> =
            noted.got[recent..].iter().filter_map(|one| noted.latency(one)).collect();
        latencies.sort_unstable();
        format!(
            "{:>4.0} s: {} committed, {} delivered, p50 {}, p99 {}",
            elapsed.as_secs_f64(),
            noted.acknowledged.len(),
            noted.got.len(),
            milliseconds(percentile(&latencies, 50)),
            milliseconds(percentile(&latencies, 99)),
        )
    }

    /// What came of it; committing took this long.
    pub(super) fn sum(&self, took: Duration) -> Tally {
        let noted = self.noted();
        let messages = noted.acknowledged.len() as u64;
        let mut latencies: Vec<u64> =
            noted.got.iter().filter_map(|one| noted.latency(one)).collect();
        latencies.sort_unstable();
        let pairs = noted.asked.iter().zip(&noted.acknowledged);
        let mut commits: Vec<u64> =
            pairs.map(|(asked, done)| done.saturating_sub(*asked)).collect();
        commits.sort_unstable();
        Tally {
            sockets: noted.times.len(),
            messages,
            deliveries: noted.got.len() as u64,
            lost: noted.sum_of(|times| u64::from(times == 0)),
            twice: noted.sum_of(|times| u64::from(times.saturating_sub(1))),
            disconnected: noted.gone,
            seconds: took.as_secs_f64(),
            latencies,
            commits,
        }
    }

    fn since(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn is_complete(&self) -> bool {
        self.distinct >= self.acknowledged.len() * self.times.len()
    }

    /// Adds up something of every client and committed message, by how often it came.
    fn sum_of(&self, of: impl Fn(u8) -> u64) -> u64 {
        let one = |times: &Vec<u8>| -> u64 {
            (0..self.acknowledged.len()).map(|at| of(times.get(at).copied().unwrap_or(0))).sum()
        };
        self.times.iter().map(one).sum()
    }

    /// A client may have it before the writer hears that it is committed: that is no time at all.
    fn latency(&self, (number, at): &(u64, u64)) -> Option<u64> {
        let acknowledged = self.acknowledged.get(usize::try_from(*number).ok()?)?;
        Some(at.saturating_sub(*acknowledged))
    }
}

impl Tally {
    /// Whether every client got every message once.
    pub(super) fn is_exact(&self) -> bool {
        self.lost == 0 && self.twice == 0
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "sockets": self.sockets,
            "messages": self.messages,
            "seconds": self.seconds,
            "deliveries": self.deliveries,
            "deliveries_per_second": self.per_second(),
            "lost": self.lost,
            "twice": self.twice,
            "disconnected": self.disconnected,
            "commit_to_client_us": {
                "p50": percentile(&self.latencies, 50),
                "p99": percentile(&self.latencies, 99),
                "max": self.latencies.last().copied(),
            },
            "commit_us": {
                "p50": percentile(&self.commits, 50),
                "p99": percentile(&self.commits, 99),
            },
        })
    }

    pub(super) fn text(&self) -> String {
        let of = |sorted: &[u64], part| milliseconds(percentile(sorted, part));
        format!(
            "{} messages in {:.1} s to {} sockets: {} deliveries, {:.0} a second\n\
             commit → client  p50 {}, p99 {}, at most {}\n\
             commit itself    p50 {}, p99 {}\n\
             lost {}, twice {}, disconnected {}",
            self.messages,
            self.seconds,
            self.sockets,
            self.deliveries,
            self.per_second(),
            of(&self.latencies, 50),
            of(&self.latencies, 99),
            milliseconds(self.latencies.last().copied()),
            of(&self.commits, 50),
            of(&self.commits, 99),
            self.lost,
            self.twice,
            self.disconnected,
        )
    }

    fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds.max(f64::EPSILON)
    }
}

fn percentile(sorted: &[u64], part: usize) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * part).div_ceil(100)).copied()
}

fn milliseconds(microseconds: Option<u64>) -> String {
    microseconds.map_or("–".to_owned(), |time| format!("{:.2} ms", time as f64 / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_or_came_twice_is_told_apart() {
        let began = Instant::now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        let board = Board::new(2, began);
        for number in 0..3 {
            board.committing(after(2 * number));
            board.committed(after(2 * number + 2));
        }
        for (nth, number) in [(0, 0), (0, 1), (0, 1), (0, 2), (1, 0), (1, 7)] {
            board.got(nth, number, after(7));
        }
        let tally = board.sum(Duration::from_secs(2));
        assert_eq!((tally.deliveries, tally.lost, tally.twice), (5, 2, 1));
        assert!(!tally.is_exact());
        let middle = percentile(&tally.latencies, 50);
        assert_eq!((middle, tally.latencies.last()), (Some(3_000), Some(&5_000)));
        assert_eq!((percentile(&tally.commits, 99), percentile(&[], 50)), (Some(2_000), None));
        board.got(1, 1, after(8));
        board.got(1, 2, after(8));
        board.complete().await;
        assert_eq!(board.sum(Duration::from_secs(1)).lost, 0);
    }
}
