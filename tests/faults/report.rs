//! The fault report: a line of progress for each schedule, and a table at the end.

use std::{fmt::Write, fs, path::Path, process::Command};

use tokio::time::Instant;

use crate::history::{Totals, say};

/// What a run has found so far.
pub(super) struct Report {
    seed: u64,
    long: bool,
    began: Instant,
    lines: Vec<Line>,
    skipped: Vec<String>,
}

struct Line {
    name: String,
    totals: Totals,
    faults: usize,
    what: String,
}

impl Report {
    pub(super) fn new(seed: u64, long: bool) -> Self {
        Self { seed, long, began: Instant::now(), lines: Vec::new(), skipped: Vec::new() }
    }

    /// Notes a schedule that was played; what is wrong in it has failed the test already.
    pub(super) fn add(&mut self, name: &str, totals: Totals, faults: usize, what: &str) {
        say(&format!(
            "fault suite: {:.0} s: {name}: {}",
            self.began.elapsed().as_secs_f64(),
            words(&totals)
        ));
        let (name, what) = (name.to_owned(), what.to_owned());
        self.lines.push(Line { name, totals, faults, what });
    }

    /// Notes what cannot be played here.
    pub(super) fn skip(&mut self, name: &str, why: &str) {
        say(&format!("fault suite: SKIPPED {name}: {why}"));
        self.skipped.push(format!("{name}: {why}"));
    }

    /// Prints the table, and keeps it in `target/faults`.
    pub(super) fn finish(self) {
        let mut all = Totals::default();
        let mut faults = 0;
        let mut text = String::from(
            "| schedule | faults | changes | clients | deliveries | lost | twice | out of order |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for Line { name, totals, faults: count, what } in &self.lines {
            all = sum(all, *totals);
            faults += count;
            let _ = writeln!(text, "| {name} | {what} | {} |", cells(totals));
        }
        let _ = writeln!(text, "| all {} | {faults} | {} |", self.lines.len(), cells(&all));
        for skipped in &self.skipped {
            let _ = writeln!(text, "\nSkipped: {skipped}");
        }
        let title = format!(
            "fault report: seed {}{}, {} schedules, {faults} faults, {}, {:.0} s",
            self.seed,
            if self.long { ", long" } else { "" },
            self.lines.len(),
            words(&all),
            self.began.elapsed().as_secs_f64(),
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("report.txt"), format!("{title}\n\n{text}")).expect("a report");
        say(&format!("{title}\n\n{text}"));
    }
}

fn sum(one: Totals, other: Totals) -> Totals {
    Totals {
        changes: one.changes + other.changes,
        clients: one.clients + other.clients,
        deliveries: one.deliveries + other.deliveries,
        lost: one.lost + other.lost,
        twice: one.twice + other.twice,
        by_clock: one.by_clock + other.by_clock,
        disordered: one.disordered + other.disordered,
    }
}

fn cells(totals: &Totals) -> String {
    let Totals { changes, clients, deliveries, lost, twice, disordered, .. } = totals;
    format!("{changes} | {clients} | {deliveries} | {lost} | {twice} | {disordered}")
}

fn words(totals: &Totals) -> String {
    let Totals { changes, clients, deliveries, lost, twice, disordered, .. } = totals;
    format!(
        "{changes} changes, {clients} clients, {deliveries} deliveries: lost {lost}, twice {twice}, out of order {disordered}"
    )
}

/// Whether a program is installed.
pub(super) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}
