//! Conditions of subscriptions as the database understands them.

use std::sync::Arc;

use crate::change::Json;

/// One condition on a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The column.
    pub column: Arc<str>,
    /// How it is compared.
    pub operator: Operator,
    /// With what: text as the client wrote it, of `in` an array literal, `{…}`.
    pub value: String,
}

/// What a condition compares by. Negation and NULL are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `= any`
    In,
    /// `like`
    Like,
    /// `ilike`
    Ilike,
    /// `~`
    Match,
    /// `~*`
    Imatch,
    /// `is null`, `is true` …
    Is,
    /// `is distinct from`
    Isdistinct,
}

impl Operator {
    /// Parses the word of the filter grammar.
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [Operator; 13] = [
            Operator::Eq,
            Operator::Neq,
            Operator::Lt,
            Operator::Lte,
            Operator::Gt,
            Operator::Gte,
            Operator::In,
            Operator::Like,
            Operator::Ilike,
            Operator::Match,
            Operator::Imatch,
            Operator::Is,
            Operator::Isdistinct,
        ];
        ALL.into_iter().find(|operator| operator.as_str() == word)
    }

    /// The word of the filter grammar.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::In => "in",
            Self::Like => "like",
            Self::Ilike => "ilike",
            Self::Match => "match",
            Self::Imatch => "imatch",
            Self::Is => "is",
            Self::Isdistinct => "isdistinct",
        }
    }
}

/// A condition's value as the database casts it: `to_jsonb` of it, of `in` a JSON array.
pub type Canonical = Json;
