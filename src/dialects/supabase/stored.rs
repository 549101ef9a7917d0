//! A broadcast that is a row of `realtime.messages`: from the feed, or read again for a replay.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    change::Op,
    hub::Delivery,
    signal::{Broadcast, Made, Said},
};

/// A stored broadcast with its id.
pub(super) struct Stored {
    /// Its id.
    pub(super) id: String,
    /// As it is said.
    pub(super) broadcast: Broadcast,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    binary_payload: Option<String>,
}

/// What a change of the table says, worked out once for all.
pub(super) fn stored(delivery: &Delivery) -> Arc<Option<Stored>> {
    delivery.memo("supabase stored", || {
        let change = &delivery.change;
        let row: Row = change.record.as_ref().filter(|_| change.op == Op::Insert)?.read().ok()?;
        let bytes = row.binary_payload.as_deref().and_then(bytes);
        let json = row.payload.map(|payload| payload.get().to_owned());
        let said = match (json.filter(|json| json != "null"), bytes) {
            (Some(json), _) => Said::Json(json),
            (None, Some(bytes)) => Said::Bytes(bytes.into()),
            (None, None) => Said::Json("{}".to_owned()),
        };
        let broadcast = Broadcast {
            channel: change.topic.clone(),
            event: row.event.unwrap_or_default(),
            said,
            meta: format!(r#"{{"id":"{}"}}"#, row.id),
            from: None,
            made: Made::default(),
        };
        Some(Stored { id: row.id, broadcast })
    })
}

/// `\x` and hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|one| u8::try_from(one).ok());
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => Some(value(high)? << 4 | value(low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_from_their_text() {
        assert_eq!(bytes("\\x0aff"), Some(vec![10, 255]));
        assert_eq!(
            (bytes("\\x"), bytes("\\x0"), bytes("\\xzz"), bytes("0a")),
            (Some(vec![]), None, None, None)
        );
    }
}
