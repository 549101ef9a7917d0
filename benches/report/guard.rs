//! The guard: ratios of this run next to those that are kept in `benches/ratios.txt`, each with a tolerance.
//!
//! Ratios within one run, and memory, say the same on any machine; seconds do not, and are not kept.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context, Result};

/// How much worse than what is kept is too much: machines are noisy, and a real loss is larger.
const TOLERANCE: f64 = 0.3;

/// A figure that means the same everywhere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) value: f64,
    /// Whether less is better.
    pub(crate) less: bool,
}

impl Ratio {
    /// A row of the table, if it is one.
    pub(crate) fn of(what: &str, value: Option<f64>, unit: &str) -> Option<Self> {
        let memory = unit.trim() == "KiB";
        if !memory && !what.contains('÷') {
            return None;
        }
        let less = memory || what.contains("CPU");
        Some(Self { what: what.to_owned(), value: value?, less })
    }

    /// How much worse this is than another time, as a share of that.
    fn worse(&self, before: f64) -> f64 {
        if self.less { self.value / before - 1.0 } else { 1.0 - self.value / before }
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/ratios.txt")
}

/// Keeps the ratios of this run; those of parts that did not run stay.
pub(crate) fn keep(ratios: &[Ratio]) -> Result<()> {
    let mut kept = kept()?;
    kept.retain(|(what, _)| ratios.iter().all(|ratio| ratio.what != *what));
    kept.extend(ratios.iter().map(|ratio| (ratio.what.clone(), ratio.value)));
    let mut text =
        String::from("# What `scripts/bench --quick --guard` compares with; `--keep` writes it.\n");
    for (what, value) in kept {
        let _ = writeln!(text, "{value:.3}\t{what}");
    }
    fs::write(path(), text).context("benches/ratios.txt")
}

/// What this run's ratios are to those that are kept, and whether none is much worse.
pub(crate) fn compare(ratios: &[Ratio]) -> Result<(String, bool)> {
    let kept = kept()?;
    let (mut text, mut good) = (String::from("\nguard:\n"), true);
    for ratio in ratios {
        let Some((_, before)) = kept.iter().find(|(what, _)| *what == ratio.what) else {
            let _ = writeln!(text, "  new    {:.3} {}", ratio.value, ratio.what);
            continue;
        };
        let worse = ratio.worse(*before);
        let word = if worse > TOLERANCE { "WORSE" } else { "holds" };
        good &= worse <= TOLERANCE;
        let _ = writeln!(text, "  {word}  {:.3}, kept {before:.3}: {}", ratio.value, ratio.what);
    }
    Ok((text, good))
}

fn kept() -> Result<Vec<(String, f64)>> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (value, what) = line.split_once('\t').with_context(|| line.to_owned())?;
            Ok((what.to_owned(), value.parse().with_context(|| line.to_owned())?))
        })
        .collect()
}
