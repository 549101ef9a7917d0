//! The feed's own connection: a session that is set up once and listens; or, where a pooler hands connections round, one
//! transaction after the other that leaves nothing behind.

use tokio_postgres::{Client, Row, RowStream, types::ToSql};

use super::log::READ;
use crate::{
    db::{Prepared, Types},
    error::{Error, Result},
};

/// Plans for the log must not depend on statistics: it grows from empty to large and back all day. Without this, a
/// large log makes a read of three rows start two parallel workers, and every writer on the machine feels it.
const SESSION: &str = "set search_path = pg_catalog; set timezone = 'UTC'; set statement_timeout = '30s'; \
     set enable_seqscan = off; set max_parallel_workers_per_gather = 0; set jit = off; \
     set plan_cache_mode = force_generic_plan; listen rowcast; listen rowcast_echo";
/// The same for one transaction. Each statement in it reads as of itself, as it does outside of one.
const BEGIN: &str = "begin isolation level read committed; \
     set local search_path = pg_catalog; set local timezone = 'UTC'; \
     set local statement_timeout = '30s'; set local enable_seqscan = off; \
     set local max_parallel_workers_per_gather = 0; set local jit = off; \
     set local plan_cache_mode = force_generic_plan";

/// A connection that reads the log.
pub(super) struct Line {
    client: Client,
    read: Prepared<'static>,
    /// Where no session is ours.
    shared: Option<Types>,
}

impl Line {
    /// Sets the session up, and listens; on a `shared` connection neither, for others would be left with it.
    pub(super) async fn open(client: Client, shared: bool) -> Result<Self> {
        if shared {
            let types = Types::default();
            let read = Prepared::Whole(READ, types.of(&client, READ).await?);
            return Ok(Self { client, read, shared: Some(types) });
        }
        client.batch_execute(SESSION).await?;
        let read = Prepared::Named(client.prepare(READ).await?);
        Ok(Self { client, read, shared: None })
    }

    /// Whether LISTEN was asked for.
    pub(super) fn listens(&self) -> bool {
        self.shared.is_none()
    }

    /// Runs a statement by itself and returns its one row.
    pub(super) async fn one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        let Some(types) = &self.shared else {
            return Ok(self.client.query_one(sql, params).await?);
        };
        let statement = Prepared::Whole(sql, types.of(&self.client, sql).await?);
        let row = statement.query(&self.client, params).await?.pop();
        row.ok_or_else(|| Error::internal("a statement returned no row where one was due"))
    }

    /// Starts a read; it is over with `end`.
    pub(super) async fn read(&self, params: &[&(dyn ToSql + Sync)]) -> Result<RowStream> {
        self.begin().await?;
        Ok(self.read.rows(&self.client, params).await?)
    }

    /// Makes the plans of what follows, up to `end`, those of the log.
    pub(super) async fn begin(&self) -> Result<()> {
        if self.shared.is_some() {
            self.client.batch_execute(BEGIN).await?;
        }
        Ok(())
    }

    /// Ends what `begin` or `read` began; without it, only the connection's end does.
    pub(super) async fn end(&self) -> Result<()> {
        if self.shared.is_some() {
            self.client.batch_execute("commit").await?;
        }
        Ok(())
    }
}
