//! The verdict on diaries: what each dialect's clients heard, held against the record by what that dialect promises.
//!
//! Lost 0 for all. Twice 0 on sockets and for answers to "after this one". An answer to "since this time" may repeat what
//! the checkpoint of that time does not see, and what is younger than 800 ms then (WIRE.md, "repeats of a time cursor").
//! A socket has no cursor, so what is told on it may have been an answer just before, or be one just after.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use uuid::Uuid;

use super::{
    checks::YOUNG,
    diary::{Diary, Heard, Id, Tongue, Way},
    record::{Record, Row},
    world::{Key, What},
};

/// What is right and wrong with the diaries of a dialect.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) clients: usize,
    pub(crate) visits: usize,
    pub(crate) heard: usize,
    /// Again, as it is allowed.
    pub(crate) again: usize,
    /// Those of them that a clock which was set back excuses.
    pub(crate) by_clock: usize,
    pub(crate) lost: usize,
    pub(crate) late: usize,
    pub(crate) twice: usize,
    pub(crate) disordered: usize,
    pub(crate) strange: usize,
    pub(crate) errors: usize,
    pub(crate) words: Vec<String>,
}

/// What is known of the messages of a run.
pub(crate) struct Messages<'a> {
    record: &'a Record,
    acked: &'a HashMap<Key, i64>,
    numbers: HashMap<i64, &'a Row>,
    uuids: HashMap<Uuid, &'a Row>,
    /// Those that were deleted: an answer after that does not have them.
    deleted: HashSet<Uuid>,
}

impl<'a> Messages<'a> {
    pub(crate) fn of(record: &'a Record, acked: &'a HashMap<Key, i64>) -> Self {
        let new = || record.rows.iter().filter(|row| row.key.0 == What::New);
        let deleted = record.rows.iter().filter(|row| row.key.0 == What::Deleted);
        Self {
            record,
            acked,
            numbers: new().map(|row| (row.message, row)).collect(),
            uuids: new().map(|row| (row.key.1, row)).collect(),
            deleted: deleted.map(|row| row.key.1).collect(),
        }
    }

    fn row(&self, heard: &Heard) -> Option<&'a Row> {
        match heard.id {
            Id::Number(number) => self.numbers.get(&number).copied(),
            Id::Public(uuid) => self.uuids.get(&uuid).copied(),
        }
    }

    /// Judges the diaries of a dialect.
    pub(crate) fn tally(&self, diaries: &[Diary], tongue: Tongue) -> Tally {
        let mut tally = Tally::default();
        for diary in diaries.iter().filter(|diary| diary.tongue == tongue) {
            tally.clients += 1;
            tally.visits += diary.visits;
            tally.heard += diary.heard.len();
            tally.errors += diary.errors.len();
            tally.words.extend(diary.errors.iter().take(3).map(|e| format!("{}: {e}", diary.name)));
            self.repeats(diary, &mut tally);
            self.lost(diary, &mut tally);
        }
        tally
    }

    /// What came that should not have, or not again, or not yet.
    fn repeats(&self, diary: &Diary, tally: &mut Tally) {
        let mut had: HashMap<i64, Vec<usize>> = HashMap::new();
        let mut newest: HashMap<(bool, i64), (usize, i64)> = HashMap::new();
        for (nth, heard) in diary.heard.iter().enumerate() {
            let Some(row) = self.row(heard).filter(|row| row.thread == Some(heard.thread)) else {
                tally.strange += 1;
                self.say(diary, nth, "not for it", None, tally);
                continue;
            };
            let before = had.entry(row.message).or_default();
            let same = |&place: &usize| diary.heard[place].way == heard.way;
            let wrong = match &heard.way {
                Way::Live | Way::After => before.iter().any(same),
                Way::Since { time, asked } => {
                    let acked = self.acked.get(&row.key);
                    let young = acked.is_none_or(|acked| *acked > time - YOUNG);
                    !before.is_empty() && !young && !self.record.is_since(row, *time, *asked)
                }
            };
            let again = !before.is_empty();
            let by_clock = wrong && self.record.is_from_later(row, heard.at);
            tally.by_clock += usize::from(by_clock);
            let wrong = wrong && !by_clock;
            before.push(nth);
            if wrong {
                tally.twice += 1;
                self.say(diary, nth, "twice", Some(row), tally);
                continue;
            }
            tally.again += usize::from(again);
            // On one connection, and in answers by a place, messages come in the order of their thread.
            let way = (heard.way == Way::Live, heard.thread);
            if !matches!(heard.way, Way::Since { .. }) {
                let last = newest.entry(way).or_insert((heard.visit, 0));
                let late = (heard.way == Way::After || last.0 == heard.visit) && last.1 > row.id;
                *last = (heard.visit, row.id);
                if late {
                    tally.disordered += 1;
                    self.say(diary, nth, "out of order", Some(row), tally);
                }
            }
        }
    }

    /// What never came, or not by when it was due.
    fn lost(&self, diary: &Diary, tally: &mut Tally) {
        let mut first: HashMap<i64, usize> = HashMap::new();
        for (nth, heard) in diary.heard.iter().enumerate() {
            if let Some(row) = self.row(heard) {
                first.entry(row.message).or_insert(nth);
            }
        }
        let by_time = matches!(diary.tongue, Tongue::Conversations | Tongue::Direct);
        let due = |row: &&&Row| {
            row.written > diary.from
                && row.thread.is_some_and(|thread| diary.threads.contains(&thread))
                && !self.deleted.contains(&row.key.1)
                && !(by_time && self.record.may_be_skipped(row))
        };
        for row in self.numbers.values().filter(due) {
            let acked = self.acked.get(&row.key).copied();
            let place = first.get(&row.message).copied();
            // The first question that was asked after it was known to be committed had to bring it.
            let asked =
                diary.owed.iter().find(|(asked, _)| acked.is_some_and(|acked| acked < *asked));
            if place.is_none() {
                tally.lost += 1;
                let then =
                    diary.heard.partition_point(|heard| heard.at <= acked.unwrap_or(row.written));
                self.say(diary, then, &format!("lost ({acked:?})"), Some(row), tally);
            } else if let Some((asked, upto)) = asked
                && place >= Some(*upto)
            {
                tally.late += 1;
                let words = format!(
                    "known committed at {acked:?}, and not there after what was asked at {asked}"
                );
                self.say(diary, *upto, &words, Some(row), tally);
            }
        }
    }

    /// A place in a diary with what is around it.
    fn say(&self, diary: &Diary, nth: usize, what: &str, row: Option<&Row>, tally: &mut Tally) {
        if tally.words.len() >= 6 {
            return;
        }
        let mut words = format!("{} (user {}): {what}: {row:?}\n", diary.name, diary.user);
        for (place, heard) in diary.heard.iter().enumerate() {
            let same = row.is_some_and(|row| self.row(heard).is_some_and(|r| r.id == row.id));
            if same || (nth.saturating_sub(3)..nth + 3).contains(&place) {
                let mark = if place == nth { ">" } else { " " };
                let id = self.row(heard).map_or(0, |row| row.id);
                let _ = writeln!(
                    words,
                    "  {mark} {place} at {} on visit {}: thread {} {} id {id} {:?}",
                    heard.at, heard.visit, heard.thread, heard.word, heard.way
                );
            }
        }
        tally.words.push(words);
    }
}

impl Tally {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.late + self.twice + self.disordered + self.strange + self.errors == 0
    }

    /// The dialect's line of the summary.
    pub(crate) fn line(&self, tongue: Tongue) -> String {
        format!(
            "history checker: {}: {} clients, {} visits, {} messages; lost {}, late {}, twice {}, again as promised {}, \
             out of order {}, strange {}, errors {}",
            format!("{tongue:?}").to_lowercase(),
            self.clients,
            self.visits,
            self.heard,
            self.lost,
            self.late,
            self.twice,
            self.again,
            self.disordered,
            self.strange,
            self.errors,
        )
    }
}
