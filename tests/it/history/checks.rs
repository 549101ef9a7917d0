//! The verdict on pollers: nothing skipped; a time repeats only what was young, a cursor nothing.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    inbox::shown,
    pollers::{By, Polled},
    record::Record,
    trouble::Played,
    world::{Key, What, World},
};

/// What a check by time may repeat was committed at most so long before the check whose time it was asked with.
const YOUNG: i64 = 800_000;
/// After trouble it takes so long until checkpoints are written again.
const CALM: i64 = 2_000_000;

/// Holds a poller's checks against the record; returns what was skipped and what was repeated wrongly.
pub(crate) fn judge(
    polled: &Polled,
    world: World,
    record: &Record,
    acked: &HashMap<Key, i64>,
    trouble: &[Played],
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
        let due = threads.contains(&row.topic) && row.at > polled.from;
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
    (skipped, repeated(polled, &name, record, acked, trouble))
}

fn repeated(
    polled: &Polled,
    name: &str,
    record: &Record,
    acked: &HashMap<Key, i64>,
    trouble: &[Played],
) -> Vec<String> {
    let committed: HashMap<Uuid, i64> = record
        .rows
        .iter()
        .filter(|row| row.key.0 == What::New)
        .filter_map(|row| Some((row.key.1, *acked.get(&row.key)?)))
        .collect();
    let mut wrong = Vec::new();
    // Where each message was had: in which run of pages, and by which check.
    let mut had: HashMap<Uuid, (usize, usize)> = HashMap::new();
    let mut run = 0;
    let mut anchor = polled.from;
    for (nth, check) in polled.checks.iter().enumerate() {
        for (id, text) in &check.got {
            let Some((before, first)) = had.insert(*id, (run, nth)) else { continue };
            let young = committed.get(id).is_none_or(|at| *at > anchor - YOUNG);
            let calm = !trouble
                .iter()
                .any(|fault| anchor + YOUNG > fault.from && anchor < fault.until + CALM);
            let allowed = polled.by == By::Time && before != run && (young || !calm);
            if !allowed {
                let at = committed.get(id);
                let mut words = format!("{name} got {id} ({text}), committed by {at:?}, again:");
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
            anchor = check.at;
        }
    }
    wrong
}
