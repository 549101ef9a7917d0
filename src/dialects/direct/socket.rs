//! The `direct` socket: events in, the events of one's direct threads out.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::codec::{self, Request};
use crate::{
    chat::{self, DirectView, Event, Message, Partner},
    dialects::socketio::{self, Entered, Line},
    error::{Error, Result},
    hub::Delivery,
    session::{Change, Dialect, Frame, Incoming, Limited, Reason, Session, run},
    signal::{Signal, Status},
};

/// Nobody's thread: unknown is what may have changed unseen.
const ANY: i64 = 0;

/// Runs a session on a line.
pub(in crate::dialects) fn start(
    session: Box<Session>,
    line: &mut Line,
    _entered: Entered,
) -> Pin<Box<dyn Future<Output = Reason> + Send + '_>> {
    Box::pin(async move {
        match Box::pin(session.services.chat.direct_view(session.standing.user)).await {
            Ok(view) => run(*session, line, Direct { view, ..Direct::default() }).await,
            Err(error) => {
                error.log("reading a user's direct threads");
                Reason::Internal
            }
        }
    })
}

/// One socket's view.
#[derive(Default)]
pub(super) struct Direct {
    view: DirectView,
    /// Threads that came since, of which it is not known whether they are direct ones.
    unknown: HashSet<i64>,
    /// What came of those, until it is known.
    held: Vec<Held>,
    /// Threads whose conversation is open here.
    joined: HashSet<i64>,
    /// Messages sent here, which are not sent back.
    sent: HashSet<Uuid>,
    /// Who is known to be here: being away and coming back is no news.
    here: HashSet<i64>,
    /// Threads read here: how many readings are not told back.
    read: HashMap<i64, usize>,
}

/// What came of a thread before it was known whether it is a direct one.
enum Held {
    Message(Arc<Delivery>),
    Signal(Signal),
}

/// A new message's packets, made once.
type Packets = (Utf8Bytes, Utf8Bytes);

impl Dialect for Direct {
    const NAME: &'static str = "direct";

    fn open(&mut self, _session: &mut Session, _out: &mut Vec<Frame>) {}

    async fn receive(
        &mut self,
        session: &mut Session,
        frame: Incoming,
        out: &mut Vec<Frame>,
    ) -> Result<()> {
        let Some(event) = socketio::heard(&frame, out)? else { return Ok(()) };
        let outcome = match codec::request(&event) {
            Ok(request) => self.act(session, request).await,
            Err(error) => Err(error),
        };
        socketio::answer(&event, outcome, out)
    }

    fn deliver(&mut self, session: &Session, change: &Change<'_>, out: &mut Vec<Frame>) {
        let Some(event) = change.event else { return };
        let me = session.standing.user;
        match event {
            Event::Sent(message) if self.unknown.contains(&message.thread_id) => {
                self.held.push(Held::Message(Arc::clone(change.delivery)));
            }
            Event::Sent(message) => self.tell(session, change.delivery, message, out),
            Event::Marked { now, .. } => {
                let Some(partner) = self.view.threads.get(&now.thread_id) else { return };
                let mine = now.user_id == me;
                if !mine && now.user_id != partner.id {
                    return;
                }
                let packet =
                    change.delivery.memo("direct", || codec::marked(event).map(Utf8Bytes::from));
                let Some(text) = Option::clone(&packet) else { return };
                if mine && !self.tells_own(now.thread_id, &text) {
                    return;
                }
                out.push(told(change.delivery, text));
            }
            Event::Joined(member) if member.user_id == me => {
                self.unknown.insert(member.thread_id);
            }
            Event::Left(member) if member.user_id == me => {
                self.unknown.remove(&member.thread_id);
                self.view.threads.remove(&member.thread_id);
                self.joined.remove(&member.thread_id);
                self.read.remove(&member.thread_id);
            }
            Event::Blocked(block) | Event::Unblocked(block) => {
                let other =
                    if block.blocker_id == me { block.blocked_id } else { block.blocker_id };
                // The other side's block may stand when this one is lifted: the database is asked.
                self.view.refused.insert(other);
                self.unknown.extend(matches!(event, Event::Unblocked(_)).then_some(ANY));
            }
            _ => {}
        }
    }

    fn signal(&mut self, session: &Session, signal: &Signal, out: &mut Vec<Frame>) {
        let me = session.standing.user;
        let text = match signal {
            Signal::Typing { thread, .. } if self.unknown.contains(thread) => {
                self.held.push(Held::Signal(signal.clone()));
                return;
            }
            Signal::Typing { thread, user, is_typing, .. } => {
                if !self.view.threads.contains_key(thread) || self.is_strange(user.id, me) {
                    return;
                }
                codec::typing(*user, *is_typing, &format!("{:.6}", jiff::Timestamp::now()))
            }
            Signal::Presence { user, status, last_seen, .. } => {
                if self.is_strange(user.id, me) || !self.is_news(user.id, *status) {
                    return;
                }
                codec::presence(*user, *status, *last_seen)
            }
            Signal::Broadcast(_) | Signal::Moves(_) => return,
        };
        out.push(Frame::plain(text));
    }

    fn caught_up(&mut self, _session: &Session, _out: &mut Vec<Frame>) {}

    fn resync(&mut self, _session: &Session, out: &mut Vec<Frame>) {
        self.unknown.insert(ANY);
        out.push(Frame::plain(socketio::resync()));
    }

    async fn settle(&mut self, session: &mut Session, out: &mut Vec<Frame>) {
        if self.unknown.is_empty() {
            return;
        }
        match Box::pin(session.services.chat.direct_view(session.standing.user)).await {
            Ok(view) => {
                self.view = view;
                self.unknown.clear();
                for held in std::mem::take(&mut self.held) {
                    match held {
                        Held::Message(delivery) => {
                            let event = delivery.memo("chat", || chat::event(&delivery.change));
                            if let Some(Event::Sent(message)) = event.as_ref() {
                                self.tell(session, &delivery, message, out);
                            }
                        }
                        Held::Signal(signal) => self.signal(session, &signal, out),
                    }
                }
            }
            // Tried again after the next change.
            Err(error) => error.log("reading a user's direct threads"),
        }
    }
}

impl Direct {
    /// Whether somebody's signals are not for this user: their own, and those of people who are refused.
    fn is_strange(&self, user: i64, me: i64) -> bool {
        user == me || self.view.refused.contains(&user)
    }

    /// Whether somebody came or went, as far as this client was told.
    fn is_news(&mut self, user: i64, status: Status) -> bool {
        match status {
            Status::Online | Status::Away => self.here.insert(user),
            Status::Offline => {
                self.here.remove(&user);
                true
            }
        }
    }

    /// Tells of a message in a direct thread: the receiver twice, the sender's other devices that joined once.
    fn tell(
        &mut self,
        session: &Session,
        delivery: &Arc<Delivery>,
        message: &Message,
        out: &mut Vec<Frame>,
    ) {
        let Some(&partner) = self.view.threads.get(&message.thread_id) else { return };
        let me = session.person();
        let mine = message.sender_id == Some(me.id);
        if self.sent.remove(&message.uuid) || mine && !self.joined.contains(&message.thread_id) {
            return;
        }
        let make = || -> Packets {
            let (shown, notice) = codec::message(message, codec::receiver(message, me, partner));
            (shown.into(), notice.into())
        };
        // What nobody sent is for both, so for each another packet.
        let packets = match message.sender_id {
            Some(_) => delivery.memo("direct", make),
            None => Arc::new(make()),
        };
        out.push(told(delivery, packets.0.clone()));
        if !mine {
            out.push(told(delivery, packets.1.clone()));
        }
    }

    /// Whether one's own watermark is news to this device: it has not moved it, and it is about reading.
    fn tells_own(&mut self, thread: i64, packet: &str) -> bool {
        if !packet.contains("messages_read") {
            return false;
        }
        match self.read.get_mut(&thread) {
            Some(here) if *here > 0 => {
                *here -= 1;
                false
            }
            _ => true,
        }
    }

    /// The direct thread with somebody, where it is known here.
    fn thread_with(&self, reference: &str) -> Option<(i64, Partner)> {
        let is = |partner: &Partner| match reference.parse::<i64>() {
            Ok(id) => partner.id == id,
            Err(_) => Uuid::parse_str(reference).is_ok_and(|uuid| partner.uuid == uuid),
        };
        self.view.threads.iter().find(|(_, partner)| is(partner)).map(|(id, one)| (*id, *one))
    }

    /// The direct thread with somebody, opened where there is none.
    async fn open_with(&mut self, session: &mut Session, reference: &str) -> Result<(i64, Uuid)> {
        session.take(Limited::Join)?;
        let opened = session.services.chat.direct_open(session.standing.user, reference).await?;
        session.join(opened.thread, opened.uuid);
        if let Some(xid) = opened.made_by {
            // The other one's devices follow the thread from when the feed says so.
            session.told_of(xid).await;
        }
        self.view.threads.insert(opened.thread, opened.partner);
        self.view.refused.remove(&opened.partner.id);
        Ok((opened.thread, opened.uuid))
    }

    async fn act(&mut self, session: &mut Session, request: Request) -> Result<Value> {
        let me = session.standing.user;
        let chat = session.services.chat.clone();
        match request {
            Request::Join { partner } => {
                let (thread, room_id) = self.open_with(session, &partner).await?;
                self.joined.insert(thread);
                Ok(json!({ "success": true, "room_id": room_id }))
            }
            Request::Leave { room } => {
                session.take(Limited::Join)?;
                let (thread, _) = session.thread(&room).await?;
                self.joined.remove(&thread);
                session.type_in(thread, false);
                Ok(json!({ "success": true }))
            }
            Request::Send { receiver, content } => {
                session.take(Limited::Message)?;
                let content = session.services.limits.content(&content)?;
                let price = session.services.settings.now().direct_price;
                let sent = chat.direct_send(me, &receiver, &content, price).await?;
                let Sent { message_id } = sent.read().map_err(Error::internal)?;
                self.sent.insert(message_id);
                Ok(json!({ "success": true, "message_id": message_id }))
            }
            Request::Typing { receiver, is_typing } => {
                session.take(Limited::Typing)?;
                let thread = match self.thread_with(&receiver) {
                    Some((thread, partner)) if !self.view.refused.contains(&partner.id) => {
                        Some(thread)
                    }
                    // A block may have been lifted a moment ago: opening the thread asks.
                    known if is_typing || known.is_some() => {
                        Some(self.open_with(session, &receiver).await?.0)
                    }
                    _ => None,
                };
                if let Some(thread) = thread {
                    session.type_in(thread, is_typing);
                }
                Ok(json!({ "success": true }))
            }
            Request::Read { partner } => {
                session.take(Limited::Join)?;
                let read = chat.direct_read(me, &partner).await?;
                let read: Value = read.read().map_err(Error::internal)?;
                if read["marked_read"].as_i64() > Some(0)
                    && let Some((thread, _)) = self.thread_with(&partner)
                {
                    *self.read.entry(thread).or_default() += 1;
                }
                Ok(read)
            }
            Request::Delivered { message } => {
                session.take(Limited::Join)?;
                chat.direct_delivered(me, &message).await?;
                Ok(json!({ "success": true }))
            }
        }
    }
}

/// A frame that tells of a change.
fn told(delivery: &Delivery, text: Utf8Bytes) -> Frame {
    Frame { at: Some(delivery.change.at), ..Frame::plain(text) }
}

#[derive(Deserialize)]
struct Sent {
    message_id: Uuid,
}
