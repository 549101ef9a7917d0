//! Two thousand parked long polls and one message: how long until all are answered, what an answer and a waiting poll cost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_postgres::Client;

use crate::{
    Scale,
    bridge::Bridge,
    people::{Crowd, USERS},
    postgres::Postgres,
    say,
    table::{Budget, Table, millis, percentile},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long memory takes to settle.
const SETTLE: Duration = Duration::from_secs(2);
/// Polls before the count begins: pools fill, caches warm up.
const WARM_UP: usize = 100;
/// All of the pool, by the setting's default.
const POOL: f64 = 8.0;
/// A thread that everybody is in.
const SQUARE: &str = "with t as (insert into chat.threads (kind, name) values ('group', 'square') returning id),
    m as (insert into chat.members (thread_id, user_id) select t.id, u.id from t, chat.users u where u.id <= 2000)
    select id from t";

pub(crate) fn measure(
    scale: Scale,
    postgres: &Postgres,
    crowd: &Crowd,
    table: &mut Table,
) -> Result<()> {
    say(&format!("polls: {USERS} of them"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = postgres.connect()?;
    let square: i64 = postgres.block_on(client.query_one(SQUARE, &[]))?.try_get(0)?;
    let bridge = Bridge::start(postgres)?;
    let body = format!(
        r#"{{"jsonrpc":"2.0","params":{{"thread_id":{square},"last_message_id":LAST,"timeout":60}}}}"#
    );
    let write = || -> Result<i64> {
        let sql = "insert into chat.messages (thread_id, sender_id, content) \
            values ($1, 2, repeat('x', 120)) returning id";
        Ok(postgres.block_on(client.query_one(sql, &[&square]))?.try_get(0)?)
    };
    let mut last = write()?;

    let few = open(&runtime, bridge.address, WARM_UP)?;
    let few = ask(&runtime, few, crowd, &body.replace("LAST", &last.to_string()));
    parked(postgres, &client, WARM_UP)?;
    last = write()?;
    drop(answers(&runtime, few)?);
    parked(postgres, &client, 0)?;
    thread::sleep(SETTLE);

    let before = bridge.resident();
    let mut streams = open(&runtime, bridge.address, USERS)?;
    let (mut each, mut took, mut cpu, mut held) = (None, Vec::new(), Vec::new(), 0);
    for round in 0..scale.rounds {
        let asked = ask(&runtime, streams, crowd, &body.replace("LAST", &last.to_string()));
        parked(postgres, &client, USERS)?;
        if round == 0 {
            thread::sleep(SETTLE);
            let both = bridge.resident().zip(before);
            each = both.map(|(after, before)| after.saturating_sub(before) as f64 / 1_024.0);
        }
        let busy = bridge.cpu();
        let over = Arc::new(AtomicBool::new(false));
        let watch = watch(postgres, Arc::clone(&over))?;
        last = write()?;
        let committed = Instant::now();
        let answered = answers(&runtime, asked)?;
        over.store(true, Ordering::Relaxed);
        held = held.max(watch.join().ok().context("the watch")??);
        let busy = bridge.cpu().zip(busy).map(|(after, before)| after.saturating_sub(before));
        cpu.extend(busy.map(|busy| busy.as_secs_f64() * 1e6 / USERS as f64));
        took.extend(answered.iter().map(|(_, at)| millis(at.saturating_duration_since(committed))));
        streams = answered.into_iter().map(|(stream, _)| stream).collect();
    }
    let what = |what: &str| format!("{USERS} parked polls: {what}");
    table.add(&what("commit → answer, p50"), Budget::None, percentile(&took, 0.5), " ms");
    table.add(&what("commit → answer, p99"), Budget::None, percentile(&took, 0.99), " ms");
    table.add(&what("CPU an answer"), Budget::None, percentile(&cpu, 0.5), " µs");
    let held = Some(f64::from(held));
    table.add(&what("busy database connections while answering"), Budget::AtMost(POOL), held, "");
    let each = each.map(|all| all / USERS as f64);
    table.add(&what("memory each, with its connection"), Budget::AtMost(8.0), each, " KiB");
    Ok(())
}

fn open(runtime: &Runtime, address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        Ok(streams)
    })
}

type Answered = JoinSet<Result<(TcpStream, Instant)>>;

/// Has every connection ask, each as another user.
fn ask(runtime: &Runtime, streams: Vec<TcpStream>, crowd: &Crowd, body: &str) -> Answered {
    let mut asked = JoinSet::new();
    for (nth, stream) in streams.into_iter().enumerate() {
        let request = format!(
            "POST /api/messaging/poll/messages HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            crowd.token(nth),
            body.len()
        );
        asked.spawn_on(one(stream, request), runtime.handle());
    }
    asked
}

/// One call; returns when its answer was there.
async fn one(mut stream: TcpStream, request: String) -> Result<(TcpStream, Instant)> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        let mut bytes = [0; 2_048];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.context("no answer")??;
        ensure!(read > 0, "hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(bytes.get(..read).unwrap_or_default());
        if answer.ends_with(b"}}") {
            let at = Instant::now();
            let text = String::from_utf8_lossy(&answer);
            ensure!(text.contains(r#""body""#), "no message: {text}");
            return Ok((stream, at));
        }
    }
}

fn answers(runtime: &Runtime, mut asked: Answered) -> Result<Vec<(TcpStream, Instant)>> {
    runtime.block_on(async {
        let mut answered = Vec::new();
        while let Some(one) = asked.join_next().await {
            answered.push(one??);
        }
        Ok(answered)
    })
}

/// Waits until the bridge says that so many polls wait.
fn parked(postgres: &Postgres, client: &Client, count: usize) -> Result<()> {
    let sql = "select coalesce(max((counts ->> 'parked_polls')::int), -1) from rowcast.nodes";
    let (began, count) = (Instant::now(), i32::try_from(count)?);
    loop {
        let said: i32 = postgres.block_on(client.query_one(sql, &[]))?.try_get(0)?;
        if said == count {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{said} polls wait, not {count}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Looks, over and over, how many connections of the bridge the database is busy with; returns the most.
fn watch(postgres: &Postgres, over: Arc<AtomicBool>) -> Result<thread::JoinHandle<Result<i32>>> {
    let url = postgres.url();
    Ok(thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            let sql = "select count(*)::int from pg_stat_activity \
                where application_name = 'rowcast' and state <> 'idle'";
            let watching = async {
                let mut most = 0;
                while !over.load(Ordering::Relaxed) {
                    most = most.max(client.query_one(sql, &[]).await?.try_get(0)?);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                anyhow::Ok(most)
            };
            tokio::select! {
                most = watching => most,
                ended = connection => { ended?; anyhow::bail!("the connection ended") }
            }
        })
    }))
}
