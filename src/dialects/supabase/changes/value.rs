//! How the reference writes a value: nearly as `to_jsonb` does.

use crate::session::permit::Base;

/// The JSON text of a value of a type, as clients know it.
pub(super) fn encode<'a>(base: &Base, value: &'a str) -> std::borrow::Cow<'a, str> {
    match &*base.name {
        // What JSON has no number for.
        "float4" | "float8" | "numeric" if value.starts_with('"') => "null".into(),
        "bytea" => match value.strip_prefix(r#""\\x"#) {
            Some(hex) => format!("\"{hex}").into(),
            None => value.into(),
        },
        _ => value.into(),
    }
}
