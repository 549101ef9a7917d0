//! The trouble of a run: what is killed, cut and stalled, and when.

use std::{collections::BTreeMap, time::Duration};

use rowcast::{config::Secret, db::Target, lifecycle::Lifecycle};
use tokio::time::{Instant, sleep_until};

use super::{
    dice::Dice,
    ground::{Ground, Proxy, now},
};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The feed's connection is ended by the database.
    Listener,
    /// All connections of the bridge are.
    Backends,
    /// The bridge is killed.
    Bridge,
    /// One node after the other is stopped as a deployment does it, and started again.
    Rolling,
    /// Postgres is killed, with all its processes.
    Postgres,
    /// Nothing passes between the bridge and Postgres for a while, and no connection ends.
    Stall,
    /// All connections between the bridge and Postgres break.
    Cut,
    /// The network between the bridge and Postgres is slow for a while.
    Slow,
    /// The same three between clients and the bridge.
    ClientsStall,
    ClientsCut,
    ClientsSlow,
    /// The clock of Postgres is set an hour forward.
    ClockForward,
    /// It is set ten minutes back.
    ClockBack,
    /// An hour forward, and back again.
    ClockForthAndBack,
    /// Ten minutes back, and the bridge is killed.
    ClockBackAndBridge,
    /// Ten minutes back, and Postgres is stopped and started.
    ClockBackAndRestart,
    /// Further forward than it ever was, and Postgres is killed just before or after.
    ClockForwardAndPostgres,
    /// The bridge's own clock is set an hour forward or back, and again.
    BridgeClock,
}

const HOUR: i64 = 3_600;
const TEN_MINUTES: i64 = 600;
const FAR: i64 = 12 * HOUR;

/// A fault that was played, and how long it lasted.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    pub(crate) fault: Fault,
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// How the clock of Postgres was set by it.
    pub(crate) set: Vec<Set>,
}

/// A clock that was set: when by ours, and to what, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    pub(crate) at: i64,
    pub(crate) to: i64,
    pub(crate) back: bool,
}

/// Faults in an order and at times that the seed decides.
pub(crate) fn schedule(
    kinds: &[(Fault, usize)],
    dice: &mut Dice,
    within: Duration,
) -> Vec<(Duration, Fault)> {
    let millis = u64::try_from(within.as_millis()).expect("a short run");
    let mut schedule: Vec<_> = kinds
        .iter()
        .flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count))
        .map(|fault| (dice.millis(1_000, millis), fault))
        .collect();
    schedule.sort_unstable();
    schedule
}

/// How many of each kind, in words.
pub(crate) fn counted(faults: impl Iterator<Item = Fault>) -> String {
    let mut counts = BTreeMap::new();
    for fault in faults {
        *counts.entry(fault).or_insert(0) += 1;
    }
    let words = counts.iter().map(|(fault, count)| {
        // ClientsStall → clients stall
        let name: String = format!("{fault:?}")
            .chars()
            .flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase()))
            .collect();
        format!("{} {count}", name.trim())
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Ends whoever waits for a lock for seconds, until it is dropped: Postgres's own timeouts, that for deadlocks among them, go
/// by the wall clock, and after it was set back by ten minutes they come ten minutes later.
pub(crate) async fn unlock(superuser: Secret, lifecycle: Lifecycle) {
    const WAITING: &str =
        "select array_agg(pid) from pg_stat_activity where wait_event_type = 'Lock'";
    const END: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
        where wait_event_type = 'Lock' and pid = any($1)";
    let target = Target::parse(&superuser).expect("a URL");
    loop {
        let Ok(client) = target.client(&lifecycle).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let waiting = client.query_one(WAITING, &[]).await;
        let waiting = waiting.ok().and_then(|row| row.get::<_, Option<Vec<i32>>>(0));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let _ = client.query_one(END, &[&waiting.unwrap_or_default()]).await;
    }
}

/// Plays a schedule; what is killed comes back before the next fault.
pub(crate) async fn play(
    ground: &Ground,
    schedule: Vec<(Duration, Fault)>,
    mut dice: Dice,
) -> Vec<Played> {
    let began = Instant::now();
    let mut played = Vec::new();
    for (after, fault) in schedule {
        sleep_until(began + after).await;
        let from = now();
        let pause = dice.millis(0, 600);
        let mut set = Vec::new();
        let mut step = |seconds| set.push(ground.postgres.step_clock(seconds));
        match fault {
            Fault::Listener => {
                // Another fault may have taken it away; it comes back, and then it is this one's.
                loop {
                    let client = ground.client().await;
                    if ground.kill_listener(&client).await {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Fault::Backends => {
                let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                    where application_name = 'rowcast' and pid <> pg_backend_pid()";
                let _ = ground.superuser().await.query_one(sql, &[]).await;
            }
            Fault::Rolling => {
                for node in std::iter::once(&ground.bridge).chain(&ground.second) {
                    node.terminate().await;
                    node.ended().await;
                    tokio::time::sleep(pause).await;
                    node.run().await;
                }
            }
            Fault::Bridge => {
                ground.bridge.kill().await;
                tokio::time::sleep(pause).await;
                ground.bridge.run().await;
            }
            Fault::Postgres => {
                ground.postgres.kill();
                tokio::time::sleep(pause).await;
                ground.postgres.restart().await;
            }
            Fault::Stall => {
                ground.proxy.stall();
                tokio::time::sleep(pause * 6 + Duration::from_millis(500)).await;
                ground.proxy.open();
            }
            Fault::Cut => ground.proxy.cut(),
            Fault::Slow => {
                ground.proxy.slow();
                tokio::time::sleep(pause * 4).await;
                ground.proxy.open();
            }
            Fault::ClientsStall => {
                ground.doors.iter().for_each(Proxy::stall);
                tokio::time::sleep(pause * 6).await;
                ground.doors.iter().for_each(Proxy::open);
            }
            Fault::ClientsCut => ground.doors.iter().for_each(Proxy::cut),
            Fault::ClientsSlow => {
                ground.doors.iter().for_each(Proxy::slow);
                tokio::time::sleep(pause * 4).await;
                ground.doors.iter().for_each(Proxy::open);
            }
            Fault::ClockForward => step(HOUR),
            Fault::ClockBack => step(-TEN_MINUTES),
            Fault::ClockForthAndBack => {
                step(HOUR);
                tokio::time::sleep(pause).await;
                step(-HOUR);
            }
            Fault::ClockBackAndBridge => {
                step(-TEN_MINUTES);
                ground.bridge.kill().await;
                tokio::time::sleep(pause).await;
                ground.bridge.run().await;
            }
            Fault::ClockBackAndRestart => {
                step(-TEN_MINUTES);
                ground.postgres.stop().await;
                tokio::time::sleep(pause).await;
                ground.postgres.restart().await;
            }
            Fault::ClockForwardAndPostgres => {
                let first = dice.chance(50);
                if first {
                    step(FAR);
                    tokio::time::sleep(pause).await;
                }
                ground.postgres.kill();
                if !first {
                    step(FAR);
                }
                ground.postgres.restart().await;
            }
            Fault::BridgeClock => {
                let by = if dice.chance(50) { HOUR } else { -HOUR };
                let clock = ground.clock.as_ref().expect("a clock of its own");
                clock.step(by);
                tokio::time::sleep(pause + Duration::from_millis(500)).await;
                clock.step(-by);
            }
        }
        played.push(Played { fault, from, until: now(), set });
    }
    played
}
