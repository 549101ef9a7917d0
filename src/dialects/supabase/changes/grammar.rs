//! The filter's grammar: `col=op.value`, several by commas, parsed once into conditions.

use std::sync::Arc;

use super::inspect::inspect_list;
use crate::session::permit::Operator;

/// Conditions in one filter; more are refused, for each costs at every change.
const MAX_CONDITIONS: usize = 100;

/// A filter as it was written: clauses that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The clauses, in the order in which they were written.
    pub clauses: Vec<Clause>,
}

/// A part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// One condition.
    One(Condition),
    /// `or=(…)`: one of these has to hold.
    Any(Vec<Condition>),
}

/// A comparison of a column with a text that the database has yet to cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column's name.
    pub column: Arc<str>,
    /// How it is compared.
    pub op: Operator,
    /// Whether `not.` stands before the operator.
    pub negated: bool,
    /// The value as text; for `in` an array literal.
    pub value: Arc<str>,
}

impl Filter {
    /// Parses a filter; the error is the text that the reference says.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let clauses = split(text)?.into_iter().map(clause).collect::<Result<Vec<_>, _>>()?;
        let filter = Self { clauses };
        if filter.conditions().count() > MAX_CONDITIONS {
            return Err(wrong(&format!("at most {MAX_CONDITIONS} conditions are allowed")));
        }
        Ok(filter)
    }

    /// All conditions, in the order in which they were written.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.clauses.iter().flat_map(|clause| match clause {
            Clause::One(condition) => std::slice::from_ref(condition),
            Clause::Any(conditions) => conditions,
        })
    }
}

fn wrong(what: &str) -> String {
    format!("Error parsing `filter` params: {what}")
}

/// Cuts at commas outside quotes and parentheses. A quote opens only where a value or a member begins.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut segments = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    let (mut quoted, mut escaped, mut before) = (false, false, ',');
    for (at, c) in text.char_indices() {
        if quoted {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else {
            match c {
                '"' if matches!(before, '.' | '(' | ',') => quoted = true,
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    segments.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        before = c;
    }
    segments.push(&text[start..]);
    let segments: Vec<_> = segments.into_iter().map(str::trim).collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(wrong("filter must not contain empty segments (check for extra commas)"));
    }
    Ok(segments)
}

fn clause(segment: &str) -> Result<Clause, String> {
    let inner = segment.strip_prefix("or=(").and_then(|rest| rest.strip_suffix(')'));
    let Some(inner) = inner else { return condition(segment).map(Clause::One) };
    let conditions = split(inner)?.into_iter().map(condition).collect::<Result<_, _>>()?;
    Ok(Clause::Any(conditions))
}

fn condition(segment: &str) -> Result<Condition, String> {
    let Some((column, rest)) = segment.split_once('=') else {
        return Err(wrong(&inspect_list(&[segment])));
    };
    let (negated, rest) = match rest.strip_prefix("not.") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let Some((word, value)) = rest.split_once('.') else {
        return Err(wrong(&inspect_list(&[rest])));
    };
    let Some(op) = Operator::parse(word) else { return Err(wrong(&inspect_list(&[word, value]))) };
    let value = match op {
        Operator::In => list(value)?,
        _ => unquoted(value).unwrap_or_else(|| value.to_owned()),
    };
    Ok(Condition { column: column.into(), op, negated, value: value.into() })
}

/// `(a,b)` as the array literal `{a,b}`: what is in it follows the rules of arrays.
fn list(value: &str) -> Result<String, String> {
    let members = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let members =
        members.ok_or_else(|| wrong("`in` filter value must be wrapped by parentheses"))?;
    Ok(format!("{{{members}}}"))
}

/// The text between quotes; none for a value that is not quoted from end to end, which is taken as it is.
fn unquoted(value: &str) -> Option<String> {
    let mut rest = value.strip_prefix('"')?.chars();
    let mut out = String::with_capacity(value.len());
    loop {
        match rest.next()? {
            '\\' => out.push(rest.next()?),
            '"' => return rest.as_str().is_empty().then_some(out),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Condition {
        let filter = Filter::parse(text).expect("legal");
        let mut conditions = filter.conditions().cloned();
        let condition = conditions.next().expect("one");
        assert_eq!(conditions.next(), None, "{text}");
        condition
    }

    fn said(text: &str) -> (String, Operator, bool, String) {
        let Condition { column, op, negated, value } = one(text);
        (column.to_string(), op, negated, value.to_string())
    }

    #[test]
    fn conditions_are_read_as_the_reference_reads_them() {
        let plain = |column: &str, op, value: &str| (column.into(), op, false, value.into());
        assert_eq!(said("id=eq.1"), plain("id", Operator::Eq, "1"));
        assert_eq!(said("  a b=neq.x=y.z  "), plain("a b", Operator::Neq, "x=y.z"));
        assert_eq!(said("id=in.(1,2,3)"), plain("id", Operator::In, "{1,2,3}"));
        assert_eq!(said(r#"n=in.("a,b",c)"#), plain("n", Operator::In, r#"{"a,b",c}"#));
        assert_eq!(said(r#"n=eq."a,b\"c\\""#), plain("n", Operator::Eq, r#"a,b"c\"#));
        assert_eq!(said(r#"n=eq."open"#), plain("n", Operator::Eq, r#""open"#));
        assert_eq!(said(r#"n=eq."a"b"#), plain("n", Operator::Eq, r#""a"b"#));
        assert_eq!(said("n=eq."), plain("n", Operator::Eq, ""));
        assert_eq!(said("n=like.%a(b,c)%"), plain("n", Operator::Like, "%a(b,c)%"));
        assert_eq!(said("n=isdistinct.3"), plain("n", Operator::Isdistinct, "3"));
        assert_eq!(said("n=not.is.null"), ("n".into(), Operator::Is, true, "null".into()));
        assert_eq!(said("n=not.in.(1)"), ("n".into(), Operator::In, true, "{1}".into()));
    }

    #[test]
    fn several_conditions_stand_side_by_side() {
        let filter = Filter::parse(r#"id=gt.1, name=eq."a,b",or=(x=eq.1,y=in.(2,3))"#);
        let clauses = filter.expect("legal").clauses;
        assert_eq!(clauses.len(), 3);
        let Clause::Any(either) = &clauses[2] else { panic!("{clauses:?}") };
        assert_eq!((&*either[1].column, &*either[1].value), ("y", "{2,3}"));
        assert!(Filter::parse(" ").expect("none").clauses.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_reference() {
        let said = |text: &str| {
            let error = Filter::parse(text).expect_err("illegal");
            error.strip_prefix("Error parsing `filter` params: ").expect("the prefix").to_owned()
        };
        assert_eq!(said("id=foo.hey"), r#"["foo", "hey"]"#);
        assert_eq!(said("undefined"), r#"["undefined"]"#);
        assert_eq!(said("id=in.1"), "`in` filter value must be wrapped by parentheses");
        let empty = "filter must not contain empty segments (check for extra commas)";
        for text in ["id=eq.1,", ",id=eq.1", "a=eq.1,,b=eq.2", "or=()"] {
            assert_eq!(said(text), empty, "{text}");
        }
        let many = vec!["a=eq.1"; MAX_CONDITIONS + 1].join(",");
        assert_eq!(said(&many), "at most 100 conditions are allowed");
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_an_error(text in ".*") {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn text_that_is_nearly_a_filter_is_one_or_an_error(
            text in r#"[ab]=(not\.)?(eq|in|like|is|or)\.?[(),".\\a1 {}=]{0,20}(,[ab]=eq\.["a,]{0,4})?"#
        ) {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn a_quoted_value_is_read_back(value in "[^\0]{0,40}") {
            let quoted = value.replace('\\', r"\\").replace('"', "\\\"");
            let condition = one(&format!(r#"name=eq."{quoted}""#));
            prop_assert_eq!(&*condition.value, value.as_str());
        }
    }
}
