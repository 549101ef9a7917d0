//! What a join asks for, read leniently: whatever is odd counts as not said.

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Messages that one replay may ask for.
const MOST_REPLAYED: i64 = 25;

/// The payload of `phx_join`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Join {
    /// The channel is a private one.
    pub(super) private: bool,
    /// Broadcasts are acknowledged.
    pub(super) ack: bool,
    /// Own broadcasts come back.
    pub(super) echo: bool,
    /// Stored broadcasts to begin with.
    pub(super) replay: Option<Replay>,
    /// It wants to be told that broadcasts of the database will come.
    pub(super) replication_ready: bool,
    /// The key of its presence.
    pub(super) presence_key: String,
    /// It wants presences.
    pub(super) presence: bool,
    /// What it wants of `postgres_changes`, verbatim.
    pub(super) changes: Vec<Value>,
    /// How it wants them.
    pub(super) options: Value,
    /// A token of its own.
    pub(super) token: Option<String>,
    /// It is of the time before `config`: the topic is the subscription.
    pub(super) legacy: bool,
}

/// Which stored broadcasts a join asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    /// So many of the last since a time, in milliseconds since 1970.
    Since(i64, i64),
    /// What it says makes no sense.
    Odd,
}

impl Join {
    /// Reads a payload; `name` is the topic without `realtime:`.
    pub(super) fn read(payload: &str, name: &str) -> Self {
        let payload: Value = serde_json::from_str(payload).unwrap_or_default();
        let config = payload.get("config").filter(|config| config.is_object());
        let nothing = Value::Null;
        let at = |name: &str| config.and_then(|config| config.get(name)).unwrap_or(&nothing);
        let (broadcast, presence) = (at("broadcast"), at("presence"));
        let legacy = payload.get("config").is_none();
        Self {
            private: truth(at("private")),
            ack: truth(&broadcast["ack"]),
            echo: truth(&broadcast["self"]),
            replay: Replay::read(&broadcast["replay"]),
            replication_ready: truth(&broadcast["replication_ready"]),
            presence_key: key(&presence["key"]),
            // Clients that do not know the switch name a key and expect presences.
            presence: presence.get("enabled").map_or(presence.is_object(), truth),
            changes: if legacy { of_topic(name) } else { list(at("postgres_changes")) },
            options: at("postgres_changes_options").clone(),
            token: ["access_token", "user_token"]
                .iter()
                .find_map(|name| payload.get(name)?.as_str())
                .filter(|token| !super::bearer::is_opaque(token))
                .map(str::to_owned),
            legacy,
        }
    }
}

impl Replay {
    fn read(value: &Value) -> Option<Self> {
        let asked = match value {
            Value::Null => return None,
            Value::Object(asked) if asked.is_empty() => return None,
            Value::Object(asked) => asked,
            _ => return Some(Self::Odd),
        };
        let limit = match asked.get("limit") {
            None | Some(Value::Null) => Some(MOST_REPLAYED),
            Some(limit) => limit.as_i64().filter(|limit| (1..=MOST_REPLAYED).contains(limit)),
        };
        let since = asked.get("since").and_then(Value::as_i64);
        Some(since.zip(limit).map_or(Self::Odd, |(since, limit)| Self::Since(since, limit)))
    }
}

/// A boolean, or a word for it in any case.
fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(word) => word.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// Whatever is not empty is a key.
fn key(value: &Value) -> String {
    match value {
        Value::Null => Uuid::new_v4().to_string(),
        Value::String(key) if key.is_empty() => Uuid::new_v4().to_string(),
        Value::String(key) => key.clone(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> Vec<Value> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter(|one| one.is_object()).cloned().collect()
}

/// `schema[:table[:filter]]`.
fn of_topic(name: &str) -> Vec<Value> {
    let mut parts = name.splitn(3, ':');
    let mut asked = Map::new();
    asked.insert("event".to_owned(), "*".into());
    for key in ["schema", "table", "filter"] {
        if let Some(part) = parts.next() {
            asked.insert(key.to_owned(), part.into());
        }
    }
    vec![asked.into()]
}

/// What a push of presence asks.
#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    /// `track` or `untrack`, in any case.
    #[serde(default)]
    pub(super) event: String,
    /// What the member says of itself.
    #[serde(default)]
    pub(super) payload: Option<Box<serde_json::value::RawValue>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Join {
        Join::read(&json!({ "config": config }).to_string(), "room1")
    }

    #[test]
    fn a_join_is_read_leniently() {
        let join = read(&json!({
            "broadcast": { "ack": "TRUE", "self": true, "replay": { "since": 1_730_000_000_000_i64 } },
            "presence": { "key": 7 },
            "postgres_changes": [null, { "event": "*", "schema": "public" }],
            "private": "False",
        }));
        assert!(join.ack && join.echo && join.presence && !join.private && !join.legacy);
        assert_eq!(join.replay, Some(Replay::Since(1_730_000_000_000, 25)));
        assert_eq!(join.presence_key, "7");
        assert_eq!(join.changes, [json!({ "event": "*", "schema": "public" })]);

        let join = read(&json!({ "broadcast": null, "presence": null, "postgres_changes": null }));
        assert!(!join.ack && !join.presence && join.changes.is_empty() && join.replay.is_none());
        assert_eq!(join.presence_key.len(), 36);
        assert!(!read(&json!({ "presence": { "key": "", "enabled": false } })).presence);
    }

    #[test]
    fn nothing_makes_reading_fail() {
        for payload in
            ["", "null", "[]", "1", r#"{"config":[]}"#, r#"{"config":{"broadcast":[1]}}"#]
        {
            let _ = Join::read(payload, "room1");
        }
        for odd in [json!(1), json!({ "since": "x" }), json!({ "since": 1, "limit": 26 })] {
            let join = read(&json!({ "broadcast": { "replay": odd } }));
            assert_eq!(join.replay, Some(Replay::Odd), "{odd}");
        }
    }

    #[test]
    fn a_token_that_is_no_users_is_the_connections() {
        let token = |payload: Value| Join::read(&payload.to_string(), "a").token;
        assert_eq!(
            token(json!({ "access_token": "a.b.c", "user_token": "d" })).as_deref(),
            Some("a.b.c")
        );
        assert_eq!(token(json!({ "user_token": "d" })).as_deref(), Some("d"));
        assert_eq!(token(json!({ "access_token": "sb_publishable_x" })), None);
        assert_eq!(token(json!({ "access_token": 7 })), None);
    }

    #[test]
    fn a_join_without_config_means_its_topic() {
        let join = Join::read("{}", "public:todos:id=eq.1:2");
        assert!(join.legacy && !join.presence);
        let wanted =
            json!({ "event": "*", "schema": "public", "table": "todos", "filter": "id=eq.1:2" });
        assert_eq!(join.changes, [wanted]);
    }
}
