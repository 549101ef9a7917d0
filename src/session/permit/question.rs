//! A question that waits: who asks, of which rows, and the way back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Asked, Subject};
use crate::{change::Json, error::Result};

/// What is asked of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Whether the subject sees the row of a key.
    Sees,
    /// Whether it could see a row as it was.
    Saw,
    /// Whether a condition holds for a record.
    Matches,
}

impl What {
    /// The statement that answers it for many.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Sees => {
                "select nth, seen, state, message from rowcast.sees($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            }
            Self::Saw => {
                "select nth, seen, state, message from rowcast.saw($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            }
            Self::Matches => {
                "select nth, seen, state, message from rowcast.matches($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            }
        }
    }
}

/// Questions that one statement can answer together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) what: What,
    pub(super) watch: i32,
    /// The role that the statement takes on; empty for conditions, which take none on.
    pub(super) role: Arc<str>,
    pub(super) relation: Arc<str>,
}

/// Who or what the rows are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Subject(Subject),
    Condition(Arc<Asked>),
}

impl Asker {
    /// What the statement wants to know of it.
    pub(super) fn texts(&self) -> [&str; 3] {
        match self {
            Self::Subject(subject) => [subject.sub(), subject.claims(), ""],
            Self::Condition(asked) => [&asked.column, asked.operator.as_str(), &asked.value],
        }
    }
}

/// What was found of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    /// It is so.
    pub(super) is: bool,
    /// What has become of the row since its change.
    pub(super) row: Fate,
}

/// What has become of a row since its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as the change left it.
    Same,
    /// It is another by now, or may be.
    Other,
    /// It is gone.
    Gone,
}

/// A question in the queue; dropping it unanswered tells the one who asked.
pub(super) struct Question {
    pub(super) asker: Asker,
    pub(super) rows: Vec<Json>,
    pub(super) back: oneshot::Sender<Result<Vec<Finding>>>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Question {
    pub(super) fn answer(self, answer: Result<Vec<Finding>>) {
        let _ = self.back.send(answer);
    }

    /// How much it adds to a statement, in bytes.
    pub(super) fn size(&self) -> usize {
        self.asker.texts().iter().map(|text| text.len()).sum::<usize>()
            + self.rows.iter().map(|row| row.as_str().len()).sum::<usize>()
    }
}
