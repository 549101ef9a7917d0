//! The `conversations` socket: events in, the events of conversations out, with each member's own unread counts.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::codec::{self, Request};
use crate::{
    change::Json,
    chat::{Counts, Event, Message, Unread},
    dialects::socketio::{self, Entered, Line, packet},
    error::{Error, Result},
    hub::Delivery,
    session::{Change, Dialect, Frame, Incoming, Limited, Reason, Session, run},
    signal::Signal,
};

/// Typing ends by itself this long after the last signal.
const TYPING_LASTS: Duration = Duration::from_secs(3);

/// Runs a session on a line.
pub(in crate::dialects) fn start(
    session: Box<Session>,
    line: &mut Line,
    entered: Entered,
) -> Pin<Box<dyn Future<Output = Reason> + Send + '_>> {
    Box::pin(async move {
        let counts = session.services.chat.conversation_counts(session.standing.user);
        match Box::pin(counts).await {
            Ok(counts) => run(*session, line, Conversations::new(entered, counts)).await,
            Err(error) => {
                error.log("reading a user's unread counts");
                Reason::Internal
            }
        }
    })
}

/// One socket's view.
struct Conversations {
    entered: Entered,
    /// Threads whose messages, typing and reads are wanted.
    subscribed: HashSet<i64>,
    /// Messages sent here, which are not sent back.
    sent: HashSet<Uuid>,
    /// Threads read here: how many readings are not told back.
    read: HashMap<i64, usize>,
    /// What is unread, from when it was asked on.
    counts: Counts,
    /// Changes came that counting along cannot follow.
    stale: bool,
    /// Conversations that changed in a way which the database has to be asked about.
    open: HashSet<i64>,
}

/// What a new message makes, once for all: its packet, and the news of its conversation.
type Made = (Utf8Bytes, String);

impl Dialect for Conversations {
    const NAME: &'static str = "conversations";

    fn open(&mut self, session: &mut Session, out: &mut Vec<Frame>) {
        session.hush();
        let user = json!({ "success": true, "userId": session.standing.uuid });
        if let Entered::Event(Some(ack)) = self.entered {
            out.push(Frame::plain(packet::ack(ack, &user)));
        }
        out.push(Frame::plain(packet::event_text("authenticated", &user)));
    }

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
        let renewed = outcome.is_ok() && event.name == "auth";
        socketio::answer(&event, outcome, out)?;
        if renewed {
            let user = json!({ "success": true, "userId": session.standing.uuid });
            out.push(Frame::plain(packet::event_text("authenticated", &user)));
        }
        Ok(())
    }

    fn deliver(&mut self, session: &Session, change: &Change<'_>, out: &mut Vec<Frame>) {
        let Some(event) = change.event else { return };
        let me = session.standing.user;
        match event {
            Event::Sent(message) => self.tell(me, change.delivery, message, out),
            Event::Edited(message) => {
                self.open.insert(message.thread_id);
            }
            Event::Deleted(gone) => {
                self.stale = true;
                self.open.insert(gone.thread_id);
            }
            Event::Marked { now, .. } => {
                let packet = change
                    .delivery
                    .memo("conversations", || codec::message_read(event).map(Utf8Bytes::from));
                let Some(text) = Option::clone(&packet) else { return };
                let mine = now.user_id == me;
                if mine {
                    self.count_read(
                        change.delivery,
                        now.thread_id,
                        now.last_read_seq,
                        now.read_count,
                    );
                }
                let here = mine && self.was_read_here(now.thread_id);
                if self.subscribed.contains(&now.thread_id) && !here {
                    out.push(told(change.delivery, text));
                }
            }
            Event::Joined(member) if member.user_id == me => {
                self.stale = true;
                self.open.insert(member.thread_id);
            }
            Event::Left(member) if member.user_id == me => {
                self.subscribed.remove(&member.thread_id);
                self.counts.unread.remove(&member.thread_id);
                self.open.remove(&member.thread_id);
                self.read.remove(&member.thread_id);
            }
            _ => {}
        }
    }

    fn signal(&mut self, session: &Session, signal: &Signal, out: &mut Vec<Frame>) {
        let Signal::Typing { thread, user, is_typing, .. } = signal else { return };
        if user.id == session.standing.user || !self.subscribed.contains(thread) {
            return;
        }
        if let Some(conversation) = session.standing.threads.get(thread) {
            out.push(Frame::plain(codec::typing(*conversation, *user, *is_typing)));
        }
    }

    fn caught_up(&mut self, _session: &Session, _out: &mut Vec<Frame>) {}

    fn resync(&mut self, _session: &Session, out: &mut Vec<Frame>) {
        self.stale = true;
        out.push(Frame::plain(socketio::resync()));
    }

    async fn settle(&mut self, session: &mut Session, out: &mut Vec<Frame>) {
        if !self.stale && self.open.is_empty() {
            return;
        }
        if let Err(error) = Box::pin(self.ask(session, out)).await {
            // What is left open is asked about again after the next change.
            error.log("reading a user's conversations");
        }
    }
}

impl Conversations {
    fn new(entered: Entered, counts: Counts) -> Self {
        Self {
            entered,
            subscribed: HashSet::new(),
            sent: HashSet::new(),
            read: HashMap::new(),
            counts,
            stale: false,
            open: HashSet::new(),
        }
    }

    /// Tells of a new message: itself to who subscribed, its conversation's news to every member.
    fn tell(&mut self, me: i64, delivery: &Delivery, message: &Message, out: &mut Vec<Frame>) {
        let thread = message.thread_id;
        let made = delivery.memo("conversations", || -> Made {
            (codec::new_message(message).into(), codec::news(message))
        });
        if self.subscribed.contains(&thread) && !self.sent.remove(&message.uuid) {
            out.push(told(delivery, made.0.clone()));
        }
        let known = self.counts.unread.contains_key(&thread);
        if self.stale || self.open.contains(&thread) || !known {
            self.stale |= !known;
            self.open.insert(thread);
            return;
        }
        let unread = self.counts.unread.entry(thread).or_default();
        let counted = self.counts.asked.sees(delivery.change.xid, delivery.change.at);
        if !counted && message.sender_id != Some(me) && message.seq > unread.read {
            unread.count += 1;
        }
        out.push(told(delivery, codec::updated(&made.1, unread.count).into()));
    }

    /// Takes what the user read elsewhere or here off the count, and has all their devices told.
    fn count_read(&mut self, delivery: &Delivery, thread: i64, upto: i64, count: i64) {
        if !self.counts.asked.sees(delivery.change.xid, delivery.change.at)
            && let Some(unread) = self.counts.unread.get_mut(&thread)
        {
            *unread = Unread { count: (unread.count - count).max(0), read: upto };
        }
        self.open.insert(thread);
    }

    /// Whether a reading is that of this very device.
    fn was_read_here(&mut self, thread: i64) -> bool {
        match self.read.get_mut(&thread) {
            Some(here) if *here > 0 => {
                *here -= 1;
                true
            }
            _ => false,
        }
    }

    /// Asks for what is left open, and tells of it.
    async fn ask(&mut self, session: &Session, out: &mut Vec<Frame>) -> Result<()> {
        let me = session.standing.user;
        let chat = &session.services.chat;
        if self.stale {
            self.counts = chat.conversation_counts(me).await?;
            self.stale = false;
        }
        while let Some(&thread) = self.open.iter().next() {
            let conversation = chat.conversation(me, thread).await?;
            self.open.remove(&thread);
            if let Some(json) = conversation {
                out.push(Frame::plain(codec::conversation_updated(json.as_str())));
            }
        }
        Ok(())
    }

    async fn act(&mut self, session: &mut Session, request: Request) -> Result<Value> {
        let me = session.standing.user;
        let chat = session.services.chat.clone();
        match request {
            Request::Auth { token } => {
                session.take(Limited::Join)?;
                let claims = session.services.verifier.verify(&token).await?;
                session.renew(claims).await?;
                return Ok(json!({ "success": true, "userId": session.standing.uuid }));
            }
            Request::Subscribe { conversation } => {
                session.take(Limited::Join)?;
                let (thread, _) = session.thread(&conversation).await?;
                self.subscribed.insert(thread);
                session.hear(thread, true);
            }
            Request::Unsubscribe { conversation } => {
                session.take(Limited::Join)?;
                let (thread, _) = session.thread(&conversation).await?;
                self.subscribed.remove(&thread);
                session.hear(thread, false);
                session.type_in(thread, false);
            }
            Request::Typing { conversation, is_typing } => {
                session.take(Limited::Typing)?;
                let (thread, _) = session.thread(&conversation).await?;
                session.type_for(thread, is_typing, TYPING_LASTS);
            }
            Request::Send { conversation, content, message_type } => {
                session.take(Limited::Message)?;
                let content = session.services.limits.content(&content)?;
                let sent =
                    chat.conversation_send(me, &conversation, &content, &message_type).await?;
                self.sent.insert(id(&sent)?);
                let message: &RawValue = sent.read().map_err(Error::internal)?;
                return Ok(json!({ "success": true, "message": message }));
            }
            Request::Read { conversation, upto } => {
                session.take(Limited::Join)?;
                let (thread, _) = session.thread(&conversation).await?;
                let read = chat.conversation_read(me, &conversation, upto.as_deref()).await?;
                let read: Value = read.read().map_err(Error::internal)?;
                if read["markedCount"].as_i64() > Some(0) {
                    *self.read.entry(thread).or_default() += 1;
                }
                return Ok(read);
            }
        }
        Ok(json!({ "success": true }))
    }
}

/// A frame that tells of a change.
fn told(delivery: &Delivery, text: Utf8Bytes) -> Frame {
    Frame { at: Some(delivery.change.at), ..Frame::plain(text) }
}

fn id(message: &Json) -> Result<Uuid> {
    #[derive(Deserialize)]
    struct Sent {
        id: Uuid,
    }
    message.read::<Sent>().map(|sent| sent.id).map_err(Error::internal)
}
