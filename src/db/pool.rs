//! The pool: a bounded number of connections, a deadline for every call, and no busy connection ever handed on.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    ClientWrapper, Connect, Manager, ManagerConfig, Object, PoolError, QueueMode, RecyclingMethod,
    Status,
};
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Row, RowStream,
    error::SqlState,
    types::{FromSqlOwned, ToSql},
};
use tracing::Instrument;

use super::{
    connect::{Connection, Failure, Target, drive},
    due,
    pooler::{self, Dialled},
    whole::{Prepared, Types},
};
use crate::{
    error::{Error, Result},
    lifecycle::Lifecycle,
    trace,
};

/// Parameters of a statement.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A cheap handle to the connections that serve calls.
#[derive(Clone)]
pub struct Pool {
    connections: deadpool_postgres::Pool,
    dial: Dial,
    deadline: Duration,
}

impl Pool {
    /// Makes a pool of up to `size` connections, none of them made yet; every call ends within `deadline`.
    pub fn new(target: &Target, size: usize, deadline: Duration, lifecycle: &Lifecycle) -> Self {
        let timeout = deadline.as_millis().to_string();
        let settings = [
            ("statement_timeout", timeout.as_str()),
            ("timezone", "UTC"),
            ("search_path", "pg_catalog"),
            // Every call is short: starting workers or a compiler takes longer than what they would save.
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
        ];
        let dial = Dial(Arc::new(Way {
            target: target.with_settings(&settings),
            plain: target.clone(),
            pooled: AtomicBool::new(false),
            types: Types::default(),
            lifecycle: lifecycle.clone(),
        }));
        let method = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let unused = tokio_postgres::Config::new();
        let manager = Manager::from_connect(unused, dial.clone(), method);
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(size.max(1))
            .queue_mode(QueueMode::Lifo)
            .build()
            .unwrap_or_else(|_| {
                unreachable!("no time-outs of the pool's own, so no runtime is needed")
            });
        Self { connections, dial, deadline }
    }

    /// Runs a statement and returns its rows.
    pub async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        let span = trace::sql(sql);
        let rows = self.run(sql, params).instrument(span.clone()).await;
        if let Err(error) = &rows {
            span.record("error.type", tracing::field::debug(error.kind));
        }
        rows
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        self.within_deadline(async {
            let mut last_try = false;
            loop {
                let lease = self.lease().await?;
                match lease.run(sql, params).await {
                    Ok(rows) => {
                        lease.done();
                        return Ok(rows);
                    }
                    Err(Fault { error, unsent: true }) if !last_try => {
                        tracing::debug!(%error, "a stale connection is replaced");
                        last_try = true;
                    }
                    Err(Fault { error, .. }) => {
                        // The server has answered, so nothing runs any more.
                        if error.as_db_error().is_some() {
                            lease.done();
                        }
                        return Err(error.into());
                    }
                }
            }
        })
        .await
    }

    /// Runs a statement that returns at most one row.
    pub async fn query_opt(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>> {
        let mut rows = self.query(sql, params).await?;
        if rows.len() > 1 {
            return Err(Error::internal(
                "a statement returned several rows where one at most was due",
            ));
        }
        Ok(rows.pop())
    }

    /// Runs a statement that returns exactly one row.
    pub async fn query_one(&self, sql: &str, params: Params<'_>) -> Result<Row> {
        due(self.query_opt(sql, params).await?)
    }

    /// Runs a statement and returns the first column of its one row.
    pub async fn value<T: FromSqlOwned>(&self, sql: &str, params: Params<'_>) -> Result<T> {
        Ok(self.query_one(sql, params).await?.try_get(0)?)
    }

    /// Runs a statement whose rows nobody needs.
    pub async fn execute(&self, sql: &str, params: Params<'_>) -> Result<()> {
        self.query(sql, params).await.map(drop)
    }

    /// Takes a connection out, for rows as they come in and for errors in full; the caller keeps the time.
    ///
    /// Give it back with [`Lease::done`] when everything that was asked has been answered. Dropping it instead
    /// cancels what runs on it and closes it.
    pub async fn raw(&self) -> Result<Lease> {
        self.within_deadline(self.lease()).await
    }

    /// How long any call may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Connections open, idle among them, and calls that wait for one.
    pub fn status(&self) -> Status {
        self.connections.status()
    }

    async fn lease(&self) -> Result<Lease> {
        // Boxed: connecting is rare and its future large, and every caller's future holds this one.
        match Box::pin(self.connections.get()).await {
            Ok(object) => Ok(Lease { object: Some(object), dial: self.dial.clone() }),
            Err(PoolError::Backend(error)) => Err(error.into()),
            Err(error) => Err(Error::unavailable(error)),
        }
    }

    async fn within_deadline<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(result) => result,
            Err(_) => {
                let status = self.status();
                Err(Error::unavailable(format!(
                    "no answer within {:?}; {} connections, {} calls waiting",
                    self.deadline, status.size, status.waiting
                )))
            }
        }
    }
}

/// A connection taken out of the pool.
pub struct Lease {
    object: Option<Object>,
    dial: Dial,
}

impl Lease {
    /// Gives the connection back: nothing runs on it any more.
    pub fn done(mut self) {
        self.object = None;
    }

    /// Makes a statement ready: prepared, once for each connection; or, behind a pooler, to be sent whole.
    pub async fn prepare<'a>(&self, sql: &'a str) -> Result<Prepared<'a>> {
        Ok(self.ready(sql).await?)
    }

    /// Runs a statement that was made ready here, and returns its rows.
    pub async fn query(
        &self,
        statement: &Prepared<'_>,
        params: Params<'_>,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let result = statement.query(self.connection(), params).await;
        result.inspect_err(|error| self.failed(statement, error))
    }

    /// The same, as they come in.
    pub async fn rows(
        &self,
        statement: &Prepared<'_>,
        params: Params<'_>,
    ) -> std::result::Result<RowStream, tokio_postgres::Error> {
        let result = statement.rows(self.connection(), params).await;
        result.inspect_err(|error| self.failed(statement, error))
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> std::result::Result<Vec<Row>, Fault> {
        let ready = self.ready(sql).await;
        let statement = ready.map_err(|error| Fault { unsent: error.is_closed(), error })?;
        let result = self.query(&statement, params).await;
        result.map_err(|error| Fault { unsent: is_stale_plan(&error), error })
    }

    async fn ready<'a>(
        &self,
        sql: &'a str,
    ) -> std::result::Result<Prepared<'a>, tokio_postgres::Error> {
        let (connection, Way { pooled, types, .. }) = (self.connection(), &*self.dial.0);
        if pooled.load(Ordering::Relaxed) {
            return Ok(Prepared::Whole(sql, types.of(connection, sql).await?));
        }
        Ok(Prepared::Named(connection.prepare_cached(sql).await?))
    }

    fn failed(&self, statement: &Prepared<'_>, error: &tokio_postgres::Error) {
        if let Prepared::Whole(sql, _) = statement {
            self.dial.0.types.forget(sql, error);
        }
    }

    fn connection(&self) -> &ClientWrapper {
        match &self.object {
            Some(object) => object,
            None => unreachable!("`done` and `drop` end the lease"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let connection = Object::take(object);
        if connection.is_closed() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (target, token) = (self.dial.0.plain.clone(), connection.cancel_token());
        self.dial.0.lifecycle.service("cancel", async move { target.cancel(token).await });
    }
}

/// An error, and whether the database has certainly done nothing.
struct Fault {
    error: tokio_postgres::Error,
    unsent: bool,
}

/// A statement prepared before `migrate` changed what it returns, or on a connection that is not ours alone.
fn is_stale_plan(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|raised| {
        *raised.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            || (*raised.code() == SqlState::FEATURE_NOT_SUPPORTED
                && raised.message().contains("cached plan"))
    })
}

/// How the pool connects: by our own TLS rules, in tasks that the lifecycle owns.
#[derive(Clone)]
struct Dial(Arc<Way>);

struct Way {
    target: Target,
    /// Without settings: for cancelling, and for poolers.
    plain: Target,
    /// Whether a pooler was met; then nothing of a statement or a session is left on a connection.
    pooled: AtomicBool,
    /// What is known of statements that are sent whole.
    types: Types,
    lifecycle: Lifecycle,
}

impl Dial {
    async fn open(&self) -> std::result::Result<(Client, Connection), Failure> {
        let Way { target, plain, pooled, .. } = &*self.0;
        if pooled.load(Ordering::Relaxed) {
            return plain.open().await;
        }
        let Dialled { client, connection, pooled: met } = pooler::dial_with(target, plain).await?;
        if met && !pooled.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "a pooler is in between: statements are sent whole, without session settings"
            );
        }
        Ok((client, connection))
    }
}

impl Connect for Dial {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        Box::pin(async {
            match self.open().await {
                Ok((client, connection)) => Ok((client, drive(connection, &self.0.lifecycle))),
                Err(Failure::Postgres(error)) => Err(error),
                // The driver's error cannot say so; the deadline of the call, which is no longer, does.
                Err(Failure::Deadline) => std::future::pending().await,
            }
        })
    }
}

type Connected = std::result::Result<(Client, JoinHandle<()>), tokio_postgres::Error>;
