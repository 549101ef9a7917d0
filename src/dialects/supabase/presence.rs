//! Presence: what a client says of itself in a channel, and what it is told of the others.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    broadcast::NO_WRITE,
    channel::{Channel, Desk},
    codec::{Asked, Payload, Push, quoted},
    join,
    private::{self, Extension},
    work::What,
};
use crate::error::{Error, Result};

/// Longest that a member may say of itself, in bytes.
const LARGEST: usize = 64 * 1024;

const NO_MAP: &str = r#"{"reason":"Presence track payload must be a map"}"#;
const TOO_LARGE: &str = r#"{"reason":"Track message size exceeded"}"#;
const TOO_MANY: &str = r#"{"reason":"Client presence rate limit exceeded"}"#;

impl Channel {
    /// Does what a push of presence asks.
    pub(super) fn presence(&mut self, push: Push, desk: &mut Desk<'_>) -> Result<()> {
        let asked = push.asked();
        let wanted: Option<join::Presence> = match &push.payload {
            Payload::Json(json) => serde_json::from_str(json.get()).ok(),
            Payload::Bytes | Payload::User(_) => None,
        };
        let (track, payload) = match wanted {
            Some(wanted) if wanted.event.eq_ignore_ascii_case("track") => (true, wanted.payload),
            Some(wanted) if wanted.event.eq_ignore_ascii_case("untrack") => (false, None),
            _ => {
                desk.reply(&asked, false, "{}");
                return Ok(());
            }
        };
        if track && self.rights.be.is_none() {
            self.ask(Extension::Presence, desk);
            self.wait_for(push);
            return Ok(());
        }
        if !self.calls.take(desk.services.settings.now().supabase.rate_presence, 1.0) {
            desk.reply(&asked, false, TOO_MANY);
            return Err(Error::too_many("too many presence calls", 1_000));
        }
        if track {
            self.track(payload.as_deref(), &asked, desk);
        } else {
            self.entry = None;
            desk.reply(&asked, true, "{}");
        }
        Ok(())
    }

    fn track(&mut self, payload: Option<&RawValue>, asked: &Asked, desk: &mut Desk<'_>) {
        if self.rights.be != Some(true) {
            desk.reply(asked, false, NO_WRITE);
            return;
        }
        let fields = match payload.map(RawValue::get) {
            None | Some("null") => Some(String::new()),
            Some(payload) if payload.len() > LARGEST => {
                desk.reply(asked, false, TOO_LARGE);
                return;
            }
            Some(payload) => fields(payload),
        };
        let Some(fields) = fields else {
            desk.reply(asked, false, NO_MAP);
            return;
        };
        match &self.entry {
            Some(entry) => entry.change(fields),
            None => {
                let hub = &desk.services.hub;
                let entry = hub.enter(&self.place, self.member, &self.join.presence_key, fields);
                self.entry = Some(entry);
            }
        }
        desk.reply(asked, true, "{}");
        if !self.join.presence {
            // Who is present wants to know who else is.
            self.join.presence = true;
            match self.rights.see {
                Some(_) => self.state(desk),
                None => self.ask_to_see(desk),
            }
        }
    }

    /// Tells who is there, where the bearer may know.
    pub(super) fn state(&self, desk: &mut Desk<'_>) {
        if self.join.presence && self.rights.see == Some(true) {
            let state = desk.services.hub.roster().state(&self.place);
            desk.push(self, "presence_state", &state);
        }
    }

    /// Notes whether the bearer may get presences.
    pub(super) fn sees(&mut self, may: Option<bool>, desk: &mut Desk<'_>) {
        self.rights.see = may;
        self.state(desk);
        self.go_on(desk);
    }

    fn ask_to_see(&mut self, desk: &Desk<'_>) {
        self.wait();
        let (services, headers) = desk.parts();
        let (bearer, name) = (self.bearer.clone(), self.name().to_owned());
        desk.works.start(self, async move {
            let rights = private::read(&services, &bearer, &name, &headers, true).await;
            let rights = rights.map_err(|error| error.log("asking for a permit"));
            What::Sees(rights.ok().and_then(|rights| rights.see))
        });
    }
}

/// The fields of a JSON object without its braces, each key once, in one order; the refs are ours to give.
fn fields(payload: &str) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(payload).ok()?;
    let ours = ["phx_ref", "phx_ref_prev"];
    let fields = fields.iter().filter(|(key, _)| !ours.contains(&key.as_str()));
    let fields = fields.map(|(key, value)| format!("{}:{}", quoted(key), value.get()));
    Some(fields.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_object_but_for_the_refs() {
        let fields = |text| fields(text);
        assert_eq!(
            fields(r#"{"b":1,"a":{"c":[ ]},"phx_ref":"x"}"#).as_deref(),
            Some(r#""a":{"c":[ ]},"b":1"#)
        );
        assert_eq!(fields("{}").as_deref(), Some(""));
        for bad in ["[]", "1", r#""a""#, ""] {
            assert_eq!(fields(bad), None, "{bad}");
        }
    }
}
