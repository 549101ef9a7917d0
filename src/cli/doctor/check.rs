//! One precondition: what was found, how bad that is, and what to do.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::catalogue::{self, Level};
use crate::{
    cli::{plain, say},
    error::{Chain, Error},
};

/// How a precondition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It holds.
    Ok,
    /// It does not, and the bridge works all the same.
    Advice,
    /// It does not, and something is broken or open to strangers.
    Failed,
}

/// One precondition. Its name begins with one of the catalogue's.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) state: State,
    found: String,
    remedy: String,
}

impl Check {
    /// One that holds.
    pub(super) fn fine(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, true, found, "")
    }

    /// One that holds or not; the catalogue says how bad it is when not.
    pub(super) fn new(
        name: impl Into<String>,
        ok: bool,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        // Names of tables and roles are others' words.
        let (name, found) = (plain(&name.into()), plain(&found.into()));
        let remedy = remedy.into().lines().map(plain).collect::<Vec<_>>().join("\n");
        let state = match catalogue::entry(&name).map(|entry| entry.level) {
            _ if ok => State::Ok,
            Some(Level::Advice) => State::Advice,
            Some(Level::Failure) | None => State::Failed,
        };
        Self { name, state, found, remedy }
    }

    /// One that an error stands against.
    pub(super) fn failed(name: &str, error: &Error, remedy: impl Into<String>) -> Self {
        Self::new(name, false, Chain(error).to_string(), remedy)
    }

    /// For machines: `check` is the stable name, `about` the thing it is about, if there are several.
    pub(super) fn json(&self) -> Value {
        let entry = catalogue::entry(&self.name);
        let check = entry.map_or(self.name.as_str(), |entry| entry.name);
        let about = self.name.strip_prefix(check).map(str::trim).filter(|about| !about.is_empty());
        let state = match self.state {
            State::Ok => "ok",
            State::Advice => "advice",
            State::Failed => "failed",
        };
        let bad = self.state != State::Ok;
        json!({
            "check": check,
            "about": about,
            "state": state,
            "found": self.found,
            "why": entry.map(|entry| entry.why),
            "remedy": bad.then(|| self.remedy.lines().collect::<Vec<_>>()),
        })
    }
}

/// For people: a line each, and why and the remedy below what does not hold.
pub(super) fn print(checks: &[Check]) {
    let colour = std::io::stdout().is_terminal();
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for check in checks {
        let mark = match check.state {
            State::Ok => paint("32", "ok  "),
            State::Advice => paint("33", "warn"),
            State::Failed => paint("31", "FAIL"),
        };
        say(format_args!("{mark}  {:<width$}  {}", check.name, check.found));
        if check.state == State::Ok {
            continue;
        }
        if let Some(entry) = catalogue::entry(&check.name) {
            say(format_args!("      {:<width$}  {}", "", entry.why));
        }
        for line in check.remedy.lines() {
            say(format_args!("      {:<width$}  → {line}", ""));
        }
    }
}

/// A word as a shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
