//! The verdict on notebooks: what each subscriber applied, held against the log's rows of its table.

use std::collections::HashMap;

use rowcast::cursor::Position;
use uuid::Uuid;

use super::{
    super::{
        checks::YOUNG,
        record::{Record, Row},
        tally::Tally,
        world::Key,
    },
    notebook::{How, Notebook},
};

/// Judges them all.
pub(crate) fn judge(notebooks: &[Notebook], record: &Record, acked: &HashMap<Key, i64>) -> Tally {
    let mut tally = Tally::default();
    for notebook in notebooks {
        tally.clients += 1;
        tally.visits += notebook.visits.len();
        tally.heard += notebook.applied.len();
        tally.errors += notebook.errors.len();
        let errors = notebook.errors.iter().take(3);
        tally.words.extend(errors.map(|error| format!("{}: {error}", notebook.name)));
        let mine: HashMap<&Key, &Row> = record
            .posts
            .iter()
            .filter(|row| row.thread.is_some_and(|room| notebook.wants(row.key.0, room)))
            .map(|row| (&row.key, row))
            .collect();
        repeats(notebook, record, acked, &mine, &mut tally);
        lost(notebook, record, &mine, &mut tally);
    }
    tally
}

/// What came that should not have, or not again, or not in that order.
fn repeats(
    notebook: &Notebook,
    record: &Record,
    acked: &HashMap<Key, i64>,
    mine: &HashMap<&Key, &Row>,
    tally: &mut Tally,
) {
    let mut last: HashMap<&Key, usize> = HashMap::new();
    let mut reached: HashMap<Uuid, i64> = HashMap::new();
    for (nth, applied) in notebook.applied.iter().enumerate() {
        let Some(row) = mine.get(&applied.key) else {
            tally.strange += 1;
            say(notebook, nth, "not for it", None, tally);
            continue;
        };
        if let Some(before) = last.insert(&applied.key, applied.visit) {
            let joined = notebook.visits[applied.visit - 1];
            let allowed = before != applied.visit
                && match (notebook.how, joined.time) {
                    (How::Since, Some(time)) => {
                        acked.get(&row.key).is_none_or(|acked| *acked > time - YOUNG)
                            || record.is_since(row, time, joined.asked)
                    }
                    _ => notebook.how == How::Raw && applied.loose,
                };
            let by_clock = !allowed && record.is_from_later(row, applied.at);
            tally.by_clock += usize::from(by_clock);
            if allowed || by_clock {
                tally.again += 1;
            } else {
                tally.twice += 1;
                say(notebook, nth, "twice", Some(row), tally);
            }
            // A repetition starts again from further back.
            continue;
        }
        let newest = reached.entry(row.key.1).or_default();
        if *newest > row.id {
            tally.disordered += 1;
            say(notebook, nth, "out of order", Some(row), tally);
        }
        *newest = row.id.max(*newest);
    }
}

/// What never came.
fn lost(notebook: &Notebook, record: &Record, mine: &HashMap<&Key, &Row>, tally: &mut Tally) {
    let start = notebook
        .start
        .as_deref()
        .and_then(|cursor| Position::decode(cursor, record.history).expect("a cursor of ours"));
    if start.is_none() && notebook.how != How::Since {
        tally.errors += 1;
        tally.words.push(format!("{} never got a cursor", notebook.name));
        return;
    }
    let got: HashMap<&Key, ()> =
        notebook.applied.iter().map(|applied| (&applied.key, ())).collect();
    let owed = |row: &&&Row| match &start {
        Some(start) => !row.is_had_at(start),
        None => row.written > notebook.from && !record.may_be_skipped(row),
    };
    for row in mine.values().filter(owed).filter(|row| !got.contains_key(&row.key)) {
        tally.lost += 1;
        let then = notebook.applied.partition_point(|applied| applied.at <= row.written);
        say(notebook, then, "lost", Some(row), tally);
    }
}

/// A place in a notebook with what is around it.
fn say(notebook: &Notebook, nth: usize, what: &str, row: Option<&Row>, tally: &mut Tally) {
    use std::fmt::Write;
    if tally.words.len() >= 6 {
        return;
    }
    let mut words = format!("{}: {what}: {row:?}\n", notebook.name);
    for (place, applied) in notebook.applied.iter().enumerate() {
        let same = row.is_some_and(|row| row.key == applied.key);
        if same || (nth.saturating_sub(3)..nth + 3).contains(&place) {
            let mark = if place == nth { ">" } else { " " };
            let joined = notebook.visits[applied.visit - 1];
            let _ = writeln!(
                words,
                "  {mark} {place} at {} on visit {} ({joined:?}): {:?}",
                applied.at, applied.visit, applied.key
            );
        }
    }
    tally.words.push(words);
}
