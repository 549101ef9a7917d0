//! The feed's own connection: a session that is set up once and listens; or, where a pooler hands connections round, one
//! transaction after the other that leaves nothing behind.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use tokio_postgres::{Client, Row, RowStream, types::ToSql};

use super::log::READ;
use crate::{
    cursor::Snapshot,
    db::{Prepared, Types, due, plain_row},
    error::Result,
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

/// Which server, which of its processes, and what it sees: one row, with `begin` in one message or by itself.
const WHERE: &str = "select pg_catalog.pg_postmaster_start_time(), pg_catalog.pg_backend_pid(), \
     pg_catalog.pg_current_snapshot()";
/// Connections of a pooler's that are kept in mind; met again after that, one is looked at again.
const MOST: usize = 1_000;

/// A connection that reads the log.
pub(super) struct Line {
    client: Client,
    read: Prepared<'static>,
    shared: Option<Shared>,
}

/// Where no session is ours.
#[derive(Default)]
struct Shared {
    types: Types,
    /// The server's processes that served us. After a crash, or where the pooler leads to another server, all are new.
    met: Mutex<HashSet<Process>>,
}

/// When its server started, and its number there.
type Process = [Option<String>; 2];

impl Line {
    /// Sets the session up, and listens; on a `shared` connection neither, for others would be left with it.
    pub(super) async fn open(client: Client, shared: bool) -> Result<Self> {
        if shared {
            let shared = Shared::default();
            let read = Prepared::Whole(READ, shared.types.of(&client, READ).await?);
            return Ok(Self { client, read, shared: Some(shared) });
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
        let Some(Shared { types, .. }) = &self.shared else {
            return Ok(self.client.query_one(sql, params).await?);
        };
        let statement = Prepared::Whole(sql, types.of(&self.client, sql).await?);
        due(statement.query(&self.client, params).await?.pop())
    }

    /// Whether nothing has ended since a snapshot, on a server that we know: then there is nothing to read. Asked where
    /// a read is dear, for the statement goes there whole; elsewhere the answer is no.
    pub(super) async fn is_still(&self, snapshot: &Snapshot) -> Result<bool> {
        let Some(Shared { met, .. }) = &self.shared else { return Ok(false) };
        let (process, seen) = read(plain_row(&self.client, WHERE).await?);
        let known = met.lock().unwrap_or_else(PoisonError::into_inner).contains(&process);
        Ok(known && seen.as_deref() == Some(&snapshot.to_string()))
    }

    /// Makes the plans of what follows, up to `end`, those of the log.
    pub(super) async fn begin(&self) -> Result<()> {
        if self.shared.is_some() {
            self.client.batch_execute(BEGIN).await?;
        }
        Ok(())
    }

    /// The same; false when what serves us was not met before. A pooler does not tell that the server crashed, or is
    /// another one: whoever then asks finds out, and the next time it is known.
    pub(super) async fn begin_where_known(&self) -> Result<bool> {
        let Some(Shared { met, .. }) = &self.shared else { return Ok(true) };
        let (process, _) = read(plain_row(&self.client, &format!("{BEGIN}; {WHERE}")).await?);
        let mut met = met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= MOST {
            met.clear();
        }
        Ok(!met.insert(process))
    }

    /// Starts a read.
    pub(super) async fn read(&self, params: &[&(dyn ToSql + Sync)]) -> Result<RowStream> {
        Ok(self.read.rows(&self.client, params).await?)
    }

    /// Ends what `begin` began; without it, only the connection's end does.
    pub(super) async fn end(&self) -> Result<()> {
        if self.shared.is_some() {
            self.client.batch_execute("commit").await?;
        }
        Ok(())
    }
}

/// Who served us, and what it sees.
fn read(row: Vec<Option<String>>) -> (Process, Option<String>) {
    let mut row = row.into_iter();
    ([row.next().flatten(), row.next().flatten()], row.next().flatten())
}
