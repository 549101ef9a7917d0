//! `rowcast migrate`: installs or upgrades the SQL, or prints it.

use std::process::ExitCode;

use super::{place::Place, say};
use crate::{db::migrate, lifecycle::Lifecycle};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// Print all SQL instead of running it, to be reviewed or piped into psql; it may be run again.
    #[arg(long)]
    print: bool,

    /// Apply the functions, triggers and rights again, even when this version did so before.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.print {
        say(migrate::print()?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.place.target()?;
    if args.force {
        migrate::forget_functions(&target, &Lifecycle::new()).await?;
    }
    migrate::run(&target, &Lifecycle::new(), |step| say(format_args!("  {step}"))).await?;
    say(format_args!("{} is up to date", target.describe()));
    Ok(ExitCode::SUCCESS)
}
