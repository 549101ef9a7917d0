//! Housekeeping in the database: checkpoints, echoes, retention, and this node's row in `rowcast.nodes`.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::status::Status;
use crate::{
    db::Pool,
    error::Result,
    hub::Hub,
    lifecycle::Lifecycle,
    metrics::{
        BRIDGES, CAPTURE_FAILURES, CHECKPOINT_LAG, LOG_AGE, LOG_BYTES, POOL_CONNECTIONS,
        POOL_WAITING, PRUNED_TOTAL, QUEUE_USAGE,
    },
};

/// While there is traffic, a checkpoint this often bounds what a time cursor repeats.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);
/// `/ready` notices within two seconds.
const ECHO_EVERY: Duration = Duration::from_millis(500);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_ROWS: i32 = 5_000;
/// Tables that a publication gains or loses are noticed this soon.
const PUBLICATIONS_EVERY: Duration = Duration::from_secs(10);
/// Partitions are made days ahead.
const MESSAGES_EVERY: Duration = Duration::from_secs(600);
/// How long broadcasts from SQL can be replayed, in hours.
const MESSAGES_KEPT: i32 = 72;

/// What the keeper works with; `run` is its life.
#[derive(Clone)]
pub struct Keeper {
    /// Its connections.
    pub pool: Pool,
    /// Whose traffic asks for checkpoints.
    pub hub: Hub,
    /// Whose echo it sends.
    pub status: Status,
    /// Whose sessions it counts.
    pub lifecycle: Lifecycle,
    /// This node's id, new at each start.
    pub node: Uuid,
    /// This node's name.
    pub name: String,
    /// How long the log is kept.
    pub retention: Duration,
    /// Rung when publications are to be looked at now.
    pub publications: Arc<Notify>,
}

impl Keeper {
    /// Starts every chore as a task of its own: one that waits for the database does not hold up the others.
    pub fn start(&self) {
        let (one, two, three, four) = (self.clone(), self.clone(), self.clone(), self.clone());
        self.lifecycle.service("checkpoints", async move { one.checkpoints().await });
        self.lifecycle.service("echo", async move { two.echoes().await });
        self.lifecycle.service("heartbeat", async move { three.heartbeats().await });
        self.lifecycle.service("retention", async move { four.prune().await });
        let (five, six) = (self.clone(), self.clone());
        self.lifecycle.service("publications", async move { five.publications().await });
        self.lifecycle.service("messages", async move { six.messages().await });
    }

    /// Takes this node's row away; the last thing that a node does.
    pub async fn goodbye(&self) {
        if let Err(error) = self.pool.execute("select rowcast.goodbye($1)", &[&self.node]).await {
            error.log("saying goodbye");
        }
    }

    /// Follows publications now, and not only in a while.
    pub fn look_at_publications(&self) {
        self.publications.notify_one();
    }

    async fn checkpoints(self) {
        let mut tick = every(CHECKPOINT_EVERY);
        let mut covered = None;
        loop {
            tick.tick().await;
            let published = self.hub.published();
            if covered == Some(published) {
                continue;
            }
            match self.pool.execute("select rowcast.checkpoint()", &[]).await {
                Ok(()) => covered = Some(published),
                Err(error) => error.log("writing a checkpoint"),
            }
        }
    }

    async fn echoes(self) {
        let mut tick = every(ECHO_EVERY);
        loop {
            tick.tick().await;
            let token = self.status.token();
            if let Err(error) = self.pool.execute("select rowcast.echo($1)", &[&token]).await {
                tracing::debug!(%error, "no echo was sent: {error}");
            }
        }
    }

    async fn heartbeats(self) {
        let mut tick = every(HEARTBEAT_EVERY);
        let started = SystemTime::now();
        loop {
            tick.tick().await;
            if let Err(error) = self.heartbeat(started).await {
                error.log("writing the heartbeat");
            }
        }
    }

    async fn heartbeat(&self, started: SystemTime) -> Result<()> {
        let counts = json!({
            "sessions": self.lifecycle.sessions(),
            "parked_polls": self.hub.presence().parked(),
        });
        let version = env!("CARGO_PKG_VERSION");
        self.pool
            .execute(
                "select rowcast.heartbeat($1, $2, $3, $4, $5)",
                &[&self.node, &self.name, &version, &started, &counts],
            )
            .await?;
        self.measure().await
    }

    /// What only the database knows of the log, and how busy our own connections are.
    async fn measure(&self) -> Result<()> {
        let pool = self.pool.status();
        let busy = pool.size.saturating_sub(pool.available);
        metrics::gauge!(POOL_CONNECTIONS, "state" => "busy").set(busy as f64);
        metrics::gauge!(POOL_CONNECTIONS, "state" => "idle").set(pool.available as f64);
        metrics::gauge!(POOL_WAITING).set(pool.waiting as f64);
        let sql = "select l.notification_queue_usage, l.log_bytes::float8, l.failures_last_hour::float8, \
            l.nodes_alive::float8, \
            greatest(0, coalesce(extract(epoch from l.newest_change_at - l.checkpoint_at), 0))::float8, \
            coalesce(extract(epoch from clock_timestamp() - l.oldest_change_at), 0)::float8 \
            from rowcast.lag l";
        let row = self.pool.query_one(sql, &[]).await?;
        let names = [QUEUE_USAGE, LOG_BYTES, CAPTURE_FAILURES, BRIDGES, CHECKPOINT_LAG, LOG_AGE];
        for (nth, name) in names.into_iter().enumerate() {
            metrics::gauge!(name).set(row.try_get::<_, f64>(nth)?);
        }
        Ok(())
    }

    /// Watches what publications gain and unwatches what they lose; the log hears of a problem once.
    async fn publications(self) {
        let sql = "select relation, done, problem from rowcast.sync_publications()";
        let mut tick = every(PUBLICATIONS_EVERY);
        let mut known = HashSet::new();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.publications.notified() => {}
            }
            let rows = match self.pool.query(sql, &[]).await {
                Ok(rows) => rows,
                Err(error) => {
                    error.log("following publications");
                    continue;
                }
            };
            let mut problems = HashSet::new();
            for row in &rows {
                let relation: String = row.try_get(0).unwrap_or_default();
                let done: Option<String> = row.try_get(1).unwrap_or_default();
                let problem: Option<String> = row.try_get(2).unwrap_or_default();
                if let Some(done) = done {
                    tracing::info!(
                        relation,
                        done,
                        "{relation} is {done}, as its publication has it"
                    );
                }
                let Some(problem) = problem else { continue };
                let problem = format!("{relation} cannot be watched: {problem}");
                if !known.contains(&problem) {
                    tracing::warn!(relation, "{problem}");
                }
                problems.insert(problem);
            }
            known = problems;
        }
    }

    async fn messages(self) {
        let mut tick = every(MESSAGES_EVERY);
        loop {
            tick.tick().await;
            let sql = "select rowcast.keep_messages(make_interval(hours => $1))";
            if let Err(error) = self.pool.execute(sql, &[&MESSAGES_KEPT]).await {
                error.log("keeping the partitions of realtime.messages");
            }
        }
    }

    async fn prune(self) {
        let mut tick = every(PRUNE_EVERY);
        loop {
            tick.tick().await;
            let began = Instant::now();
            match self.prune_all().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(
                    rows,
                    seconds = began.elapsed().as_secs_f64(),
                    "pruned {rows} rows of the log"
                ),
                Err(error) => error.log("pruning the log"),
            }
        }
    }

    async fn prune_all(&self) -> Result<i64> {
        let seconds = self.retention.as_secs_f64();
        let mut total = 0;
        loop {
            let row = self
                .pool
                .query_one(
                    "select rowcast.prune(make_interval(secs => $1), $2)",
                    &[&seconds, &PRUNE_ROWS],
                )
                .await?;
            let rows: i64 = row.try_get(0)?;
            metrics::counter!(PRUNED_TOTAL).increment(rows.unsigned_abs());
            total += rows;
            if rows == 0 {
                return Ok(total);
            }
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
