//! Joining a channel: who asks, whether they may, what they missed, and the answer in its right order.

use std::sync::Arc;

use serde_json::Value;

use super::{
    bearer::{Bearer, Denied},
    changes::{self, Changes, Options, Source},
    channel::{Channel, Desk, Held, Rights},
    codec,
    join::{Join, Replay},
    private,
    replay::{self, Old},
    work::What,
};
use crate::{
    auth::Refusal,
    metrics::JOINS_REFUSED_TOTAL,
    session::{Frame, Services},
};

/// What a join has come to.
pub(super) struct Opened {
    bearer: Bearer,
    rights: Rights,
    replayed: Vec<Old>,
    changes: changes::Opened,
}

impl Channel {
    /// Starts what the join's answer waits for.
    pub(super) fn open(&self, desk: &Desk<'_>) {
        let (services, headers) = desk.parts();
        let (bearer, join, name) = (self.bearer.clone(), self.join.clone(), self.name().to_owned());
        desk.works.start(self, async move {
            let opened = open(services, bearer, join, name, headers).await;
            What::Joined(opened.map(Box::new))
        });
    }

    /// Answers the join: the reply first, then what was stored, then who is there, then what came meanwhile.
    pub(super) fn opened(&mut self, opened: Opened, desk: &mut Desk<'_>) {
        let Opened { bearer, rights, replayed, changes } = opened;
        let changes::Opened { ids, changes, outcome } = changes;
        self.bearer = bearer;
        self.rights = rights;
        self.joined = true;
        self.next_check();
        let asked = std::mem::take(&mut self.join.changes);
        let echoed: Vec<Value> = asked.into_iter().zip(&ids).map(with_id).collect();
        let echoed = if self.join.legacy { Vec::new() } else { echoed };
        let response = format!(r#"{{"postgres_changes":{}}}"#, Value::from(echoed));
        desk.reply(&self.asked.clone(), true, &response);
        for old in replayed {
            desk.out.extend(self.again(&old, desk));
            self.replayed.push(old.id);
        }
        self.state(desk);
        if !ids.is_empty() {
            self.subscribed(outcome, desk);
        }
        if let Some(changes) = changes {
            self.watch(changes, desk);
        }
        if self.join.replication_ready {
            desk.system(self, "system", true, "Replication connection established");
        }
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Signal(signal) => self.signal(&signal, desk),
                Held::Stored(stored, at) => self.stored(&stored, at, desk),
            }
        }
        self.go_on(desk);
    }

    /// Refuses the join.
    pub(super) fn refused(&self, reason: &str, desk: &mut Desk<'_>) {
        refuse(&self.asked, reason, desk);
    }

    /// A stored broadcast as a replay shows it.
    fn again(&self, old: &Old, desk: &Desk<'_>) -> Option<Frame> {
        let topic = &self.asked.topic;
        let meta = format!(r#"{{"replayed":true,"id":"{}"}}"#, old.id);
        let body = match (&old.payload, &old.bytes) {
            (Some(payload), _) => {
                let payload = codec::message(&old.event, payload, &meta);
                let (join_ref, none) = (&self.asked.join_ref, &codec::Ref::NONE);
                codec::push(desk.version, join_ref, none, topic, "broadcast", &payload)
            }
            (None, Some(bytes)) => {
                codec::user_broadcast(desk.version, topic, &old.event, &meta, bytes)?
            }
            (None, None) => return None,
        };
        Some(body.into())
    }
}

/// Refuses a join, in words that the client shows.
pub(super) fn refuse(asked: &codec::Asked, reason: &str, desk: &mut Desk<'_>) {
    let code = reason.split(':').next().filter(|code| !code.contains(' ')).unwrap_or("Other");
    metrics::counter!(JOINS_REFUSED_TOTAL, "reason" => code.to_owned()).increment(1);
    let response = format!(r#"{{"reason":{}}}"#, codec::quoted(reason));
    desk.reply(asked, false, &response);
}

/// All that a join waits for.
async fn open(
    services: Services,
    connection: Bearer,
    join: Join,
    name: String,
    headers: Arc<str>,
) -> Result<Opened, String> {
    let bearer = match &join.token {
        Some(token) if !connection.is(token) => {
            Bearer::verify(&services, token).await.map_err(|denied| denied.reason())?
        }
        _ => {
            connection.stands(&services).await.map_err(|denied| denied.reason())?;
            connection
        }
    };
    let ended = jiff::Timestamp::now().as_second() - bearer.claims.exp;
    if ended >= 0 {
        return Err(Denied::Token(Refusal::Expired(ended)).reason());
    }
    let unable = |why: &str| format!("UnableToReplayMessages: {why}");
    let replay = match join.replay {
        Some(Replay::Odd) => return Err(unable("Replay params are not valid")),
        Some(Replay::Since(..)) if !join.private => {
            return Err(unable("Replay is not allowed for public channels"));
        }
        Some(Replay::Since(since, limit)) => Some((since, limit)),
        None => None,
    };
    let rights = if join.private {
        let read = private::read(&services, &bearer, &name, &headers, join.presence).await;
        let rights = read.map_err(|error| {
            error.log("asking for a permit");
            private::reason(&error, &name)
        })?;
        if !rights.hear && rights.see != Some(true) {
            return Err(format!(
                "Unauthorized: You do not have permissions to read from this Channel topic: {name}"
            ));
        }
        rights
    } else {
        Rights::ALL
    };
    let replayed = match replay.filter(|_| rights.hear) {
        Some((since, limit)) => {
            let newest = replay::newest(&services, &name, since, limit).await;
            newest.map_err(|error| {
                error.log("reading a channel's stored broadcasts");
                unable("Realtime was unable to replay messages")
            })?
        }
        None => Vec::new(),
    };
    let changes = match join.changes.as_slice() {
        [] => changes::Opened { ids: Vec::new(), changes: None, outcome: Ok(()) },
        asked => {
            let (source, options) = (Source::of(&services), Options::parse(&join.options));
            let opened = Changes::open(source, bearer.subject(), asked, &options).await;
            opened.map_err(|error| {
                error.log("subscribing to the changes of tables");
                private::reason(&error, &name)
            })?
        }
    };
    Ok(Opened { bearer, rights, replayed, changes })
}

/// The client's own words, with the id that its changes will have.
fn with_id((mut asked, id): (Value, &u64)) -> Value {
    if let Some(fields) = asked.as_object_mut() {
        fields.insert("id".to_owned(), (*id).into());
    }
    asked
}
