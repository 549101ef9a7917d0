//! Reload, by SIGHUP and by `rowcast.reload()`: settings and key files are read again, judged whole, and taken over at once.
//!
//! The call in SQL writes into the log, so every bridge hears of it once, whether its listener hears the bell or it polls,
//! and nobody who may not write there can ask for one.

use std::{future::pending, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::settings;
use crate::{
    config::Config,
    error::{Error, Result},
    feed::Keeper,
    hub::Mailbox,
    metrics::RELOADS_TOTAL,
    session::Services,
    topic::Topic,
};

/// The settings that a reload takes over, by their flags; all others wait for a restart.
pub const LIVE: &[&str] = &[
    "log",
    "allowed-origins",
    "trusted-proxies",
    "jwt-secret",
    "jwt-public-key",
    "jwks",
    "jwt-issuer",
    "jwt-audience",
    "content-limit",
    "content-policy",
    "direct-price",
    "mailbox",
    "max-connections",
    "rate-rest",
    "rate-messages",
    "rate-typing",
    "rate-joins",
    "rate-handshakes",
    "rate-failures",
    "publishable-key",
    "secret-key",
    "private-only",
    "channels-per-socket",
    "rate-channel-joins",
    "rate-broadcasts",
    "rate-presence",
    "channel-idle",
    "rights-recheck",
];

/// Where `rowcast.reload()` leaves word.
const TOPIC: &str = "table:rowcast.reload";
/// However often it is asked for, it is done so often at most.
const SPACING: Duration = Duration::from_secs(1);

/// Reads the settings again.
pub type Again = Box<dyn Fn() -> Result<Fresh> + Send + Sync>;

/// Settings that were read again and are good.
pub struct Fresh {
    /// All of them.
    pub config: Config,
    /// Flags of those that are others than before and are taken over.
    pub taken: Vec<String>,
    /// Flags of those that are others than at the start and wait for a restart.
    pub waiting: Vec<String>,
    /// Takes over what is not the app's.
    pub commit: Box<dyn FnOnce() + Send>,
}

/// What a reload works with; `run` is its life.
pub(super) struct Reload {
    pub(super) services: Services,
    pub(super) keeper: Keeper,
    pub(super) config: Config,
    /// Where settings come from; without it they stay, and only key files are read again.
    pub(super) again: Option<Again>,
}

impl Reload {
    /// Begins to hear; what is asked for from here on is done.
    pub(super) fn start(self) -> Result<()> {
        let asked = self.services.hub.open(1);
        asked.subscribe(&[Topic::parse(TOPIC)?]);
        // A program that has no settings to read again ends with its terminal.
        let hangup = self.again.as_ref().map(|_| signal(SignalKind::hangup()));
        let hangup = hangup.transpose().map_err(Error::internal)?;
        let lifecycle = self.services.lifecycle.clone();
        lifecycle.service("reload", self.run(asked, hangup));
        Ok(())
    }

    async fn run(self, asked: Mailbox, mut hangup: Option<Signal>) {
        loop {
            let by = tokio::select! {
                // Whatever it takes out, even that something was dropped: somebody may have asked.
                _ = word(&asked) => "rowcast.reload()",
                () = hung_up(&mut hangup) => "SIGHUP",
            };
            let result = match self.reload().await {
                Ok((taken, waiting)) => {
                    tracing::info!(by, taken, "reloaded by {by}; other settings now: {taken}");
                    if !waiting.is_empty() {
                        tracing::warn!(waiting, "these wait for a restart: {waiting}");
                    }
                    "done"
                }
                Err(error) => {
                    tracing::error!(by, %error, "not reloaded, nothing has changed: {error}");
                    "refused"
                }
            };
            metrics::counter!(RELOADS_TOTAL, "result" => result).increment(1);
            tokio::time::sleep(SPACING).await;
        }
    }

    /// Everything that can fail comes first.
    async fn reload(&self) -> Result<(String, String)> {
        let fresh = match &self.again {
            Some(again) => again()?,
            None => Fresh {
                config: self.config.clone(),
                taken: Vec::new(),
                waiting: Vec::new(),
                commit: Box::new(|| {}),
            },
        };
        let Fresh { config, taken, waiting, commit } = fresh;
        let services = &self.services;
        let verifier = services.verifier.again(&config.auth).await?;
        services.verifier.put_in(&verifier);
        services.limits.change(&config.limits, config.content_policy);
        let live = settings(&config, Some(&services.settings.now()));
        services.settings.replace(live);
        commit();
        self.keeper.look_at_publications();
        let names = |flags: Vec<String>, none: &str| match flags.is_empty() {
            true => none.to_owned(),
            false => flags.join(", "),
        };
        Ok((names(taken, "none"), names(waiting, "")))
    }
}

async fn word(asked: &Mailbox) {
    asked.take(&mut Vec::new()).await;
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => pending().await,
    }
}
