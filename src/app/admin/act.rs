//! What the console may do where it is let: watch and unwatch a table, end a session.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use warp::reply::Response;

use super::{Console, said};
use crate::{
    dialects::door::Ask,
    error::{Chain, Error, Kind, Result},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    table: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    id: u64,
}

impl Console {
    /// Puts a table on the feed.
    pub(super) async fn watch(&self, ask: &Ask) -> Result<Response> {
        let Table { table } = body(ask)?;
        let sql = "select rowcast.watch($1::text::regclass)";
        let topic: String = self.services.pool.value(sql, &[&table]).await.map_err(in_full)?;
        tracing::info!(table, "an operator watched {table}");
        Ok(said(json!({ "table": table, "topic": topic }).to_string()))
    }

    /// Takes a table off the feed.
    pub(super) async fn unwatch(&self, ask: &Ask) -> Result<Response> {
        let Table { table } = body(ask)?;
        let sql = "select rowcast.unwatch($1::text::regclass)";
        let was: bool = self.services.pool.value(sql, &[&table]).await.map_err(in_full)?;
        tracing::info!(table, "an operator unwatched {table}");
        Ok(said(json!({ "table": table, "was_watched": was }).to_string()))
    }

    /// Ends a session; its client may come back.
    pub(super) fn end(&self, ask: &Ask) -> Result<Response> {
        let Session { id } = body(ask)?;
        if !self.services.register.dismiss(id) {
            return Err(Error::new(Kind::Missing, "That session is over already"));
        }
        tracing::info!(id, "an operator ended session {id}");
        Ok(said(json!({ "id": id }).to_string()))
    }
}

/// A JSON body of a known shape.
pub(super) fn body<T: DeserializeOwned>(ask: &Ask) -> Result<T> {
    serde_json::from_slice(&ask.body)
        .map_err(|error| Error::malformed(format!("The body is not what this call takes: {error}")))
}

/// The operator may know what the database said.
fn in_full(error: Error) -> Error {
    match error.kind {
        Kind::Internal => Error::new(Kind::Conflict, Chain(&error).to_string()),
        _ => error,
    }
}
