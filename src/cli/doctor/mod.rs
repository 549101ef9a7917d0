//! `rowcast doctor`: every precondition, what was found, why it matters, and the remedy of each that does not hold.

mod bridge;
mod catalogue;
mod check;
mod installed;
mod keys;
mod reach;
mod server;

use std::{process::ExitCode, time::Duration};

use serde_json::json;

use self::check::{Check, State, print};
use super::{place::Folder, say};
use crate::{
    config::{Config, duration},
    db::{Pool, Target},
    lifecycle::Lifecycle,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: Config,

    #[command(flatten)]
    folder: Folder,

    /// Print the checks as one JSON object.
    #[arg(long)]
    json: bool,

    /// How long a transaction may be open, or prepared, before it is complained of.
    #[arg(long, default_value = "1h", value_parser = duration)]
    open_for: Duration,

    /// How large the log may be before it is complained of, as PostgreSQL writes sizes.
    #[arg(long, default_value = "10GB")]
    log_size: String,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::new();
    let mut checks = keys::checks(&args).await;
    checks.extend(bridge::checks(&args.config));
    checks.extend(database(&args, &lifecycle).await);
    if args.json {
        let listed: Vec<_> = checks.iter().map(Check::json).collect();
        say(json!({ "ok": count(&checks, State::Failed) == 0, "checks": listed }));
    } else {
        print(&checks);
        say(format_args!("\n{}", verdict(&checks)));
    }
    Ok(if count(&checks, State::Failed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the database can tell; what a step found missing ends the look at what stands on it.
async fn database(args: &Args, lifecycle: &Lifecycle) -> Vec<Check> {
    let target =
        args.folder.url_or_private(&args.config.database.url).and_then(|url| Target::parse(&url));
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            return vec![Check::failed(
                "database",
                &error,
                "export DATABASE_URL=postgres://USER:PASSWORD@HOST:5432/DATABASE",
            )];
        }
    };
    let reached = match reach::reach(&target, lifecycle).await {
        Ok(reached) => reached,
        Err(error) => {
            return vec![Check::failed(
                "database",
                &error,
                format!(
                    "psql \"$DATABASE_URL\" -c 'select 1' # has to work first: the address {}, the password, pg_hba.conf, a server that runs",
                    target.describe()
                ),
            )];
        }
    };
    let mut checks = reached.checks(&target);
    checks.push(reach::prepared(&target, &reached).await);
    if !reached.standby {
        checks.push(reach::echo(args, &target, &reached, lifecycle).await);
    }
    let settings = [
        ("rowcast.doctor_open_for", format!("{} ms", args.open_for.as_millis())),
        ("rowcast.doctor_log_size", args.log_size.clone()),
    ];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let target = target.with_settings(&settings);
    let pool = Pool::new(&target, 1, args.config.database.database_timeout, lifecycle);
    let found = server::checks(&pool, args.config.database.pool_size).await;
    checks.extend(found.unwrap_or_else(|error| {
        vec![Check::failed("database", &error, "rowcast doctor --log debug # and the server's log")]
    }));
    if !reached.standby {
        checks.extend(installed::checks(&pool, &args.config).await);
    }
    checks
}

fn count(checks: &[Check], state: State) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

fn verdict(checks: &[Check]) -> String {
    match (count(checks, State::Failed), count(checks, State::Advice)) {
        (0, 0) => "Everything is in order.".to_owned(),
        (0, advice) => format!("Nothing is broken; {advice} of {} could be better.", checks.len()),
        (failed, 0) => format!("{failed} of {} checks failed.", checks.len()),
        (failed, advice) => {
            format!("{failed} of {} checks failed, {advice} could be better.", checks.len())
        }
    }
}
