//! The room's WebSocket, `/ws/chat/{id}/`: messages echoed to all, the sender's own socket included, and typing.

use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

use super::{
    codec::{self, Request},
    rest,
};
use crate::{
    chat::{self, Event},
    dialects::door::{self, Ask},
    error::{Error, Kind, Result},
    session::{Change, Dialect, Frame, Incoming, Limited, Reason, Services, Session, run},
    signal::Signal,
    topic::Topic,
};

/// `/ws/chat/{id}/`, with and without the slash.
pub(super) fn route(services: &Services) -> BoxedFilter<(Response,)> {
    let services = services.clone();
    warp::path!("ws" / "chat" / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(door::ask(0))
        .then(move |tail: Tail, on_upgrade, ask| {
            let services = services.clone();
            async move {
                let answered = accept(services, tail.as_str(), on_upgrade, ask).await;
                answered.unwrap_or_else(|error| rest::refusal(&error))
            }
        })
        .boxed()
}

async fn accept(
    services: Services,
    room: &str,
    on_upgrade: Option<OnUpgrade>,
    ask: Result<Ask>,
) -> Result<Response> {
    let ask = ask?;
    let room = room.trim_end_matches('/');
    if room.is_empty() || room.contains('/') {
        return Err(Error::new(Kind::Missing, "There is nothing at this path"));
    }
    door::room(&services)?;
    let claims = door::claims(&services, &ask).await?;
    let mut session = Session::open(services.clone(), claims, ask.address).await?;
    session.take(Limited::Join)?;
    let room = session.standing.thread(room)?;
    // Of the user's threads only this one is wanted.
    for topic in session.thread_topics().iter().filter(|topic| **topic != Topic::thread(room)) {
        session.follower.release(topic);
    }
    door::upgrade(&services, &ask, on_upgrade, move |transport| {
        run(session, transport, Room { room })
    })
}

/// One socket's room.
struct Room {
    room: i64,
}

impl Dialect for Room {
    const NAME: &'static str = "rooms";

    fn open(&mut self, _session: &mut Session, _out: &mut Vec<Frame>) {}

    async fn receive(
        &mut self,
        session: &mut Session,
        frame: Incoming,
        out: &mut Vec<Frame>,
    ) -> Result<()> {
        let request = match &frame {
            Incoming::Text(text) => codec::parse(text),
            _ => Err(Error::malformed("Frames are text: one JSON object with a `type`")),
        };
        let done = match request {
            Ok(request) => self.act(session, request, out).await,
            Err(error) => Err(error),
        };
        done.inspect_err(|error| {
            error.log("answering a rooms frame");
            out.push(Frame::plain(codec::error_frame(error)));
        })
    }

    fn deliver(&mut self, _session: &Session, change: &Change<'_>, out: &mut Vec<Frame>) {
        match change.event {
            Some(Event::Sent(message)) if message.thread_id == self.room => {
                let body = change.delivery.memo("rooms", || codec::message(message));
                let text = change
                    .delivery
                    .memo("rooms frame", || Utf8Bytes::from(codec::message_frame(&body)));
                let at = Some(change.delivery.change.at);
                out.push(Frame { at, ..Frame::plain(Utf8Bytes::clone(&text)) });
            }
            _ => {}
        }
    }

    fn signal(&mut self, session: &Session, signal: &Signal, out: &mut Vec<Frame>) {
        let own = matches!(signal, Signal::Typing { user, .. } if user.id == session.standing.user);
        if !own {
            out.extend(codec::signal(signal, self.room).map(Frame::plain));
        }
    }

    fn caught_up(&mut self, _session: &Session, _out: &mut Vec<Frame>) {}

    fn resync(&mut self, _session: &Session, out: &mut Vec<Frame>) {
        let error = Error::new(
            Kind::Conflict,
            "Not all changes can be told; fetch the room's messages afresh, what comes from here on is complete",
        );
        out.push(Frame::plain(codec::error_frame(&error)));
    }

    fn over(&self, session: &Session) -> Option<Reason> {
        (!session.standing.threads.contains_key(&self.room)).then_some(Reason::Removed)
    }
}

impl Room {
    async fn act(
        &self,
        session: &mut Session,
        request: Request,
        out: &mut Vec<Frame>,
    ) -> Result<()> {
        match request {
            Request::Ping => out.push(Frame::plain(r#"{"type":"pong"}"#)),
            Request::Typing(is_typing) => {
                session.take(Limited::Typing)?;
                self.check(session)?;
                session.type_in(self.room, is_typing);
            }
            Request::Message(content) => {
                session.take(Limited::Message)?;
                self.check(session)?;
                let content = session.services.limits.content(&content)?;
                // Its echo, which comes by the feed, is the acknowledgement.
                session
                    .services
                    .chat
                    .rooms_send(session.standing.user, self.room, &content)
                    .await?;
            }
        }
        Ok(())
    }

    fn check(&self, session: &Session) -> Result<()> {
        let is_in = session.standing.threads.contains_key(&self.room);
        is_in.then_some(()).ok_or_else(chat::not_a_participant)
    }
}
