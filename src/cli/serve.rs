//! `rowcast serve`: the bridge, in front of a database that `rowcast migrate` has been run on.

use std::process::ExitCode;

use crate::{app, config::Config, lifecycle::Lifecycle};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: Config,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    Box::pin(app::run(args.config, None, Lifecycle::new(), |_| {})).await?;
    Ok(ExitCode::SUCCESS)
}
