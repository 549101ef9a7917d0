//! Which history of the database this is, and what a crash of Postgres means for a position in it.

use tokio_postgres::Row;

use super::line::Line;
use crate::{
    cursor::{HistoryId, Mark, Position, Snapshot},
    db::types::{Micros, Xid},
    error::Result,
    hub::Hub,
};

/// What a fresh connection finds.
pub(crate) struct Origin {
    /// The history's id.
    pub(crate) history: HistoryId,
    /// The present moment in it.
    pub(crate) now: Mark,
    /// When the server last recovered from a crash, in microseconds since 1970; or its statistics were reset by hand.
    pub(crate) recovered: Option<i64>,
    /// Below which transaction the log has been pruned.
    pub(crate) pruned_below: u64,
}

impl Origin {
    /// Where the hub stands, if it stands in this history.
    pub(super) fn continued(&self, hub: &Hub) -> Option<Position> {
        let (position, before) = hub.position()?;
        let same = before == self.history && !self.is_after_a_crash(&position);
        (same && !self.is_beyond_the_log(&position)).then_some(position)
    }

    /// Whether retention may have removed what a position lacks: a feed that was away for longer than the log is kept.
    fn is_beyond_the_log(&self, position: &Position) -> bool {
        position.base.snapshot.xmin() < self.pruned_below
    }

    /// Where to go on: where the hub stands; or now, when this is the first start or the history is another one.
    ///
    /// It is now, too, and every client reads the log for itself, after a crash, for positions from before do not
    /// compare with those after; when the log no longer goes back as far; and when there is `too_much` to read here.
    pub(crate) fn go_on(&self, hub: &Hub, too_much: bool) -> Position {
        let why = match (hub.position(), self.continued(hub)) {
            (_, Some(position)) if !too_much => return position,
            (_, Some(_)) => "there is more to read than is read in one go",
            (Some((position, before)), None) if before == self.history => {
                if self.is_beyond_the_log(&position) {
                    "the log was pruned beyond where the feed stood"
                } else {
                    "the database recovered from a crash"
                }
            }
            _ => {
                hub.start_at(self.now.clone(), self.history);
                return Position::at(self.now.clone());
            }
        };
        tracing::warn!("{why}: every client reads the log for itself");
        hub.go_on_from(self.now.clone(), self.history);
        Position::at(self.now.clone())
    }

    /// Whether numbers that a position calls finished may have been given out again since.
    ///
    /// The postmaster's start is not asked: it stays the same when one backend crashes and the server recovers.
    fn is_after_a_crash(&self, position: &Position) -> bool {
        let furthest = position.furthest();
        self.recovered.is_some_and(|recovered| recovered > position.base.at)
            || !self.now.snapshot.covers(&furthest.snapshot)
    }
}

/// Reads the history's id, adopting it when it is new, and the present moment in it.
pub(super) async fn origin(line: &Line) -> Result<Origin> {
    line.one("select rowcast.notice_recovery()", &[]).await?;
    let row = line.one("select h, rowcast.adopt(h) from rowcast.history() as h", &[]).await?;
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
    let now = "select pg_current_snapshot(), rowcast.moment(), \
               (select stats_reset from pg_stat_bgwriter), (select pruned_below from rowcast.state)";
    let row = line.one(now, &[]).await?;
    let (snapshot, Micros(at)): (Snapshot, Micros) = (row.try_get(0)?, row.try_get(1)?);
    let recovered = row.try_get::<_, Option<Micros>>(2)?.map(|Micros(at)| at);
    let pruned_below = row.try_get::<_, Option<Xid>>(3)?.map_or(0, |Xid(below)| below);
    let (history, now) = (HistoryId::of(&history), Mark { snapshot, at });
    Ok(Origin { history, now, recovered, pruned_below })
}

/// The lowest transaction number that may be new although a position taken at `$1` calls it finished.
///
/// Without a recovery from a crash since then there is none, and no clock is asked, for one that was set back would
/// make old changes look new. Numbers that had not reached the disk are given out again after a crash. Everything below
/// the newest surviving checkpoint from before is safe; above it, `at` tells new from old (see `cursor::Mark`). The
/// postmaster's start says nothing: a crash of one backend recovers the server under the same postmaster. Statistics
/// that are not known yet are those of a start just now.
pub(super) const FLOOR: &str = "
    select case
        when (select b.stats_reset from pg_stat_bgwriter as b) between '2001-01-01' and $1
            then '9223372036854775807'::xid8
        else coalesce((
            select pg_snapshot_xmax(c.snapshot)
            from rowcast.checkpoints as c
            where c.at <= $1
            order by c.at desc
            limit 1), '0'::xid8)
        end";

/// What no number reaches.
pub(crate) const ABOVE_ALL: u64 = i64::MAX as u64;

/// Below which transaction the log has been pruned.
pub(super) const PRUNED: &str = "select pruned_below from rowcast.state";

/// Reads it for a position.
pub(super) async fn floor(line: &Line, position: &Position) -> Result<u64> {
    floor_of(&line.one(FLOOR, &[&Micros(position.base.at)]).await?, position)
}

/// The same of the row that `FLOOR` gave.
pub(super) fn floor_of(row: &Row, position: &Position) -> Result<u64> {
    let Xid(floor) = row.try_get(0)?;
    Ok(if floor == ABOVE_ALL { floor } else { floor.min(position.base.snapshot.xmax()) })
}
