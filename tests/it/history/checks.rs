//! The verdict on pollers: nothing skipped; a time repeats what was young or not in its checkpoint, a cursor nothing.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    inbox::shown,
    pollers::{By, Polled},
    record::{Record, Row},
    world::{Key, What, World},
};

/// What a time may repeat was committed at most so long before it: what WIRE.md promises.
pub(crate) const YOUNG: i64 = 800_000;

/// Holds a poller's checks against the record; returns what was skipped and what was repeated wrongly.
pub(crate) fn judge(
    polled: &Polled,
    world: World,
    record: &Record,
    acked: &HashMap<Key, i64>,
) -> (Vec<String>, Vec<String>) {
    let name = format!("the poller by {:?} of user {}", polled.by, polled.user);
    let mut skipped = polled.errors.clone();
    if !polled.complete {
        skipped.push(format!("{name} never got the last messages"));
    }
    let threads: HashSet<String> =
        world.threads_of(polled.user).iter().map(|thread| format!("thread:{thread}")).collect();
    let deleted: HashSet<Uuid> =
        record.rows.iter().filter(|row| row.key.0 == What::Deleted).map(|row| row.key.1).collect();
    let got: HashSet<Uuid> =
        polled.checks.iter().flat_map(|check| check.got.iter().map(|(id, _)| *id)).collect();
    for row in record.rows.iter().filter(|row| row.key.0 == What::New) {
        let excused = polled.by == By::Time && record.may_be_skipped(row);
        let due = threads.contains(&row.topic) && row.written > polled.from && !excused;
        if due && !deleted.contains(&row.key.1) && !got.contains(&row.key.1) {
            skipped.push(format!("{name} missed {row:?}, committed by {:?}", acked.get(&row.key)));
        }
    }
    for (id, text) in polled.checks.iter().flat_map(|check| &check.got) {
        let known = record.rows.iter().any(|row| row.key.1 == *id && threads.contains(&row.topic));
        if !known && polled.checks.len() < 3 {
            skipped.push(format!("{name} got {id} ({text}), which is not for it"));
        }
    }
    (skipped, repeated(polled, &name, record, acked))
}

/// What came again and should not have. A cursor repeats nothing. A time repeats what is young, and what the checkpoint in
/// force at that time does not see: trouble and a busy machine hold checkpoints up, and then the database shows it.
fn repeated(
    polled: &Polled,
    name: &str,
    record: &Record,
    acked: &HashMap<Key, i64>,
) -> Vec<String> {
    let new = record.rows.iter().filter(|row| row.key.0 == What::New);
    let rows: HashMap<Uuid, &Row> = new.map(|row| (row.key.1, row)).collect();
    let mut wrong = Vec::new();
    // Where each message was had: in which run of pages, and by which check.
    let mut had: HashMap<Uuid, (usize, usize)> = HashMap::new();
    let mut run = 0;
    // Of the first check of the run: its time, which stays the run's, and when it was asked.
    let mut anchor = None;
    for (nth, check) in polled.checks.iter().enumerate() {
        let (time, asked) = *anchor.get_or_insert_with(|| (micros(&check.since), check.at));
        for (id, text) in &check.got {
            let Some((before, first)) = had.insert(*id, (run, nth)) else { continue };
            let row = rows.get(id);
            let young = row.is_none_or(|row| {
                acked.get(&row.key).is_none_or(|at| *at > time.saturating_sub(YOUNG))
            });
            let since = row.is_some_and(|row| record.is_since(row, time, asked));
            let by_clock = row.is_some_and(|row| record.is_from_later(row, check.at));
            let allowed = polled.by == By::Time && before != run && (young || since) || by_clock;
            if !allowed {
                let at = row.and_then(|row| acked.get(&row.key));
                let mut words =
                    format!("{name} got {id} ({text}), committed by {at:?}, again: {row:?}");
                for (place, check) in polled.checks.iter().enumerate().take(nth + 1).skip(first) {
                    words += &format!(
                        "\n  check {place} at {}: {} messages, {}, asked with {}",
                        check.at,
                        check.got.len(),
                        if check.has_more { "and more" } else { "all" },
                        match polled.by {
                            By::Cursor => shown(&check.since, record.history),
                            By::Time => check.since.clone(),
                        }
                    );
                }
                wrong.push(words);
            }
        }
        if !check.has_more {
            run += 1;
            anchor = None;
        }
    }
    wrong
}

/// A time as microseconds since 1970; of a cursor there is none.
fn micros(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(i64::MIN, jiff::Timestamp::as_microsecond)
}
