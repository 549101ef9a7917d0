//! What came of each row for each peer, round by round: medians, spreads, ratios to ours, and who is first.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use super::peers::Kind;
use crate::{postgres::Postgres, table::median};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    nth: usize,
    name: &'static str,
    unit: &'static str,
    /// Whether less is better.
    less: bool,
}

const fn row(nth: usize, name: &'static str, unit: &'static str, less: bool) -> Row {
    Row { nth, name, unit, less }
}

pub(super) const LATENCY_50: Row = row(0, "commit → client, 50 changes/s, p50", "ms", true);
pub(super) const TAIL_50: Row = row(1, "commit → client, 50 changes/s, p99", "ms", true);
pub(super) const LATENCY_500: Row = row(2, "commit → client, 500 changes/s, p50", "ms", true);
pub(super) const TAIL_500: Row = row(3, "commit → client, 500 changes/s, p99", "ms", true);
pub(super) const WRITTEN_5000: Row =
    row(4, "commits a second that it lets be written, of 5,000", "/s", false);
pub(super) const LATENCY_5000: Row = row(5, "commit → client at that, p50", "ms", true);
pub(super) const TAIL_5000: Row = row(6, "commit → client at that, p99", "ms", true);
pub(super) const FAN_10: Row = row(7, "1 → 10 sockets, deliveries", "/s", false);
pub(super) const COST_10: Row = row(8, "1 → 10 sockets, CPU of a delivery", "µs", true);
pub(super) const FAN_1000: Row = row(9, "1 → 1,000 sockets, deliveries", "/s", false);
pub(super) const COST_1000: Row = row(10, "1 → 1,000 sockets, CPU of a delivery", "µs", true);
pub(super) const FAN_10000: Row = row(11, "1 → 10,000 sockets, deliveries", "/s", false);
pub(super) const COST_10000: Row = row(12, "1 → 10,000 sockets, CPU of a delivery", "µs", true);
pub(super) const FAN_SMALL: Row = row(13, "1,000 topics × 10 sockets, deliveries", "/s", false);
pub(super) const COST_SMALL: Row =
    row(14, "1,000 topics × 10 sockets, CPU of a delivery", "µs", true);
pub(super) const MEMORY: Row = row(15, "memory of a connection, 10,000 sockets", "KiB", true);
pub(super) const WRITES: Row =
    row(16, "commits a second, 12 writers, 1,000 topics, with what tells the peer", "/s", false);
pub(super) const WRITER_COST: Row = row(17, "– ÷ plain inserts", "", false);
pub(super) const STORM: Row = row(18, "2,000 clients connect at once", "s", true);
pub(super) const STORM_COST: Row =
    row(19, "– CPU of a connection, with the database's", "µs", true);
pub(super) const RESUME: Row =
    row(20, "5,000 clients come back at once, 20 messages missed", "s", true);
pub(super) const RESUME_COST: Row =
    row(21, "– CPU of each who comes back, with the database's", "µs", true);
pub(super) const UNREAD_FEW: Row =
    row(22, "unread counts, 50 threads of 1 M messages, 100 unread each, p50", "ms", true);
pub(super) const UNREAD_MANY: Row = row(23, "– 10,100 unread each, p50", "ms", true);
pub(super) const SYNC: Row =
    row(24, "offline sync of 5,000 messages, 1 M in the table, p50", "ms", true);
pub(super) const REST_SEND: Row = row(25, "REST: messages written, 12 connections", "/s", false);
pub(super) const REST_READ: Row =
    row(26, "REST: pages of 50 messages read, 12 connections", "/s", false);

pub(super) const ROWS: [Row; 27] = [
    LATENCY_50,
    TAIL_50,
    LATENCY_500,
    TAIL_500,
    WRITTEN_5000,
    LATENCY_5000,
    TAIL_5000,
    FAN_10,
    COST_10,
    FAN_1000,
    COST_1000,
    FAN_10000,
    COST_10000,
    FAN_SMALL,
    COST_SMALL,
    MEMORY,
    WRITES,
    WRITER_COST,
    STORM,
    STORM_COST,
    RESUME,
    RESUME_COST,
    UNREAD_FEW,
    UNREAD_MANY,
    SYNC,
    REST_SEND,
    REST_READ,
];

impl Row {
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn shown(self, value: f64) -> String {
        let number = match value.abs() {
            0.0..10.0 => format!("{value:.2}"),
            10.0..1_000.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        };
        let gap = if self.unit.is_empty() || self.unit.starts_with('/') { "" } else { " " };
        format!("{number}{gap}{}", self.unit)
    }

    pub(super) fn is_less(self) -> bool {
        self.less
    }

    /// Whether one value is better than another.
    fn better(self, one: f64, other: f64) -> bool {
        if self.less { one < other } else { one > other }
    }
}

/// All figures.
pub(super) struct Results {
    rounds: usize,
    values: HashMap<(Row, Kind), Vec<f64>>,
    /// What a peer has no such thing for.
    none: HashSet<(Row, Kind)>,
    notes: Vec<String>,
}

/// One cell: the middle of all rounds, the least and the most.
pub(super) struct Cell {
    pub(super) middle: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Results {
    pub(super) fn new(rounds: usize) -> Self {
        Self { rounds, values: HashMap::new(), none: HashSet::new(), notes: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Row, kind: Kind, value: f64) {
        self.values.entry((row, kind)).or_default().push(value);
    }

    pub(super) fn left_out(&mut self, kind: Kind, why: &str) {
        self.notes.push(format!("`{}` is left out: {why}.", kind.name()));
    }

    pub(super) fn failed(&mut self, kind: Kind, part: &str, why: &str) {
        self.notes.push(format!("`{}` gave up {part} in one round: {why}.", kind.name()));
    }

    pub(super) fn none(&mut self, row: Row, kind: Kind) {
        self.none.insert((row, kind));
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn cell(&self, row: Row, kind: Kind) -> Option<Cell> {
        let values = self.values.get(&(row, kind))?;
        Some(Cell {
            middle: median(values)?,
            least: values.iter().copied().reduce(f64::min)?,
            most: values.iter().copied().reduce(f64::max)?,
        })
    }

    /// Who has figures.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let has = |kind: &Kind| ROWS.iter().any(|row| self.cell(*row, *kind).is_some());
        Kind::ALL.into_iter().filter(has).collect()
    }

    /// By how much the best peer is better than the best of ours, above 1, or ours better than it, below 1.
    fn verdict(&self, row: Row) -> String {
        let best = |ours: bool| {
            let kinds = self.kinds().into_iter().filter(|kind| kind.is_ours() == ours);
            kinds
                .filter_map(|kind| Some((kind, self.cell(row, kind)?.middle)))
                .reduce(|one, other| if row.better(other.1, one.1) { other } else { one })
        };
        let ratio = |one: f64, other: f64| {
            // What came before its commit was acknowledged took no time.
            let ratio = if row.less { other / one } else { one / other };
            if ratio.is_finite() { format!("by {ratio:.2} ×") } else { "by far".to_owned() }
        };
        match (best(true), best(false)) {
            (Some((_, ours)), Some((peer, theirs))) if row.better(theirs, ours) => {
                format!("{} {}", peer.name(), ratio(theirs, ours))
            }
            (Some((ours, value)), Some((_, theirs))) => {
                format!("**{}** {}", ours.name(), ratio(value, theirs))
            }
            (Some((ours, _)), None) => format!("**{}**, alone", ours.name()),
            _ => String::new(),
        }
    }

    /// The tables as Markdown.
    pub(super) fn text(&self, postgres: &Postgres) -> String {
        let kinds = self.kinds();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = format!(
            "\nPostgreSQL {}, {cores} cores, {} {}, {} rounds; flush: {}.\nEach cell: the middle of all rounds (least to most).\n\n",
            postgres.version,
            std::env::consts::OS,
            std::env::consts::ARCH,
            self.rounds,
            postgres.disk
        );
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let _ = writeln!(text, "| what | {} | first |", names.join(" | "));
        let _ = writeln!(text, "| --- |{} --- |", " --- |".repeat(kinds.len()));
        for row in ROWS {
            if kinds.iter().all(|kind| self.cell(row, *kind).is_none()) {
                continue;
            }
            let cells: Vec<String> = kinds
                .iter()
                .map(|kind| {
                    let none = self.none.contains(&(row, *kind));
                    let absent = if none { "has none" } else { "–" };
                    self.cell(row, *kind).map_or(absent.to_owned(), |cell| {
                        let (least, most) = (row.shown(cell.least), row.shown(cell.most));
                        let least = least.split(' ').next().unwrap_or_default().to_owned();
                        format!(
                            "{} ({} to {})",
                            row.shown(cell.middle),
                            least.trim_end_matches("/s"),
                            most
                        )
                    })
                })
                .collect();
            let _ =
                writeln!(text, "| {} | {} | {} |", row.name, cells.join(" | "), self.verdict(row));
        }
        text.push('\n');
        for kind in &kinds {
            let _ = writeln!(text, "- `{}`: {}", kind.name(), kind.what());
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}
