//! The table that a run prints, and the few statistics that it needs.

use std::time::Duration;

use crate::{guard::Ratio, postgres::Postgres};

/// What must hold of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    AtLeast(f64),
    AtMost(f64),
    /// Told for what it says, held to nothing.
    None,
}

/// Rows as they come in.
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    ratios: Vec<Ratio>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), ratios: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, what: &str, budget: Budget, measured: Option<f64>, unit: &str) {
        self.ratios.extend(Ratio::of(what, measured, unit));
        let shown = |value: f64| match value.abs() {
            0.0..10.0 => format!("{value:.2}{unit}"),
            10.0..1_000.0 => format!("{value:.1}{unit}"),
            _ => format!("{value:.0}{unit}"),
        };
        let (wanted, over) = match budget {
            Budget::AtLeast(least) => {
                (format!("≥ {least}{unit}"), measured.map(|value| 1.0 - value / least))
            }
            Budget::AtMost(most) => {
                // A budget of none at all is kept by none at all.
                let over = |value: f64| if value <= most { 0.0 } else { value / most - 1.0 };
                (format!("≤ {most}{unit}"), measured.map(over))
            }
            Budget::None => (String::new(), None),
        };
        let verdict = match over {
            None => String::new(),
            Some(over) if over <= 0.0 => "kept".to_owned(),
            Some(over) => format!("MISSED by {:.0} %", (over * 100.0).max(1.0)),
        };
        let measured = measured.map_or("not measured here".to_owned(), shown);
        crate::say(&format!("  {what}: {measured} {verdict}"));
        self.rows.push([what.to_owned(), wanted, measured, verdict]);
    }

    /// What means the same on any machine.
    pub(crate) fn ratios(&self) -> &[Ratio] {
        &self.ratios
    }

    /// The table as Markdown that can be read as it is.
    pub(crate) fn text(&self, postgres: &Postgres) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let head = ["what", "budget", "measured", "verdict"].map(str::to_owned);
        let rows: Vec<&[String; 4]> = std::iter::once(&head).chain(&self.rows).collect();
        let mut widths = [0; 4];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row.iter()) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = format!(
            "\nPostgreSQL {}, {cores} cores, {} {}; flush: {}\n\n",
            postgres.version,
            std::env::consts::OS,
            std::env::consts::ARCH,
            postgres.disk
        );
        for (nth, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            text += &format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
            if nth == 0 {
                let lines = widths.map(|width| "-".repeat(width));
                text += &format!("| {} |\n", lines.join(" | "));
            }
        }
        text
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 0.5)
}

/// The value that `share` of all are at or below.
pub(crate) fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
