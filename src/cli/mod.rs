//! The command line: one file per command.

mod bench;
#[cfg(unix)]
mod dev;
mod doctor;
mod logs;
mod manual;
mod migrate;
mod place;
mod serve;
mod settings;
mod tail;
mod token;
mod watch;

use std::{
    io::{ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::config::Traces;
use logs::Format;
use settings::Source;

/// Committed PostgreSQL rows on people's screens a millisecond later.
#[derive(Debug, Parser)]
#[command(name = "rowcast", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// What is logged: error, warn, info, debug, trace, or directives such as rowcast=debug,warn.
    #[arg(long, env = "ROWCAST_LOG", default_value = "info", value_parser = logs::directives, global = true)]
    log: String,

    /// How logs are written, to standard error.
    #[arg(long, env = "ROWCAST_LOG_FORMAT", value_enum, default_value_t = Format::Text, global = true)]
    log_format: Format,

    /// File of `NAME=value` lines, as in an environment; flags and the environment go before it, and a reload reads it again.
    #[arg(long, env = "ROWCAST_ENV_FILE", global = true)]
    env_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a private Postgres with demo data, and the bridge in front of it.
    #[cfg(unix)]
    Dev(Box<dev::Args>),
    /// Run the bridge.
    Serve(Box<serve::Args>),
    /// Install or upgrade the SQL in the database.
    Migrate(migrate::Args),
    /// Check every precondition, and name the remedy of what fails.
    Doctor(Box<doctor::Args>),
    /// Make a token for a user, signed with the shared secret.
    Token(token::Args),
    /// Measure how long a commit takes to reach clients of a running bridge.
    Bench(bench::Args),
    /// Print changes as they commit.
    Tail(tail::Args),
    /// Put a table on the feed.
    Watch(watch::WatchArgs),
    /// Take a table off the feed.
    Unwatch(watch::UnwatchArgs),
    /// Print what makes a shell complete these commands.
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write those of all commands.
    Man(manual::ManArgs),
}

/// Runs the command that the arguments name.
#[expect(clippy::print_stderr, reason = "an error of a command is for its user")]
pub fn main() -> ExitCode {
    let (cli, source) = Source::read();
    let logs = match logs::start(&cli.log, cli.log_format, cli.command.traces()) {
        Ok(logs) => logs,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let format = cli.log_format;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(run(cli.command, source))));
    let code = result.unwrap_or_else(|error| {
        match format {
            Format::Text => eprintln!("error: {error:#}"),
            Format::Json => tracing::error!("{error:#}"),
        }
        ExitCode::FAILURE
    });
    drop(logs);
    code
}

impl Command {
    /// Where traces go and the node's name, of a command that serves.
    fn traces(&self) -> Option<(&Traces, &str)> {
        let config = match self {
            #[cfg(unix)]
            Self::Dev(args) => args.config(),
            Self::Serve(args) => args.config(),
            _ => return None,
        };
        Some((&config.traces, &config.node))
    }
}

async fn run(command: Command, source: Source) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(unix)]
        Command::Dev(args) => dev::run(*args).await,
        Command::Serve(args) => serve::run(*args, source).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Doctor(args) => Box::pin(doctor::run(*args)).await,
        Command::Token(args) => token::run(&args),
        Command::Bench(args) => Box::pin(bench::run(args)).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Tail(args) => tail::run(args).await,
        Command::Watch(args) => watch::watch(args).await,
        Command::Unwatch(args) => watch::unwatch(args).await,
    }
}

/// Words of others for a terminal: what is no character to see is written as JSON does, and does nothing.
fn plain(text: &str) -> String {
    let escaped = |char: char| match char.is_control() {
        true => format!("\\u{:04x}", u32::from(char)),
        false => char.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Prints a line to standard output; whoever closed it, such as `head`, has had enough.
fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_help_and_every_setting_a_variable() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands() {
            let settings = ["serve", "dev"].contains(&command.get_name());
            for arg in command
                .get_arguments()
                .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
            {
                let name = format!("{} {}", command.get_name(), arg.get_id());
                assert!(arg.get_help().is_some(), "{name} has no help");
                if settings {
                    let variable = arg.get_env().and_then(|name| name.to_str()).expect(&name);
                    assert!(
                        variable == "DATABASE_URL" || variable.starts_with("ROWCAST_"),
                        "{name}: {variable}"
                    );
                }
            }
        }
        cli.debug_assert();
    }
}
