//! The server: room for our connections, and its clock.

use std::time::Duration;

use super::check::Check;
use crate::{
    db::{Pool, types::Micros},
    error::Result,
};

/// Tokens are judged by our clock, and times of messages are the database's.
const LARGEST_SKEW: Duration = Duration::from_secs(2);
/// The listener, and room for `migrate` and for people.
const BESIDE_THE_POOL: i64 = 3;

pub(super) async fn checks(pool: &Pool, pool_size: usize) -> Result<Vec<Check>> {
    let sql = "select current_setting('max_connections')::bigint \
            - current_setting('superuser_reserved_connections')::bigint, \
        (select count(*) from pg_stat_activity where backend_type = 'client backend'), clock_timestamp()";
    let before = jiff::Timestamp::now().as_microsecond();
    let row = pool.query_one(sql, &[]).await?;
    let after = jiff::Timestamp::now().as_microsecond();
    // Our own connection will be the bridge's.
    let (room, used): (i64, i64) = (row.try_get(0)?, row.try_get::<_, i64>(1)? - 1);
    let Micros(theirs) = row.try_get(2)?;
    Ok(vec![connections(room, used, pool_size), clock(before, theirs, after)])
}

fn connections(room: i64, used: i64, pool_size: usize) -> Check {
    let wanted = i64::try_from(pool_size).unwrap_or(i64::MAX).saturating_add(BESIDE_THE_POOL);
    let left = room - used - BESIDE_THE_POOL;
    let remedy = if left >= 2 {
        format!("export ROWCAST_POOL_SIZE={}", left / 2)
    } else {
        format!(
            "alter system set max_connections = {}; -- as a superuser; then start the server again",
            (used + wanted).saturating_mul(2)
        )
    };
    Check::new(
        "connections",
        room - used >= wanted,
        format!("{used} of {room} in use, a bridge wants {wanted}"),
        remedy,
    )
}

/// The answer lies between the two times of ours: what is outside is skew.
fn clock(before: i64, theirs: i64, after: i64) -> Check {
    let skew = (before - theirs).max(theirs - after).max(0).unsigned_abs();
    Check::new(
        "clock",
        u128::from(skew) <= LARGEST_SKEW.as_micros(),
        format!("{} ms apart", skew / 1_000),
        "timedatectl set-ntp true # on both machines, or any other time service",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_clock_is_wrong_by_what_no_delay_explains() {
        let second = 1_000_000;
        assert_eq!(clock(0, 5 * second, 10 * second).state, State::Ok);
        assert_eq!(clock(0, -second, 1).state, State::Ok);
        assert_eq!(clock(0, 3 * second, 1).state, State::Failed);
        assert_eq!(clock(0, -3 * second, 1).state, State::Failed);
    }

    #[test]
    fn a_bridge_needs_room_beside_what_is_in_use() {
        assert_eq!(connections(97, 20, 8).state, State::Ok);
        assert_eq!(connections(97, 90, 8).state, State::Failed);
    }
}
