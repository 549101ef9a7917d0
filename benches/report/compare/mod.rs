//! Rowcast beside what people would use instead: the same clients, writers and Postgres, in turn, in several rounds.

mod clients;
mod http;
mod peers;
mod plot;
mod results;
mod sockudo;
mod writers;

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use tokio::time::Instant;

use self::{
    clients::{Board, Clients},
    peers::{Kind, Peer, Return},
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
}

impl Scale {
    pub(crate) fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }
}

pub(crate) const FULL: Scale = Scale { rounds: 5, paced: 10, deliveries: 300_000, crowd: CROWD };
pub(crate) const QUICK: Scale = Scale { rounds: 3, paced: 3, deliveries: 100_000, crowd: CROWD };

/// People, topics and tables: for the chat the topics are threads, for the others a column.
fn settle(postgres: &Postgres) -> Result<()> {
    for statement in include_str!("world.sql").split(";\n\n") {
        postgres.run(statement)?;
    }
    Ok(())
}

/// Runs every row with every peer, and prints and draws what came of it.
pub(crate) fn run(scale: Scale, only: &[&str], plot: Option<&std::path::Path>) -> Result<()> {
    say("starting a private Postgres");
    let postgres = Postgres::start()?;
    crate::bridge::Bridge::migrate(&postgres)?;
    settle(&postgres)?;
    let mut results = Results::new(scale.rounds);
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| only.is_empty() || only.contains(&kind.name()))
        .filter(|kind| match kind.missing() {
            None => true,
            Some(why) => {
                say(&format!("{} is left out: {why}", kind.name()));
                results.left_out(*kind, &why);
                false
            }
        })
        .collect();
    for round in 0..scale.rounds {
        for turn in 0..kinds.len() {
            // The order turns, so that nobody is always first.
            let Some(kind) = kinds.get((turn + round) % kinds.len()) else { continue };
            say(&format!("round {} of {}: {}", round + 1, scale.rounds, kind.name()));
            let mut figures = Figures { kind: *kind, results: &mut results };
            if let Err(error) = one(scale, &postgres, *kind, &mut figures) {
                say(&format!("  {} gave up: {error:#}", kind.name()));
                figures.results.failed(*kind, &format!("{error:#}"));
            }
        }
    }
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
}

/// One round with one peer: every row, each on a process of its own where memory or connections count.
fn one(scale: Scale, postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    latencies(scale, postgres, kind, figures)?;
    fan_out(scale, postgres, kind, figures)?;
    storm(postgres, kind, figures)?;
    if let Some(back) = kind.resumes() {
        resume(postgres, kind, back, figures)?;
    }
    Ok(())
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

/// Everybody connects at the same moment: until the last one is told that it is in.
fn storm(postgres: &Postgres, kind: Kind, figures: &mut Figures<'_>) -> Result<()> {
    let peer = Peer::start(kind, postgres)?;
    drop(Clients::open((0..50).map(|nth| peer.dial(nth, ALL)).collect::<Result<_>>()?, 8)?);
    let dials = (0..STORM).map(|nth| peer.dial(nth, ALL)).collect::<Result<_>>()?;
    let began = Instant::now();
    let clients = Clients::open(dials, STORM)?;
    figures.add(results::STORM, Some(began.elapsed().as_secs_f64()));
    drop(clients);
    Ok(())
}

/// Everybody comes back at the same moment and gets what was missed.
fn resume(postgres: &Postgres, kind: Kind, back: Return, figures: &mut Figures<'_>) -> Result<()> {
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
    let began = Instant::now();
    let clients = Clients::open(dials, RESUMING)?;
    clients
        .board
        .wait_for(MISSED * RESUMING as u64, Duration::from_secs(120))
        .context("what was missed")?;
    figures.add(results::RESUME, Some(began.elapsed().as_secs_f64()));
    Ok(())
}
