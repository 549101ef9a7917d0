//! Which history of the database this is, and what a crash of Postgres means for a position in it.

use tokio_postgres::{Client, ToStatement};

use crate::{
    cursor::{HistoryId, Mark, Position, Snapshot},
    db::types::{Micros, Xid},
    error::Result,
};

/// What a fresh connection finds.
pub(super) struct Origin {
    /// The history's id.
    pub(super) history: HistoryId,
    /// The present moment in it.
    pub(super) now: Mark,
    /// When the server last recovered from a crash, in microseconds since 1970; or its statistics were reset by hand.
    recovered: Option<i64>,
}

impl Origin {
    /// Whether numbers that a position calls finished may have been given out again since.
    ///
    /// The postmaster's start is not asked: it stays the same when one backend crashes and the server recovers.
    pub(super) fn is_after_a_crash(&self, position: &Position) -> bool {
        let furthest = position.furthest();
        self.recovered.is_some_and(|recovered| recovered > position.base.at)
            || !self.now.snapshot.covers(&furthest.snapshot)
    }
}

/// Reads the history's id, adopting it when it is new, and the present moment in it.
pub(super) async fn origin(client: &Client) -> Result<Origin> {
    let row =
        client.query_one("select h, rowcast.adopt(h) from rowcast.history() as h", &[]).await?;
    let (history, verdict): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    match verdict.as_str() {
        "same" | "new" => {}
        other => tracing::warn!(
            history,
            "the database's history is another one ({other}): clients resynchronise"
        ),
    }
    // A statement of its own: `adopt` may have truncated the log, and this must come after it.
    // Crash recovery starts the statistics anew, a clean restart keeps them.
    let now = "select pg_current_snapshot(), clock_timestamp(), (select stats_reset from pg_stat_bgwriter)";
    let row = client.query_one(now, &[]).await?;
    let (snapshot, Micros(at)): (Snapshot, Micros) = (row.try_get(0)?, row.try_get(1)?);
    let recovered = row.try_get::<_, Option<Micros>>(2)?.map(|Micros(at)| at);
    Ok(Origin { history: HistoryId::of(&history), now: Mark { snapshot, at }, recovered })
}

/// The lowest transaction number that may be new although a position taken at `$1` calls it finished.
///
/// Numbers that had not reached the disk are given out again after a crash. Everything below the newest surviving
/// checkpoint from before is safe; above it, `at` tells new from old (see `cursor::Mark`). This is asked whether or
/// not Postgres seems to have restarted: a crash of one backend recovers the server under the same postmaster.
pub(super) const FLOOR: &str = "
    select coalesce((
        select pg_snapshot_xmax(c.snapshot)
        from rowcast.checkpoints as c
        where c.at <= $1
        order by c.at desc
        limit 1), '0'::xid8)";

/// Below which transaction the log has been pruned.
pub(super) const PRUNED: &str = "select pruned_below from rowcast.state";

pub(super) async fn floor<S>(client: &Client, statement: &S, position: &Position) -> Result<u64>
where
    S: ?Sized + ToStatement,
{
    let row = client.query_one(statement, &[&Micros(position.base.at)]).await?;
    let Xid(floor) = row.try_get(0)?;
    Ok(floor.min(position.base.snapshot.xmax()))
}
