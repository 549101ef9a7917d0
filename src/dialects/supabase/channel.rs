//! A channel: one topic joined on one socket, with what its bearer may do there.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    bearer::Bearer,
    codec::{self, Asked, Push, Ref, Version},
    join::Join,
    stored::Stored,
    work::Works,
};
use crate::{
    cursor::Position,
    error::{Error, Result},
    hub::Entry,
    metrics::CHANNELS,
    session::{Body, Bucket, Frame, Seat, Services},
    signal::Signal,
    topic::Topic,
};

/// Pushes that wait for an answer of the database; who sends more is told to wait.
const WAITING: usize = 100;
/// What is kept of what comes while a join is under way.
const HELD: usize = 256;

/// A channel that is being joined, or is.
pub(super) struct Channel {
    /// Its number among all members of all channels.
    pub(super) member: u64,
    /// What its join was, for what is sent in its name.
    pub(super) asked: Asked,
    /// Where it is in the hub.
    pub(super) place: Topic,
    /// What its join asked for.
    pub(super) join: Join,
    /// Who is on it.
    pub(super) bearer: Bearer,
    /// What they may do.
    pub(super) rights: Rights,
    /// Whether the join has been answered.
    pub(super) joined: bool,
    /// What came before it was.
    pub(super) held: VecDeque<Held>,
    /// Ids of stored broadcasts that it has had.
    pub(super) replayed: Vec<String>,
    /// From where on changes are for it.
    pub(super) since: Option<Position>,
    /// Its presence.
    pub(super) entry: Option<Entry>,
    /// Its presence calls.
    pub(super) calls: Bucket,
    /// When its token is looked at again…
    pub(super) check_at: Instant,
    /// …and how long that takes at most.
    pub(super) recheck: Duration,
    /// Why it is over.
    pub(super) over: Option<String>,
    /// What it has lasts no longer, and the client is to join again.
    pub(super) broken: bool,
    /// Its changes of tables, which a fresh token is passed to.
    pub(super) renewed: Option<watch::Sender<Bearer>>,
    waiting: VecDeque<Push>,
    asking: bool,
    alive: CancellationToken,
    _guard: DropGuard,
    _counted: Counted,
}

/// What its bearer may do in a channel; what is not known is asked when it matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// Get broadcasts.
    pub(super) hear: bool,
    /// Get presences.
    pub(super) see: Option<bool>,
    /// Broadcast.
    pub(super) say: Option<bool>,
    /// Be present.
    pub(super) be: Option<bool>,
}

impl Rights {
    /// Those in a public channel.
    pub(super) const ALL: Self =
        Self { hear: true, see: Some(true), say: Some(true), be: Some(true) };
}

/// What came while a join was under way.
pub(super) enum Held {
    /// It was said.
    Signal(Arc<Signal>),
    /// It was stored.
    Stored(Arc<Option<Stored>>, i64),
}

/// What a channel works with.
pub(super) struct Desk<'a> {
    /// The bridge's parts.
    pub(super) services: &'a Services,
    /// What the client speaks.
    pub(super) version: Version,
    /// What is under way on the socket.
    pub(super) works: &'a Works,
    /// The socket's broadcasts.
    pub(super) messages: &'a mut Bucket,
    /// The headers of its handshake, as policies see them.
    pub(super) headers: &'a Arc<str>,
    /// Where the socket's mailboxes are listed.
    pub(super) seat: &'a Seat,
    /// What the client gets.
    pub(super) out: &'a mut Vec<Frame>,
}

impl Desk<'_> {
    /// What a question takes along.
    pub(super) fn parts(&self) -> (Services, Arc<str>) {
        (self.services.clone(), Arc::clone(self.headers))
    }

    /// Replies to a push; one without a ref wants none.
    pub(super) fn reply(&mut self, asked: &Asked, ok: bool, response: &str) {
        if !asked.reference.is_none() {
            self.out.push(codec::reply(self.version, asked, ok, response).into());
        }
    }

    /// Sends something in a channel's name.
    pub(super) fn push(&mut self, channel: &Channel, event: &str, payload: &str) {
        let Asked { join_ref, topic, .. } = &channel.asked;
        self.out
            .push(codec::push(self.version, join_ref, &Ref::NONE, topic, event, payload).into());
    }

    /// Ends a channel in the client's eyes: after `phx_close` it stays away, after `phx_error` it comes back.
    pub(super) fn end(&mut self, channel: &Channel, event: &str, payload: &str) {
        let Asked { join_ref, topic, .. } = &channel.asked;
        self.out.push(codec::push(self.version, join_ref, join_ref, topic, event, payload).into());
    }

    /// Tells of the bridge's own doings.
    pub(super) fn system(&mut self, channel: &Channel, extension: &str, ok: bool, message: &str) {
        let status = if ok { "ok" } else { "error" };
        let name = codec::quoted(channel.name());
        let message = codec::quoted(message);
        let payload = format!(
            r#"{{"extension":"{extension}","status":"{status}","message":{message},"channel":{name}}}"#
        );
        self.push(channel, "system", &payload);
    }
}

impl Channel {
    /// A channel whose join is under way.
    pub(super) fn new(
        services: &Services,
        asked: Asked,
        place: Topic,
        join: Join,
        bearer: Bearer,
    ) -> Self {
        let alive = CancellationToken::new();
        Self {
            member: services.hub.roster().member(),
            asked,
            place,
            join,
            bearer,
            rights: Rights::default(),
            joined: false,
            held: VecDeque::new(),
            replayed: Vec::new(),
            since: services.hub.position().map(|(position, _)| position),
            entry: None,
            calls: Bucket::new(services.settings.now().supabase.rate_presence),
            check_at: Instant::now(),
            recheck: services.settings.now().supabase.rights_recheck,
            over: None,
            broken: false,
            renewed: None,
            waiting: VecDeque::new(),
            asking: false,
            _guard: alive.clone().drop_guard(),
            alive,
            _counted: Counted::new(),
        }
    }

    /// Its topic without `realtime:`.
    pub(super) fn name(&self) -> &str {
        self.asked.topic.strip_prefix(super::socket::PREFIX).unwrap_or_default()
    }

    /// What ends with it.
    pub(super) fn alive(&self) -> CancellationToken {
        self.alive.clone()
    }

    /// Does what a push asks, or keeps it until the channel knows what it may.
    pub(super) fn pushed(&mut self, push: Push, desk: &mut Desk<'_>) -> Result<()> {
        if self.joined && !self.asking {
            return self.perform(push, desk);
        }
        if self.waiting.len() >= WAITING {
            desk.reply(&push.asked(), false, r#"{"reason":"Too many messages per second"}"#);
            return Err(Error::too_many("too many pushes wait", 1_000));
        }
        self.waiting.push_back(push);
        Ok(())
    }

    /// Keeps a push, and all that follow, until an answer has come.
    pub(super) fn wait_for(&mut self, push: Push) {
        self.waiting.push_front(push);
        self.wait();
    }

    /// Keeps all pushes until an answer has come: one question at a time, so that each is about the token of its time.
    pub(super) fn wait(&mut self) {
        self.asking = true;
    }

    /// Keeps what came before the join was answered; the oldest gives way, nobody was promised it yet.
    pub(super) fn hold(&mut self, held: Held) {
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back(held);
    }

    /// Whether an answer is awaited.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// Does what has waited for an answer.
    pub(super) fn go_on(&mut self, desk: &mut Desk<'_>) {
        self.asking = false;
        while self.joined && !self.asking && self.over.is_none() {
            let Some(push) = self.waiting.pop_front() else { return };
            // Whatever is wrong with it has been told.
            let _ = self.perform(push, desk);
        }
    }

    fn perform(&mut self, push: Push, desk: &mut Desk<'_>) -> Result<()> {
        match push.event.as_str() {
            "broadcast" => self.broadcast(push, desk),
            "presence" => self.presence(push, desk),
            "access_token" => {
                self.token(&push, desk);
                Ok(())
            }
            _ => {
                desk.reply(&push.asked(), false, r#"{"reason":"unknown event"}"#);
                Ok(())
            }
        }
    }

    /// Passes on what was said, where it is for this channel.
    pub(super) fn signal(&mut self, signal: &Arc<Signal>, desk: &mut Desk<'_>) {
        if !self.joined {
            self.hold(Held::Signal(Arc::clone(signal)));
            return;
        }
        let (version, topic) = (desk.version, &self.asked.topic);
        let body: Option<Body> = match signal.as_ref() {
            Signal::Broadcast(said) => {
                let own = said.from == Some(self.member) && !self.join.echo;
                if own || !self.rights.hear {
                    return;
                }
                let made =
                    said.made.get(version as usize, || codec::broadcast(version, topic, said));
                made.and_then(|made| Option::clone(&made))
            }
            Signal::Moves(moves) if self.rights.see == Some(true) => {
                let made = moves.made.get(version as usize, || {
                    let payload =
                        format!(r#"{{"joins":{},"leaves":{}}}"#, moves.joins, moves.leaves);
                    let (none, event) = (&Ref::NONE, "presence_diff");
                    codec::push(version, none, none, topic, event, &payload)
                });
                made.map(|made| Body::clone(&made))
            }
            _ => None,
        };
        desk.out.extend(body.map(Frame::from));
    }
}

/// One of the channels that the gauge counts.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!(CHANNELS).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(CHANNELS).decrement(1.0);
    }
}
