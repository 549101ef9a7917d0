//! Where settings come from: flags, then the environment, then the lines of `--env-file`, which are read again at a reload.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};

use super::{
    Cli,
    logs::{self, Format},
};
use crate::error::{Error, Result};

/// How a program ends that was called in a wrong way.
const USAGE: i32 = 2;
/// Largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// Read by what runs a private Postgres, not by a flag.
const NO_FLAGS: [&str; 1] = ["ROWCAST_PG_BIN"];

/// The arguments, with what they said when they were read last.
pub(super) struct Source {
    arguments: Vec<OsString>,
    file: Option<PathBuf>,
    first: ArgMatches,
    last: Mutex<ArgMatches>,
}

impl Source {
    /// Reads arguments, environment and file; what is wrong with them is said, and the program ends.
    pub(super) fn read() -> (Cli, Self) {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let plain = Cli::command().get_matches_from(&arguments);
        let file = plain.get_one::<PathBuf>("env_file").cloned();
        let json = plain.get_one("log_format") == Some(&Format::Json);
        let wrong = |error: Error| {
            if json && logs::start("info", Format::Json, None).is_ok() {
                tracing::error!("{}", error.message);
                std::process::exit(USAGE);
            }
            Cli::command().error(clap::error::ErrorKind::ValueValidation, error.message).exit()
        };
        let matches = with_file(&arguments, plain, file.as_deref()).unwrap_or_else(wrong);
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        (cli, Self { arguments, file, first: matches.clone(), last: Mutex::new(matches) })
    }

    /// Reads them again; nothing is taken over yet.
    pub(super) fn again(&self) -> Result<(Cli, ArgMatches)> {
        let plain = Cli::command().try_get_matches_from(&self.arguments);
        let plain = plain.map_err(|error| refused(&error))?;
        let matches = with_file(&self.arguments, plain, self.file.as_deref())?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| refused(&error))?;
        Ok((cli, matches))
    }

    /// Flags that say something else than when they were taken over last.
    pub(super) fn changed(&self, matches: &ArgMatches) -> Vec<String> {
        differing(&self.last.lock().unwrap_or_else(PoisonError::into_inner), matches)
    }

    /// Flags that say something else than at the start.
    pub(super) fn changed_since_start(&self, matches: &ArgMatches) -> Vec<String> {
        differing(&self.first, matches)
    }

    /// Notes what was taken over.
    pub(super) fn taken(&self, matches: ArgMatches) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = matches;
    }
}

/// Adds what a file says where neither flag nor environment does.
fn with_file(arguments: &[OsString], plain: ArgMatches, file: Option<&Path>) -> Result<ArgMatches> {
    let (Some(file), Some((name, said))) = (file, plain.subcommand()) else { return Ok(plain) };
    let wrong = |why: &str| Error::malformed(format!("{}: {why}", file.display()));
    let lines = lines(&contents(file)?).map_err(|why| wrong(&why))?;
    let mut cli = Cli::command();
    cli.build();
    let known: BTreeSet<String> =
        cli.get_subcommands().flat_map(variables).map(|(_, name)| name).collect();
    let unknown = lines.keys().find(|name| {
        name.starts_with("ROWCAST_") && !known.contains(*name) && !NO_FLAGS.contains(&name.as_str())
    });
    if let Some(unknown) = unknown {
        return Err(wrong(&format!("there is no setting {unknown}; all are in the README")));
    }
    let Some(command) = cli.find_subcommand(name) else { return Ok(plain) };
    let given = |id: &str| {
        matches!(said.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let flags = variables(command).filter(|(id, _)| !given(id)).filter_map(|(id, variable)| {
        let flag = command.get_arguments().find(|one| one.get_id().as_str() == id)?.get_long()?;
        Some(OsString::from(format!("--{flag}={}", lines.get(&variable)?)))
    });
    let mut all = arguments.to_vec();
    let at = place_of(arguments, name);
    all.splice(at..at, flags.collect::<Vec<_>>());
    let parsed = Cli::command().try_get_matches_from(all);
    parsed.map_err(|error| wrong(refused(&error).message.as_ref()))
}

/// The arguments of a command that have a variable, by their ids.
fn variables(command: &Command) -> impl Iterator<Item = (String, String)> + '_ {
    command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?;
        Some((argument.get_id().to_string(), variable.to_owned()))
    })
}

/// Where flags of the command may stand: after its name, which may be the value of a flag before it, too.
fn place_of(arguments: &[OsString], name: &str) -> usize {
    let text = |at: usize| arguments.get(at).and_then(|one| one.to_str()).unwrap_or_default();
    let takes_a_value = |one: &str| one.starts_with("--") && !one.contains('=');
    let at = (1..arguments.len()).find(|&at| text(at) == name && !takes_a_value(text(at - 1)));
    at.map_or(arguments.len(), |at| at + 1)
}

fn contents(file: &Path) -> Result<String> {
    let unreadable = |error: std::io::Error| {
        let message = format!("The environment file {} cannot be read: {error}", file.display());
        Error::malformed(message)
    };
    if std::fs::metadata(file).map_err(unreadable)?.len() > LARGEST {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

/// Parses `NAME=value` lines; a value may stand in quotes, and nothing in it is interpreted. Of two lines the later counts.
fn lines(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| is_name(name.trim_end()))
            .ok_or_else(|| format!("line {number} is not NAME=value, a comment or empty"))?;
        let value = value.trim();
        let quoted = ['"', '\'']
            .iter()
            .find_map(|quote| Some(value.strip_prefix(*quote)?.strip_suffix(*quote)));
        let value = match quoted {
            None => value,
            Some(value) => value.ok_or_else(|| format!("line {number} lacks its closing quote"))?,
        };
        found.insert(name.trim_end().to_owned(), value.to_owned());
    }
    Ok(found)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is wrong, without how the program is used.
fn refused(error: &clap::Error) -> Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Error::malformed(first.strip_prefix("error: ").unwrap_or(first).to_owned())
}

/// Flags of the command that is run whose values differ.
fn differing(one: &ArgMatches, other: &ArgMatches) -> Vec<String> {
    let (Some((name, one)), Some((_, other))) = (one.subcommand(), other.subcommand()) else {
        return Vec::new();
    };
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand(name);
    let arguments = command.into_iter().flat_map(Command::get_arguments);
    let flags = arguments.filter(|one| one.get_env().is_some()).filter_map(|argument| {
        let id = argument.get_id().as_str();
        let raw = |matches: &ArgMatches| -> Option<Vec<OsString>> {
            Some(matches.get_raw(id)?.map(ToOwned::to_owned).collect())
        };
        (raw(one) != raw(other)).then(|| argument.get_long().map(str::to_owned))?
    });
    flags.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_lines_of_names_and_values() {
        let text = "# ours\n\nA=1\nexport B = two words \nC='#x'\nD=\"\\n\"\nA=3\nE=\n";
        let found = lines(text).expect("good");
        let wanted = [("A", "3"), ("B", "two words"), ("C", "#x"), ("D", "\\n"), ("E", "")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(wanted));
        for bad in ["A", "=1", "1A=2", "A B=1", "A='x", "A=\"", "\u{0}=1", "ä=1"] {
            assert!(lines(bad).is_err_and(|why| why.contains("line 1")), "{bad}");
        }
    }

    #[test]
    fn flags_of_a_file_stand_after_the_commands_own_name() {
        let place = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            place_of(&arguments, "serve")
        };
        assert_eq!(place("rowcast serve --log serve"), 2);
        assert_eq!(place("rowcast --log serve serve --port 1"), 4);
        assert_eq!(place("rowcast --log=serve serve"), 3);
    }
}
