//! `rowcast watch` and `unwatch`: which tables are on the feed.

use std::{process::ExitCode, time::Duration};

use super::{place::Place, say};
use crate::{db::Pool, lifecycle::Lifecycle};

/// Creating a trigger waits for those who write to the table.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// Table, such as public.todos.
    table: String,

    /// Topic that its changes go to; `table:<schema>.<name>` when not given.
    #[arg(long)]
    topic: Option<String>,

    /// Columns that its changes carry, comma-separated; all when not given.
    #[arg(long, value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// What a change says of the row before it: its `key`, or the `full` row.
    #[arg(long, default_value = "key")]
    identity: String,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnwatchArgs {
    /// Table, such as public.todos.
    table: String,

    #[command(flatten)]
    place: Place,
}

pub(super) async fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let sql = "select rowcast.watch($1::text::regclass, $2::text, $3::text[], $4::text)";
    let pool = pool(&args.place)?;
    let topic: String =
        pool.value(sql, &[&args.table, &args.topic, &args.columns, &args.identity]).await?;
    say(format_args!("{} is watched; its changes go to the topic {topic}", args.table));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn unwatch(args: UnwatchArgs) -> anyhow::Result<ExitCode> {
    let pool = pool(&args.place)?;
    let was: bool =
        pool.value("select rowcast.unwatch($1::text::regclass)", &[&args.table]).await?;
    let what = if was { "is no longer watched" } else { "was not watched" };
    say(format_args!("{} {what}", args.table));
    Ok(ExitCode::SUCCESS)
}

fn pool(place: &Place) -> anyhow::Result<Pool> {
    Ok(Pool::new(&place.target()?, 1, DEADLINE, &Lifecycle::new()))
}
