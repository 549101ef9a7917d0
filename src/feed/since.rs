//! A time made exact: the newest checkpoint at or before it says what was committed by then.

use crate::{
    cursor::{Mark, Position, Snapshot},
    db::{Pool, types::Micros},
    error::Result,
};

/// Where somebody stands who has had all that was committed by a time, in microseconds since 1970, and perhaps some of
/// what was young then; none for a time from before the log.
pub async fn position_at(pool: &Pool, time: i64) -> Result<Option<Position>> {
    let sql = "select snapshot, at from rowcast.checkpoint_at($1)";
    let row = pool.query_one(sql, &[&Micros(time)]).await?;
    let (snapshot, at): (Option<Snapshot>, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(snapshot.zip(at).map(|(snapshot, Micros(at))| Position::at(Mark { snapshot, at })))
}
