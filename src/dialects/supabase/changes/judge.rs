//! A condition held against a value: decided here where that is certain to be what PostgreSQL says, else asked of it.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use serde_json::value::RawValue;

use super::{decimal, grammar::Condition, like::Pattern};
use crate::{
    change::Json,
    error::{Error, Result},
    hub::Equals,
    session::permit::{Asked, Column, Operator},
};

/// Oids from here on belong to types that somebody has made.
const FIRST_MADE: u32 = 16_384;

/// What a condition says of a value. NULL matches nothing, negated or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It says nothing, which is no match either way.
    Null,
    /// Only the database can tell.
    Ask,
}

/// A condition on a column of a type, with its value as the database casts it.
#[derive(Debug)]
pub struct Test {
    /// The condition as it is put to the database.
    pub asked: Asked,
    negated: bool,
    kind: Kind,
    value: Value,
}

/// How the values of a type compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By value, of any size.
    Number,
    /// Equal when the JSON text is, and in the order of that text.
    Plain,
    /// The same, as long as the year has four digits and the offset is that of UTC.
    Time,
    /// Equal when the text is; the order is the collation's.
    Text,
    /// The same, blanks at the end apart.
    Padded,
    /// Equal when the text is; the order is that of the type's own making.
    Label,
    /// Not known here.
    Other,
}

#[derive(Debug)]
enum Value {
    One(Json),
    Many { values: Vec<Box<str>>, has_null: bool },
    Pattern(Option<Pattern>),
    Is(Is),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Null,
    True,
    False,
    Unknown,
}

impl Kind {
    fn of(column: &Column) -> Self {
        let base = &column.base;
        if base.kind == 'e' {
            return Self::Label;
        }
        if base.oid >= FIRST_MADE {
            return Self::Other;
        }
        match &*base.name {
            "int2" | "int4" | "int8" | "oid" | "float4" | "float8" | "numeric" => Self::Number,
            "bool" | "uuid" | "time" => Self::Plain,
            "date" | "timestamp" | "timestamptz" => Self::Time,
            "text" | "varchar" | "name" if column.deterministic => Self::Text,
            "bpchar" if column.deterministic => Self::Padded,
            _ => Self::Other,
        }
    }

    /// Whether equal values have one JSON text, so that they can be looked up by it.
    fn is_canonical(self, column: &Column) -> bool {
        match self {
            Self::Number => matches!(&*column.base.name, "int2" | "int4" | "int8"),
            Self::Plain | Self::Text | Self::Label => true,
            Self::Time => matches!(&*column.base.name, "date" | "timestamp"),
            Self::Padded | Self::Other => false,
        }
    }
}

impl Condition {
    /// As it is put to the database.
    pub fn asked(&self) -> Asked {
        let value = self.value.to_string();
        Asked { column: Arc::clone(&self.column), operator: self.op, value }
    }
}

impl Test {
    /// Makes a test of a condition whose value the database has cast.
    pub fn new(condition: &Condition, column: &Column, canonical: &Json) -> Result<Self> {
        let asked = condition.asked();
        let value = match asked.operator {
            Operator::In => {
                let all: Vec<Box<RawValue>> = canonical.read().map_err(Error::internal)?;
                let texts = all.iter().map(|value| value.get()).filter(|text| *text != "null");
                let values: Vec<Box<str>> = texts.map(Box::from).collect();
                Value::Many { has_null: values.len() < all.len(), values }
            }
            Operator::Like | Operator::Ilike => Value::Pattern(Pattern::read(&fold(&asked))),
            Operator::Is => Value::Is(match &*asked.value {
                "null" => Is::Null,
                "true" => Is::True,
                "false" => Is::False,
                _ => Is::Unknown,
            }),
            _ => Value::One(canonical.clone()),
        };
        Ok(Self { asked, negated: condition.negated, kind: Kind::of(column), value })
    }

    /// What the hub can look rows up by that may match; none where that is not certain to be all of them.
    pub fn equals(&self, column: &Column) -> Option<Vec<Equals>> {
        let equals = |value: &str| Equals { column: Arc::clone(&column.name), value: value.into() };
        if self.negated || !self.kind.is_canonical(column) {
            return None;
        }
        let values: Vec<&str> = match (self.asked.operator, &self.value) {
            (Operator::Eq, Value::One(value)) => vec![value.as_str()],
            (Operator::In, Value::Many { values, .. }) => values.iter().map(|one| &**one).collect(),
            _ => return None,
        };
        Some(values.into_iter().map(equals).collect())
    }

    /// What the condition says of a column's value; one that the log does not have matches nothing.
    pub fn judge(&self, value: Option<&str>) -> Verdict {
        let Some(value) = value else { return Verdict::Null };
        self.negate(match (&self.value, value) {
            (Value::Is(is), value) => {
                let is = match is {
                    Is::Null | Is::Unknown => value == "null",
                    Is::True => value == "true",
                    Is::False => value == "false",
                };
                Verdict::of(Some(is))
            }
            (_, "null") if self.asked.operator == Operator::Isdistinct => Verdict::True,
            (Value::Many { values, has_null: false }, "null") if values.is_empty() => {
                Verdict::False
            }
            (_, "null") => Verdict::Null,
            (Value::One(with), value) => Verdict::of(self.compare(value, with.as_str())),
            (Value::Many { values, has_null }, value) => {
                self.is_among(value, values.iter().map(|one| &**one), *has_null)
            }
            (Value::Pattern(pattern), value) => {
                Verdict::of(pattern.as_ref().and_then(|pattern| self.is_like(value, pattern)))
            }
        })
    }

    /// What it says of a value of which the database has said whether it matches.
    pub fn answered(&self, matches: bool) -> Verdict {
        let null = matches!(self.value, Value::Many { has_null: true, .. });
        self.negate(if null && !matches { Verdict::Null } else { Verdict::of(Some(matches)) })
    }

    fn negate(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::True if self.negated => Verdict::False,
            Verdict::False if self.negated => Verdict::True,
            verdict => verdict,
        }
    }

    fn compare(&self, value: &str, with: &str) -> Option<bool> {
        let is = |wanted: fn(Ordering) -> bool| self.order(value, with).map(wanted);
        match self.asked.operator {
            Operator::Eq => self.equal(value, with),
            Operator::Neq | Operator::Isdistinct => self.equal(value, with).map(|equal| !equal),
            Operator::Lt => is(Ordering::is_lt),
            Operator::Lte => is(Ordering::is_le),
            Operator::Gt => is(Ordering::is_gt),
            Operator::Gte => is(Ordering::is_ge),
            _ => None,
        }
    }

    fn is_among<'a>(
        &self,
        value: &str,
        mut values: impl Iterator<Item = &'a str>,
        has_null: bool,
    ) -> Verdict {
        let mut unknown = false;
        let found = values.any(|one| {
            let equal = self.equal(value, one);
            unknown |= equal.is_none();
            equal == Some(true)
        });
        match (found, unknown, has_null) {
            (true, ..) => Verdict::True,
            (_, true, _) => Verdict::Ask,
            (.., true) => Verdict::Null,
            _ => Verdict::False,
        }
    }

    fn equal(&self, value: &str, with: &str) -> Option<bool> {
        match self.kind {
            // The column's type was another one when the row was written: a number in what is text now.
            Kind::Plain | Kind::Text | Kind::Padded | Kind::Label
                if value.starts_with('"') != with.starts_with('"') =>
            {
                None
            }
            Kind::Number => Some(decimal::compare(value, with)?.is_eq()),
            Kind::Plain | Kind::Text | Kind::Label => Some(value == with),
            Kind::Time if value == with => Some(true),
            Kind::Time => (is_utc(value) && is_utc(with) && is_like(value, with)).then_some(false),
            Kind::Padded => {
                let (value, with) = (text(value)?, text(with)?);
                Some(value.trim_end_matches(' ') == with.trim_end_matches(' '))
            }
            Kind::Other => None,
        }
    }

    fn order(&self, value: &str, with: &str) -> Option<Ordering> {
        match self.kind {
            Kind::Number => decimal::compare(value, with),
            Kind::Plain => Some(value.trim_matches('"').cmp(with.trim_matches('"'))),
            Kind::Time => {
                let (value, with) = (value.trim_matches('"'), with.trim_matches('"'));
                (is_plain_time(value) && is_plain_time(with)).then(|| value.cmp(with))
            }
            Kind::Text | Kind::Padded | Kind::Label | Kind::Other => None,
        }
    }

    fn is_like(&self, value: &str, pattern: &Pattern) -> Option<bool> {
        if !matches!(self.kind, Kind::Text | Kind::Padded) {
            return None;
        }
        let value = text(value)?;
        if self.asked.operator == Operator::Like {
            return Some(pattern.matches(&value));
        }
        // Whether letters are the same is the collation's to say beyond ASCII, and of an I even there.
        let certain = value.is_ascii()
            && !pattern.asks_for(|c| !c.is_ascii())
            && !(pattern.asks_for(|c| c == 'i')
                && (value.contains('I') || self.asked.value.contains('I')));
        certain.then(|| pattern.matches(&value.to_ascii_lowercase()))
    }
}

impl Verdict {
    fn of(matches: Option<bool>) -> Self {
        match matches {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Ask,
        }
    }
}

/// A pattern in small letters where letters of either size match.
fn fold(asked: &Asked) -> Cow<'_, str> {
    match asked.operator {
        Operator::Ilike => asked.value.to_ascii_lowercase().into(),
        _ => asked.value.as_str().into(),
    }
}

/// The text of a JSON string.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str::<String>(json).ok().map(Cow::Owned)
    } else {
        Some(inside.into())
    }
}

/// Whether a JSON text of a time with an offset has that of UTC; one without an offset has nothing to differ in.
fn is_utc(json: &str) -> bool {
    let time = json.trim_matches('"').trim_end_matches(" BC");
    let clock = time.split_once('T').map_or("", |(_, clock)| clock);
    clock.ends_with("+00:00") || !clock.contains(['+', '-'])
}

/// Whether two JSON texts are of one type: both are days, or times, or times with an offset. What is endless is of any.
fn is_like(one: &str, other: &str) -> bool {
    let form = |json: &str| (json.contains('T'), json.contains("+00:00"));
    let endless = |json: &str| json.contains("infinity");
    endless(one) || endless(other) || form(one) == form(other)
}

/// Whether the order of times is that of their texts: a year of four digits, not before Christ, no infinity, no offset
/// but that of UTC.
fn is_plain_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let date = bytes.len() >= 10 && bytes[4] == b'-' && bytes[..4].iter().all(u8::is_ascii_digit);
    date && (bytes.len() == 10 || bytes[10] == b'T') && is_utc(text) && !text.ends_with("BC")
}
