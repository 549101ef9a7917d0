//! One entry of a join's `postgres_changes`: which events of which tables, which rows of them, which columns.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    grammar::Filter,
    inspect::{inspect, inspect_list, inspect_text},
};
use crate::change::Op;

/// What was asked for, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What the client knows it by.
    pub id: u64,
    /// The kinds of change; none: all.
    pub event: Option<Op>,
    /// The schema, or `*`.
    pub schema: String,
    /// The table, or `*`.
    pub table: String,
    /// Which rows.
    pub filter: Filter,
    /// Which columns; none: all that may be read.
    pub select: Option<Vec<String>>,
}

impl Wish {
    /// Parses an entry; the error is what the client is told.
    pub fn parse(asked: &Value) -> Result<Self, String> {
        let text = |name: &str| asked.get(name).and_then(Value::as_str);
        let (schema, table) = match (text("schema"), text("table")) {
            (Some(schema), table) => (schema, table.unwrap_or("*")),
            (None, Some(table)) => ("public", table),
            (None, None) => {
                let asked = inspect(asked);
                return Err(format!(
                    "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: {asked}"
                ));
            }
        };
        let select = columns(asked.get("select"))?;
        if select.is_some() && (schema == "*" || table == "*") {
            return Err("Column selection is not supported for wildcard subscriptions. \
                        Provide an explicit schema and table name."
                .to_owned());
        }
        Ok(Self {
            id: id_of(asked),
            event: text("event").and_then(|event| Op::parse(&event.to_ascii_uppercase())),
            schema: schema.to_owned(),
            table: table.to_owned(),
            filter: Filter::parse(text("filter").unwrap_or_default())?,
            select,
        })
    }

    /// Whether tables that are not there yet may be meant.
    pub fn is_wild(&self) -> bool {
        self.schema == "*" || self.table == "*"
    }

    /// Whether it asks for a kind of change.
    pub fn asks_for(&self, op: Op) -> bool {
        op != Op::Truncate && self.event.is_none_or(|event| event == op)
    }

    /// What it asks for, as the reference prints it in its errors.
    pub(super) fn described(&self) -> String {
        let event = self.event.map_or("*", Op::as_str);
        let filters: Vec<String> = self
            .filter
            .conditions()
            .map(|condition| {
                let op = condition.op.as_str();
                let [column, op, value] =
                    [&condition.column, op, &condition.value].map(inspect_text);
                format!("{{{column}, {op}, {value}}}")
            })
            .collect();
        let select = self.select.as_ref().map_or_else(
            || "nil".to_owned(),
            |select| inspect_list(&select.iter().map(String::as_str).collect::<Vec<_>>()),
        );
        format!(
            "[event: {event}, schema: {}, table: {}, filters: [{}], select: {select}]",
            self.schema,
            self.table,
            filters.join(", ")
        )
    }
}

/// A number that stands for what was asked: the same for the same, never 0, exact in JavaScript.
pub fn id_of(asked: &Value) -> u64 {
    let hash = Sha256::digest(asked.to_string());
    let number = hash.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte));
    (number >> 12).max(1)
}

fn columns(select: Option<&Value>) -> Result<Option<Vec<String>>, String> {
    let wrong = || {
        "Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", \"col2\"]"
            .to_owned()
    };
    let names = match select {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(names)) => names,
        Some(_) => return Err(wrong()),
    };
    let names: Option<Vec<String>> =
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    Ok(Some(names.ok_or_else(wrong)?).filter(|names| !names.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn schema_and_table_may_be_left_out_or_wild() {
        for (asked, schema, table) in [
            (json!({ "schema": "app", "table": "todos" }), "app", "todos"),
            (json!({ "schema": "app" }), "app", "*"),
            (json!({ "table": "todos", "schema": null }), "public", "todos"),
            (json!({ "schema": "*" }), "*", "*"),
        ] {
            let wish = Wish::parse(&asked).expect("legal");
            assert_eq!((&*wish.schema, &*wish.table), (schema, table), "{asked}");
        }
        let error = Wish::parse(&json!({ "event": "*" })).expect_err("nothing asked");
        assert_eq!(
            error,
            r#"No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: %{"event" => "*"}"#
        );
    }

    #[test]
    fn events_are_of_any_case_and_anything_else_is_all() {
        let event = |event: &str| {
            Wish::parse(&json!({ "event": event, "schema": "public" })).expect("legal").event
        };
        assert_eq!(event("insert"), Some(Op::Insert));
        assert_eq!(event("UPDATE"), Some(Op::Update));
        assert_eq!((event("*"), event("truncated")), (None, None));
    }

    #[test]
    fn a_selection_is_a_list_of_names_of_one_table() {
        let select = |select: Value, table: &str| {
            let asked = json!({ "schema": "public", "table": table, "select": select });
            Wish::parse(&asked).map(|wish| wish.select)
        };
        assert_eq!(select(json!(["a"]), "t"), Ok(Some(vec!["a".to_owned()])));
        assert_eq!(select(json!([]), "t"), Ok(None));
        assert_eq!(select(json!(null), "*"), Ok(None));
        let error = select(json!("a"), "t").expect_err("no list");
        assert!(error.starts_with("Error parsing `select` params: expected a list"), "{error}");
        let error = select(json!(["a"]), "*").expect_err("wild");
        assert!(error.starts_with("Column selection is not supported"), "{error}");
    }

    #[test]
    fn what_was_asked_is_shown_as_in_the_reference() {
        let asked = json!({ "event": "INSERT", "schema": "public", "table": "x" });
        let shown = Wish::parse(&asked).expect("legal").described();
        assert_eq!(shown, "[event: INSERT, schema: public, table: x, filters: [], select: nil]");
    }

    proptest! {
        #[test]
        fn ids_are_the_same_for_the_same_and_exact_in_javascript(table in ".*", event in ".*") {
            let asked = json!({ "schema": "public", "table": table, "event": event });
            let again = json!({ "event": event, "table": table, "schema": "public" });
            let id = id_of(&asked);
            prop_assert_eq!(id, id_of(&again));
            prop_assert!(id > 0 && id < 1 << 53);
        }
    }
}
