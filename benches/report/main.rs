//! The report: every budget of Rowcast measured in one run, as a table. It says what is; it fails nobody.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a report does")]

mod bridge;
mod compare;
mod fanout;
mod filters;
mod guard;
mod idle;
mod inserts;
mod latency;
mod people;
mod permits;
mod polls;
mod postgres;
mod reads;
mod socket;
mod table;
mod wire;

use anyhow::{Context, Result};

use bridge::Bridge;
use postgres::Postgres;
use table::Table;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Interleaved rounds of each comparison.
    rounds: usize,
    /// Seconds of each round of inserting.
    seconds: u64,
    /// Seconds of each run for latency.
    paced: u64,
    /// Bursts to the thousand sockets.
    bursts: usize,
    /// Long polls that wait at once.
    polls: usize,
    /// Messages that unread counts are taken over.
    messages: i64,
    /// Tries of each request.
    tries: usize,
}

const FULL: Scale = Scale {
    rounds: 7,
    seconds: 5,
    paced: 20,
    bursts: 200,
    polls: 10_000,
    messages: 1_000_000,
    tries: 100,
};
const QUICK: Scale = Scale {
    rounds: 3,
    seconds: 2,
    paced: 5,
    bursts: 50,
    polls: 2_000,
    messages: 1_000_000,
    tries: 30,
};

const HELP: &str = "\
Measures Rowcast against its budgets and prints a table.

usage: scripts/bench [--quick] [--guard | --keep] [PART…]
       scripts/bench instructions
       scripts/bench compare [--quick] [--rounds N] [--patient] [--sockudo] [--plot FILE] [PEER…] [PART…]

  --quick   shorter rounds, two minutes at most
  --guard   holds the ratios against those of benches/ratios.txt, and ends with 1 when one is much worse
  --keep    writes them there
  PART      only some of: inserts, latency, fanout, idle, polls, reads, permits, filters

compare puts Rowcast beside what people would use instead, on the same Postgres with the same clients:

  PEER      only some of: rowcast, rowcast-table, by-hand, socket.io, nchan, sockudo
  PART      only some of: latency, fanout, writes, storm, resume, reads
  --rounds  how often each has its turn: 5, with --quick 3
  --patient waits before each round until the machine has nothing else to do, ten minutes at most
  --plot    draws the table as an SVG

ROWCAST_BENCH_PROGRAM is another build's `rowcast` to measure in the place of this one's.

instructions counts those of the hot paths (valgrind), which are the same on every machine of a kind";

const PARTS: [&str; 8] =
    ["inserts", "latency", "fanout", "idle", "polls", "reads", "permits", "filters"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    if arguments.first().is_some_and(|one| one == wire::ARGUMENT) {
        return wire::serve();
    }
    if arguments.iter().any(|one| one == "--help" || one == "-h") {
        println!("{HELP}");
        return Ok(());
    }
    if arguments.first().is_some_and(|one| one == "compare") {
        return beside_others(arguments.get(1..).unwrap_or_default());
    }
    let (flags, parts): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|one| one.starts_with('-'));
    let unknown = flags.iter().any(|flag| !["--quick", "--guard", "--keep"].contains(flag))
        || parts.iter().any(|part| !PARTS.contains(part));
    anyhow::ensure!(!unknown, "{HELP}");
    let scale = if flags.contains(&"--quick") { QUICK } else { FULL };
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let ratios = report(scale, wanted)?;
    if flags.contains(&"--keep") {
        guard::keep(&ratios)?;
    }
    if flags.contains(&"--guard") {
        let (text, good) = guard::compare(&ratios)?;
        print(&text);
        anyhow::ensure!(good, "a ratio is much worse than it was");
    }
    Ok(())
}

/// `compare` and what follows it.
fn beside_others(arguments: &[String]) -> Result<()> {
    let (mut scale, mut plot, mut peers) = (compare::FULL, None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => scale = compare::QUICK,
            "--rounds" => {
                let count = rest.next().and_then(|count| count.parse().ok());
                scale = scale.rounds(count.filter(|&count| count > 0).context(HELP)?);
            }
            "--patient" => scale = scale.patient(),
            "--plot" => plot = Some(std::path::PathBuf::from(rest.next().context(HELP)?)),
            flag if flag.starts_with('-') => anyhow::bail!("{HELP}"),
            peer => peers.push(peer),
        }
    }
    compare::run(scale, &peers, plot.as_deref())
}

fn report(scale: Scale, wanted: impl Fn(&str) -> bool) -> Result<Vec<guard::Ratio>> {
    say("starting a private Postgres");
    let postgres = Postgres::start()?;
    Bridge::migrate(&postgres)?;
    let crowd = people::settle(&postgres)?;
    let mut table = Table::new();
    if wanted("inserts") || wanted("latency") || wanted("fanout") {
        let bridge = Bridge::start(&postgres)?;
        if wanted("latency") {
            latency::measure(scale, &postgres, &bridge, &crowd, &mut table)?;
        }
        if wanted("fanout") {
            fanout::measure(scale, &postgres, &bridge, &crowd, &mut table)?;
        }
        if wanted("inserts") {
            inserts::measure(scale, &postgres, &mut table)?;
        }
    }
    if wanted("idle") {
        idle::measure(&postgres, &crowd, &mut table)?;
    }
    if wanted("polls") {
        polls::measure(scale, &postgres, &mut table)?;
    }
    if wanted("reads") {
        reads::measure(scale, &postgres, &mut table)?;
    }
    if wanted("permits") {
        permits::measure(scale, &postgres, &mut table)?;
    }
    if wanted("filters") {
        filters::measure(scale, &postgres, &mut table)?;
    }
    print(&table.text(&postgres));
    Ok(table.ratios().to_vec())
}

/// Prints the outcome.
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Tells how far the run is, on standard error.
pub(crate) fn say(step: &str) {
    eprintln!("bench: {step}");
}
