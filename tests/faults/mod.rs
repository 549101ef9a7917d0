//! The fault suite: random schedules of all that breaks, held by the history checker, and what it cannot hold by itself.
//!
//! `ROWCAST_SEED` plays a run again, `ROWCAST_LONG=1` plays a long one; `target/faults/report.txt` is what it found.

mod bulk;
mod clock;
mod crowd;
mod disk;
mod failover;
mod pruned;
mod report;
mod restore;

use std::time::Duration;

use self::report::Report;
use crate::history::{
    self, Size,
    dice::Dice,
    ground::Terrain,
    say,
    trouble::{
        self,
        Fault::{
            Backends, Bridge, ClientsCut, ClientsSlow, ClientsStall, Cut, Listener, Postgres,
            Rolling, Slow, Stall,
        },
    },
    world::World,
};

/// Two nodes, with proxies between clients, nodes and Postgres.
const NODES: Size = Size {
    world: World { users: 12, threads: 20, pairs: 4, movers: 2 },
    writers: 6,
    sockets: 20,
    streams: 4,
    mixed: 1,
    changes: 900,
    trouble: &[
        (Listener, 1),
        (Backends, 1),
        (Rolling, 1),
        (Bridge, 1),
        (Slow, 1),
        (ClientsStall, 1),
        (ClientsCut, 1),
    ],
    within: Duration::from_secs(4),
    longest: 1_000,
    bulks: 0,
    terrain: Terrain::Nodes,
};

/// One bridge behind pgbouncer.
const POOLED: Size = Size {
    sockets: 12,
    streams: 2,
    changes: 600,
    trouble: &[(Backends, 2), (Bridge, 1), (Cut, 1), (Postgres, 1)],
    within: Duration::from_secs(3),
    terrain: Terrain::Pooled { listens: true },
    ..NODES
};

const LONG_NODES: Size = Size {
    world: World { users: 24, threads: 32, pairs: 6, movers: 4 },
    writers: 12,
    sockets: 60,
    streams: 10,
    mixed: 3,
    changes: 5_000,
    trouble: &[
        (Listener, 6),
        (Backends, 4),
        (Rolling, 3),
        (Bridge, 4),
        (Postgres, 2),
        (Stall, 2),
        (Cut, 3),
        (Slow, 3),
        (ClientsStall, 2),
        (ClientsCut, 4),
        (ClientsSlow, 2),
    ],
    within: Duration::from_secs(40),
    longest: 4_000,
    bulks: 1,
    terrain: Terrain::Nodes,
};

const LONG_POOLED: Size = Size {
    sockets: 40,
    changes: 3_000,
    trouble: &[
        (Listener, 2),
        (Backends, 5),
        (Bridge, 3),
        (Postgres, 2),
        (Stall, 2),
        (Cut, 3),
        (Slow, 2),
    ],
    within: Duration::from_secs(25),
    terrain: Terrain::Pooled { listens: true },
    ..LONG_NODES
};

/// Schedules of each terrain in a long run.
const ROUNDS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_twice_or_out_of_order_or_the_client_is_told() {
    let seed = std::env::var("ROWCAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::random::<u64>() >> 32);
    let long = std::env::var("ROWCAST_LONG").is_ok_and(|long| long == "1");
    say(&format!("fault suite: ROWCAST_SEED={seed}{}", if long { " ROWCAST_LONG=1" } else { "" }));
    let mut report = Report::new(seed, long);
    let rounds = if long { ROUNDS } else { 1 };
    for round in 0..rounds {
        let seed = seed + round;
        let (nodes, pooled) = if long { (LONG_NODES, LONG_POOLED) } else { (NODES, POOLED) };
        play(&mut report, seed, "two nodes", &nodes).await;
        if report::has("pgbouncer") {
            // With a way to listen and without one.
            let listens = Dice::new(seed, 7).chance(50);
            let name = if listens { "pgbouncer, LISTEN beside it" } else { "pgbouncer, polling" };
            let pooled = Size { terrain: Terrain::Pooled { listens }, ..pooled };
            play(&mut report, seed, name, &pooled).await;
        } else {
            report.skip("pgbouncer in the path", "it is not installed");
        }
    }
    clock::schedules(&mut report, seed, long).await;
    failover::play(&mut report).await;
    restore::play(&mut report).await;
    pruned::play(&mut report).await;
    disk::play(&mut report).await;
    bulk::play(&mut report, if long { 100_000 } else { 10_000 }).await;
    crowd::play(&mut report, if long { 1_000 } else { 150 }).await;
    report.finish();
}

async fn play(report: &mut Report, seed: u64, name: &str, size: &Size) {
    let (totals, played) = history::play(seed, size).await;
    let mut faults = trouble::counted(played.iter().map(|played| played.fault));
    if played.iter().any(|played| !played.set.is_empty()) {
        faults += &format!("; told again around it {}", totals.by_clock);
    }
    report.add(&format!("{name} (seed {seed})"), totals, played.len(), &faults);
}
