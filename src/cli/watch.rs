//! `rowcast watch` and `unwatch`: which tables are on the feed.

use std::{process::ExitCode, time::Duration};

use super::{place::Place, plain, say};
use crate::{db::Pool, lifecycle::Lifecycle};

/// Creating a trigger waits for those who write to the table.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// Table, such as public.todos.
    #[arg(required_unless_present = "publication")]
    table: Option<String>,

    /// All tables of a publication, such as supabase_realtime, from now on: what it gains and loses later too.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["table", "topic", "columns", "identity"])]
    publication: Option<String>,

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
    let pool = pool(&args.place)?;
    if let Some(name) = &args.publication {
        return follow(&pool, name).await;
    }
    let sql = "select rowcast.watch($1::text::regclass, $2::text, $3::text[], $4::text)";
    let table = args.table.unwrap_or_default();
    let topic: String =
        pool.value(sql, &[&table, &args.topic, &args.columns, &args.identity]).await?;
    say(format_args!("{table} is watched; its changes go to the topic {topic}"));
    Ok(ExitCode::SUCCESS)
}

/// Takes a publication over: a running bridge keeps in step with it.
async fn follow(pool: &Pool, name: &str) -> anyhow::Result<ExitCode> {
    let sql = "select relation, done, problem from rowcast.sync_publication($1)";
    let mut code = ExitCode::SUCCESS;
    for row in pool.query(sql, &[&name]).await? {
        let (relation, done): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let problem: Option<String> = row.try_get(2)?;
        let relation = plain(&relation);
        match problem {
            Some(problem) => {
                code = ExitCode::FAILURE;
                say(format_args!("{relation} is not watched: {problem}"));
            }
            None => say(format_args!("{relation}: {}", done.unwrap_or_default())),
        }
    }
    say(format_args!(
        "the tables of {name} are on the feed; `rowcast serve` keeps in step with it"
    ));
    Ok(code)
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
