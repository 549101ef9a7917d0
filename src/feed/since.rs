//! A time made exact: the newest checkpoint at or before it says what was committed by then.
//!
//! A time in the future stands for now: it is from before the clock was set back, and so is what is up to now.

use crate::{
    cursor::{Mark, Position, Snapshot},
    db::{Pool, types::Micros},
    error::Result,
};

const CHECKPOINT: &str = "
    select c.at, c.snapshot
    from rowcast.checkpoints as c
    where c.at <= least($1, statement_timestamp())
    order by c.at desc
    limit 1";

/// Where somebody stands who has had all that was committed by a time, in microseconds since 1970, and perhaps some of
/// what was young then; none for a time from before the log.
pub async fn position_at(pool: &Pool, time: i64) -> Result<Option<Position>> {
    let Some(row) = pool.query_opt(CHECKPOINT, &[&Micros(time)]).await? else { return Ok(None) };
    let (Micros(at), snapshot): (Micros, Snapshot) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(Position::at(Mark { snapshot, at })))
}
