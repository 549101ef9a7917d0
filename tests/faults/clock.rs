//! Clocks that are set: that of Postgres forward and back, under traffic, with the bridge or Postgres killed; the bridge's own.

use std::time::Duration;

use super::{NODES, play, report::Report};
use crate::history::{
    Size,
    ground::Terrain,
    trouble::Fault::{
        BridgeClock, ClockBack, ClockBackAndBridge, ClockBackAndRestart, ClockForthAndBack,
        ClockForward, ClockForwardAndPostgres,
    },
};

/// Clients of all dialects while clocks are set.
const CLOCKS: Size = Size {
    trouble: &[
        (ClockForward, 1),
        (ClockBack, 2),
        (ClockForthAndBack, 1),
        (ClockBackAndBridge, 1),
        (ClockBackAndRestart, 1),
        (ClockForwardAndPostgres, 1),
        (BridgeClock, 1),
    ],
    within: Duration::from_secs(4),
    terrain: Terrain::Clocks,
    ..NODES
};

pub(super) async fn schedule(report: &mut Report, seed: u64) {
    play(report, seed, "clocks set", &CLOCKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clocks() {
    let seed = std::env::var("ROWCAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::random::<u64>() >> 32);
    let mut report = Report::new(seed, false);
    schedule(&mut report, seed).await;
}
