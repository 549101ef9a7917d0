//! Whether the machine has nothing else to do, which a round can wait for.

use std::{fs, thread, time::Duration};

use tokio::time::Instant;

use crate::say;

const LOOKED_AT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(600);
/// Of all cores; more would be measured along.
const QUIET: f64 = 0.1;

/// The share of all cores that is in use, where there is a `/proc`; who is patient waits for a quiet moment, within reason.
pub(super) fn share(patient: bool) -> Option<f64> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let before = used()?;
        thread::sleep(LOOKED_AT);
        let after = used()?;
        let share = (after.0 - before.0) / (after.1 - before.1).max(1.0);
        if !patient || share <= QUIET || began.elapsed() > PATIENCE {
            return Some(share);
        }
        if !told {
            say(&format!("{:.0} % of the cores are in use: waiting for less", share * 100.0));
            told = true;
        }
    }
}

/// Ticks in which cores worked, and all of them, since the machine started.
fn used() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|one| one.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guests are counted with the users.
    let all: f64 = ticks.iter().take(8).sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}
