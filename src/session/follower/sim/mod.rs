//! The simulation: generated schedules of transactions, reads, clients and crashes on a Postgres in memory, thousands a second.
//!
//! Cursor, positions, batches, pages, hub, mailbox and follower are the real ones; only what the database says is a
//! model (`postgres`). `ROWCAST_SEED` plays one schedule again, `ROWCAST_LONG=1` plays for a minute.

mod asker;
mod postgres;
mod verdict;
mod world;

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use tokio::time::Instant;

use self::{
    postgres::Bug,
    verdict::Outcome,
    world::{CLIENTS, TOPICS, World},
};

/// Steps of a schedule, at most.
const LONGEST: usize = 90;

/// One step; small numbers choose among what there is at that moment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Begin { lazy: bool },
    Write { transaction: u8, topic: u8 },
    Savepoint { transaction: u8 },
    Prepare { transaction: u8 },
    Commit { transaction: u8 },
    Abort { transaction: u8 },
    Read { chunk: u8 },
    ReadAndBreak { chunk: u8, rows: u8 },
    TooMuch,
    LoseListener,
    Checkpoint,
    Prune { kept: u8 },
    Come { client: u8 },
    Go { client: u8 },
    Take { client: u8, limit: u8 },
    TakeAndGo { client: u8, limit: u8, gets: u8 },
    Ask { limit: u8 },
    Crash { lost: u8 },
    FailOver { lost: u8 },
    Restore,
    SetClock { by: i8 },
}

/// A step from two numbers, the frequent kinds more often.
fn step(kind: u8, a: u8, b: u8) -> Step {
    let (transaction, topic, client) = (a % 6, b % TOPICS, a % CLIENTS);
    let limit = 1 + b % 5;
    match kind {
        0..28 => Step::Begin { lazy: b.is_multiple_of(3) },
        28..76 => Step::Write { transaction, topic },
        76..82 => Step::Savepoint { transaction },
        82..86 => Step::Prepare { transaction },
        86..116 => Step::Commit { transaction },
        116..122 => Step::Abort { transaction },
        122..150 => Step::Read { chunk: 1 + a % 4 },
        150..156 => Step::ReadAndBreak { chunk: 1 + a % 3, rows: b % 5 },
        156..158 => Step::TooMuch,
        158..162 => Step::LoseListener,
        162..172 => Step::Checkpoint,
        172..176 => Step::Prune { kept: a % 4 },
        176..192 => Step::Come { client },
        192..200 => Step::Go { client },
        200..232 => Step::Take { client, limit },
        232..240 => Step::TakeAndGo { client, limit, gets: b % 3 },
        240..246 => Step::Ask { limit },
        246..249 => Step::Crash { lost: a % 5 },
        249..251 => Step::FailOver { lost: a % 5 },
        251..252 => Step::Restore,
        252.. => Step::SetClock { by: a.cast_signed() },
    }
}

/// Plays a schedule to its end.
fn play(steps: &[Step], bug: Option<Bug>) -> Result<Outcome, String> {
    let mut world = World::new(bug);
    for &step in steps {
        match step {
            Step::Begin { lazy } => world.postgres.begin(lazy),
            Step::Write { transaction, topic } => world.postgres.write(transaction, topic),
            Step::Savepoint { transaction } => world.postgres.savepoint(transaction),
            Step::Prepare { transaction } => world.postgres.prepare(transaction),
            Step::Commit { transaction } => world.postgres.end(transaction, true),
            Step::Abort { transaction } => world.postgres.end(transaction, false),
            Step::Read { chunk } => world.read(usize::from(chunk), None, false),
            Step::ReadAndBreak { chunk, rows } => {
                world.read(usize::from(chunk), Some(usize::from(rows)), false);
            }
            Step::TooMuch => {
                world.lose_listener();
                world.read(1, None, true);
            }
            Step::LoseListener => world.lose_listener(),
            Step::Checkpoint => world.postgres.checkpoint(),
            Step::Prune { kept } => world.prune(kept),
            Step::Come { client } => world.come(client),
            Step::Go { client } => world.go(client),
            Step::Take { client, limit } => world.step(client, usize::from(limit), None),
            Step::TakeAndGo { client, limit, gets } => {
                world.step(client, usize::from(limit), Some(usize::from(gets)));
            }
            Step::Ask { limit } => world.ask(usize::from(limit)),
            Step::Crash { lost } => {
                if world.postgres.crash(lost) {
                    world.lose_listener();
                }
            }
            Step::FailOver { lost } => {
                if world.postgres.fail_over(lost) {
                    world.lose_listener();
                }
            }
            Step::Restore => {
                if world.postgres.restore() {
                    world.restored();
                }
            }
            Step::SetClock { by } => world.step_clock(i64::from(by) * 40),
        }
        if let Some(wrong) = world.wrong.take() {
            return Err(wrong);
        }
    }
    world.judge()
}

/// The schedule of a seed.
fn schedule(seed: u64) -> Vec<Step> {
    let mut state = seed;
    let mut throw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    let length = usize::from(throw()[0]) % LONGEST + 8;
    (0..length).map(|_| throw()).map(|[kind, a, b, ..]| step(kind, a, b)).collect()
}

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(kind, a, b)| step(kind, a, b));
    proptest::collection::vec(step, 0..LONGEST)
}

/// The smallest schedule, of some thousands that always are the same, that fails; and how it does.
fn smallest(bug: Option<Bug>, cases: u32) -> Option<(Vec<Step>, String)> {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, dice);
    let failed = runner
        .run(&schedules(), |steps| play(&steps, bug).map(|_| ()).map_err(TestCaseError::fail));
    match failed {
        Err(TestError::Fail(why, steps)) => Some((steps, why.to_string())),
        _ => None,
    }
}

#[test]
fn nothing_is_lost_or_told_twice_whatever_the_schedule() {
    let seed = std::env::var("ROWCAST_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let long = std::env::var("ROWCAST_LONG").is_ok_and(|long| long == "1");
    let within = Duration::from_secs(if long { 60 } else { 3 });
    let first = seed.unwrap_or_else(|| rand::random::<u64>() >> 24);
    let began = Instant::now();
    let (mut count, mut steps, mut all) = (0u64, 0usize, Outcome::default());
    while began.elapsed() < within && (seed.is_none() || count == 0) {
        let seed = first + count;
        let schedule = schedule(seed);
        match play(&schedule, None) {
            Ok(outcome) => all = all + outcome,
            Err(wrong) => panic!("{wrong}: play it again with ROWCAST_SEED={seed}\n{schedule:#?}"),
        }
        (count, steps) = (count + 1, steps + schedule.len());
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    say(&format!(
        "simulation: seeds {first} to {}: {count} schedules ({rate:.0} a second) of {steps} steps, {} changes, {} deliveries, \
         {} pages, {} of them from memory, {} overflows, {} questions by time, {} resyncs; lost 0, twice 0, out of order 0, skipped 0",
        first + count - 1,
        all.changes,
        all.delivered,
        all.pages,
        all.remembered,
        all.overflows,
        all.questions,
        all.resyncs,
    ));
    assert!(
        seed.is_some()
            || all.delivered > 0
                && all.pages > all.remembered
                && all.remembered > 0
                && all.overflows > 0
    );
}

#[test]
fn a_property_that_shrinks_finds_nothing() {
    let found = smallest(None, 1_000);
    assert!(found.is_none(), "{found:#?}");
}

#[test]
fn every_planted_bug_is_found_and_shrinks_to_a_few_steps() {
    const FEW: usize = 18;
    let bugs = [
        Bug::IdsOnly,
        Bug::NoXip,
        Bug::CursorAtNow,
        Bug::PageIsBatch,
        Bug::NoPartial,
        Bug::NoTime,
        Bug::NoPruned,
        Bug::ClockFirst,
        Bug::NewestCheckpoint,
    ];
    let mut lengths = BTreeMap::new();
    for bug in bugs {
        let (steps, why) =
            smallest(Some(bug), 20_000).unwrap_or_else(|| panic!("{bug:?} not found"));
        assert!(steps.len() <= FEW, "{bug:?}: {why}: {steps:#?}");
        let without = play(&steps, None).err();
        assert!(
            without.is_none(),
            "{bug:?}: it fails without the bug, too: {without:?} {steps:#?}"
        );
        lengths.insert(format!("{bug:?}"), steps.len());
    }
    say(&format!(
        "simulation: steps of the smallest schedule that shows a planted bug: {lengths:?}"
    ));
}

#[expect(clippy::print_stderr, reason = "what a run was and what it found")]
fn say(words: &str) {
    eprintln!("{words}");
}
