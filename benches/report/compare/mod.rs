//! Rowcast beside what people would use instead: the same clients, writers and Postgres, in turn, in several rounds.

mod clients;
mod http;
mod peers;
mod plot;
mod quiet;
mod reads;
mod results;
mod sockudo;
mod writers;

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;

use self::{
    clients::{Board, Clients},
    peers::{Kind, Peer},
    results::Results,
    writers::Writers,
};
use crate::{
    postgres::Postgres,
    say,
    table::{millis, percentile},
};

/// Sockets of the widest rows.
pub(crate) const CROWD: usize = 10_000;
/// Small topics, and the sockets of each.
const SMALL: usize = 1_000;
const SMALL_SOCKETS: usize = CROWD / SMALL;
/// Topics after the small ones: one for ten sockets, one for a thousand, one for all, one for a single socket.
const TEN: usize = SMALL + 1;
const THOUSAND: usize = SMALL + 2;
const ALL: usize = SMALL + 3;
const ONE: usize = SMALL + 4;
/// Who connects at once in a storm.
const STORM: usize = 2_000;
/// Who resumes at once, and what each has missed.
const RESUMING: usize = 5_000;
const MISSED: u64 = 20;
/// Turns of each side in which writers write with and without a peer.
const TURNS: u32 = 2;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    rounds: usize,
    /// Seconds of each run for latency.
    paced: u64,
    /// Deliveries of each burst.
    deliveries: usize,
    /// Sockets of the widest rows.
    crowd: usize,
    /// Tries of each request whose time is taken.
    tries: usize,
    /// Whether a round waits until the machine has nothing else to do.
    patient: bool,
}

impl Scale {
    pub(crate) fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }
}

pub(crate) const FULL: Scale =
    Scale { rounds: 5, paced: 10, deliveries: 300_000, crowd: CROWD, tries: 100, patient: false };
pub(crate) const QUICK: Scale =
    Scale { rounds: 3, paced: 3, deliveries: 100_000, crowd: CROWD, tries: 30, patient: false };

/// People, topics and tables: for the chat the topics are threads, for the others a column.
fn settle(postgres: &Postgres) -> Result<()> {
    for statement in include_str!("world.sql").split(";\n\n") {
        postgres.run(statement)?;
    }
    Ok(())
}

type Part = fn(Scale, &Postgres, Kind, &mut Figures<'_>) -> Result<()>;

/// What is measured while rows are written.
const PARTS: [(&str, Part); 5] = [
    ("latency", latencies),
    ("fanout", fan_out),
    ("writes", writes),
    ("storm", storm),
    ("resume", resume),
];
/// What is measured after these, with a million messages in the tables.
const READS: &str = "reads";

/// Runs every row, or those of some parts, with every peer, or some; prints and draws what came of it.
pub(crate) fn run(scale: Scale, only: &[&str], plot: Option<&std::path::Path>) -> Result<()> {
    let is_part = |name: &str| name == READS || PARTS.iter().any(|(part, _)| *part == name);
    let is_peer = |name: &str| Kind::ALL.iter().any(|kind| kind.name() == name);
    if let Some(unknown) = only.iter().find(|name| !is_part(name) && !is_peer(name)) {
        anyhow::bail!("neither a part nor a peer: {unknown}");
    }
    let chosen = |name: &str, is: &dyn Fn(&str) -> bool| {
        only.contains(&name) || !only.iter().any(|name| is(name))
    };
    let wanted = |part: &str| chosen(part, &is_part);
    say("starting a private Postgres");
    let postgres = Postgres::start()?;
    crate::bridge::Bridge::migrate(&postgres)?;
    settle(&postgres)?;
    let mut results = Results::new(scale.rounds);
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| chosen(kind.name(), &is_peer))
        .filter(|kind| match kind.missing() {
            None => true,
            Some(why) => {
                say(&format!("{} is left out: {why}", kind.name()));
                results.left_out(*kind, &why);
                false
            }
        })
        .collect();
    let mut busy = Vec::new();
    if PARTS.iter().any(|(part, _)| wanted(part)) {
        rounds(scale, &kinds, &mut results, &mut busy, |kind, figures| {
            for (part, measure) in &PARTS {
                if wanted(part) {
                    figures.attempt(part, |figures| measure(scale, &postgres, kind, figures));
                }
            }
        });
    }
    if wanted(READS) {
        let reader = reads::load(&postgres)?;
        rounds(scale, &kinds, &mut results, &mut busy, |kind, figures| {
            figures
                .attempt(READS, |figures| reads::measure(scale, &postgres, kind, &reader, figures));
        });
    }
    results
        .note(format!("CPU that other programs used just before each round: {}.", busy.join(", ")));
    let text = results.text(&postgres);
    crate::print(&text);
    if let Some(path) = plot {
        std::fs::write(path, plot::svg(&results)).context("writing the plot")?;
        say(&format!("the plot is {}", path.display()));
    }
    Ok(())
}

/// Where one peer's figures of one round go.
struct Figures<'a> {
    kind: Kind,
    results: &'a mut Results,
}

impl Figures<'_> {
    fn add(&mut self, row: results::Row, value: Option<f64>) {
        if let Some(value) = value {
            say(&format!("    {}: {}", row.name(), row.shown(value)));
            self.results.add(row, self.kind, value);
        }
    }

    fn none(&mut self, rows: &[results::Row]) {
        for row in rows {
            self.results.none(*row, self.kind);
        }
    }

    /// A part that fails leaves the others as they are, and is told of.
    fn attempt(&mut self, part: &str, measure: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = measure(self) {
            say(&format!("  {} gave up {part}: {error:#}", self.kind.name()));
            self.results.failed(self.kind, part, &format!("{error:#}"));
        }
    }
}

/// Gives every peer its turn, round by round; the order turns, so that nobody is always first.
fn rounds(
    scale: Scale,
    kinds: &[Kind],
    results: &mut Results,
    busy: &mut Vec<String>,
    turn: impl Fn(Kind, &mut Figures<'_>),
) {
    for round in 0..scale.rounds {
        busy.extend(quiet::share(scale.patient).map(|share| format!("{:.0} %", share * 100.0)));
        for nth in 0..kinds.len() {
            let Some(kind) = kinds.get((nth + round) % kinds.len()) else { continue };
            say(&format!("round {} of {}: {}", round + 1, scale.rounds, kind.name()));
            turn(*kind, &mut Figures { kind: *kind, results });
        }
    }
}

fn latencies(
    scale: Scale,
    postgres: &Postgres,
    kind: Kind,
    figures: &mut Figures<'_>,
) -> Result<()> {
    let peer = Peer::start(kind, postgres)?;
    let clients = Clients::open(vec![peer.dial(0, ONE)?], 1)?;
    let writers = Writers::start(postgres, &peer)?;
    warm(&writers, &clients.board, ONE, 1)?;
    for (pace, middle, tail) in [
        (50, results::LATENCY_50, results::TAIL_50),
        (500, results::LATENCY_500, results::TAIL_500),
        (5_000, results::LATENCY_5000, results::TAIL_5000),
    ] {
        clients.board.keep_times(true);
        let acked = writers.paced(ONE, pace, scale.paced)?;
        let written = acked.len();
        let arrived = clients.board.wait_for(written as u64, Duration::from_secs(60));
        let heard = clients.board.times();
        clients.board.keep_times(false);
        arrived.with_context(|| format!("{pace}/s: {} of {written}", heard.len()))?;
        // The first part finds cold caches.
        let skip = written / 5;
        let took: Vec<f64> = acked
            .iter()
            .skip(skip)
            .filter_map(|(number, at)| {
                Some(millis(heard.get(number)?.saturating_duration_since(*at)))
            })
            .collect();
        figures.add(middle, percentile(&took, 0.5));
        figures.add(tail, percentile(&took, 0.99));
        if pace == 5_000 {
            figures.add(results::WRITTEN_5000, Some(written as f64 / scale.paced as f64));
        }
    }
    Ok(())
}

/// Sends until everybody hears it: who subscribes is not always there when it has been told so.
fn warm(writers: &Writers, board: &Board, topic: usize, sockets: u64) -> Result<()> {
    for _ in 0..10 {
        board.expect(sockets);
        writers.burst(&[topic], 1)?;
        if board.wait_for(sockets, Duration::from_secs(2)).is_ok() {
            return Ok(());
        }
        board.settle();
    }
    anyhow::bail!("not all of {sockets} sockets hear of what is committed")
}

fn fan_out(scale: Scale, postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    let rows: [(&[usize], usize, usize, results::Row, results::Row); 4] = [
        (&[TEN], 10, TEN, results::FAN_10, results::COST_10),
        (&[THOUSAND], 1_000, THOUSAND, results::FAN_1000, results::COST_1000),
        (&[ALL], scale.crowd, ALL, results::FAN_10000, results::COST_10000),
        (&[], scale.crowd, 0, results::FAN_SMALL, results::COST_SMALL),
    ];
    for (topics, sockets, topic, speed, cost) in rows {
        let peer = Peer::start(kind, postgres)?;
        thread::sleep(Duration::from_millis(500));
        let before = peer.resident();
        let dials = (0..sockets)
            .map(|nth| peer.dial(nth, if topic == 0 { nth / SMALL_SOCKETS + 1 } else { topic }));
        let clients = Clients::open(dials.collect::<Result<_>>()?, 64)?;
        thread::sleep(Duration::from_secs(1));
        if topic == ALL {
            let each = peer.resident().zip(before).map(|(after, before)| {
                after.saturating_sub(before) as f64 / 1_024.0 / sockets as f64
            });
            figures.add(results::MEMORY, each);
        }
        let writers = Writers::start(postgres, &peer)?;
        let small: Vec<usize> = (1..=SMALL).collect();
        let (topics, each) =
            if topics.is_empty() { (&small[..], SMALL_SOCKETS) } else { (topics, sockets) };
        for topic in topics.iter().step_by(100) {
            warm(&writers, &clients.board, *topic, each as u64)?;
        }
        let messages = (scale.deliveries / each).clamp(30, 5_000);
        clients.board.settle();
        let (began, used) = (Instant::now(), peer.cpu());
        clients.board.expect((messages * each) as u64);
        writers.burst(topics, messages)?;
        clients
            .board
            .wait_for((messages * each) as u64, Duration::from_secs(120))
            .with_context(|| format!("{messages} messages to {each} sockets"))?;
        let took = began.elapsed();
        let used = peer.cpu().zip(used).map(|(after, before)| after.saturating_sub(before));
        let deliveries = (messages * each) as f64;
        figures.add(speed, Some(deliveries / took.as_secs_f64()));
        figures.add(cost, used.map(|used| used.as_secs_f64() * 1e6 / deliveries));
    }
    Ok(())
}

/// What being heard of costs the writer, beside the same writers with a table that nobody listens to.
fn writes(scale: Scale, postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    let peer = Peer::start(kind, postgres)?;
    let clients = Clients::open(vec![peer.dial(0, 1)?], 1)?;
    let (plain, told) = (Writers::plain(postgres), Writers::start(postgres, &peer)?);
    let topics: Vec<usize> = (1..=SMALL).collect();
    let time = Duration::from_secs(scale.paced) / 2;
    let (mut without, mut with) = (0.0, 0.0);
    warm(&told, &clients.board, 1, 1)?;
    for writers in [&plain, &told] {
        writers.flat_out(&topics, time / 3)?;
    }
    for _ in 0..TURNS {
        without += plain.flat_out(&topics, time)?;
        with += told.flat_out(&topics, time)?;
    }
    figures.add(results::WRITES, Some(with / f64::from(TURNS)));
    figures.add(results::WRITER_COST, Some(with / without));
    Ok(())
}

/// Everybody connects at the same moment: until the last one is told that it is in.
fn storm(_: Scale, postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    let peer = Peer::start(kind, postgres)?;
    drop(Clients::open((0..50).map(|nth| peer.dial(nth, ALL)).collect::<Result<_>>()?, 8)?);
    let dials = (0..STORM).map(|nth| peer.dial(nth, ALL)).collect::<Result<_>>()?;
    let (began, used) = (Instant::now(), spent(postgres, &peer));
    let clients = Clients::open(dials, STORM)?;
    figures.add(results::STORM, Some(began.elapsed().as_secs_f64()));
    figures.add(results::STORM_COST, each(used, spent(postgres, &peer), STORM));
    drop(clients);
    Ok(())
}

/// Everybody comes back at the same moment and gets what was missed.
fn resume(_: Scale, postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    let Some(back) = kind.resumes() else {
        figures.none(&[results::RESUME, results::RESUME_COST]);
        return Ok(());
    };
    let peer = Peer::start(kind, postgres)?;
    let writers = Writers::start(postgres, &peer)?;
    let first = Clients::open(vec![peer.dial(0, ALL)?], 1)?;
    warm(&writers, &first.board, ALL, 1)?;
    let place = peer.place(&first.board.last().context("no frame")?)?;
    drop(first);
    writers.burst(&[ALL], usize::try_from(MISSED)?)?;
    thread::sleep(Duration::from_secs(1));
    let dials =
        (0..RESUMING).map(|nth| back(&peer, nth, ALL, &place)).collect::<Result<Vec<_>>>()?;
    let (began, used) = (Instant::now(), spent(postgres, &peer));
    let clients = Clients::open(dials, RESUMING)?;
    clients
        .board
        .wait_for(MISSED * RESUMING as u64, Duration::from_secs(120))
        .context("what was missed")?;
    figures.add(results::RESUME, Some(began.elapsed().as_secs_f64()));
    figures.add(results::RESUME_COST, each(used, spent(postgres, &peer), RESUMING));
    Ok(())
}

/// CPU time of a peer and of the database.
fn spent(postgres: &Postgres, peer: &Peer) -> Option<(Duration, Duration)> {
    peer.cpu().zip(postgres.cpu())
}

/// Microseconds of it for each of so many.
fn each(
    before: Option<(Duration, Duration)>,
    after: Option<(Duration, Duration)>,
    count: usize,
) -> Option<f64> {
    let ((peer, database), (peer_after, database_after)) = before.zip(after)?;
    let part = |used: Duration| used.as_secs_f64() * 1e6 / count as f64;
    let peer = part(peer_after.saturating_sub(peer));
    let database = part(database_after.saturating_sub(database));
    say(&format!("    {peer:.0} µs of it are the peer's and {database:.0} µs the database's:"));
    Some(peer + database)
}
