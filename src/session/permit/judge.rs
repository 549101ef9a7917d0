//! Those who answer: a few connections, a deadline for each statement, and the search for who broke one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    call::{Answer, Call, Found, Trouble},
    question::{Asker, Fate, Finding, Group, Question, What},
    queue::Queue,
};
use crate::{
    change::Json,
    db::Pool,
    error::{Error, Kind, Result},
    metrics::{PERMIT_QUESTIONS_TOTAL, PERMIT_SECONDS},
    trace::TRACE,
};

/// Statements at a time; a table has all but one of them at most.
pub(super) const JUDGES: usize = 3;
/// How long a statement may take. What it has not come to by half of `BUDGET_MS` goes into the next.
const DEADLINE: Duration = Duration::from_secs(2);
/// When a statement stops to begin with another asker, in milliseconds.
const BUDGET_MS: i32 = 250;
/// Rows in one statement when somebody who breaks statements is looked for.
const ROWS_ALONE: usize = 32;
/// So many in a row who take too long, and the table is left out as a whole.
const STRIKES: u32 = 3;
/// How long who took too long is left out.
const LEFT_OUT: Duration = Duration::from_secs(10);
/// How often the log hears of one group's failures.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Of a table that is not watched any more.
const NOTHING: Finding = Finding { is: false, row: Fate::Same };

/// Answers questions for as long as it runs.
pub(super) struct Judge {
    pub(super) pool: Pool,
    pub(super) queue: Arc<Queue>,
    pub(super) left_out: Arc<LeftOut>,
}

/// Who is left out, until when; nobody in particular: the whole group.
#[derive(Default)]
pub(super) struct LeftOut {
    until: Mutex<HashMap<(Group, Option<Asker>), Instant>>,
    logged: Mutex<HashMap<Group, Instant>>,
}

/// How a statement ended that gave no answer.
enum Ended {
    InTrouble(Trouble),
    TooLate,
}

impl Judge {
    pub(super) async fn run(self) {
        loop {
            let mut taken = self.queue.take().await;
            let questions = std::mem::take(&mut taken.questions);
            let span = tracing::info_span!(
                target: TRACE,
                parent: None,
                "permit batch",
                rowcast.questions = questions.len(),
            );
            self.answer(&taken.group, questions).instrument(span).await;
        }
    }

    async fn answer(&self, group: &Group, questions: Vec<Question>) {
        let (out, mut left): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|question| self.left_out.has(group, &question.asker));
        refuse(out, || too_slow(group));
        metrics::counter!(PERMIT_QUESTIONS_TOTAL).increment(left.len() as u64);
        while !left.is_empty() {
            let asked = left.iter().map(|question| (&question.asker, &*question.rows));
            let (call, places) = Call::of(asked);
            match self.ask(group, &call).await {
                Ok(answer) => left = self.tell(group, left, &places, &answer),
                Err(Ended::InTrouble(Trouble::Away(error))) => {
                    error.log("asking who may see changes");
                    return refuse(left, || Error::new(error.kind, error.message.clone()));
                }
                Err(Ended::InTrouble(Trouble::Gone)) => {
                    return left.into_iter().for_each(|question| {
                        let none = vec![NOTHING; question.rows.len()];
                        question.answer(Ok(none));
                    });
                }
                Err(Ended::InTrouble(Trouble::Refused(error))) => {
                    return refuse(left, || Error::new(error.kind, error.message.clone()));
                }
                Err(Ended::InTrouble(Trouble::Broken(..)) | Ended::TooLate) => {
                    return self.one_by_one(group, left).await;
                }
            }
        }
    }

    /// Answers those who were answered, returns the others.
    fn tell(
        &self,
        group: &Group,
        questions: Vec<Question>,
        places: &[(usize, Vec<i32>)],
        answer: &Answer,
    ) -> Vec<Question> {
        let mut left = Vec::new();
        for (question, (place, numbers)) in questions.into_iter().zip(places) {
            match answer.of(*place) {
                Some(Found::Rows(seen)) => {
                    question.answer(Ok(answer.findings(numbers, seen)));
                }
                Some(Found::Failed(state, message)) => {
                    question.answer(Err(self.failed(group, state, message)));
                }
                None => left.push(question),
            }
        }
        left
    }

    /// Somebody broke a statement for all: each gets one of their own.
    async fn one_by_one(&self, group: &Group, questions: Vec<Question>) {
        let mut askers: HashMap<Asker, Vec<Question>> = HashMap::new();
        for question in questions {
            askers.entry(question.asker.clone()).or_default().push(question);
        }
        let mut strikes = 0;
        for (asker, questions) in askers {
            if strikes >= STRIKES {
                refuse(questions, || too_slow(group));
                continue;
            }
            let late = self.alone(group, &asker, questions).await;
            strikes = if late { strikes + 1 } else { 0 };
            if late {
                self.left_out.add(group, Some(asker));
            }
            if strikes >= STRIKES {
                tracing::warn!(relation = %group.relation, "row security or a filter of {} takes too long for everybody; its changes are left out", group.relation);
                self.left_out.add(group, None);
            }
        }
    }

    /// Answers one asker, a few rows at a time; whether it took too long.
    async fn alone(&self, group: &Group, asker: &Asker, questions: Vec<Question>) -> bool {
        for question in questions {
            let mut is = Vec::with_capacity(question.rows.len());
            let mut failure = None;
            for rows in question.rows.chunks(ROWS_ALONE) {
                match self.few(group, asker, rows).await {
                    Ok(few) => is.extend(few),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            match failure {
                None => question.answer(Ok(is)),
                Some(error) if error.kind == Kind::Timeout => {
                    question.answer(Err(error));
                    return true;
                }
                Some(error) => question.answer(Err(error)),
            }
        }
        false
    }

    async fn few(&self, group: &Group, asker: &Asker, rows: &[Json]) -> Result<Vec<Finding>> {
        let (call, places) = Call::of([(asker, rows)].into_iter());
        let answer = match self.ask(group, &call).await {
            Ok(answer) => answer,
            Err(Ended::TooLate) => return Err(too_slow(group)),
            Err(Ended::InTrouble(Trouble::Gone)) => return Ok(vec![NOTHING; rows.len()]),
            Err(Ended::InTrouble(Trouble::Away(error) | Trouble::Refused(error))) => {
                return Err(error);
            }
            Err(Ended::InTrouble(Trouble::Broken(state, message))) => {
                return Err(self.failed(group, &state, &message));
            }
        };
        let numbers = places.into_iter().next().map(|(_, numbers)| numbers).unwrap_or_default();
        match answer.of(0) {
            Some(Found::Rows(seen)) => Ok(answer.findings(&numbers, seen)),
            Some(Found::Failed(state, message)) => Err(self.failed(group, state, message)),
            None => Err(Error::internal("a statement for one asker gave no answer")),
        }
    }

    /// Runs a statement; one that takes too long is cancelled and its connection closed.
    async fn ask(&self, group: &Group, call: &Call) -> Result<Answer, Ended> {
        let began = Instant::now();
        let result = timeout(DEADLINE, call.run(&self.pool, group, BUDGET_MS)).await;
        metrics::histogram!(PERMIT_SECONDS).record(began.elapsed());
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Trouble::Broken(state, _))) if state == "57014" => Err(Ended::TooLate),
            Ok(Err(trouble)) => Err(Ended::InTrouble(trouble)),
            Err(_) => Err(Ended::TooLate),
        }
    }

    /// The client hears the SQLSTATE only: the message may speak of rows that are not for it.
    fn failed(&self, group: &Group, state: &str, message: &str) -> Error {
        let relation = &group.relation;
        if self.left_out.may_log(group) {
            tracing::warn!(%relation, state, message, "a check on {relation} failed: {message} ({state})");
        }
        Error::forbidden(match group.what {
            What::Sees | What::Saw => {
                format!("The row security of {relation} failed for this token ({state})")
            }
            What::Matches => format!("A filter on {relation} failed ({state})"),
        })
    }
}

impl LeftOut {
    fn has(&self, group: &Group, asker: &Asker) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_empty() {
            return false;
        }
        let now = Instant::now();
        let is_out = |asker: Option<Asker>| {
            until.get(&(group.clone(), asker)).is_some_and(|until| now < *until)
        };
        is_out(None) || is_out(Some(asker.clone()))
    }

    fn add(&self, group: &Group, asker: Option<Asker>) {
        let now = Instant::now();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| now < *until);
        until.insert((group.clone(), asker), now + LEFT_OUT);
    }

    fn may_log(&self, group: &Group) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, at| now < *at + LOGGED_EVERY);
        let first = !logged.contains_key(group);
        if first {
            logged.insert(group.clone(), now);
        }
        first
    }
}

fn refuse(questions: Vec<Question>, error: impl Fn() -> Error) {
    for question in questions {
        question.answer(Err(error()));
    }
}

fn too_slow(group: &Group) -> Error {
    let relation = &group.relation;
    Error::new(
        Kind::Timeout,
        match group.what {
            What::Sees | What::Saw => {
                format!("The row security of {relation} takes too long; its changes are left out")
            }
            What::Matches => format!("A filter on {relation} takes too long"),
        },
    )
}
