//! What a client that is connected and silent costs in memory.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    bridge::Bridge,
    people::{Crowd, USERS},
    postgres::Postgres,
    say,
    socket::Socket,
    table::{Budget, Table},
};

/// Connections before the count begins: pools fill, caches warm up.
const WARM_UP: usize = 100;
/// How long memory takes to settle.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn measure(postgres: &Postgres, crowd: &Crowd, table: &mut Table) -> Result<()> {
    say(&format!("idle: {USERS} sockets"));
    let bridge = Bridge::start(postgres)?;
    let open = |nth| Socket::open(bridge.address, crowd.token(nth));
    drop((0..WARM_UP).map(open).collect::<Result<Vec<_>>>()?);
    thread::sleep(SETTLE);
    let before = bridge.resident();
    let sockets = (0..USERS).map(open).collect::<Result<Vec<_>>>()?;
    thread::sleep(SETTLE);
    let after = bridge.resident();
    let busy = bridge.cpu();
    thread::sleep(SETTLE);
    let busy = bridge.cpu().zip(busy).map(|(after, before)| after.saturating_sub(before));
    drop(sockets);
    let each = after
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before) as f64 / 1_024.0 / USERS as f64);
    table.add("memory per idle connection, 2,000 sockets", Budget::AtMost(20.0), each, " KiB");
    let share = busy.map(|busy| busy.as_secs_f64() / SETTLE.as_secs_f64() * 100.0);
    table.add("CPU with 2,000 idle sockets", Budget::None, share, " % of a core");
    drop(bridge);
    socket_io(postgres, crowd, table)
}

/// The same for clients of Socket.IO, over its WebSocket.
fn socket_io(postgres: &Postgres, crowd: &Crowd, table: &mut Table) -> Result<()> {
    say(&format!("idle: {USERS} clients of Socket.IO"));
    let bridge = Bridge::start(postgres)?;
    let open = |nth| Socket::open_io(bridge.address, crowd.token(nth));
    drop((0..WARM_UP).map(open).collect::<Result<Vec<_>>>()?);
    thread::sleep(SETTLE);
    let before = bridge.resident();
    let sockets = (0..USERS).map(open).collect::<Result<Vec<_>>>()?;
    thread::sleep(SETTLE);
    let both = bridge.resident().zip(before);
    drop(sockets);
    let each =
        both.map(|(after, before)| after.saturating_sub(before) as f64 / 1_024.0 / USERS as f64);
    table.add("memory per idle client of Socket.IO, 2,000", Budget::None, each, " KiB");
    Ok(())
}
