//! `rowcast serve`: the bridge, in front of a database that `rowcast migrate` has been run on.

use std::{process::ExitCode, sync::Arc};

use super::{Cli, Command, logs, settings::Source};
use crate::{
    app::{self, Fresh},
    config::Config,
    error::{Error, Result},
    lifecycle::Lifecycle,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: Config,
}

impl Args {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

pub(super) async fn run(args: Args, source: Source) -> anyhow::Result<ExitCode> {
    let source = Arc::new(source);
    let again: app::Again = Box::new(move || again(&source));
    Box::pin(app::run(args.config, None, Lifecycle::new(), Some(again), |_| {})).await?;
    Ok(ExitCode::SUCCESS)
}

/// The settings as they are now; the log's are ours to take over.
fn again(source: &Arc<Source>) -> Result<Fresh> {
    let (cli, matches) = source.again()?;
    let Cli { command: Command::Serve(args), log, .. } = cli else {
        return Err(Error::internal("the arguments name another command than before"));
    };
    let live = |flag: &String| app::LIVE.contains(&flag.as_str());
    let taken = source.changed(&matches).into_iter().filter(live).collect();
    let changed = source.changed_since_start(&matches);
    let waiting = changed.into_iter().filter(|flag| !live(flag)).collect();
    let source = Arc::clone(source);
    let commit = Box::new(move || {
        logs::change(&log);
        source.taken(matches);
    });
    Ok(Fresh { config: args.config, taken, waiting, commit })
}
