//! What is measured on: a thread and users of this run alone, and their removal.

use crate::{db::Pool, error::Result};

/// The names of all runs begin with this; `chat.bench_left()` knows it.
const PREFIX: &str = "rowcast bench ";

/// One run's thread and people.
pub(super) struct Ground {
    pub(super) name: String,
    /// Public ids.
    pub(super) users: Vec<uuid::Uuid>,
    thread: i64,
    sender: i64,
}

impl Ground {
    /// Makes them; what runs that were killed long ago have left is taken away first.
    pub(super) async fn lay(pool: &Pool, people: usize) -> Result<Self> {
        for row in pool.query("select chat.bench_left()", &[]).await? {
            clear(pool, row.try_get(0)?).await?;
        }
        let name = format!("{PREFIX}{:08x}", rand::random::<u32>());
        let people = i32::try_from(people).unwrap_or(i32::MAX);
        let sql = "select thread, sender, users from chat.bench_begin($1, $2)";
        let row = pool.query_one(sql, &[&name, &people]).await?;
        let (thread, sender, users) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Self { name, users, thread, sender })
    }

    /// Commits a message as any service would.
    pub(super) async fn say(&self, pool: &Pool, number: u64) -> Result<()> {
        let sql = "insert into chat.messages (thread_id, sender_id, content) values ($1, $2, $3)";
        pool.execute(sql, &[&self.thread, &self.sender, &number.to_string()]).await
    }

    /// Takes everything away.
    pub(super) async fn clear(&self, pool: &Pool) -> Result<()> {
        clear(pool, &self.name).await
    }
}

async fn clear(pool: &Pool, name: &str) -> Result<()> {
    while !pool.value::<bool>("select chat.bench_end($1)", &[&name]).await? {}
    Ok(())
}
