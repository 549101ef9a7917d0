//! `rowcast bench`: how long a commit takes to reach clients of a running bridge, measured with a thread and people of its own.

mod client;
mod ground;
mod tally;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use self::{
    client::Client,
    ground::Ground,
    tally::{Board, Tally},
};
use super::{place::Place, say};
use crate::{
    config::{Secret, duration},
    db::Pool,
    lifecycle::Lifecycle,
};

/// Clients that connect at the same time.
const CONNECTING: usize = 32;
/// What has not come by then, after the last commit, is lost.
const LATEST: Duration = Duration::from_secs(10);
const PROGRESS: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(10);
/// What is measured is held in memory, and written to somebody's database.
const MOST_DELIVERIES: u64 = 5_000_000;
const MOST_SOCKETS: usize = 2_000;
const MOST_A_SECOND: u32 = 2_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bridge's own address; TLS is the reverse proxy's.
    #[arg(long = "url", default_value = "http://127.0.0.1:4000")]
    bridge: String,

    /// Sockets that listen, each with a user of its own.
    #[arg(long, default_value_t = 20)]
    sockets: usize,

    /// Messages committed a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,

    /// How long messages are committed.
    #[arg(long, default_value = "10s", value_parser = duration)]
    time: Duration,

    /// Print the result as a JSON object.
    #[arg(long)]
    json: bool,

    /// Shared secret that signs the users' tokens; without one, the one that `rowcast dev` made.
    #[arg(
        long = "secret",
        alias = "jwt-secret",
        env = "ROWCAST_JWT_SECRET",
        hide_env_values = true
    )]
    secret: Option<Secret>,

    #[command(flatten)]
    place: Place,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let messages = args.messages()?;
    let secret = args.place.folder.secret_or_private(args.secret.as_ref()).context(
        "no secret to sign tokens with: set ROWCAST_JWT_SECRET or --secret, or start `rowcast dev` in this folder",
    )?;
    let lifecycle = Lifecycle::new();
    let pool = Pool::new(&args.place.target()?, 2, DEADLINE, &lifecycle);
    let stop = interrupted(&lifecycle)?;
    let ground = Ground::lay(&pool, args.sockets).await?;
    note(&format!(
        "writing: one thread `{}`, {} users, up to {messages} messages; all are taken away at the end (their lines in the log go with its retention)",
        ground.name, args.sockets
    ));
    let run = Run { args: &args, messages, ground: &ground, pool: &pool, stop: &stop };
    let measured = run.measure(secret.reveal(), &lifecycle).await;
    note("taking away what was written");
    ground.clear(&pool).await.with_context(|| {
        format!(
            "`select chat.bench_end('{}')` until it is true takes away what is left",
            ground.name
        )
    })?;
    let tally = measured?;
    say(if args.json { tally.json().to_string() } else { tally.text() });
    Ok(if tally.is_exact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Args {
    /// How many messages that makes.
    fn messages(&self) -> anyhow::Result<u64> {
        ensure!((1..=MOST_SOCKETS).contains(&self.sockets), "--sockets is 1 to {MOST_SOCKETS}");
        ensure!(
            (1..=MOST_A_SECOND).contains(&self.rate),
            "--rate is 1 to {MOST_A_SECOND} a second"
        );
        let messages = (self.time.as_secs_f64() * f64::from(self.rate)).ceil() as u64;
        ensure!(messages > 0, "--time is too short for one message");
        let deliveries = messages.saturating_mul(self.sockets as u64);
        ensure!(
            deliveries <= MOST_DELIVERIES,
            "that would be {deliveries} deliveries, {MOST_DELIVERIES} at most; take fewer --sockets, a lower --rate or less --time"
        );
        Ok(messages)
    }
}

/// What a run is made of.
struct Run<'a> {
    args: &'a Args,
    messages: u64,
    ground: &'a Ground,
    pool: &'a Pool,
    stop: &'a Notify,
}

impl Run<'_> {
    /// Connects, commits, waits for what is under way, and counts.
    async fn measure(&self, secret: &str, lifecycle: &Lifecycle) -> anyhow::Result<Tally> {
        let began = Instant::now();
        let board = Arc::new(Board::new(self.args.sockets, began));
        let connecting = stream::iter(self.ground.users.iter().enumerate())
            .map(|(nth, user)| Client::connect(&self.args.bridge, user, secret, nth))
            .buffer_unordered(CONNECTING)
            .collect::<Vec<_>>();
        let clients: Vec<anyhow::Result<Client>> = tokio::select! {
            clients = connecting => clients,
            () = self.stop.notified() => bail!("interrupted before anything was measured"),
        };
        for client in clients {
            let board = Arc::clone(&board);
            lifecycle.service("client", client?.listen(board));
        }
        let took = began.elapsed().as_secs_f64();
        note(&format!("{} sockets are open after {took:.1} s", self.args.sockets));
        let from = Instant::now();
        self.commit(&board).await?;
        let took = from.elapsed();
        tokio::select! {
            _ = timeout(LATEST, board.complete()) => {}
            () = self.stop.notified() => {}
        }
        Ok(board.sum(took))
    }

    async fn commit(&self, board: &Board) -> anyhow::Result<()> {
        let mut tick = interval(Duration::from_secs(1) / self.args.rate);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let from = Instant::now();
        let mut shown = from;
        for number in 0..self.messages {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.stop.notified() => {
                    note("interrupted: counting what was committed");
                    return Ok(());
                }
            }
            board.committing(Instant::now());
            self.ground.say(self.pool, number).await?;
            board.committed(Instant::now());
            if shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                note(&board.progress(from.elapsed()));
            }
        }
        Ok(())
    }
}

/// Rung by SIGINT and SIGTERM.
fn interrupted(lifecycle: &Lifecycle) -> anyhow::Result<Arc<Notify>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = Arc::new(Notify::new());
    let rung = Arc::clone(&stop);
    lifecycle.service("signals", async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            rung.notify_one();
        }
    });
    Ok(stop)
}

/// Progress is for people; results alone go to standard output.
#[expect(clippy::print_stderr, reason = "progress of a command is for its user")]
fn note(line: &str) {
    eprintln!("{line}");
}
