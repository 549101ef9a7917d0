//! How the reference writes a value: nearly as `to_jsonb` does.

use std::borrow::Cow;

use crate::session::permit::Base;

/// What is done to the JSON text of a type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Nothing.
    Same,
    /// What JSON has no number for is null.
    Number,
    /// Hexadecimal digits without what the database puts before them.
    Bytes,
}

impl Encoding {
    /// That of a type; what is within an array stays as it is.
    pub(super) fn of(base: &Base) -> Self {
        match &*base.name {
            "float4" | "float8" | "numeric" => Self::Number,
            "bytea" => Self::Bytes,
            _ => Self::Same,
        }
    }

    /// The text of a value as clients know it.
    pub(super) fn apply(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Number if value.starts_with('"') => "null".into(),
            Self::Bytes => value
                .strip_prefix(r#""\\x"#)
                .map_or(value.into(), |digits| format!("\"{digits}").into()),
            Self::Same | Self::Number => value.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_odd_numbers_are_written_as_in_the_reference() {
        assert_eq!(Encoding::Bytes.apply(r#""\\x0102""#), r#""0102""#);
        assert_eq!(Encoding::Bytes.apply("null"), "null");
        assert_eq!(Encoding::Number.apply(r#""NaN""#), "null");
        assert_eq!(Encoding::Number.apply("1.50"), "1.50");
        assert_eq!(Encoding::Same.apply(r#""\\x0102""#), r#""\\x0102""#);
    }
}
