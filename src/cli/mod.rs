//! The command line: one file per command.

#[cfg(unix)]
mod dev;
mod doctor;
mod migrate;
mod place;
mod serve;
mod tail;
mod token;
mod watch;

use std::{
    io::{ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Committed PostgreSQL rows on people's screens a millisecond later.
#[derive(Debug, Parser)]
#[command(name = "rowcast", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// What is logged: error, warn, info, debug, trace, or directives such as rowcast=debug,warn.
    #[arg(long, env = "ROWCAST_LOG", default_value = "info", global = true)]
    log: String,

    /// How logs are written, to standard error.
    #[arg(long, env = "ROWCAST_LOG_FORMAT", value_enum, default_value_t = Format::Text, global = true)]
    log_format: Format,
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
    Doctor(doctor::Args),
    /// Make a token for a user, signed with the shared secret.
    Token(token::Args),
    /// Print changes as they commit.
    Tail(tail::Args),
    /// Put a table on the feed.
    Watch(watch::WatchArgs),
    /// Take a table off the feed.
    Unwatch(watch::UnwatchArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command that the arguments name.
#[expect(clippy::print_stderr, reason = "an error of a command is for its user")]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli.log, cli.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(run(cli.command))));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(unix)]
        Command::Dev(args) => dev::run(*args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Doctor(args) => Box::pin(doctor::run(args)).await,
        Command::Token(args) => token::run(&args),
        Command::Tail(args) => tail::run(args).await,
        Command::Watch(args) => watch::watch(args).await,
        Command::Unwatch(args) => watch::unwatch(args).await,
    }
}

fn log_to_stderr(directives: &str, format: Format) {
    let filter = filter(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        Format::Text => builder.with_target(false).init(),
        Format::Json => builder.json().init(),
    }
}

/// Crates that write what passes through them below `info`: parameters of statements, frames, headers. That is people's messages and
/// their tokens, so they have to be named to be heard.
const TALKATIVE: &[&str] = &[
    "engineioxide",
    "engineioxide_core",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "tokio_postgres",
    "tungstenite",
    "tokio_tungstenite",
];

fn filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let mut filter = EnvFilter::try_new(directives)?;
    let named = |name: &str| {
        directives.split(',').any(|one| one.trim().split(['=', ':']).next() == Some(name))
    };
    if filter.max_level_hint().is_some_and(|level| level <= LevelFilter::INFO) {
        return Ok(filter);
    }
    for name in TALKATIVE.iter().filter(|name| !named(name)) {
        filter = filter.add_directive(format!("{name}=warn").parse()?);
    }
    Ok(filter)
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
