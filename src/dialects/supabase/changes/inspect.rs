//! Values printed as Elixir prints them, for error texts that people search for.

use std::fmt::Write;

use serde_json::Value;

/// A list of texts: `["foo", "hey"]`.
pub(super) fn inspect_list(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| inspect_text(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text: `"foo"`.
pub(super) fn inspect_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Any value: `%{"event" => "*"}`.
pub(super) fn inspect(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => inspect_text(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(inspect).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{} => {}", inspect_text(name), inspect(value))
            };
            let fields: Vec<String> = fields.iter().map(pair).collect();
            format!("%{{{}}}", fields.join(", "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_look_as_in_the_reference() {
        let value = json!({ "event": "*", "n": [1, null, true, "a\"b\n"] });
        assert_eq!(inspect(&value), r#"%{"event" => "*", "n" => [1, nil, true, "a\"b\n"]}"#);
    }
}
