//! Every task is known here: spawning, the signal to stop, and the grace period around it.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Goodbyes are spread over a millisecond a session, so that all do not come back at the same moment…
const SPREAD_PER_SESSION: Duration = Duration::from_millis(1);
/// …and over no more than this part of the grace period.
const SPREAD_OF_GRACE: f64 = 0.5;
/// What has no reason to linger.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// A cheap handle to the process's tasks; clones share one state.
///
/// Stopping has two steps: `drain` asks clients' tasks to say goodbye while the feed still runs, `stop` ends the rest.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    sessions: TaskTracker,
    connections: TaskTracker,
    services: TaskTracker,
    draining: CancellationToken,
    stopping: CancellationToken,
    /// When draining began, and how long goodbyes are spread over.
    spread: Arc<OnceLock<(Instant, Duration)>>,
}

impl Lifecycle {
    /// Starts with nothing running.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a long-lived part (feed, sweeper, accept loop) until `stop`.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn service(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let stopping = self.stopping.clone();
        tokio::spawn(self.services.track_future(async move {
            tokio::select! {
                () = task => tracing::debug!(task = name, "{name} ended"),
                () = stopping.cancelled() => {}
            }
        }))
    }

    /// Runs one client's work; it holds shutdown open until it ends or the grace period does.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn session(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.sessions.track_future(task));
    }

    /// Runs one TCP connection; requests under way are finished before shutdown.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn connection(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.connections.track_future(task));
    }

    /// How many sessions run.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Resolves when draining has begun.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Resolves when it is a session's turn to say goodbye; `share`, from 0 to 1, is its place in the order.
    pub async fn turn_to_leave(&self, share: f64) {
        self.draining.cancelled().await;
        if let Some((began, spread)) = self.spread.get() {
            sleep_until(*began + spread.mul_f64(share.clamp(0.0, 1.0))).await;
        }
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Asks clients' tasks to end and waits for them, at most `grace`.
    pub async fn drain(&self, grace: Duration) {
        let sessions = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let spread =
            SPREAD_PER_SESSION.saturating_mul(sessions).min(grace.mul_f64(SPREAD_OF_GRACE));
        let _ = self.spread.set((Instant::now(), spread));
        self.draining.cancel();
        self.sessions.close();
        self.connections.close();
        let ended = async {
            self.sessions.wait().await;
            self.connections.wait().await;
        };
        if timeout(grace, ended).await.is_err() {
            let left = self.sessions.len();
            tracing::warn!(sessions = left, "grace period over with {left} sessions left");
        }
    }

    /// Ends everything else.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.services.close();
        if timeout(STOP_DEADLINE, self.services.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}
