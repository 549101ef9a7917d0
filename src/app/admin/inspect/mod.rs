//! The inspector: joins a topic as any role with any claims, and shows what such a subscriber gets and what is withheld.
//!
//! Nothing is decided here. Rows of tables go through the same permits as those of the `supabase` dialect, threads and
//! users through the same session as those of the chat's dialects, channels by the same policies.

mod channel;
mod chat;
mod table;

use serde::Deserialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use tokio::time::{Instant, sleep_until};
use warp::reply::Response;

use super::{
    Console, act,
    shown::{quoted, withheld},
    stream::Source,
};
use crate::{
    change::Change,
    claims::Claims,
    dialects::door::Ask,
    error::{Error, Kind, Result},
    session::{Services, expiry},
    topic::Topic,
};

/// How long the inspector's claims hold when they do not say.
const TTL: i64 = 3_600;
/// Changes held for one inspector.
const MAILBOX: usize = 256;

/// What is asked: a topic, and as whom.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    topic: String,
    role: String,
    #[serde(default)]
    claims: Option<Map<String, Value>>,
}

/// An event: its name and its JSON.
type Said = (&'static str, String);

/// One who joined.
enum Onlooker {
    Table(Box<table::Table>),
    Chat(Box<chat::Chat>),
    Channel(Box<channel::Channel>),
}

impl Console {
    /// Joins, and follows.
    pub(super) async fn inspect(&self, ask: &Ask) -> Result<Response> {
        let wish: Wish = act::body(ask)?;
        let joined = join(&self.services, wish).await;
        let (onlooker, until, first) = joined.map_err(|error| match error.kind {
            _ if error.is_ours() => error,
            // Of the subject, not of the console's own token.
            _ => Error::new(Kind::Malformed, error.message),
        })?;
        self.stream(Inspector { onlooker, until, waiting: vec![first], over: false })
    }
}

async fn join(services: &Services, wish: Wish) -> Result<(Onlooker, Instant, Said)> {
    let topic = Topic::parse(&wish.topic)?;
    let claims = claims(wish.role, wish.claims.unwrap_or_default())?;
    let until = expiry(claims.exp);
    if until <= Instant::now() {
        return Err(Error::unauthorized("The claims' `exp` has passed: their token opens nothing"));
    }
    let kind = topic.as_str().split_once(':').map_or("", |(kind, _)| kind);
    let (onlooker, words) = match kind {
        "thread" | "user" => {
            let (chat, words) = chat::Chat::join(services, topic, claims).await?;
            (Onlooker::Chat(Box::new(chat)), words)
        }
        "channel" => {
            let (channel, words) = channel::Channel::join(services, &topic, &claims).await?;
            (Onlooker::Channel(Box::new(channel)), words)
        }
        "token" => return Err(Error::malformed("The topics of tokens are the bridge's own")),
        _ => {
            let (table, words) = table::Table::join(services, topic, &claims).await?;
            (Onlooker::Table(Box::new(table)), words)
        }
    };
    Ok((onlooker, until, ("joined", words.to_string())))
}

/// Claims as a token would carry them; the role is the one that was chosen.
fn claims(role: String, mut fields: Map<String, Value>) -> Result<Claims> {
    let now = jiff::Timestamp::now().as_second();
    fields.insert("role".to_owned(), Value::from(role.clone()));
    fields.entry("exp").or_insert(Value::from(now + TTL));
    fields.entry("iat").or_insert(Value::from(now));
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => {
            Err(Error::malformed(format!("`{name}` holds a null character")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Error::malformed(format!("`{name}` is text or a number"))),
    };
    let number = |name: &str| fields.get(name).and_then(Value::as_f64).map(|number| number as i64);
    let raw: Box<RawValue> = to_raw_value(&fields).map_err(Error::internal)?;
    let jti = text("jti")?;
    Ok(Claims {
        sub: text("sub")?.unwrap_or_default(),
        revocation: jti.as_deref().and_then(Topic::token),
        jti,
        role,
        exp: number("exp").unwrap_or(now + TTL),
        iat: number("iat").unwrap_or(now),
        raw,
    })
}

struct Inspector {
    onlooker: Onlooker,
    /// When the claims end, and what they let be seen with them.
    until: Instant,
    /// Events that have not been said, the first last.
    waiting: Vec<Said>,
    over: bool,
}

impl Source for Inspector {
    async fn next(&mut self) -> Option<Said> {
        while self.waiting.is_empty() {
            if self.over {
                return None;
            }
            let mut out = Vec::new();
            let onlooker = &mut self.onlooker;
            let coming = async {
                match onlooker {
                    Onlooker::Table(table) => table.next(&mut out).await,
                    Onlooker::Chat(chat) => chat.next(&mut out).await,
                    Onlooker::Channel(channel) => channel.next(&mut out).await,
                }
            };
            // The end first: of what comes all the time nothing is shown after it.
            let came = tokio::select! {
                biased;
                () = sleep_until(self.until) => Err(Error::unauthorized(EXPIRED)),
                came = coming => came,
            };
            if let Err(error) = came {
                error.log("following a topic for the console");
                self.over = true;
                out.push(("ended", json!({ "message": error.message }).to_string()));
            }
            out.reverse();
            self.waiting = out;
        }
        self.waiting.pop()
    }
}

/// Why nothing comes any more.
const EXPIRED: &str = "The claims' `exp` is over: a client would need a fresh token";

/// That a change is not for the subscriber.
fn hidden(change: &Change, why: &str) -> Said {
    ("withheld", withheld(change, why))
}

/// That something was lost between the hub and the inspector, whose subscriber would have caught up or been told.
fn gap(words: &str) -> Said {
    ("gap", format!(r#"{{"message":{}}}"#, quoted(words)))
}

/// What is said when the inspector did not keep up.
const LAGGED: &str = "More came than the inspector holds; what was said meanwhile is lost, changes are read from the log";
/// What is said when the database was replaced under us.
const RESYNC: &str = "The history cannot be continued from here; a client is told to fetch afresh";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_a_tokens_with_the_role_that_was_chosen() {
        let fields = json!({ "sub": 7, "role": "service_role", "org": "a" });
        let claims = claims("anon".to_owned(), fields.as_object().cloned().unwrap_or_default());
        let claims = claims.expect("claims");
        assert_eq!((claims.sub.as_str(), claims.role.as_str()), ("7", "anon"));
        let raw: Value = serde_json::from_str(claims.raw.get()).expect("JSON");
        assert_eq!((&raw["role"], &raw["org"]), (&json!("anon"), &json!("a")));
        let odd = json!({ "sub": ["a"] }).as_object().cloned().unwrap_or_default();
        assert!(super::claims("anon".to_owned(), odd).is_err());
    }
}
