//! More people at the door than are let in at once: they wait there, and none is sent away to try again a second later.

use std::{fs, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::PAIR;
use crate::history::{ground::Ground, say};

/// More than fit into the queue that sockets get when nobody asks for a longer one.
const MANY: usize = 1_300;
/// Who finds the queue full tries again after one second, three, seven: in vain, here.
const SOON: Duration = Duration::from_secs(10);

/// How many files this process may have open.
fn files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0)
}

fn somaxconn() -> usize {
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    most.trim().parse().unwrap_or(0)
}

#[tokio::test]
async fn thousands_who_come_at_once_wait_at_the_door() {
    if somaxconn() <= MANY || files() <= MANY + 256 {
        say(
            "skipped: this system's queue (somaxconn), or what a process may have open, is shorter",
        );
        return;
    }
    let ground = Ground::start(PAIR, &[]).await;
    // It lets nobody in for now.
    ground.bridge.freeze(true).await;
    let coming = (0..MANY).map(|_| timeout(SOON, TcpStream::connect(ground.bridge.address)));
    let came = futures_util::future::join_all(coming).await;
    ground.bridge.freeze(false).await;
    let in_line = came.iter().filter(|one| matches!(one, Ok(Ok(_)))).count();
    assert_eq!(in_line, MANY);
}
