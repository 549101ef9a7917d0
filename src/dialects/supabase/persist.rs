//! Broadcasts that a client wants stored: rows of `realtime.messages`, told by the feed like those of `realtime.send()`.

use serde_json::Value;
use uuid::Uuid;

use super::{
    bearer::Bearer,
    broadcast::NO_WRITE,
    channel::{Channel, Desk},
    codec::{Asked, UserPayload, UserPush},
    work::What,
};
use crate::{
    error::{Kind, Result},
    metrics::BROADCASTS_TOTAL,
    session::{Services, permit::Kept},
    signal::Said,
};

/// Own broadcasts whose rows may still be on their way.
const OWN: usize = 256;

/// How a broadcast is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persist {
    /// For so many seconds, or for as long as the table keeps it.
    For(Option<i64>),
    /// What it says makes no sense.
    Odd,
}

impl Persist {
    /// What the metadata of a frame asks for.
    pub(super) fn of_metadata(metadata: &str) -> Option<Self> {
        let metadata: Value = serde_json::from_str(metadata).ok()?;
        match metadata.get("persist")? {
            Value::Null | Value::Bool(false) => None,
            Value::Bool(true) => Some(Self::For(None)),
            Value::Object(asked) => Some(match asked.get("ttl") {
                None | Some(Value::Null) => Self::For(None),
                Some(ttl) => ttl.as_i64().map_or(Self::Odd, Self::seconds),
            }),
            _ => Some(Self::Odd),
        }
    }

    /// What the parameters `persist` and `persist[ttl]` ask for.
    pub(super) fn of_query(persist: Option<&str>, ttl: Option<&str>) -> Option<Self> {
        match (persist, ttl) {
            (_, Some(ttl)) => Some(ttl.parse().map_or(Self::Odd, Self::seconds)),
            (Some("true"), None) => Some(Self::For(None)),
            (None | Some("false"), None) => None,
            (Some(_), None) => Some(Self::Odd),
        }
    }

    fn seconds(seconds: i64) -> Self {
        // A year is longer than anything is kept.
        if (1..=31_536_000).contains(&seconds) { Self::For(Some(seconds)) } else { Self::Odd }
    }
}

impl Channel {
    /// Stores a broadcast; it is told, to others and where asked for to its sender, when it is committed.
    pub(super) fn persist(
        &mut self,
        asked: Asked,
        push: UserPush,
        persist: Persist,
        desk: &mut Desk<'_>,
    ) {
        let refused = match persist {
            Persist::Odd => Some("`persist` is true or {ttl: seconds}"),
            Persist::For(_) if !self.join.private => {
                Some("Only messages of private channels are stored")
            }
            Persist::For(_) => None,
        };
        let (Persist::For(seconds), None) = (persist, refused) else {
            let refused = refused.unwrap_or_default();
            let response = serde_json::json!({ "error": refused }).to_string();
            desk.reply(&asked, false, &response);
            return;
        };
        let id = Uuid::new_v4();
        if !self.join.echo {
            let own = self.replayed.len().saturating_sub(OWN);
            self.replayed.drain(..own);
            self.replayed.push(id.to_string());
        }
        metrics::counter!(BROADCASTS_TOTAL, "by" => "socket").increment(1);
        // What follows is said after it.
        self.wait();
        let (services, headers) = desk.parts();
        let (bearer, name) = (self.bearer.clone(), self.name().to_owned());
        let said = match push.payload {
            UserPayload::Json(json) => Said::Json(json.get().to_owned()),
            UserPayload::Bytes(bytes) => Said::Bytes(bytes),
        };
        desk.works.start(self, async move {
            let kept = keep(&services, &bearer, (&name, &headers), id, &push.event, &said, seconds);
            What::Kept(asked, id, kept.await)
        });
    }

    /// Acknowledges what was stored, or says why it was not.
    pub(super) fn kept(
        &mut self,
        asked: &Asked,
        id: Uuid,
        kept: Result<bool>,
        desk: &mut Desk<'_>,
    ) {
        match kept {
            Ok(true) if !self.join.ack => {}
            Ok(true) => desk.reply(asked, true, &format!(r#"{{"id":"{id}"}}"#)),
            Ok(false) => desk.reply(asked, false, NO_WRITE),
            Err(error) => {
                error.log("storing a broadcast");
                desk.reply(asked, false, r#"{"error":"The message could not be stored"}"#);
            }
        }
        self.go_on(desk);
    }
}

/// Stores a broadcast of a bearer; whether they may.
pub(super) async fn keep(
    services: &Services,
    bearer: &Bearer,
    (channel, headers): (&str, &str),
    id: Uuid,
    event: &str,
    said: &Said,
    seconds: Option<i64>,
) -> Result<bool> {
    let (json, bytes) = match said {
        Said::Json(json) | Said::Message(json) => (Some(json.as_str()), None),
        Said::Bytes(bytes) => (None, Some(&**bytes)),
    };
    let kept = Kept { id, event, json, bytes, seconds };
    match services.permit.keep(&bearer.subject(), channel, headers, &kept).await {
        Err(error) if error.kind == Kind::Forbidden => Ok(false),
        kept => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_stored_is_read_from_frames_and_queries() {
        let frame = |text: &str| Persist::of_metadata(text);
        assert_eq!((frame(""), frame("{}"), frame("[1]")), (None, None, None));
        assert_eq!(frame(r#"{"persist":false}"#), None);
        assert_eq!(frame(r#"{"persist":true}"#), Some(Persist::For(None)));
        assert_eq!(frame(r#"{"persist":{"ttl":60}}"#), Some(Persist::For(Some(60))));
        for odd in [r#"{"persist":1}"#, r#"{"persist":{"ttl":0}}"#, r#"{"persist":{"ttl":"1"}}"#] {
            assert_eq!(frame(odd), Some(Persist::Odd), "{odd}");
        }
        let query = Persist::of_query;
        assert_eq!((query(None, None), query(Some("false"), None)), (None, None));
        assert_eq!(query(Some("true"), None), Some(Persist::For(None)));
        assert_eq!(query(None, Some("60")), Some(Persist::For(Some(60))));
        assert_eq!(
            (query(None, Some("x")), query(Some("x"), None)),
            (Some(Persist::Odd), Some(Persist::Odd))
        );
    }
}
