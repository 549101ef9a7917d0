//! Replay: the last stored broadcasts of a private channel, in the order in which they were stored.

use uuid::Uuid;

use crate::{error::Result, session::Services};

/// A broadcast as the table has it.
pub(super) struct Old {
    /// Its id.
    pub(super) id: String,
    /// The application's event.
    pub(super) event: String,
    /// Its payload in JSON…
    pub(super) payload: Option<String>,
    /// …or in bytes.
    pub(super) bytes: Option<Vec<u8>>,
}

/// The newest, oldest first. Rows of one transaction have one time; where they lie tells their order.
const NEWEST: &str = "
    select id, event, payload, binary_payload
    from (
        select id, event, payload::text, binary_payload, inserted_at, ctid as place
        from realtime.messages as m
        where topic = $1 and extension = 'broadcast' and private
            and inserted_at >= to_timestamp($2::bigint / 1000.0) at time zone 'UTC'
            and not exists (select from rowcast.message_ends as e where e.id = m.id and e.ends_at <= now())
        order by inserted_at desc, ctid desc
        limit $3
    ) as newest
    order by inserted_at, place";

/// Reads at most `limit` of a channel's broadcasts since a time, in milliseconds since 1970.
pub(super) async fn newest(
    services: &Services,
    channel: &str,
    since: i64,
    limit: i64,
) -> Result<Vec<Old>> {
    let rows = services.pool.query(NEWEST, &[&channel, &since, &limit]).await?;
    let old = |row: &crate::db::Row| {
        Ok(Old {
            id: row.try_get::<_, Uuid>(0)?.to_string(),
            event: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
            payload: row.try_get(2)?,
            bytes: row.try_get(3)?,
        })
    };
    rows.iter().map(old).collect()
}
