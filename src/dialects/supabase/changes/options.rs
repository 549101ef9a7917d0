//! `postgres_changes_options`: what a client of ours may ask for beyond the reference.

use jiff::Timestamp;
use serde_json::Value;

/// The options of a join; what is not understood is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether cursors are wanted.
    pub cursors: bool,
    /// Where to go on from.
    pub from: Option<From>,
    /// Whether rows that leave the filter or the sight are told of.
    pub left: bool,
}

/// A place in the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// After what this cursor's holder has had.
    Cursor(String),
    /// After this time, in microseconds since 1970; what was young then may come again.
    Time(i64),
}

impl Options {
    /// Reads the options.
    pub fn parse(options: &Value) -> Self {
        let cursor = options.get("cursor");
        let from = match (cursor, options.get("since")) {
            (Some(Value::String(cursor)), _) => Some(From::Cursor(cursor.clone())),
            (_, Some(since)) => time(since).map(From::Time),
            _ => None,
        };
        let left = options.get("left").and_then(Value::as_bool).unwrap_or_default();
        Self { cursors: cursor.is_some(), from, left }
    }
}

/// A `commit_timestamp`, or milliseconds since 1970.
fn time(since: &Value) -> Option<i64> {
    match since {
        Value::String(text) => Some(text.parse::<Timestamp>().ok()?.as_microsecond()),
        since => since.as_i64()?.checked_mul(1_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cursors_and_times_are_read() {
        let from = |options: Value| Options::parse(&options).from;
        assert_eq!(Options::parse(&Value::Null), Options::default());
        assert!(Options::parse(&json!({ "cursor": null })).cursors);
        let both = from(json!({ "cursor": "abc", "since": 5 }));
        assert_eq!(both, Some(From::Cursor("abc".to_owned())));
        let time = Some(From::Time(1_790_000_000_123_000));
        assert_eq!(from(json!({ "cursor": null, "since": 1_790_000_000_123_i64 })), time);
        assert_eq!(from(json!({ "since": "2026-09-21T14:13:20.123Z" })), time);
        assert_eq!(from(json!({ "since": "yesterday" })), None);
        assert!(Options::parse(&json!({ "left": true })).left);
    }
}
