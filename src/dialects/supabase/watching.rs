//! A channel's changes of tables, as they come, and what a fresh token makes of them.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use super::{
    bearer::Bearer,
    changes::{Changes, Said},
    channel::{Channel, Desk},
    codec::{self, Asked, Ref},
    work::What,
};
use crate::{error::Result, session::Frame};

/// Failures of the database in a row that are waited out, a little longer each time; then the client joins again.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// From here on changes come.
const SUBSCRIBED: &str = "Subscribed to PostgreSQL";

/// The changes of a channel with the tokens that come for it.
pub(super) struct Watching {
    changes: Changes,
    bearers: watch::Receiver<Bearer>,
    /// A fresh token has come and does not count yet.
    stale: bool,
}

/// What a channel is told of its changes.
pub(super) enum Told {
    /// A change, a cursor, or what is wrong.
    Said(Said),
    /// They go on with a fresh token.
    Subscribed,
}

impl Watching {
    /// Waits for what comes next. An error has lasted.
    async fn next(&mut self, told: &mut Vec<Told>) -> Result<()> {
        let mut failures = 0;
        loop {
            let mut said = Vec::new();
            let outcome = if self.stale {
                self.renew(told).await
            } else {
                tokio::select! {
                    biased;
                    Ok(()) = self.bearers.changed() => {
                        self.stale = true;
                        continue;
                    }
                    outcome = self.changes.next(&mut said) => outcome,
                }
            };
            told.extend(said.into_iter().map(Told::Said));
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) if failures >= TRIES => return Err(error),
                Err(error) => {
                    error.log("following the changes of a channel");
                    failures += 1;
                    sleep(PAUSE * failures).await;
                }
            }
        }
    }

    async fn renew(&mut self, told: &mut Vec<Told>) -> Result<()> {
        let who = self.bearers.borrow_and_update().subject();
        told.push(match self.changes.renew(who).await? {
            Ok(()) => Told::Subscribed,
            Err(text) => Told::Said(Said::System(text)),
        });
        self.stale = false;
        Ok(())
    }
}

impl Channel {
    /// Follows changes from here on.
    pub(super) fn watch(&mut self, changes: Changes, desk: &Desk<'_>) {
        let (sender, bearers) = watch::channel(self.bearer.clone());
        self.renewed = Some(sender);
        desk.seat.entry().add(changes.window());
        self.go_on_watching(Box::new(Watching { changes, bearers, stale: false }), desk);
    }

    fn go_on_watching(&self, mut watching: Box<Watching>, desk: &Desk<'_>) {
        desk.works.start(self, async move {
            let mut told = Vec::new();
            let outcome = watching.next(&mut told).await;
            What::Told(watching, told, outcome)
        });
    }

    /// Says whether changes come, and what is wrong where not.
    pub(super) fn subscribed(&self, outcome: Result<(), String>, desk: &mut Desk<'_>) {
        match outcome {
            Ok(()) => desk.system(self, "postgres_changes", true, SUBSCRIBED),
            Err(text) => desk.system(self, "postgres_changes", false, &text),
        }
    }

    /// Tells of what came, and waits for more.
    pub(super) fn told(
        &mut self,
        watching: Box<Watching>,
        told: Vec<Told>,
        outcome: Result<()>,
        desk: &mut Desk<'_>,
    ) {
        for told in told {
            match told {
                Told::Said(Said::Change(payload)) => {
                    let (Asked { join_ref, topic, .. }, none) = (&self.asked, &Ref::NONE);
                    // With the ref the client drops what a joining before this one still sent: a cursor is of one joining.
                    let join_ref =
                        if self.join.options.get("cursor").is_some() { join_ref } else { none };
                    let (event, text) = match self.join.legacy {
                        true => (payload.event(), payload.data()),
                        false => ("postgres_changes", payload.text()),
                    };
                    let body = codec::push(desk.version, join_ref, none, topic, event, text);
                    desk.out.push(Frame { at: Some(payload.at()), ..Frame::from(body) });
                }
                Told::Said(Said::Cursor(cursor)) => {
                    let (cursor, name) = (codec::quoted(&cursor), codec::quoted(self.name()));
                    let payload = format!(
                        r#"{{"extension":"postgres_changes","status":"ok","message":"Cursor","cursor":{cursor},"channel":{name}}}"#
                    );
                    desk.push(self, "system", &payload);
                }
                Told::Said(Said::System(text)) => self.subscribed(Err(text), desk),
                Told::Subscribed => self.subscribed(Ok(()), desk),
            }
        }
        match outcome {
            Ok(()) => self.go_on_watching(watching, desk),
            Err(error) => {
                error.log("following the changes of a channel, for the last time");
                self.broken = true;
            }
        }
    }
}
