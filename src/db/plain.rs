//! One row by the simple protocol, which every pooler passes on.

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error::{Error, Result};

/// Runs a statement and returns its first row as text.
pub async fn plain_row(client: &Client, sql: &str) -> Result<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = due(row)?;
    Ok((0..row.len()).map(|nth| row.get(nth).map(str::to_owned)).collect())
}

/// The row that a statement has to return.
pub fn due<T>(row: Option<T>) -> Result<T> {
    row.ok_or_else(|| Error::internal("a statement returned no row where one was due"))
}
