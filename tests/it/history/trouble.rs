//! The trouble of a run: what is killed, cut and stalled, and when.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    dice::Dice,
    ground::{Ground, now},
};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Listener,
    Bridge,
    Postgres,
    Stall,
    Cut,
}

/// How much goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) listener: usize,
    pub(crate) bridge: usize,
    pub(crate) postgres: usize,
    pub(crate) stalls: usize,
    pub(crate) cuts: usize,
}

/// A fault that was played, and how long it lasted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Played {
    pub(crate) fault: Fault,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Trouble {
    /// Faults in an order and at times that the seed decides.
    pub(crate) fn schedule(self, dice: &mut Dice, within: Duration) -> Vec<(Duration, Fault)> {
        let kinds = [
            (Fault::Listener, self.listener),
            (Fault::Bridge, self.bridge),
            (Fault::Postgres, self.postgres),
            (Fault::Stall, self.stalls),
            (Fault::Cut, self.cuts),
        ];
        let millis = u64::try_from(within.as_millis()).expect("a short run");
        let mut schedule: Vec<_> = kinds
            .into_iter()
            .flat_map(|(fault, count)| std::iter::repeat_n(fault, count))
            .map(|fault| (dice.millis(1_000, millis), fault))
            .collect();
        schedule.sort_unstable();
        schedule
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
        }
        played.push(Played { fault, from, until: now() });
    }
    played
}
