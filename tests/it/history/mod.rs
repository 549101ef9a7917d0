//! The history checker: writers, clients that come and go, trouble; then each history is held against what was committed.
//!
//! `ROWCAST_SEED` plays a schedule again, `ROWCAST_LONG=1` plays a long one.

mod checks;
mod conversations;
mod diary;
pub(crate) mod dice;
mod direct;
pub(crate) mod ground;
mod guests;
mod inbox;
mod io;
mod longpoll;
mod mixed;
mod movers;
mod pollers;
mod record;
mod rooms;
mod sockets;
mod streams;
mod supabase;
mod tally;
pub(crate) mod trouble;
mod verdict;
pub(crate) mod world;
mod writers;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use self::{
    diary::Diary,
    dice::Dice,
    ground::{Ground, Terrain},
    inbox::{Inbox, LAST},
    pollers::{By, Polled},
    record::Record,
    sockets::Line,
    supabase::Notebook,
    trouble::{Fault, Played},
    verdict::Judge,
    world::{Ledger, World},
    writers::Desk,
};
use crate::harness::app;

/// How large a run is.
pub(crate) struct Size {
    pub(crate) world: World,
    pub(crate) writers: u64,
    pub(crate) sockets: i64,
    pub(crate) streams: i64,
    /// Clients of each kind of the other dialects.
    pub(crate) mixed: i64,
    pub(crate) changes: u64,
    pub(crate) trouble: &'static [(Fault, usize)],
    /// Over how long the trouble is spread.
    pub(crate) within: Duration,
    pub(crate) longest: u64,
    pub(crate) bulks: u64,
    pub(crate) terrain: Terrain,
}

const SHORT: Size = Size {
    world: World { users: 12, threads: 20, pairs: 4, movers: 3 },
    writers: 16,
    sockets: 36,
    streams: 4,
    mixed: 2,
    changes: 3_000,
    trouble: &[
        (Fault::Listener, 3),
        (Fault::Bridge, 1),
        (Fault::Postgres, 1),
        (Fault::Stall, 1),
        (Fault::Cut, 1),
    ],
    within: Duration::from_secs(8),
    longest: 2_000,
    bulks: 2,
    terrain: Terrain::Plain,
};

const LONG: Size = Size {
    world: World { users: 44, threads: 48, pairs: 8, movers: 6 },
    writers: 20,
    sockets: 185,
    streams: 15,
    mixed: 6,
    changes: 20_000,
    trouble: &[
        (Fault::Listener, 30),
        (Fault::Bridge, 10),
        (Fault::Postgres, 3),
        (Fault::Stall, 5),
        (Fault::Cut, 5),
    ],
    within: Duration::from_secs(110),
    longest: 5_000,
    bulks: 1,
    terrain: Terrain::Plain,
};

/// What a run came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) changes: usize,
    pub(crate) clients: usize,
    pub(crate) deliveries: usize,
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    /// Told again, where a clock that was set back excuses it.
    pub(crate) by_clock: usize,
    pub(crate) disordered: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_every_change_once_and_in_order_whatever_breaks() {
    let seed = match std::env::var("ROWCAST_SEED") {
        Ok(seed) => seed.parse().expect("ROWCAST_SEED is a number"),
        Err(_) => rand::random::<u64>() >> 32,
    };
    let long = std::env::var("ROWCAST_LONG").is_ok_and(|long| long == "1");
    play(seed, if long { &LONG } else { &SHORT }).await;
}

/// Plays the schedule of a seed, and fails when something is wrong.
pub(crate) async fn play(seed: u64, size: &Size) -> (Totals, Vec<Played>) {
    say(&format!("history checker: ROWCAST_SEED={seed}"));
    let mut dice = Dice::new(seed, 0);
    // Small mailboxes overflow, and then the log is read.
    let mailbox = format!("--mailbox={}", [64, 256, 1_024][dice.index(3)]);
    let rate = |kind: &str| format!("--rate-{kind}=100000/100000");
    let flags =
        [mailbox, rate("rest"), rate("joins"), "--send-deadline=2s".into(), "--grace=2s".into()];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let data = size.world.sql() + supabase::TABLES;
    let ground = Ground::start_on(size.terrain, &data, &flags, &[]).await;
    let (enough, seen_enough) = watch::channel(false);
    let (finishing, seen_finishing) = watch::channel(false);
    let ledger = Arc::new(Ledger::default());
    let began = Instant::now();

    let http = reqwest::Client::new();
    let line = |user: i64| Line {
        address: ground.address(user),
        token: token(user),
        longest: 4_000,
        pause: 4_000,
        finishing: seen_finishing.clone(),
        patience: Duration::from_secs(40),
        http: http.clone(),
    };
    let mut clients = start_clients(seed, size, &line);
    let mut pollers = start_pollers(seed, size, &line);
    let mut guests = mixed::start(seed, size.world, size.mixed, &line);
    let mut subscribers = supabase::start(seed, size.world, size.mixed, &line);
    let desk = Desk {
        url: ground.postgres.url(),
        world: size.world,
        ledger: Arc::clone(&ledger),
        lifecycle: ground.lifecycle.clone(),
        seed,
        longest: size.longest,
        bulks: 0,
        enough: seen_enough,
    };
    let mut writing = JoinSet::new();
    for nth in 0..size.writers {
        let bulks = if nth < size.bulks { 1 } else { 0 };
        writing.spawn(writers::write(Desk { bulks, ..desk.clone() }, nth));
    }
    for user in size.world.users + 1..=size.world.users + size.world.movers {
        writing.spawn(movers::wander(desk.clone(), user));
    }

    let mut unlocking = JoinSet::new();
    if size.terrain == Terrain::Clocks {
        let superuser = ground.postgres.superuser_url();
        unlocking.spawn(trouble::unlock(superuser, ground.lifecycle.clone()));
    }
    let schedule = trouble::schedule(size.trouble, &mut dice, size.within);
    let trouble = trouble::play(&ground, schedule, dice).await;
    while ledger.changes() < size.changes {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    enough.send_replace(true);
    while let Some(writer) = writing.join_next().await {
        writer.expect("a writer");
    }
    unlocking.shutdown().await;
    // Last where all clients are from beginning to end: who has that has what came before it elsewhere.
    for threads in [format!("id > {}", size.world.threads), format!("id <= {}", size.world.threads)]
    {
        let into = "insert into chat.messages (thread_id, content)";
        ground.sql(&format!("{into} select id, '{LAST}' from chat.threads where {threads}")).await;
    }
    finishing.send_replace(true);
    let mut inboxes = Vec::new();
    while let Some(client) = clients.join_next().await {
        inboxes.push(client.expect("a client"));
    }
    let mut polled = Vec::new();
    while let Some(poller) = pollers.join_next().await {
        polled.push(poller.expect("a poller"));
    }
    let mut diaries = Vec::new();
    while let Some(guest) = guests.join_next().await {
        diaries.push(guest.expect("a guest"));
    }
    let mut notebooks = Vec::new();
    while let Some(subscriber) = subscribers.join_next().await {
        notebooks.push(subscriber.expect("a subscriber"));
    }
    let took = began.elapsed();
    let totals = judge(
        seed, size, &ground, &ledger, &trouble, &inboxes, &polled, &diaries, &notebooks, took,
    )
    .await;
    (totals, trouble)
}

fn start_clients(seed: u64, size: &Size, line: &dyn Fn(i64) -> Line) -> JoinSet<Inbox> {
    let mut clients = JoinSet::new();
    let users = size.world.users + size.world.movers;
    for nth in 0..size.sockets + size.streams {
        let user = 1 + nth % users;
        let threads = size.world.threads_of(user);
        let dice = Dice::new(seed, 10_000 + nth.unsigned_abs());
        if nth < size.sockets {
            let inbox = Inbox::new(format!("socket {nth}"), user, &threads);
            clients.spawn(sockets::live(line(user), inbox, dice));
        } else {
            let inbox = Inbox::new(format!("stream {nth}"), user, &threads);
            clients.spawn(streams::live(line(user), inbox, dice));
        }
    }
    clients
}

fn start_pollers(seed: u64, size: &Size, line: &dyn Fn(i64) -> Line) -> JoinSet<Polled> {
    let mut pollers = JoinSet::new();
    for (nth, by) in [(1_i64, By::Time), (2, By::Cursor), (3, By::Time), (4, By::Cursor)] {
        let dice = Dice::new(seed, 20_000 + nth.unsigned_abs());
        let (line, threads) = (line(nth), size.world.threads_of(nth));
        pollers.spawn(async move { pollers::poll(line, by, nth, &threads, dice).await });
    }
    pollers
}

#[expect(clippy::too_many_arguments, reason = "all that a run leaves behind")]
async fn judge(
    seed: u64,
    size: &Size,
    ground: &Ground,
    ledger: &Ledger,
    trouble: &[Played],
    inboxes: &[Inbox],
    polled: &[Polled],
    diaries: &[Diary],
    notebooks: &[Notebook],
    took: Duration,
) -> Totals {
    let client = ground.client().await;
    let mut record = Record::read(&client).await;
    if size.terrain == Terrain::Clocks {
        let set = trouble.iter().flat_map(|played| played.set.clone());
        record.go_by(&ledger.began(), set.collect());
    }
    let record = record;
    let acked = ledger.acked();
    let stays = ledger.stays.lock().expect("whole").clone();
    let mut judge = Judge {
        world: size.world,
        record: &record,
        acked: &acked,
        stays: &stays,
        verdict: Default::default(),
        threads: Default::default(),
    };
    for inbox in inboxes {
        judge.client(inbox);
    }
    let verdict = judge.verdict;
    let mut wrong = record.against(ledger);
    let failures = "select count(*) from rowcast.failures";
    let failures: i64 = client.query_one(failures, &[]).await.expect("failures").get(0);
    if failures > 0 {
        wrong.push(format!("{failures} failures of capture"));
    }
    let (mut skipped, mut repeated) = (Vec::new(), Vec::new());
    for one in polled {
        let (missed, again) = checks::judge(one, size.world, &record, &acked);
        skipped.extend(missed);
        repeated.extend(again);
    }
    let visits: usize = inboxes.iter().map(|inbox| inbox.visits.len()).sum();
    let checks: usize = polled.iter().map(|one| one.checks.len()).sum();
    let faults = trouble::counted(trouble.iter().map(|played| played.fault));
    say(&format!(
        "history checker: seed {seed}: {} changes, {} clients, {visits} connections, {} deliveries, {} pollers, {checks} checks; \
         {faults}; {:.1} s\n\
         history checker: lost {}, twice {}, again {}, out of order {}, strange {}, resyncs {}, errors {}; \
         pollers: skipped {}, repeated {}; log against writers: {}",
        record.rows.len(),
        inboxes.len(),
        verdict.delivered,
        polled.len(),
        took.as_secs_f64(),
        verdict.lost,
        verdict.twice,
        verdict.again,
        verdict.disordered,
        verdict.strange,
        verdict.resyncs,
        verdict.errors,
        skipped.len(),
        repeated.len(),
        wrong.len(),
    ));
    let mixed = mixed::judge(diaries, notebooks, &record, &acked);
    let clean = verdict.is_clean()
        && wrong.is_empty()
        && skipped.is_empty()
        && repeated.is_empty()
        && mixed.iter().all(tally::Tally::is_clean);
    if !clean {
        for played in trouble {
            say(&format!("  {:?} from {} to {}", played.fault, played.from, played.until));
        }
        let mixed = mixed.iter().flat_map(|tally| &tally.words);
        let words = verdict.words.iter().chain(wrong.iter().take(5)).chain(mixed);
        for word in words.chain(skipped.iter().take(5)).chain(repeated.iter().take(5)) {
            say(word);
        }
        let log = std::fs::read_to_string(ground.bridge.log()).unwrap_or_default();
        let kept = std::env::temp_dir().join(format!("rowcast-history-{seed}.log"));
        std::fs::write(&kept, log).expect("a log");
        say(&format!("the bridge's log is kept in {}", kept.display()));
    }
    assert!(clean, "play it again with ROWCAST_SEED={seed}");
    let heard = |of: fn(&tally::Tally) -> usize| mixed.iter().map(of).sum::<usize>();
    let pages = polled.iter().flat_map(|one| &one.checks).map(|check| check.got.len());
    Totals {
        changes: record.rows.len(),
        clients: inboxes.len() + polled.len() + heard(|tally| tally.clients),
        deliveries: verdict.delivered + heard(|tally| tally.heard) + pages.sum::<usize>(),
        lost: verdict.lost + skipped.len() + heard(|tally| tally.lost + tally.late),
        twice: verdict.twice + repeated.len() + heard(|tally| tally.twice),
        by_clock: verdict.again + heard(|tally| tally.by_clock),
        disordered: verdict.disordered + heard(|tally| tally.disordered),
    }
}

/// Good for hours before and after, whatever the bridge's clock is set to.
fn lasting(mut payload: Value) -> Value {
    const HOURS: u64 = 4 * 3_600;
    payload["iat"] = (app::now() - HOURS).into();
    payload["exp"] = (app::now() + HOURS).into();
    payload
}

fn token(user: i64) -> String {
    app::token_with(&lasting(json!({ "sub": user.to_string() })))
}

#[expect(clippy::print_stderr, reason = "what a run was and what it found")]
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}
