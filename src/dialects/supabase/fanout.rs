//! What a socket does with its channels: pushes to the right one, what comes from the hub to those it is for.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    bearer::Denied,
    channel::{Channel, Desk, Held},
    codec::{self, Push},
    join::Join,
    joining,
    socket::{PREFIX, Socket},
    stored::{Stored, stored},
    work::{Done, What},
};
use crate::{
    error::{Error, Result},
    hub::Delivery,
    session::{Frame, Next, Reason},
    signal::Signal,
    topic::Topic,
};

/// What a refused join costs of the joins that a socket may ask for, beyond the one that it is.
const REFUSED: f64 = 9.0;

/// The socket's channels, and what they work with, apart from each other.
macro_rules! desk {
    ($socket:ident, $out:ident) => {
        Desk {
            services: &$socket.services,
            version: $socket.version,
            works: &$socket.works,
            messages: &mut $socket.messages,
            headers: &$socket.headers,
            seat: &$socket.seat,
            out: $out,
        }
    };
}

impl Socket {
    /// Does what a push asks.
    pub(super) fn act(&mut self, push: Push, out: &mut Vec<Frame>) -> Result<()> {
        if push.event == "phx_join" && push.topic.starts_with(PREFIX) {
            return self.join(&push, out);
        }
        let mut desk = desk!(self, out);
        let name = push.topic.strip_prefix(PREFIX);
        let joined = name.and_then(|name| self.channels.get_mut(name));
        match (joined, push.event.as_str()) {
            (None, "heartbeat") if push.topic == "phoenix" => {
                desk.reply(&push.asked(), true, "{}");
            }
            (None, "phx_leave") => desk.reply(&push.asked(), true, "{}"),
            (None, _) => desk.reply(&push.asked(), false, r#"{"reason":"unmatched topic"}"#),
            (Some(channel), "phx_leave") => {
                if push.join_ref.is_none() || push.join_ref == channel.asked.join_ref {
                    desk.reply(&push.asked(), true, "{}");
                    desk.end(channel, "phx_close", "{}");
                    let name = channel.name().to_owned();
                    self.forget(&name);
                }
            }
            (Some(channel), _) => return channel.pushed(push, &mut desk),
        }
        Ok(())
    }

    fn join(&mut self, push: &Push, out: &mut Vec<Frame>) -> Result<()> {
        let asked = push.asked();
        let name = push.topic.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        if let Some(before) = self.channels.get(&name) {
            desk!(self, out).end(before, "phx_close", "{}");
            self.forget(&name);
        }
        let settings = self.services.settings.now();
        let settings = &settings.supabase;
        let may = self.joins.take(settings.rate_channel_joins, 1.0);
        let payload = match &push.payload {
            codec::Payload::Json(json) => json.get(),
            codec::Payload::Bytes | codec::Payload::User(_) => "null",
        };
        let join = Join::read(payload, &name);
        let kind = if join.private { "private" } else { "public" };
        let place = Topic::parse(&format!("channel:{kind}:{name}"));
        let reason = match &place {
            _ if !may => Some("ClientJoinRateLimitReached: Too many joins per second"),
            _ if name.is_empty() => Some("TopicNameRequired: You must provide a topic name"),
            Err(_) => Some(
                "TopicNameRequired: A topic name has 600 bytes at most, and no control characters",
            ),
            _ if self.channels.len() >= settings.channels_per_socket => {
                Some("ChannelRateLimitReached: Too many channels")
            }
            _ if settings.private_only && !join.private => {
                Some("PrivateOnly: This project only allows private channels")
            }
            Ok(_) => None,
        };
        let place = match (place, reason) {
            (Ok(place), None) => place,
            (_, reason) => {
                joining::refuse(&asked, reason.unwrap_or_default(), &mut desk!(self, out));
                return match may {
                    true => Ok(()),
                    false => Err(Error::too_many("too many joins", 1_000)),
                };
            }
        };
        let channel = Channel::new(&self.services, asked, place.clone(), join, self.bearer.clone());
        // Held from here on: what comes while the join is under way is kept for it.
        self.follower.hold(place);
        channel.open(&desk!(self, out));
        self.channels.insert(name, channel);
        Ok(())
    }

    /// Gives a channel up.
    fn forget(&mut self, name: &str) {
        if let Some(channel) = self.channels.remove(name) {
            self.follower.release(&channel.place);
            self.unmind(channel.revocation());
        }
        if self.channels.is_empty() {
            self.idle = Instant::now();
            self.due = self.idle + self.services.settings.now().supabase.channel_idle;
        }
    }

    /// Takes an answer; one to a channel that was left meanwhile is nobody's.
    pub(super) fn answered(&mut self, done: Done, out: &mut Vec<Frame>) {
        let Some(channel) = self.channels.get_mut(&done.name) else { return };
        if channel.member != done.member {
            return;
        }
        let mut desk = desk!(self, out);
        let was = channel.bearer.claims.revocation.clone();
        let is_new = matches!(&done.what, What::Joined(Ok(_)) | What::Renewed(Ok(_)));
        match done.what {
            What::Joined(Ok(opened)) => channel.opened(*opened, &mut desk),
            What::Joined(Err(reason)) => {
                channel.refused(&reason, &mut desk);
                self.joins.owe(REFUSED);
                self.forget(&done.name);
                return;
            }
            What::Renewed(renewed) => channel.renewed(renewed, &mut desk),
            What::Allowed(extension, may) => channel.allowed(extension, may, &mut desk),
            What::Kept(asked, id, kept) => channel.kept(&asked, id, kept, &mut desk),
            What::Sees(may) => channel.sees(may, &mut desk),
            What::Checked => channel.go_on(&mut desk),
            What::Stands => {}
            What::Revoked(words) => channel.over = Some(words),
            What::Told(watching, told, outcome) => {
                channel.told(watching, told, outcome, &mut desk);
            }
        }
        self.due = self.due.min(channel.check_at);
        if is_new {
            channel.revocation().into_iter().for_each(|topic| self.follower.hold(topic));
            channel.look_again(&desk!(self, out));
            self.unmind(was);
        }
        self.end_if_over(&done.name, out);
    }

    /// Gives up a token's topic when no channel has the token any more.
    fn unmind(&mut self, topic: Option<Topic>) {
        let Some(topic) = topic else { return };
        let mut held = self.channels.values().filter_map(Channel::revocation);
        if !held.any(|one| one == topic) {
            self.follower.release(&topic);
        }
    }

    /// Gives what came from the hub to the channel that it is for.
    pub(super) fn pass_on(&mut self, next: Next, out: &mut Vec<Frame>) {
        match next {
            Next::Change(delivery, _) => self.change(&delivery, out),
            Next::Signal(signal) => {
                let place = match signal.as_ref() {
                    Signal::Broadcast(broadcast) => &broadcast.channel,
                    Signal::Moves(moves) => &moves.channel,
                    Signal::Typing { .. } | Signal::Presence { .. } => return,
                };
                let mut desk = desk!(self, out);
                if let Some(channel) = at(&mut self.channels, place) {
                    channel.signal(&signal, &mut desk);
                }
            }
            Next::Lagged => {
                let mut desk = desk!(self, out);
                for channel in self.channels.values().filter(|channel| channel.joined) {
                    desk.system(channel, "system", false, LAGGED);
                    channel.state(&mut desk);
                }
            }
            Next::Resync => {
                let mut desk = desk!(self, out);
                for channel in self.channels.values().filter(|channel| channel.joined) {
                    desk.system(channel, "system", false, RESYNC);
                }
            }
            Next::Heed(_) => {}
        }
    }

    fn change(&mut self, delivery: &Arc<Delivery>, out: &mut Vec<Frame>) {
        let change = &delivery.change;
        if self.revoke(&change.topic, out) {
            return;
        }
        let mut desk = desk!(self, out);
        let Some(channel) = at(&mut self.channels, &change.topic) else { return };
        let had = |since: &crate::cursor::Position| since.has(change.xid, change.id, change.at);
        if channel.since.as_ref().is_some_and(had) {
            return;
        }
        let told: Arc<Option<Stored>> = stored(delivery);
        if told.is_some() {
            channel.stored(&told, change.at, &mut desk);
        }
    }

    /// Ends the channels whose token was revoked; whether that is what the topic is about.
    fn revoke(&mut self, topic: &Topic, out: &mut Vec<Frame>) -> bool {
        let of = |channel: &&mut Channel| channel.revocation().as_ref() == Some(topic);
        let mut ended = Vec::new();
        for channel in self.channels.values_mut().filter(of) {
            channel.over = Some(Denied::Revoked.words());
            ended.push(channel.name().to_owned());
        }
        for name in &ended {
            self.end_if_over(name, out);
        }
        !ended.is_empty()
    }

    /// Looks at what is due: tokens, and whether there has been a channel at all.
    pub(super) fn check(&mut self, out: &mut Vec<Frame>) -> Option<Reason> {
        let now = Instant::now();
        if self.channels.is_empty() {
            self.due = self.idle + self.services.settings.now().supabase.channel_idle;
            return (self.due <= now).then_some(Reason::NoChannel);
        }
        let names: Vec<String> = self.channels.keys().cloned().collect();
        for name in names {
            let mut desk = desk!(self, out);
            if let Some(channel) = self.channels.get_mut(&name)
                && channel.joined
                && channel.check_at <= now
            {
                channel.check(&mut desk);
            }
            self.end_if_over(&name, out);
        }
        let joined = self.channels.values().filter(|channel| channel.joined);
        // Those whose join is under way are looked at when it is answered.
        let idle = now + self.services.settings.now().supabase.channel_idle;
        self.due = joined.map(|channel| channel.check_at).min().unwrap_or(idle);
        None
    }

    /// Ends a channel that is over: the client is told why, and stays away until it is asked to come back.
    fn end_if_over(&mut self, name: &str, out: &mut Vec<Frame>) {
        let Some(channel) = self.channels.get(name) else { return };
        let mut desk = desk!(self, out);
        if channel.broken {
            desk.end(channel, "phx_error", "{}");
            self.forget(name);
            return;
        }
        let Some(words) = &channel.over else { return };
        desk.system(channel, "system", false, words);
        desk.end(channel, "phx_close", "{}");
        self.forget(name);
    }
}

/// What is said to a client that was too slow.
const LAGGED: &str = "Too slow: some broadcasts were dropped";
/// What is said when the database was replaced under us, or the log lacks changes.
const RESYNC: &str = "Not all changes can be told; fetch afresh";

/// The channel at a place.
fn at<'a>(
    channels: &'a mut std::collections::HashMap<String, Channel>,
    place: &Topic,
) -> Option<&'a mut Channel> {
    let place_name = place.as_str();
    let name = place_name
        .strip_prefix("channel:public:")
        .or_else(|| place_name.strip_prefix("channel:private:"))?;
    channels.get_mut(name).filter(|channel| channel.place == *place)
}

impl Channel {
    /// Passes on a stored broadcast, unless a replay gave it.
    pub(super) fn stored(&mut self, told: &Arc<Option<Stored>>, at: i64, desk: &mut Desk<'_>) {
        if !self.joined {
            self.hold(Held::Stored(Arc::clone(told), at));
            return;
        }
        let Some(stored) = told.as_ref() else { return };
        if !self.rights.hear || self.replayed.contains(&stored.id) {
            return;
        }
        let (version, topic) = (desk.version, &self.asked.topic);
        let made = stored
            .broadcast
            .made
            .get(version as usize, || codec::broadcast(version, topic, &stored.broadcast));
        let body = made.and_then(|made| Option::clone(&made));
        desk.out.extend(body.map(|body| Frame { at: Some(at), ..Frame::from(body) }));
    }
}
