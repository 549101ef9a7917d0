//! Cursors read back as they were written, and positions of what they have.

use proptest::prelude::*;

use super::*;

fn snapshots() -> impl Strategy<Value = Snapshot> {
    (3u64..1 << 40, proptest::collection::btree_set(0u64..500, 0..40)).prop_map(|(xmin, open)| {
        let xip: Vec<u64> = open.iter().map(|offset| xmin + offset).collect();
        Snapshot::new(xmin, xmin + 500, xip).expect("legal")
    })
}

fn marks() -> impl Strategy<Value = Mark> {
    (snapshots(), 0i64..1 << 52).prop_map(|(snapshot, at)| Mark { snapshot, at })
}

fn positions() -> impl Strategy<Value = Position> {
    (marks(), proptest::option::of((marks(), any::<i64>())))
        .prop_map(|(base, partial)| Position { base, partial })
}

proptest! {
    #[test]
    fn a_cursor_reads_back_as_it_was_written(position in positions(), history in any::<u32>()) {
        let text = position.encode(HistoryId(history));
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        prop_assert_eq!(Position::decode(&text, HistoryId(history)).expect("ours"), Some(position));
        prop_assert_eq!(Position::decode(&text, HistoryId(!history)).expect("ours"), None);
    }

    #[test]
    fn any_text_is_a_position_or_an_error(text in ".{0,200}", history in any::<u32>()) {
        let _ = Position::decode(&text, HistoryId(history));
    }

    #[test]
    fn any_bytes_are_a_position_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Position::decode(&URL_SAFE_NO_PAD.encode([&[VERSION, 0, 0, 0, 0], &bytes[..]].concat()), HistoryId(0));
    }

    #[test]
    fn the_text_form_of_a_snapshot_reads_back(snapshot in snapshots()) {
        prop_assert_eq!(Snapshot::parse(&snapshot.to_string()), Some(snapshot));
    }
}

#[test]
fn a_cursor_may_stand_for_a_time() {
    let text = encode_time(1_790_000_000_000_001);
    assert_eq!(decode_time(&text), Some(1_790_000_000_000_001));
    assert_eq!(Position::decode(&text, HistoryId(7)).expect("ours"), None);
    assert_eq!(decode_time("nonsense"), None);
}

#[test]
fn a_number_given_out_twice_is_told_by_its_time() {
    let mark = |text, at| Mark { snapshot: Snapshot::parse(text).expect("legal"), at };
    let position = Position::within(mark("10:20:10", 100), mark("20:30:", 200), 5);
    assert!(position.has(15, 1, 90) && !position.has(15, 6, 110));
    assert!(position.has(25, 5, 190) && !position.has(25, 5, 210) && !position.has(25, 6, 190));
    assert_eq!(position.furthest().at, 200);
    let (before, after) = (mark("30:30:", 100), mark("20:20:", 200));
    assert!(!before.covers(&after) && !after.covers(&before) && after.covers(&after));
}

#[test]
fn a_position_with_a_mark_has_what_either_has() {
    let mark = |text, at| Mark { snapshot: Snapshot::parse(text).expect("legal"), at };
    let within = Position::within(mark("10:20:10", 100), mark("20:40:", 200), 5);
    let had = |position: &Position| {
        [(10, 9), (22, 4), (22, 6), (35, 4), (35, 6), (41, 7)]
            .map(|(xid, id)| position.has(xid, id, 90))
    };
    assert_eq!(had(&within), [false, true, false, true, false, false]);
    // Behind it, between its ends, and beyond.
    assert_eq!(within.clone().with(&mark("10:15:10", 90)), within);
    let between = within.clone().with(&mark("20:30:", 150));
    assert_eq!(had(&between), [true, true, true, true, false, false]);
    let beyond = within.with(&mark("42:42:", 300));
    assert_eq!(had(&beyond), [true; 6]);
}

#[test]
fn a_quiet_cursor_is_short() {
    let mark = Mark {
        snapshot: Snapshot::parse("81234:81234:").expect("legal"),
        at: 1_790_000_000_000_000,
    };
    let text = Position::at(mark).encode(HistoryId(7));
    assert!(text.len() < 30, "{text}");
}

#[test]
fn later_snapshots_cover_earlier_ones() {
    let early = Snapshot::parse("10:20:10,15").expect("legal");
    let late = Snapshot::parse("15:22:15,21").expect("legal");
    assert!(late.covers(&early) && !early.covers(&late) && late.covers(&late));
    assert!(late.sees(10) && !late.sees(15) && !early.sees(10) && early.sees(12));
}
