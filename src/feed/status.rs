//! What the feed says of itself: whether changes are being delivered now.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A read happens at least every 250 ms; one this old means that none succeed.
const STALE_READ: Duration = Duration::from_millis(1_200);
/// An echo goes round about every 500 ms.
const STALE_ECHO: Duration = Duration::from_millis(1_700);
/// Without one for so long LISTEN counts as unusable, before anybody is told that we are not ready.
const SILENT: Duration = Duration::from_millis(1_150);

/// How the feed learns of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the bell.
    Notify,
    /// By asking, because LISTEN gives nothing here.
    Poll,
}

/// A cheap handle to the feed's health.
#[derive(Debug, Clone)]
pub struct Status {
    token: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    mode: Option<Mode>,
    last_read: Option<Instant>,
    last_echo: Option<Instant>,
}

impl Default for Status {
    fn default() -> Self {
        Self { token: uuid::Uuid::new_v4().to_string().into(), state: Arc::default() }
    }
}

impl Status {
    /// Whether changes are being delivered now; if not, why.
    pub fn ready(&self) -> Result<Mode, &'static str> {
        let state = self.state();
        let fresh = |at: Option<Instant>, limit| at.is_some_and(|at| at.elapsed() < limit);
        match state.mode {
            _ if !state.connected => Err("the listener is not connected to the database"),
            _ if !fresh(state.last_read, STALE_READ) => {
                Err("the change log could not be read lately")
            }
            None => Err("the listener is starting"),
            Some(Mode::Notify) if !fresh(state.last_echo, STALE_ECHO) => {
                Err("an echo through the database did not come back")
            }
            Some(mode) => Ok(mode),
        }
    }

    /// What this process's echoes carry, so that they are told from other nodes'.
    pub fn token(&self) -> String {
        self.token.to_string()
    }

    /// Notes an echo that came back; true when it was ours.
    pub(super) fn echo(&self, token: &str) -> bool {
        let ours = *self.token == *token;
        if ours {
            self.state().last_echo = Some(Instant::now());
        }
        ours
    }

    /// Whether echoes come back.
    pub(super) fn hears(&self) -> bool {
        self.state().last_echo.is_some_and(|at| at.elapsed() < SILENT)
    }

    pub(super) fn connected(&self) {
        self.state().connected = true;
    }

    pub(super) fn disconnected(&self) {
        *self.state() = State::default();
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.state().mode = Some(mode);
    }

    pub(super) fn read(&self) {
        self.state().last_read = Some(Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds between two instants of the database's clock, in microseconds since 1970.
pub(super) fn age_seconds(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64 / 1_000_000.0
}
