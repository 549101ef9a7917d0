//! Letting people in and seeing them go, many in one call of the database when many come or go at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{Chat, Gone, Standing};
use crate::{
    claims::Claims,
    cursor::Mark,
    db::{Gather, Pool, Row, types::Micros},
    error::{Error, Kind, Result},
    lifecycle::Lifecycle,
    metrics::{ADMISSIONS_SECONDS, ADMISSIONS_TOTAL},
};

/// Those who come while fewer than so many are being let in are asked about by themselves, at once.
const BY_THEMSELVES: usize = 2;
/// Statements for those who come meanwhile, at the same moment…
const LANES: usize = 2;
/// …and people in each.
const IN_ONE: usize = 64;

/// Who stands at the door, and who asks the database for all of them.
#[derive(Clone)]
pub(super) struct Admissions {
    by_themselves: Arc<Semaphore>,
    together: Gather<Bearer, Result<Standing>>,
    departures: Gather<i64, Option<Gone>>,
    /// How long anybody waits.
    deadline: Duration,
}

/// What the database is asked about a token by.
#[derive(Debug, Clone)]
struct Bearer {
    sub: String,
    jti: Option<String>,
    issued: Option<Micros>,
}

impl Admissions {
    pub(super) fn start(pool: &Pool, lifecycle: &Lifecycle) -> Self {
        let (theirs, others) = (pool.clone(), pool.clone());
        Self {
            by_themselves: Arc::new(Semaphore::new(BY_THEMSELVES)),
            together: Gather::in_lanes(lifecycle, "admissions", LANES, IN_ONE, move |bearers| {
                admit_each(theirs.clone(), bearers)
            }),
            departures: Gather::start(lifecycle, "departures", move |users| {
                see_off(others.clone(), users)
            }),
            deadline: pool.deadline(),
        }
    }

    async fn within_deadline<T>(&self, asking: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.deadline, asking).await.unwrap_or_else(|late| Err(Error::unavailable(late)))
    }
}

impl Chat {
    /// Asks who a token's bearer is: unknown, revoked and deactivated ones are errors.
    pub async fn admit(&self, claims: &Claims) -> Result<Standing> {
        let issued = (claims.iat > 0).then(|| Micros(claims.iat.saturating_mul(1_000_000)));
        let bearer = Bearer { sub: claims.sub.clone(), jti: claims.jti.clone(), issued };
        if let Ok(_place) = self.admissions.by_themselves.try_acquire() {
            return admit(&self.pool, &bearer).await;
        }
        let asking = self.admissions.together.ask(bearer);
        self.admissions.within_deadline(asking).await?
    }

    /// Notes that a user has gone offline, together with whoever else has; none when they are not known.
    pub async fn has_gone(&self, user: i64) -> Result<Option<Gone>> {
        let asking = self.admissions.departures.ask(user);
        self.admissions.within_deadline(asking).await
    }
}

/// Asks for one.
async fn admit(pool: &Pool, bearer: &Bearer) -> Result<Standing> {
    let sql = "select user_id, user_uuid, username, full_name, role, feed, threads, thread_uuids, \
               snapshot, rowcast.moment() as at from chat.admit($1, $2, $3)";
    standing(&pool.query_one(sql, &[&bearer.sub, &bearer.jti, &bearer.issued]).await?)
}

/// Asks for many in one statement. One that refuses somebody tells of none: then each half is asked about by itself, down
/// to the one who is refused.
async fn admit_each(pool: Pool, bearers: Vec<Bearer>) -> Result<Vec<Result<Standing>>> {
    let began = Instant::now();
    let mut answers = Vec::with_capacity(bearers.len());
    let mut parts = vec![&bearers[..]];
    while let Some(part) = parts.pop() {
        match admit_all(&pool, part).await {
            Ok(found) if found.len() == part.len() => answers.extend(found),
            // Whoever waits would wait for as long again.
            Err(error) if error.kind == Kind::Unavailable => return Err(error),
            Err(error) if part.len() == 1 => answers.push(Err(error)),
            Ok(_) if part.len() == 1 => {
                answers.push(Err(Error::internal("`chat.admit` returns one row or raises")));
            }
            _ => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    metrics::counter!(ADMISSIONS_TOTAL).increment(answers.len() as u64);
    metrics::histogram!(ADMISSIONS_SECONDS).record(began.elapsed());
    Ok(answers)
}

async fn admit_all(pool: &Pool, bearers: &[Bearer]) -> Result<Vec<Result<Standing>>> {
    let sql = "select a.user_id, a.user_uuid, a.username, a.full_name, a.role, a.feed, a.threads, \
               a.thread_uuids, a.snapshot, rowcast.moment() as at \
               from unnest($1::text[], $2::text[], $3::timestamptz[]) \
               with ordinality as q (sub, jti, issued_at, nth) \
               cross join lateral chat.admit(q.sub, q.jti, q.issued_at) as a order by q.nth";
    let subs: Vec<&str> = bearers.iter().map(|bearer| bearer.sub.as_str()).collect();
    let jtis: Vec<Option<&str>> = bearers.iter().map(|bearer| bearer.jti.as_deref()).collect();
    let issued: Vec<Option<Micros>> = bearers.iter().map(|bearer| bearer.issued).collect();
    let rows = pool.query(sql, &[&subs, &jtis, &issued]).await?;
    Ok(rows.iter().map(standing).collect())
}

fn standing(row: &Row) -> Result<Standing> {
    let ids: Vec<i64> = row.try_get("threads")?;
    let uuids: Vec<Uuid> = row.try_get("thread_uuids")?;
    let Micros(at) = row.try_get("at")?;
    Ok(Standing {
        user: row.try_get("user_id")?,
        uuid: row.try_get("user_uuid")?,
        username: row.try_get::<_, &str>("username")?.into(),
        full_name: row.try_get("full_name")?,
        role: row.try_get("role")?,
        feed: row.try_get("feed")?,
        threads: ids.into_iter().zip(uuids).collect(),
        asked: Mark { snapshot: row.try_get("snapshot")?, at },
    })
}

/// Notes that users went, in one statement; what became of each, in their order.
async fn see_off(pool: Pool, users: Vec<i64>) -> Result<Vec<Option<Gone>>> {
    let noted = super::presence::gone(&pool, &users).await?;
    let noted: HashMap<i64, Gone> = noted.into_iter().map(|gone| (gone.person.id, gone)).collect();
    Ok(users.iter().map(|user| noted.get(user).cloned()).collect())
}
