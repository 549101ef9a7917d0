//! The native WebSocket: requests in, events out.

use std::collections::HashSet;

use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;
use warp::{Filter, Rejection, filters::BoxedFilter, reply::Response};

use super::{
    codec::{self, Asked, Request, Said},
    rest,
};
use crate::{
    chat::Event,
    dialects::door::{self, Ask},
    error::{Error, Kind, Result},
    session::{Change, Cursor, Dialect, Frame, Incoming, Limited, Services, Session, run},
    signal::{Signal, Status},
    topic::Topic,
};

/// `/` and `/ws`, where the request asks for a WebSocket.
pub(super) fn routes(services: &Services) -> BoxedFilter<(Response,)> {
    let services = services.clone();
    warp::path::end()
        .or(warp::path("ws").and(warp::path::end()))
        .unify()
        .and(warp::get())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(door::ask(0))
        .and_then(move |on_upgrade, ask: Result<Ask>| {
            let services = services.clone();
            async move {
                let ask = match ask {
                    Ok(ask) => ask,
                    Err(error) if error.kind == Kind::TooMany => return Ok(rest::refusal(&error)),
                    // Not a handshake: not ours, `/` may be somebody else's page.
                    Err(_) => return Err(warp::reject::not_found()),
                };
                if !door::is_upgrade(&ask) {
                    return Err(warp::reject::not_found());
                }
                let answered = accept(services, on_upgrade, ask).await;
                Ok::<_, Rejection>(answered.unwrap_or_else(|error| rest::refusal(&error)))
            }
        })
        .boxed()
}

async fn accept(services: Services, on_upgrade: Option<OnUpgrade>, ask: Ask) -> Result<Response> {
    door::room(&services)?;
    let claims = door::claims(&services, &ask).await?;
    let mut session = Session::open(services.clone(), claims, ask.address).await?;
    session.take(Limited::Join)?;
    let native = Native::open_at(&mut session, &ask, ask.parameter("cursor")).await?;
    door::upgrade(&services, &ask, on_upgrade, move |transport| run(session, transport, native))
}

/// One socket's, or one event stream's, view.
#[derive(Default)]
pub(super) struct Native {
    /// Threads whose every event is wanted.
    subscribed: HashSet<i64>,
    /// Messages sent here, which are not sent back.
    sent: HashSet<Uuid>,
    /// The cursor that it came with cannot be continued.
    lost: bool,
    /// It asked for what it missed, and has not been told yet that it has it.
    resuming: bool,
    /// The `ref` of the request to resume.
    reference: Option<Value>,
    /// What became of the threads that it asked for as it came.
    answers: Vec<String>,
}

/// Threads that a client may ask for as it comes.
const MAX_SUBSCRIBED: usize = 100;

impl Dialect for Native {
    const NAME: &'static str = "native";

    fn open(&mut self, session: &mut Session, out: &mut Vec<Frame>) {
        let cursor = session.follower.cursor();
        let established = Said::ConnectionEstablished {
            user_id: session.standing.uuid,
            timestamp: format!("{:.6}", jiff::Timestamp::now()),
            cursor: &cursor,
        };
        // One that is lost keeps its own cursor until it has been told so.
        out.push(if self.lost {
            Frame::plain(established.text())
        } else {
            standing_at(established.text(), cursor)
        });
        out.extend(self.answers.drain(..).map(Frame::plain));
        if self.lost {
            self.resync(session, out);
        }
    }

    async fn receive(
        &mut self,
        session: &mut Session,
        frame: Incoming,
        out: &mut Vec<Frame>,
    ) -> Result<()> {
        let Asked { request, reference } = match &frame {
            Incoming::Text(text) => codec::parse(text),
            _ => Asked {
                request: Err(Error::malformed("Frames are text: one JSON object with a `type`")),
                reference: None,
            },
        };
        let done = match request {
            Ok(request) => self.act(session, request, reference.as_ref(), out).await,
            Err(error) => Err(error),
        };
        done.inspect_err(|error| {
            error.log("answering a native request");
            out.push(Frame::plain(codec::error(error).answering(reference.as_ref())));
        })
    }

    fn deliver(&mut self, session: &Session, change: &Change<'_>, out: &mut Vec<Frame>) {
        let Some(event) = change.event else { return };
        if !self.wants(session, event, &change.delivery.change.topic) {
            return;
        }
        let text = match change.cursor {
            Cursor::Shared(delivery) => {
                let made = delivery.memo("native", || {
                    codec::change(event, delivery.cursor()).map(Utf8Bytes::from)
                });
                Option::clone(&made)
            }
            Cursor::Own(cursor) => codec::change(event, cursor).map(Utf8Bytes::from),
        };
        if let Some(text) = text {
            let at = Some(change.delivery.change.at);
            out.push(Frame { cursor: Some(change.cursor.clone()), at, ..Frame::plain(text) });
        }
    }

    fn signal(&mut self, session: &Session, signal: &Signal, out: &mut Vec<Frame>) {
        let (user, wanted, thread) = match signal {
            Signal::Typing { thread, user, .. } => {
                (user, self.subscribed.contains(thread), session.standing.threads.get(thread))
            }
            Signal::Presence { user, threads, .. } => {
                (user, threads.iter().any(|thread| self.subscribed.contains(thread)), None)
            }
            Signal::Broadcast(_) | Signal::Moves(_) => return,
        };
        if wanted && user.id != session.standing.user {
            out.extend(codec::signal(signal, thread.copied()).map(Frame::plain));
        }
    }

    fn caught_up(&mut self, session: &Session, out: &mut Vec<Frame>) {
        // What a slow client is sent again from the log is not worth a word.
        if std::mem::take(&mut self.resuming) {
            let cursor = session.follower.cursor();
            let resumed = Said::Resumed { cursor: &cursor };
            let text = resumed.answering(self.reference.take().as_ref());
            out.push(standing_at(text, cursor));
        }
    }

    fn resync(&mut self, session: &Session, out: &mut Vec<Frame>) {
        self.resuming = false;
        let cursor = session.follower.cursor();
        let said = Said::ResyncRequired {
            message: "Changes since that cursor are no longer known; fetch /api/chat/threads and go on from this one",
            cursor: &cursor,
        };
        let text = said.answering(self.reference.take().as_ref());
        out.push(standing_at(text, cursor));
    }
}

/// A frame that says where the client stands.
fn standing_at(text: String, cursor: String) -> Frame {
    Frame { cursor: Some(Cursor::Own(cursor)), ..Frame::plain(text) }
}

impl Native {
    /// The view of a client that comes with a cursor, or with none, and with the threads that it subscribes to: before
    /// what it missed is replayed, so that their reads and deliveries are in it.
    pub(super) async fn open_at(
        session: &mut Session,
        ask: &Ask,
        cursor: Option<String>,
    ) -> Result<Self> {
        let mut native = Self::default();
        session.hush();
        let threads = ask.parameter("subscribe").unwrap_or_default();
        let threads: Vec<&str> = threads.split(',').filter(|thread| !thread.is_empty()).collect();
        if threads.len() > MAX_SUBSCRIBED {
            return Err(Error::malformed(format!(
                "`subscribe` has {MAX_SUBSCRIBED} threads at most; subscribe to more by `subscribe_thread`"
            )));
        }
        for thread in threads {
            native.subscribe(session, thread).await?;
        }
        let subscribed: Vec<i64> = native.subscribed.iter().copied().collect();
        native.answers.extend(present_in(session, &subscribed).await?);
        if let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) {
            native.resuming = session.follower.resume(&cursor)?.is_some();
            native.lost = !native.resuming;
        }
        Ok(native)
    }

    /// Subscribes to a thread as the client comes. One that is not its own is refused by an answer, not at the door.
    async fn subscribe(&mut self, session: &mut Session, reference: &str) -> Result<()> {
        if !codec::is_id(reference) {
            return Err(Error::malformed(
                "`subscribe` must be thread ids with commas between them",
            ));
        }
        let answer = match session.thread(reference).await {
            Ok((thread, thread_id)) => {
                self.listen(session, thread);
                Said::ThreadSubscribed { thread_id }.answering(Some(&reference.into()))
            }
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => codec::error(&error).answering(Some(&reference.into())),
        };
        self.answers.push(answer);
        Ok(())
    }

    fn listen(&mut self, session: &Session, thread: i64) {
        self.subscribed.insert(thread);
        session.hear(thread, true);
    }

    /// Whether an event goes to this client: messages of all its threads, everything of those it subscribed to.
    fn wants(&mut self, session: &Session, event: &Event, topic: &Topic) -> bool {
        let me = session.standing.user;
        let general = session.standing.feed;
        match event {
            Event::Sent(message) => {
                let sent_here = self.sent.remove(&message.uuid);
                !sent_here && (general || self.subscribed.contains(&message.thread_id))
            }
            Event::Edited(message) => general || self.subscribed.contains(&message.thread_id),
            Event::Deleted(gone) => general || self.subscribed.contains(&gone.thread_id),
            // One's own coming and going is told once, by one's own topic.
            Event::Joined(member) | Event::Left(member) if member.user_id == me => {
                if matches!(event, Event::Left(_)) {
                    self.subscribed.remove(&member.thread_id);
                }
                *topic == Topic::user(me)
            }
            Event::Joined(member) | Event::Left(member) | Event::Marked { now: member, .. } => {
                self.subscribed.contains(&member.thread_id)
            }
            _ => false,
        }
    }

    async fn act(
        &mut self,
        session: &mut Session,
        request: Request,
        reference: Option<&Value>,
        out: &mut Vec<Frame>,
    ) -> Result<()> {
        let me = session.standing.user;
        let chat = session.services.chat.clone();
        let mut answer = |said: Said<'_>| out.push(Frame::plain(said.answering(reference)));
        match request {
            Request::Ping => answer(Said::Pong),
            Request::Subscribe { thread } => {
                session.take(Limited::Join)?;
                let (thread, thread_id) = session.thread(&thread).await?;
                self.listen(session, thread);
                answer(Said::ThreadSubscribed { thread_id });
                out.extend(present_in(session, &[thread]).await?.into_iter().map(Frame::plain));
            }
            Request::Unsubscribe { thread } => {
                session.take(Limited::Join)?;
                let (thread, thread_id) = session.thread(&thread).await?;
                self.subscribed.remove(&thread);
                session.hear(thread, false);
                answer(Said::ThreadUnsubscribed { thread_id });
            }
            Request::Typing { thread, is_typing } => {
                session.take(Limited::Typing)?;
                let (thread, thread_id) = session.thread(&thread).await?;
                session.type_in(thread, is_typing);
                if reference.is_some() {
                    answer(Said::TypingNoted { thread_id, is_typing });
                }
            }
            Request::MarkRead { thread, upto } => {
                session.take(Limited::Join)?;
                let (thread, thread_id) = session.thread(&thread).await?;
                let upto = match upto {
                    Some(message) => Some(message_of(session, &message).await?),
                    None => None,
                };
                let marked = chat.mark_read(me, thread, upto).await?;
                let Marked { marked_count } = marked.read().map_err(Error::internal)?;
                answer(Said::MarkedRead { thread_id, marked_count });
            }
            Request::MarkDelivered { thread, message } => {
                session.take(Limited::Join)?;
                let (thread, thread_id) = session.thread(&thread).await?;
                let message = message_of(session, &message).await?;
                chat.mark_delivered(me, thread, message).await?;
                answer(Said::MarkedDelivered { thread_id });
            }
            Request::Authenticate { token } => {
                session.take(Limited::Join)?;
                let claims = session.services.verifier.verify(&token).await?;
                session.renew(claims).await?;
                let exp = session.claims.exp.saturating_mul(1_000_000);
                let expires_at = codec::time(exp).unwrap_or_default();
                answer(Said::Authenticated { user_id: session.standing.uuid, expires_at });
            }
            Request::Resume { cursor } => {
                session.take(Limited::Join)?;
                self.resuming = session.follower.resume(&cursor)?.is_some();
                self.reference = reference.cloned();
                if !self.resuming {
                    self.resync(session, out);
                }
            }
            Request::Send { thread, content, message_type } => {
                session.take(Limited::Message)?;
                let content = session.services.limits.content(&content)?;
                let (thread, _) = session.thread(&thread).await?;
                let sent = chat.send(me, thread, None, &content, &message_type, None).await?;
                let Sent { id } = sent.read().map_err(Error::internal)?;
                self.sent.insert(id);
                let data: &RawValue = sent.read().map_err(Error::internal)?;
                answer(Said::MessageSent { data });
            }
        }
        Ok(())
    }
}

/// The presence of the others in threads who are here; later changes of it follow as signals.
async fn present_in(session: &Session, threads: &[i64]) -> Result<Vec<String>> {
    if threads.is_empty() {
        return Ok(Vec::new());
    }
    let Services { chat, hub, .. } = &session.services;
    let others = chat.others_in(session.standing.user, threads).await?;
    let here = others.into_iter().map(|person| (person.uuid, hub.presence().shown(person.id)));
    let here = here.filter(|(_, status)| *status != Status::Offline);
    Ok(here.map(|(user_id, status)| codec::present(user_id, status)).collect())
}

async fn message_of(session: &Session, reference: &str) -> Result<i64> {
    let found = session.services.chat.message(reference).await?;
    found.ok_or_else(|| Error::new(crate::error::Kind::Missing, "No such message in this thread"))
}

#[derive(Deserialize)]
struct Marked {
    marked_count: i64,
}

#[derive(Deserialize)]
struct Sent {
    id: Uuid,
}
