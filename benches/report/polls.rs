//! Thousands of parked long polls and one message: how long until all are answered, what an answer and a waiting poll cost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Row};

use crate::{
    Scale,
    bridge::Bridge,
    people::{self, USERS},
    postgres::Postgres,
    say,
    table::{Budget, Table, millis, percentile},
};

const PATIENCE: Duration = Duration::from_secs(300);
/// Each has all of them come anew.
const ROUNDS: usize = 3;
/// How long memory takes to settle.
const SETTLE: Duration = Duration::from_secs(2);
/// Polls before the count begins: pools fill, caches warm up.
const WARM_UP: usize = 100;
/// All of the pool, by the setting's default.
const POOL: f64 = 8.0;
/// The one that listens.
const LISTENER: f64 = 1.0;
/// As long as a poll may wait: the first have to wait until the last have come.
const LONGEST: &str = "60";
/// The people beyond those of every run, so that each poll is another user's.
const MORE: &str = "insert into chat.users (username, full_name)
    select 'user' || n, 'User ' || n from generate_series($1::int, $2::int) n";
/// A thread that everybody is in.
const SQUARE: &str = "with t as (insert into chat.threads (kind, name) values ('group', 'square') returning id),
    m as (insert into chat.members (thread_id, user_id) select t.id, u.id from t, chat.users u where u.id <= $1)
    select id from t";

pub(crate) fn measure(scale: Scale, postgres: &Postgres, table: &mut Table) -> Result<()> {
    let count = scale.polls;
    say(&format!("polls: {count} of them"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = postgres.connect()?;
    let (known, all) = (i32::try_from(USERS)?, i32::try_from(count)?);
    postgres.block_on(client.execute(MORE, &[&(known + 1), &all]))?;
    let square: i64 =
        postgres.block_on(client.query_one(SQUARE, &[&i64::from(all)]))?.try_get(0)?;
    for people in ["chat.users", "chat.members"] {
        postgres.run(&format!("vacuum analyze {people}"))?;
    }
    let tokens = (1..=count).map(people::token).collect::<Result<Vec<_>>>()?;
    let bridge = Bridge::start(postgres)?;
    let body = format!(
        r#"{{"jsonrpc":"2.0","params":{{"thread_id":{square},"last_message_id":LAST,"timeout":{LONGEST}}}}}"#
    );
    let write = || -> Result<i64> {
        let sql = "insert into chat.messages (thread_id, sender_id, content) \
            values ($1, 2, repeat('x', 120)) returning id";
        Ok(postgres.block_on(client.query_one(sql, &[&square]))?.try_get(0)?)
    };
    let mut last = write()?;

    let few = open(&runtime, bridge.address, WARM_UP)?;
    let mut few = ask(&runtime, few, &tokens, &body.replace("LAST", &last.to_string()));
    parked(postgres, &client, WARM_UP, &mut few)?;
    last = write()?;
    drop(answers(&runtime, few)?);
    parked(postgres, &client, 0, &mut JoinSet::new())?;
    thread::sleep(SETTLE);

    let before = bridge.resident();
    let (mut each, mut took, mut cpu) = (None, Vec::new(), Vec::new());
    let (mut waiting, mut most) = (Connections::default(), Connections::default());
    for round in 0..scale.rounds.min(ROUNDS) {
        // Anew each time: the bridge hangs up on who asks nothing for ten seconds, which the last answer may take.
        let streams = open(&runtime, bridge.address, count)?;
        let mut asked = ask(&runtime, streams, &tokens, &body.replace("LAST", &last.to_string()));
        parked(postgres, &client, count, &mut asked)?;
        if round == 0 {
            waiting = settle(postgres, &client)?;
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
        most = most.max(watch.join().ok().context("the watch")??);
        let busy = bridge.cpu().zip(busy).map(|(after, before)| after.saturating_sub(before));
        cpu.extend(busy.map(|busy| busy.as_secs_f64() * 1e6 / count as f64));
        took.extend(answered.iter().map(|(_, at)| millis(at.saturating_duration_since(committed))));
        drop(answered);
        parked(postgres, &client, 0, &mut JoinSet::new())?;
    }
    let what = |what: &str| format!("{count} parked polls: {what}");
    table.add(&what("commit → answer, p50"), Budget::None, percentile(&took, 0.5), " ms");
    table.add(&what("commit → answer, p99"), Budget::None, percentile(&took, 0.99), " ms");
    table.add(&what("CPU an answer"), Budget::None, percentile(&cpu, 0.5), " µs");
    let mut connections = |when: &str, most: f64, seen: i32| {
        let row = what(&format!("database connections {when}"));
        table.add(&row, Budget::AtMost(most), Some(f64::from(seen)), "");
    };
    connections("busy while they wait", 0.0, waiting.busy);
    connections("busy while they are answered", POOL, most.busy);
    connections("open at the most", POOL + LISTENER, most.open.max(waiting.open));
    let each = each.map(|all| all / count as f64);
    table.add(&what("memory each, with its connection"), Budget::AtMost(8.0), each, " KiB");
    Ok(())
}

fn open(runtime: &Runtime, address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            // Thousands of ports would else be held for a minute after each round.
            stream.set_zero_linger()?;
            streams.push(stream);
        }
        Ok(streams)
    })
}

type Answered = JoinSet<Result<(TcpStream, Instant)>>;

/// Has every connection ask, each as another user.
fn ask(runtime: &Runtime, streams: Vec<TcpStream>, tokens: &[String], body: &str) -> Answered {
    let mut asked = JoinSet::new();
    for (stream, token) in streams.into_iter().zip(tokens) {
        let request = format!(
            "POST /api/messaging/poll/messages HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        asked.spawn_on(one(stream, request), runtime.handle());
    }
    asked
}

/// A client that waits for a message; returns when it was there. One whose time is over asks again.
async fn one(mut stream: TcpStream, request: String) -> Result<(TcpStream, Instant)> {
    loop {
        stream.write_all(request.as_bytes()).await?;
        let text = answer(&mut stream).await?;
        if text.contains(r#""body""#) {
            return Ok((stream, Instant::now()));
        }
        ensure!(text.contains(r#""has_new":false"#), "no message: {text}");
    }
}

async fn answer(stream: &mut TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}}") {
        let mut bytes = [0; 2_048];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.context("no answer")??;
        ensure!(read > 0, "hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(bytes.get(..read).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
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

/// Waits until the bridge says that so many polls wait; none may have been answered by then.
fn parked(postgres: &Postgres, client: &Client, count: usize, asked: &mut Answered) -> Result<()> {
    let sql = "select coalesce(max((counts ->> 'parked_polls')::int), -1) from rowcast.nodes";
    let (began, count) = (Instant::now(), i32::try_from(count)?);
    loop {
        let said: i32 = postgres.block_on(client.query_one(sql, &[]))?.try_get(0)?;
        if said == count {
            return Ok(());
        }
        if let Some(early) = asked.try_join_next() {
            early??;
            bail!("a poll was answered before there was a message");
        }
        ensure!(began.elapsed() < PATIENCE, "{said} polls wait, not {count}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Connections of the bridge to the database.
#[derive(Default, Clone, Copy)]
struct Connections {
    open: i32,
    busy: i32,
}

impl Connections {
    const SQL: &str = "select count(*)::int, count(*) filter (where state <> 'idle')::int
        from pg_stat_activity where application_name = 'rowcast'";

    fn from(row: &Row) -> Result<Self> {
        Ok(Self { open: row.try_get(0)?, busy: row.try_get(1)? })
    }

    fn max(self, other: Self) -> Self {
        Self { open: self.open.max(other.open), busy: self.busy.max(other.busy) }
    }
}

/// Lets memory settle and looks at the connections meanwhile: the most that were open, and the fewest that were busy, for
/// the bridge has work of its own now and then.
fn settle(postgres: &Postgres, client: &Client) -> Result<Connections> {
    let began = Instant::now();
    let mut seen = Connections { open: 0, busy: i32::MAX };
    while began.elapsed() < SETTLE {
        let row = postgres.block_on(client.query_one(Connections::SQL, &[]))?;
        let Connections { open, busy } = Connections::from(&row)?;
        seen = Connections { open: seen.open.max(open), busy: seen.busy.min(busy) };
        thread::sleep(Duration::from_millis(50));
    }
    Ok(seen)
}

/// Looks, over and over, how many connections of the bridge there are; returns the most of each kind.
fn watch(
    postgres: &Postgres,
    over: Arc<AtomicBool>,
) -> Result<thread::JoinHandle<Result<Connections>>> {
    let url = postgres.url();
    Ok(thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            let watching = async {
                let mut most = Connections::default();
                while !over.load(Ordering::Relaxed) {
                    most = most
                        .max(Connections::from(&client.query_one(Connections::SQL, &[]).await?)?);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                anyhow::Ok(most)
            };
            tokio::select! {
                most = watching => most,
                ended = connection => { ended?; bail!("the connection ended") }
            }
        })
    }))
}
