//! What a run of the migrations cannot put right by itself, and what makes it do everything again.

use tokio_postgres::types::Type;

use super::{FUNCTIONS, LIST, migrations, read};
use crate::{
    db::{Pool, Target},
    error::Result,
    lifecycle::Lifecycle,
};

/// Where the files of this version and the rows of a database contradict each other.
#[derive(Debug, Default)]
pub struct Discrepancies {
    /// Applied with another text than the file has today: the version, and the hash of today's text.
    pub edited: Vec<(i32, String)>,
    /// Breaking steps that this version does not know.
    pub ahead: Vec<i32>,
}

/// Looks for what `check` refuses and `run` cannot mend.
pub async fn discrepancies(pool: &Pool) -> Result<Discrepancies> {
    let mut found = Discrepancies::default();
    let (ours, rows) = (migrations()?, pool.query(LIST, &[]).await?);
    for row in rows.iter().map(read) {
        let row = row?;
        match ours.iter().find(|migration| migration.version == row.version) {
            Some(ours) if ours.hash != row.hash => {
                found.edited.push((ours.version, ours.hash.clone()));
            }
            None if row.version != FUNCTIONS && row.breaking => found.ahead.push(row.version),
            _ => {}
        }
    }
    Ok(found)
}

/// Makes the next run apply all functions, triggers and rights again, whatever somebody did to them since.
pub async fn forget_functions(target: &Target, lifecycle: &Lifecycle) -> Result<()> {
    let client = target.client(lifecycle).await?;
    let there = "select to_regclass('rowcast.migrations') is not null";
    let row = client.query_typed_one(there, &[]).await?;
    if row.try_get(0)? {
        let sql = "update rowcast.migrations set hash = '' where version = $1";
        client.execute_typed(sql, &[(&FUNCTIONS, Type::INT4)]).await?;
    }
    Ok(())
}
