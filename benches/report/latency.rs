//! From the commit's acknowledgement to the frame at a WebSocket client, on one clock, at two paces.

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::time::Instant;

use crate::{
    Scale,
    bridge::Bridge,
    people::Crowd,
    postgres::Postgres,
    say,
    socket::{NEWS, Socket},
    table::{Budget, Table, millis, percentile},
};

/// Connections that take turns to commit.
const WRITERS: u64 = 4;
/// What comes first finds cold caches and is left out.
const WARM_UP: Duration = Duration::from_secs(1);
/// What has not arrived by then never will.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn measure(
    scale: Scale,
    postgres: &Postgres,
    bridge: &Bridge,
    crowd: &Crowd,
    table: &mut Table,
) -> Result<()> {
    for (pace, middle, tail) in
        [(50, Budget::None, Budget::None), (500, Budget::AtMost(0.6), Budget::AtMost(3.0))]
    {
        say(&format!("latency: {} s of {pace} commits a second", scale.paced));
        let took = paced(scale, postgres, bridge, crowd, pace)?;
        let what = |part| format!("commit acknowledged → client, {pace}/s, {part}");
        table.add(&what("p50"), middle, percentile(&took, 0.5), " ms");
        table.add(&what("p99"), tail, percentile(&took, 0.99), " ms");
    }
    Ok(())
}

/// The latencies of a run, in milliseconds.
fn paced(
    scale: Scale,
    postgres: &Postgres,
    bridge: &Bridge,
    crowd: &Crowd,
    pace: u64,
) -> Result<Vec<f64>> {
    let socket = Socket::open(bridge.address, crowd.token(0))?;
    let (heard_to, heard) = channel();
    let (acked_to, acked) = channel();
    thread::spawn(move || {
        let mut socket = socket;
        let note = |frame: &[u8]| {
            let now = Instant::now();
            if let Some(number) = number(frame) {
                let _ = heard_to.send((number, now));
            }
        };
        while socket.read(&note).is_ok() {}
    });
    let total = pace * (scale.paced + WARM_UP.as_secs());
    let begin = Instant::now() + Duration::from_millis(100);
    for writer in 0..WRITERS {
        let (url, study, acked_to) = (postgres.url(), crowd.study, acked_to.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
                let sql =
                    "insert into chat.messages (thread_id, sender_id, content) values ($1, 2, $2)";
                let write = async {
                    let statement = client.prepare(sql).await?;
                    for number in (writer..total).step_by(WRITERS as usize) {
                        let due = begin + Duration::from_secs(number) / u32::try_from(pace)?;
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        client.execute(&statement, &[&study, &format!("no {number}.")]).await?;
                        let _ = acked_to.send((number, Instant::now()));
                    }
                    anyhow::Ok(())
                };
                tokio::select! {
                    written = write => written,
                    ended = connection => Ok(ended?),
                }
            })
        });
    }
    drop(acked_to);
    let acked = all(&acked, total)?;
    let heard = all(&heard, total)?;
    let first = pace * WARM_UP.as_secs();
    let pairs = acked.iter().zip(&heard).skip(usize::try_from(first)?);
    // A frame may be there before the acknowledgement: both are sent at the same moment.
    Ok(pairs.map(|(acked, heard)| millis(heard.saturating_duration_since(*acked))).collect())
}

/// The instants of all numbers, in order.
fn all(from: &Receiver<(u64, Instant)>, total: u64) -> Result<Vec<Instant>> {
    let mut instants = vec![None; usize::try_from(total)?];
    for seen in 0..total {
        let (number, at) = from
            .recv_timeout(PATIENCE)
            .with_context(|| format!("only {seen} of {total} were written and arrived"))?;
        if let Some(slot) = instants.get_mut(usize::try_from(number)?) {
            *slot = Some(at);
        }
    }
    instants.into_iter().collect::<Option<_>>().context("one came twice and another never")
}

fn number(frame: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(frame.strip_prefix(NEWS)?).ok()?;
    let (_, after) = text.split_once(r#""content":"no "#)?;
    after.split_once('.')?.0.parse().ok()
}
