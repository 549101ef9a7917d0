//! Broadcasts of clients: what may be said, how often, how large, and who acknowledges it.

use super::{
    channel::{Channel, Desk},
    codec::{Payload, Push, UserPayload},
    private::{self, Extension},
    work::What,
};
use crate::{
    error::{Error, Kind, Result},
    hub::Hub,
    metrics::BROADCASTS_TOTAL,
    signal::{Broadcast, Made, Said, Signal},
    topic::Topic,
};

/// What a client is told that may not write.
pub(super) const NO_WRITE: &str =
    r#"{"reason":"You do not have permissions to write to this Channel topic"}"#;

impl Channel {
    /// Says something in the channel.
    pub(super) fn broadcast(&mut self, push: Push, desk: &mut Desk<'_>) -> Result<()> {
        match self.rights.say {
            Some(true) => {}
            Some(false) => {
                desk.reply(&push.asked(), false, NO_WRITE);
                return Ok(());
            }
            None => {
                self.ask(Extension::Broadcast, desk);
                self.wait_for(push);
                return Ok(());
            }
        }
        let asked = push.asked();
        let said = self.say(push, desk).inspect_err(|error| {
            let response = match error.kind {
                Kind::TooLarge => r#"{"error":"payload_size_exceeded"}"#,
                Kind::TooMany => r#"{"error":"Too many messages per second"}"#,
                _ => r#"{"error":"A broadcast is a push of JSON, or of kind 3"}"#,
            };
            desk.reply(&asked, false, response);
        })?;
        if said && self.join.ack {
            desk.reply(&asked, true, "{}");
        }
        Ok(())
    }

    /// Says it, or has it stored: false, and it is answered when it is.
    fn say(&mut self, push: Push, desk: &mut Desk<'_>) -> Result<bool> {
        let settings = desk.services.settings.now();
        let settings = &settings.supabase;
        if !desk.messages.take(settings.rate_broadcasts, 1.0) {
            return Err(Error::too_many("too many broadcasts", 1_000));
        }
        let asked = push.asked();
        let (event, said) = match push.payload {
            Payload::Json(json) => (String::new(), Said::Message(json.get().to_owned())),
            Payload::User(user) if let Some(persist) = user.persist => {
                within(user.payload.size(), settings.broadcast_limit)?;
                self.persist(asked, user, persist, desk);
                return Ok(false);
            }
            Payload::User(user) => match user.payload {
                UserPayload::Json(json) => (user.event, Said::Json(json.get().to_owned())),
                UserPayload::Bytes(bytes) => (user.event, Said::Bytes(bytes)),
            },
            Payload::Bytes => return Err(Error::malformed("bytes without an event")),
        };
        within(said.size(), settings.broadcast_limit)?;
        metrics::counter!(BROADCASTS_TOTAL, "by" => "socket").increment(1);
        let from = Some(self.member);
        say(&desk.services.hub, &self.place, event, said, String::new(), from);
        Ok(true)
    }

    /// Asks whether the bearer may write.
    pub(super) fn ask(&self, extension: Extension, desk: &Desk<'_>) {
        let (services, headers) = desk.parts();
        let (bearer, name) = (self.bearer.clone(), self.name().to_owned());
        desk.works.start(self, async move {
            let may = private::write(&services, &bearer, &name, &headers, extension).await;
            What::Allowed(extension, may.map_err(|error| error.log("asking for a permit")).ok())
        });
    }

    /// Notes whether the bearer may write, and goes on with what has waited for it.
    pub(super) fn allowed(&mut self, extension: Extension, may: Option<bool>, desk: &mut Desk<'_>) {
        // Where the database could not be asked, what waits is refused and the next one asks again.
        *self.right(extension) = may.or(Some(false));
        self.go_on(desk);
        if may.is_none() {
            *self.right(extension) = None;
        }
    }

    fn right(&mut self, extension: Extension) -> &mut Option<bool> {
        match extension {
            Extension::Broadcast => &mut self.rights.say,
            Extension::Presence => &mut self.rights.be,
        }
    }
}

fn within(size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::new(Kind::TooLarge, "too large a broadcast"));
    }
    Ok(())
}

/// Says something to everybody in a channel.
pub(super) fn say(
    hub: &Hub,
    channel: &Topic,
    event: String,
    said: Said,
    meta: String,
    from: Option<u64>,
) {
    let broadcast =
        Broadcast { channel: channel.clone(), event, said, meta, from, made: Made::default() };
    hub.signal(std::slice::from_ref(channel), Signal::Broadcast(broadcast));
}
