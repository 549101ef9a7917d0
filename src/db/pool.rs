//! The pool: a bounded number of connections, a deadline for every call, and no busy connection ever handed on.

use std::{
    future::Future,
    ops::Deref,
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
    Client, Row, Statement,
    error::SqlState,
    types::{FromSqlOwned, ToSql},
};
use tracing::Instrument;

use super::connect::{Connection, Failure, Target, drive};
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
        let dial = Dial(Arc::new(Dialled {
            target: target.with_settings(&settings),
            plain: target.clone(),
            settings_refused: AtomicBool::new(false),
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
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| Error::internal("a statement returned no row where one was due"))
    }

    /// Runs a statement and returns the first column of its one row.
    pub async fn value<T: FromSqlOwned>(&self, sql: &str, params: Params<'_>) -> Result<T> {
        Ok(self.query_one(sql, params).await?.try_get(0)?)
    }

    /// Runs a statement whose rows nobody needs.
    pub async fn execute(&self, sql: &str, params: Params<'_>) -> Result<()> {
        self.query(sql, params).await.map(drop)
    }

    /// Takes a connection out, for `query_raw` and transactions; the caller keeps the time.
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

    /// Prepares a statement, once for each connection.
    pub async fn prepare(&self, sql: &str) -> Result<Statement> {
        Ok(self.connection().prepare_cached(sql).await?)
    }

    async fn run(&self, sql: &str, params: Params<'_>) -> std::result::Result<Vec<Row>, Fault> {
        let connection = self.connection();
        let prepared = connection.prepare_cached(sql).await;
        let statement = prepared.map_err(|error| Fault { unsent: error.is_closed(), error })?;
        let result = connection.query(&statement, params).await;
        result.map_err(|error| Fault { unsent: is_stale_plan(&error), error })
    }

    fn connection(&self) -> &ClientWrapper {
        match &self.object {
            Some(object) => object,
            None => unreachable!("`done` and `drop` end the lease"),
        }
    }
}

impl Deref for Lease {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.connection()
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

/// A statement prepared before `migrate` changed what it returns, or on another connection of a pooler.
fn is_stale_plan(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|raised| {
        *raised.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            || (*raised.code() == SqlState::FEATURE_NOT_SUPPORTED
                && raised.message().contains("cached plan"))
    })
}

/// How the pool connects: by our own TLS rules, in tasks that the lifecycle owns.
#[derive(Clone)]
struct Dial(Arc<Dialled>);

struct Dialled {
    target: Target,
    /// Without settings: for cancelling, and for poolers that refuse them.
    plain: Target,
    settings_refused: AtomicBool,
    lifecycle: Lifecycle,
}

impl Dial {
    async fn open(&self) -> std::result::Result<(Client, Connection), Failure> {
        let Dialled { target, plain, settings_refused, .. } = &*self.0;
        if settings_refused.load(Ordering::Relaxed) {
            return plain.open().await;
        }
        match target.open().await {
            Err(Failure::Postgres(error)) if refuses_settings(&error) => {
                tracing::info!("a pooler refuses session settings; going on without them");
                settings_refused.store(true, Ordering::Relaxed);
                plain.open().await
            }
            result => result,
        }
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

/// pgbouncer and its like know a few start-up parameters only.
fn refuses_settings(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
    })
}
