//! A row of the log, taken apart once for all who look at it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{change::Json, hub::Delivery};

const MEMO: &str = "supabase rows";

/// The columns of a row with the JSON text of their values.
#[derive(Default)]
pub(super) struct Row {
    text: Option<Json>,
    fields: HashMap<String, Bytes>,
}

/// The row as it is and as it was; what the log does not have has no columns.
pub(super) struct Rows {
    pub(super) new: Row,
    pub(super) old: Row,
}

impl Rows {
    /// Those of a change.
    pub(super) fn of(delivery: &Delivery) -> Arc<Self> {
        delivery.memo(MEMO, || Self {
            new: Row::read(delivery.change.record.as_ref()),
            old: Row::read(delivery.change.old_record.as_ref()),
        })
    }
}

impl Row {
    /// Takes a record apart; what is no object has no columns.
    pub(super) fn read(record: Option<&Json>) -> Self {
        let Some(record) = record else { return Self::default() };
        let text = record.bytes();
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(&text).unwrap_or_default();
        let slice = |value: &RawValue| text.slice_ref(value.get().as_bytes());
        let fields = fields.into_iter().map(|(name, value)| (name, slice(value))).collect();
        Self { text: Some(record.clone()), fields }
    }

    /// The JSON text of a column; none for one that the log does not have.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        self.fields.get(column).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The whole of it, for the database.
    pub(super) fn json(&self) -> Option<&Json> {
        self.text.as_ref()
    }
}
