//! The verdict: each client's history held against the record, row by row.

use std::collections::{HashMap, HashSet};

use rowcast::cursor::Position;

use super::{
    inbox::{Inbox, shown},
    record::{Record, Row},
    world::{Key, Stay, What, World},
};

/// What is wrong with the histories, in numbers and in words.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    /// Again, as a clock that was set back allows.
    pub(crate) again: usize,
    pub(crate) disordered: usize,
    /// What came to somebody whom it was not for, or that was never committed.
    pub(crate) strange: usize,
    pub(crate) resyncs: usize,
    pub(crate) errors: usize,
    pub(crate) delivered: usize,
    /// The first of each kind, at length.
    pub(crate) words: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.twice + self.disordered + self.strange + self.resyncs + self.errors == 0
    }

    fn say(&mut self, words: impl FnOnce() -> String) {
        if self.words.len() < 8 {
            self.words.push(words());
        }
    }
}

/// Judges clients one after the other.
pub(crate) struct Judge<'a> {
    pub(crate) world: World,
    pub(crate) record: &'a Record,
    pub(crate) acked: &'a HashMap<Key, i64>,
    pub(crate) stays: &'a [Stay],
    pub(crate) verdict: Verdict,
    /// The threads of the client in question that it is in from beginning to end.
    pub(crate) threads: HashSet<i64>,
}

impl Judge<'_> {
    pub(crate) fn client(&mut self, inbox: &Inbox) {
        self.verdict.delivered += inbox.got.len();
        self.verdict.resyncs += inbox.told_to_resync;
        self.verdict.errors += inbox.errors.len();
        for error in &inbox.errors {
            self.verdict.say(|| format!("{}: {error}", inbox.name));
        }
        let start = inbox.start.as_deref().and_then(|cursor| {
            Position::decode(cursor, self.record.history).expect("a cursor of ours")
        });
        let Some(start) = start else {
            self.verdict.errors += 1;
            self.verdict.say(|| format!("{} never came in", inbox.name));
            return;
        };
        let record = self.record;
        self.threads = self.world.threads_of(inbox.user).into_iter().collect();
        let mut times: HashMap<&Key, usize> = HashMap::new();
        let mut rows = Vec::new();
        for (nth, got) in inbox.got.iter().enumerate() {
            let seen = times.entry(&got.key).or_default();
            let place = record.places.get(&got.key).and_then(|places| {
                // Those before the client's time are not counted.
                let mut due = places.iter().filter(|&&p| !record.rows[p].is_had_at(&start));
                due.nth(*seen).copied()
            });
            *seen += 1;
            match place {
                Some(place) => {
                    let row = &record.rows[place];
                    if self.is_strange(inbox.user, row, got.at) {
                        self.verdict.strange += 1;
                        let stays = self.stays.iter().filter(|stay| stay.user == inbox.user);
                        let stays: Vec<_> =
                            stays.filter(|stay| Some(stay.thread) == row.thread).collect();
                        let links = record.rows.iter().filter(|link| {
                            matches!(link.key.0, What::Joined | What::Left)
                                && row.thread.is_some_and(|t| link.key.1 == World::thread(t))
                                && link.key.2 == inbox.user.to_string()
                        });
                        let links: Vec<_> =
                            links.map(|link| (link.id, link.xid, link.at, link.key.0)).collect();
                        self.verdict.say(|| {
                            let what = format!("not for it (stays {stays:?}, {links:?})");
                            self_words(inbox, nth, record, &what, Some(row))
                        });
                    }
                    rows.push((nth, place));
                }
                None => {
                    let row = record.places.get(&got.key).map(|places| &record.rows[places[0]]);
                    if row.is_some_and(|row| record.is_from_later(row, got.at)) {
                        self.verdict.again += 1;
                        continue;
                    }
                    self.verdict.twice += 1;
                    self.verdict.say(|| self_words(inbox, nth, record, "twice", row));
                }
            }
        }
        self.lost(inbox, &start, &times);
        self.order(inbox, &rows);
    }

    fn lost(&mut self, inbox: &Inbox, start: &Position, times: &HashMap<&Key, usize>) {
        let record = self.record;
        let mut due: HashMap<&Key, usize> = HashMap::new();
        for row in record.rows.iter().filter(|row| !row.is_had_at(start)) {
            if !self.is_owed(inbox.user, row) {
                continue;
            }
            let nth = due.entry(&row.key).or_default();
            *nth += 1;
            if *nth > times.get(&row.key).copied().unwrap_or_default() {
                self.verdict.lost += 1;
                let acked = self.acked.get(&row.key).copied();
                self.verdict.say(|| {
                    let after =
                        inbox.got.partition_point(|got| got.at < acked.unwrap_or(row.written));
                    self_words(
                        inbox,
                        after,
                        record,
                        &format!("lost (known committed at {acked:?})"),
                        Some(row),
                    )
                });
            }
        }
    }

    /// Whether the client must get it: of a thread that comes and goes, what was written while it surely was in, for good.
    fn is_owed(&self, user: i64, row: &Row) -> bool {
        let Some(thread) = row.thread else { return row.topic == format!("user:{user}") };
        if self.threads.contains(&thread) {
            return true;
        }
        let mut stays = self.stays.iter().filter(|stay| stay.user == user && stay.thread == thread);
        stays.any(|stay| stay.leaving.is_none() && row.written > stay.joined)
    }

    /// Whether the client must not have it at that moment.
    fn is_strange(&self, user: i64, row: &Row, at: i64) -> bool {
        let Some(thread) = row.thread else { return row.topic != format!("user:{user}") };
        if self.threads.contains(&thread) {
            return false;
        }
        let stays = self.stays.iter().filter(|stay| stay.user == user && stay.thread == thread);
        // Written after it had left for certain, and received before it could have come back.
        let left =
            stays.clone().filter_map(|stay| stay.left).filter(|left| *left < row.written).max();
        let back = stays.clone().map(|stay| stay.asked).find(|asked| Some(*asked) >= left);
        let never = !stays.clone().any(|stay| stay.asked < at);
        never || left.is_some() && back.is_none_or(|back| at < back)
    }

    /// Messages of a thread by their place, changes of a message by theirs, and nothing before what ended before it began.
    fn order(&mut self, inbox: &Inbox, rows: &[(usize, usize)]) {
        let record = self.record;
        let mut newest: HashMap<&str, i64> = HashMap::new();
        let mut of_message: HashMap<_, i64> = HashMap::new();
        for &(nth, place) in rows {
            let row = &record.rows[place];
            let mut late = false;
            if row.key.0 == What::New {
                let last = newest.entry(&row.topic).or_default();
                late |= *last > row.id;
                *last = row.id.max(*last);
            }
            let last = of_message.entry(row.key.1).or_default();
            late |= *last > row.id;
            *last = row.id.max(*last);
            if late {
                self.verdict.disordered += 1;
                self.verdict.say(|| self_words(inbox, nth, record, "out of order", Some(row)));
            }
        }
        let mut earliest: HashMap<&str, i64> = HashMap::new();
        for &(nth, place) in rows.iter().rev() {
            let row = &record.rows[place];
            let ended = earliest.entry(&row.topic).or_insert(i64::MAX);
            if *ended < row.written {
                self.verdict.disordered += 1;
                self.verdict.say(|| {
                    self_words(inbox, nth, record, "before what had ended before", Some(row))
                });
            }
            *ended = self.acked.get(&row.key).map_or(*ended, |acked| (*ended).min(*acked));
        }
    }
}

/// A place in a client's history with what is around it.
fn self_words(inbox: &Inbox, nth: usize, record: &Record, what: &str, row: Option<&Row>) -> String {
    use std::fmt::Write;
    let mut words = format!("{} (user {}): {what}: {row:?}\n", inbox.name, inbox.user);
    let from = nth.saturating_sub(3);
    for (place, got) in inbox.got.iter().enumerate().skip(from).take(7) {
        let ids: Vec<i64> = record
            .places
            .get(&got.key)
            .map(|places| places.iter().map(|&p| record.rows[p].id).collect())
            .unwrap_or_default();
        let mark = if place == nth { ">" } else { " " };
        let _ = writeln!(
            words,
            "  {mark} {} on connection {}: {:?} id {ids:?} cursor {}",
            got.at,
            got.connection,
            got.key,
            shown(&got.cursor, record.history)
        );
    }
    let around = inbox.got.get(nth).or(inbox.got.last()).map_or(0, |got| got.connection);
    for (number, visit) in inbox.visits.iter().enumerate() {
        if number + 4 > around && number < around + 3 {
            let _ = writeln!(
                words,
                "    connection {}: {} to {}, {}, from {}",
                number + 1,
                visit.from,
                visit.until,
                visit.end,
                shown(&visit.cursor, record.history)
            );
        }
    }
    words
}
