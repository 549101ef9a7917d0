//! A wish on one table: its conditions as the database cast them, and what they say of rows.

use std::sync::Arc;

use super::{
    grammar::{Clause, Condition},
    judge::{Test, Verdict},
    payload::Shape,
    row::Row,
    wish::Wish,
};
use crate::{
    error::Result,
    hub::Equals,
    session::{
        Permit,
        permit::{Canonical, Subject, Table},
    },
};

/// One subscription to one table.
pub(super) struct Watch {
    pub(super) wish: Arc<Wish>,
    pub(super) shape: Arc<Shape>,
    clauses: Vec<Tests>,
    rows: Option<Vec<Equals>>,
}

/// Tests of which one has to hold.
type Tests = Vec<Test>;

/// What a filter says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    Match,
    NoMatch,
    /// That depends on what the database says of these: clause and test.
    Ask(Vec<(usize, usize)>),
}

/// Why there is no watch: what the client is told.
pub(super) type Refusal = String;

impl Watch {
    /// Has the database look at a wish's conditions and columns.
    pub(super) async fn open(
        permit: &Permit,
        who: &Subject,
        table: &Table,
        wish: &Arc<Wish>,
    ) -> Result<std::result::Result<Self, Refusal>> {
        let select = wish.select.as_deref();
        let known = |name: &String| table.column(name).is_some_and(|column| column.readable);
        if let Some(name) = select.unwrap_or_default().iter().find(|name| !known(name)) {
            let message = format!("invalid column for select {name}");
            return Ok(Err(refusal(wish, &message)));
        }
        let asked: Vec<_> = wish.filter.conditions().map(Condition::asked).collect();
        let canonical = match permit.check(who, table, &asked).await {
            Ok(canonical) => canonical,
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => return Ok(Err(refusal(wish, &error.message))),
        };
        let mut canonical = canonical.iter();
        let clauses = wish.filter.clauses.iter().map(|clause| tests(clause, table, &mut canonical));
        let clauses = clauses.collect::<Result<Vec<_>>>()?;
        let shape = Arc::new(Shape::new(table, select));
        let rows = rows(&clauses, table).filter(|_| !shape.is_error());
        Ok(Ok(Self { wish: Arc::clone(wish), shape, clauses, rows }))
    }

    /// Shows what a table has become; false when conditions have to be looked at again.
    pub(super) fn refresh(&mut self, was: &Table, is: &Table) -> bool {
        let shape = Shape::new(is, self.wish.select.as_deref());
        if !shape.is_like(&self.shape) {
            self.shape = Arc::new(shape);
        }
        self.wish.filter.conditions().all(|condition| {
            match (was.column(&condition.column), is.column(&condition.column)) {
                (Some(was), Some(is)) => {
                    is.readable
                        && was.base.oid == is.base.oid
                        && was.deterministic == is.deterministic
                }
                _ => false,
            }
        })
    }

    /// The rows of the table's changes that may matter; none: all of them.
    pub(super) fn rows(&self) -> Option<&[Equals]> {
        self.rows.as_deref()
    }

    /// What the filter says of a row; `answer` is what the database has said of a test.
    pub(super) fn judge(&self, row: &Row, answer: impl Fn(usize, usize) -> Option<bool>) -> Judged {
        let mut open = Vec::new();
        for (nth, clause) in self.clauses.iter().enumerate() {
            let mut asks = Vec::new();
            let holds = clause.iter().enumerate().any(|(mth, test)| {
                let verdict = match test.judge(row.get(&test.asked.column)) {
                    Verdict::Ask => answer(nth, mth).map_or(Verdict::Ask, |yes| test.answered(yes)),
                    verdict => verdict,
                };
                if verdict == Verdict::Ask {
                    asks.push((nth, mth));
                }
                verdict == Verdict::True
            });
            if !holds && asks.is_empty() {
                return Judged::NoMatch;
            }
            if !holds {
                open.extend(asks);
            }
        }
        if open.is_empty() { Judged::Match } else { Judged::Ask(open) }
    }

    /// A test by its place.
    pub(super) fn test(&self, clause: usize, test: usize) -> Option<&Test> {
        self.clauses.get(clause)?.get(test)
    }
}

fn tests<'a>(
    clause: &Clause,
    table: &Table,
    canonical: &mut impl Iterator<Item = &'a Canonical>,
) -> Result<Tests> {
    let conditions = match clause {
        Clause::One(condition) => std::slice::from_ref(condition),
        Clause::Any(conditions) => conditions,
    };
    let pairs = conditions.iter().zip(canonical);
    pairs
        .filter_map(|(condition, value)| {
            let column = table.column(&condition.column)?;
            Some(Test::new(condition, column, value))
        })
        .collect()
}

/// The rows that one clause asks for by their values: the clause that asks for the fewest.
fn rows(clauses: &[Tests], table: &Table) -> Option<Vec<Equals>> {
    let of_clause = |tests: &Tests| {
        let equals = tests.iter().map(|test| test.equals(table.column(&test.asked.column)?));
        Some(equals.collect::<Option<Vec<_>>>()?.concat())
    };
    clauses.iter().filter_map(of_clause).min_by_key(Vec::len)
}

/// What the database said of a wish, in the reference's words.
pub(super) fn refusal(wish: &Wish, message: &str) -> Refusal {
    let code = match message {
        _ if message.starts_with("invalid input syntax")
            || message.starts_with("invalid input value")
            || message.starts_with("malformed array literal") =>
        {
            "22P02 (invalid_text_representation)"
        }
        _ if message.ends_with("out of range") || message.contains(" is out of range for type") => {
            "22003 (numeric_value_out_of_range)"
        }
        _ => "P0001 (raise_exception)",
    };
    format!(
        "Unable to subscribe to changes with given parameters. An exception happened so please check \
         your connect parameters: {}. Exception: ERROR {code} {message}",
        wish.described()
    )
}

/// What is said of a table that is not on the feed.
pub(super) fn not_there(wish: &Wish) -> Refusal {
    format!(
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for \
         the given connect parameters: {}",
        wish.described()
    )
}
