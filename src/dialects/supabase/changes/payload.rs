//! The payload of a change: made once for all who see the same columns of it.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, fmt::strtime};

use super::{
    row::{Row, Rows},
    value::Encoding,
};
use crate::{
    change::{Change, Op},
    hub::Delivery,
    session::permit::Table,
};

const MEMO: &str = "supabase payloads";
const UNAUTHORIZED: &str = "Error 401: Unauthorized";
const NO_KEY: &str = "Error 400: Bad Request, no primary key";

/// A payload of `postgres_changes`; cheap to clone.
#[derive(Debug, Clone)]
pub struct Payload(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    data: Range<usize>,
    event: &'static str,
    at: i64,
}

impl Payload {
    /// `{"ids":[…],"data":{…}}`
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What is in `data`.
    pub fn data(&self) -> &str {
        self.0.text.get(self.0.data.clone()).unwrap_or_default()
    }

    /// `INSERT`, `UPDATE` or `DELETE`.
    pub fn event(&self) -> &'static str {
        self.0.event
    }

    /// When the change was captured, in microseconds since 1970.
    pub fn at(&self) -> i64 {
        self.0.at
    }
}

/// Which columns of a table are shown, and in which words.
#[derive(Debug)]
pub(super) struct Shape {
    /// The JSON text of `columns`: shapes with the same text show the same.
    text: Arc<str>,
    columns: Vec<Shown>,
    error: Option<&'static str>,
}

#[derive(Debug)]
struct Shown {
    name: Arc<str>,
    encoding: Encoding,
    key: bool,
}

impl Shape {
    /// The columns of a table that its reader may have and wants; the key is always among them.
    pub(super) fn new(table: &Table, select: Option<&[String]>) -> Self {
        let error = match table.columns.iter().any(|column| column.key) {
            false => Some(NO_KEY),
            true if !table.key_is_readable() => Some(UNAUTHORIZED),
            true => None,
        };
        if error.is_some() {
            return Self { text: "[]".into(), columns: Vec::new(), error };
        }
        let wanted =
            |name: &str| select.is_none_or(|select| select.iter().any(|wanted| wanted == name));
        let shown = table
            .columns
            .iter()
            .filter(|column| column.readable && (column.key || wanted(&column.name)));
        let described: Vec<String> = shown
            .clone()
            .map(|column| {
                format!(
                    "{{\"name\":{},\"type\":{}}}",
                    quoted(&column.name),
                    quoted(&column.type_name)
                )
            })
            .collect();
        let columns = shown.map(|column| Shown {
            name: Arc::clone(&column.name),
            encoding: Encoding::of(&column.base),
            key: column.key,
        });
        Self {
            text: format!("[{}]", described.join(",")).into(),
            columns: columns.collect(),
            error: None,
        }
    }

    /// Whether nothing but an error is shown.
    pub(super) fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Whether that is because the reader may not read the key.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.error == Some(UNAUTHORIZED)
    }

    /// Whether two shapes show the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.text == other.text && self.error == other.error
    }
}

/// What is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Telling {
    /// Of the row as it was, the key only.
    pub(super) old_key_only: bool,
    /// The row has left the filter or the sight: it is not shown as it is now.
    pub(super) left: bool,
}

type Key = (Arc<str>, Option<&'static str>, Telling, Box<[u64]>);

/// The payload for subscriptions of one shape, made by whoever asks first.
pub(super) fn payload(
    delivery: &Delivery,
    table: &Table,
    shape: &Shape,
    telling: Telling,
    ids: &[u64],
) -> Payload {
    let made = delivery.memo(MEMO, Mutex::<HashMap<Key, Payload>>::default);
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (Arc::clone(&shape.text), shape.error, telling, ids.into());
    made.entry(key).or_insert_with(|| write(delivery, table, shape, telling, ids)).clone()
}

fn write(
    delivery: &Delivery,
    table: &Table,
    shape: &Shape,
    telling: Telling,
    ids: &[u64],
) -> Payload {
    let change = &delivery.change;
    let rows = Rows::of(delivery);
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let mut text = String::with_capacity(change.size() + 256);
    text.extend(["{\"ids\":[", &ids.join(","), "],\"data\":"]);
    let start = text.len();
    text.extend(["{\"schema\":", &quoted(&table.schema), ",\"table\":", &quoted(&table.name)]);
    match shape.error {
        Some(_) => text.push_str(",\"commit_timestamp\":null"),
        None => text.extend([",\"commit_timestamp\":\"", &time(change), "\""]),
    }
    text.extend([",\"type\":\"", change.op.as_str(), "\",\"columns\":", &shape.text]);
    if shape.error.is_some() {
        text.push_str(",\"record\":{},\"old_record\":{}");
    } else {
        if change.op != Op::Delete && !telling.left {
            record(&mut text, "record", shape, &rows.new, false);
        }
        if change.op != Op::Insert {
            record(&mut text, "old_record", shape, &rows.old, telling.old_key_only);
        }
    }
    if telling.left {
        text.push_str(",\"left\":true");
    }
    match shape.error {
        Some(error) => text.extend([",\"errors\":[\"", error, "\"]}"]),
        None => text.push_str(",\"errors\":null}"),
    }
    let data = start..text.len();
    text.push('}');
    Payload(Arc::new(Inner { text, data, event: change.op.as_str(), at: change.at }))
}

fn record(text: &mut String, name: &str, shape: &Shape, row: &Row, key_only: bool) {
    text.extend([",\"", name, "\":{"]);
    let mut first = true;
    for column in shape.columns.iter().filter(|column| column.key || !key_only) {
        let Some(value) = row.get(&column.name) else { continue };
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        text.extend([&*quoted(&column.name), ":", &*column.encoding.apply(value)]);
    }
    text.push('}');
}

/// UTC, milliseconds cut off.
fn time(change: &Change) -> String {
    let at = Timestamp::from_microsecond(change.at.div_euclid(1_000) * 1_000).unwrap_or_default();
    strtime::format("%Y-%m-%dT%H:%M:%S.%3fZ", at).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
