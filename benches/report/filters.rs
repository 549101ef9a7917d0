//! What a change costs the bridge that one of many filters matches: a thousand subscribers to rooms next to ten.

use std::time::Duration;

use anyhow::{Context, Result};
use rowcast::auth;
use serde_json::json;

use crate::{
    Scale,
    bridge::Bridge,
    people::SECRET,
    postgres::Postgres,
    say,
    socket::Socket,
    table::{Budget, Table, median},
};

/// Rooms in which something happens; each has a subscriber in both cases.
const BUSY: usize = 10;
const MANY: usize = 1_000;
/// Rows of one commit, one in each busy room.
const COMMITS: usize = 300;

const SQL: &str = "
    create table public.bench_rooms (id bigint generated always as identity primary key, room_id int not null, body text);
    grant select on public.bench_rooms to authenticated;
    select rowcast.watch('public.bench_rooms')";

pub(crate) fn measure(scale: Scale, postgres: &Postgres, table: &mut Table) -> Result<()> {
    for statement in SQL.split(';') {
        postgres.run(statement)?;
    }
    say(&format!("filters: {BUSY} and {MANY} subscribers, {} rounds", scale.rounds));
    let (mut few, mut many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (ten, thousand) = (cost(postgres, BUSY)?, cost(postgres, MANY)?);
        if let (Some(ten), Some(thousand)) = (ten, thousand) {
            few.push(ten);
            many.push(thousand);
            ratios.push(thousand / ten);
        }
    }
    table.add("filters, CPU per change, 10 subscribers", Budget::None, median(&few), " µs");
    table.add("– 1,000 subscribers", Budget::None, median(&many), " µs");
    table.add("– 1,000 ÷ 10", Budget::AtMost(2.0), median(&ratios), "");
    Ok(())
}

/// Microseconds of the bridge's CPU per change.
fn cost(postgres: &Postgres, subscribers: usize) -> Result<Option<f64>> {
    let bridge = Bridge::start(postgres)?;
    let claims = json!({ "role": "authenticated", "sub": "bench", "exp": 4_000_000_000_u64 });
    let token = auth::mint(SECRET, &claims).context("a token")?;
    let path = format!("/realtime/v1/websocket?vsn=2.0.0&apikey={token}");
    let mut sockets = Vec::new();
    for room in 1..=subscribers {
        let mut socket = Socket::connect(bridge.address, &path, &token)?;
        let asked = json!([{ "event": "*", "schema": "public", "table": "bench_rooms", "filter": format!("room_id=eq.{room}") }]);
        let join = json!(["1", "1", format!("realtime:room{room}"), "phx_join", { "config": { "postgres_changes": asked } }]);
        socket.send(&join.to_string())?;
        let mut joined = false;
        while !joined {
            socket.read(|frame| joined |= holds(frame, b"Subscribed to PostgreSQL"))?;
        }
        sockets.push(socket);
    }
    let insert = format!(
        "insert into public.bench_rooms (room_id, body) select n, repeat('x', 100) from generate_series(1, {BUSY}) n"
    );
    commit(postgres, &mut sockets, &insert, 20)?;
    let before = bridge.cpu();
    commit(postgres, &mut sockets, &insert, COMMITS)?;
    let spent = bridge.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(spent.map(|spent: Duration| spent.as_secs_f64() * 1e6 / (COMMITS * BUSY) as f64))
}

/// Commits and waits until every busy room's subscriber has it all.
fn commit(postgres: &Postgres, sockets: &mut [Socket], insert: &str, commits: usize) -> Result<()> {
    for _ in 0..commits {
        postgres.run(insert)?;
    }
    for socket in sockets.iter_mut().take(BUSY) {
        let mut come = 0;
        while come < commits {
            socket.read(|frame| come += usize::from(holds(frame, b"\"INSERT\"")))?;
        }
    }
    Ok(())
}

fn holds(frame: &[u8], text: &[u8]) -> bool {
    frame.windows(text.len()).any(|window| window == text)
}
