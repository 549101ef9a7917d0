//! A change as the console shows it: where rows are large, their size.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    change::{Change, Json, Op},
    session::permit::Table,
};

/// Of longer JSON the console is told the length only.
const LONGEST: usize = 16 * 1024;

/// All of a change, as the log has it.
pub(super) fn whole(change: &Change) -> String {
    let part =
        |json: &Option<Json>| json.as_ref().map_or("null".to_owned(), |json| short(json.as_str()));
    let link = change.link.as_ref().map(ToString::to_string);
    let more = format!(
        r#""key":{},"record":{},"old_record":{},"link":{}"#,
        part(&change.key),
        part(&change.record),
        part(&change.old_record),
        link.map_or("null".to_owned(), |link| quoted(&link)),
    );
    with(change, &more)
}

/// What a role may read of a change of a table that it may see.
pub(super) fn readable(change: &Change, table: &Table) -> String {
    let columns = |json: Option<&Json>, keys_only: bool| -> String {
        let fields: Option<BTreeMap<String, &RawValue>> = json.and_then(|json| json.read().ok());
        let Some(fields) = fields else { return "null".to_owned() };
        let shown =
            table.columns.iter().filter(|column| column.readable && (column.key || !keys_only));
        let shown: Vec<String> = shown
            .filter_map(|column| Some((column, fields.get(&*column.name)?)))
            .map(|(column, value)| format!("{}:{}", quoted(&column.name), value.get()))
            .collect();
        short(&format!("{{{}}}", shown.join(",")))
    };
    let is_gone = change.op == Op::Delete;
    let old = change.old_record.as_ref().or(change.key.as_ref()).filter(|_| is_gone);
    let more = format!(
        r#""record":{},"old_record":{}"#,
        columns(change.record.as_ref(), false),
        columns(old, !table.shows_deleted()),
    );
    with(change, &more)
}

/// That there was a change, and why it is not shown.
pub(super) fn withheld(change: &Change, why: &str) -> String {
    with(change, &format!(r#""why":{}"#, quoted(why)))
}

/// JSON text of a text.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn with(change: &Change, more: &str) -> String {
    format!(
        r#"{{"id":{},"at":{},"topic":{},"relation":{},"op":"{}",{more}}}"#,
        change.id,
        change.at / 1_000,
        quoted(change.topic.as_str()),
        quoted(&change.relation),
        change.op.as_str(),
    )
}

fn short(json: &str) -> String {
    match json.len() {
        length if length > LONGEST => format!(r#"{{"…":"{length} bytes"}}"#),
        _ => json.to_owned(),
    }
}
