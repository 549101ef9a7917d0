//! Sifting: which of a channel's subscriptions a change is for, when filters, rights and policies have been heard.

use std::{collections::HashMap, sync::Arc};

use super::{
    payload::{Payload, Telling, payload},
    places::Place,
    row::{Row, Rows},
    watch::{Judged, Watch},
};
use crate::{
    change::{Json, Op},
    error::Result,
    hub::Delivery,
    session::{Permit, permit::Subject},
};

/// Which row of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    New,
    Old,
}

impl Side {
    fn of(self, rows: &Rows) -> &Row {
        match self {
            Self::New => &rows.new,
            Self::Old => &rows.old,
        }
    }
}

/// A change, a row of it, a watch, and a test of that.
type Question = (usize, Side, usize, (usize, usize));

/// The records on which the database has to say something, by watch and test.
type Open = HashMap<(usize, (usize, usize)), Vec<(Question, Json)>>;

/// Sifts changes of one table for one subject; the payloads are in the order of the changes.
pub(super) async fn sift(
    permit: &Permit,
    who: &Subject,
    place: &Place,
    changes: &[Arc<Delivery>],
    left: bool,
) -> Result<Vec<Vec<Payload>>> {
    let sifting = Sifting::new(permit, place, changes, left).await?;
    let seen = sifting.seen(permit, who).await?;
    Ok((0..changes.len()).map(|nth| sifting.told(nth, &seen)).collect())
}

struct Sifting<'a> {
    place: &'a Place,
    changes: &'a [Arc<Delivery>],
    rows: Vec<Arc<Rows>>,
    answers: HashMap<Question, bool>,
    left: bool,
}

/// Of each change whether the subject may see the row as it is, and whether it might see it as it was.
struct Seen {
    now: Vec<bool>,
    before: Vec<bool>,
}

impl<'a> Sifting<'a> {
    async fn new(
        permit: &Permit,
        place: &'a Place,
        changes: &'a [Arc<Delivery>],
        left: bool,
    ) -> Result<Self> {
        let rows = changes.iter().map(|delivery| Rows::of(delivery)).collect();
        let mut sifting = Self { place, changes, rows, answers: HashMap::new(), left };
        sifting.ask(permit).await?;
        Ok(sifting)
    }

    /// Has the database answer what cannot be decided here: one question for all records of a test.
    async fn ask(&mut self, permit: &Permit) -> Result<()> {
        let mut questions = Open::new();
        for (nth, change) in self.changes.iter().enumerate() {
            for (mth, watch) in self.place.watches.iter().enumerate() {
                for side in self.sides(change.change.op, watch) {
                    let Judged::Ask(tests) = self.judge(nth, mth, side) else { continue };
                    let Some(record) = side.of(&self.rows[nth]).json() else { continue };
                    for test in tests {
                        let question = (nth, side, mth, test);
                        questions.entry((mth, test)).or_default().push((question, record.clone()));
                    }
                }
            }
        }
        for ((watch, (clause, test)), asked) in questions {
            let test = self.place.watches.get(watch).and_then(|watch| watch.test(clause, test));
            let Some(test) = test else { continue };
            let (questions, records): (Vec<Question>, Vec<Json>) = asked.into_iter().unzip();
            let answers = permit.matching(&self.place.table, &test.asked, &records).await?;
            self.answers.extend(questions.into_iter().zip(answers));
        }
        Ok(())
    }

    /// The rows that a filter is held against.
    fn sides(&self, op: Op, watch: &Watch) -> Vec<Side> {
        match op {
            _ if !watch.wish.asks_for(op) || watch.shape.is_error() => Vec::new(),
            Op::Delete => vec![Side::Old],
            Op::Update if self.left => vec![Side::New, Side::Old],
            _ => vec![Side::New],
        }
    }

    fn judge(&self, change: usize, watch: usize, side: Side) -> Judged {
        let answer =
            |clause, test| self.answers.get(&(change, side, watch, (clause, test))).copied();
        self.place.watches[watch].judge(side.of(&self.rows[change]), answer)
    }

    fn matches(&self, change: usize, watch: usize, side: Side) -> bool {
        self.judge(change, watch, side) == Judged::Match
    }

    /// Asks for rights only where something matches.
    async fn seen(&self, permit: &Permit, who: &Subject) -> Result<Seen> {
        let table = &self.place.table;
        let count = self.changes.len();
        if !table.row_security {
            return Ok(Seen { now: vec![true; count], before: vec![true; count] });
        }
        let (mut asked, mut whole) = (Vec::new(), Vec::new());
        for (nth, delivery) in self.changes.iter().enumerate() {
            let op = delivery.change.op;
            let mut sides = self.place.watches.iter().enumerate().flat_map(|(mth, watch)| {
                let sides = self.sides(op, watch).into_iter();
                sides.filter(move |side| self.matches(nth, mth, *side))
            });
            if sides.next().is_some() {
                asked.push(nth);
                whole.extend((op == Op::Update && table.full_identity).then_some(nth));
            }
        }
        let of = |places: &[usize]| -> Vec<_> {
            places.iter().map(|&nth| Arc::clone(&self.changes[nth])).collect()
        };
        let spread = |places: &[usize], answers: Vec<bool>| {
            let mut seen = vec![false; count];
            for (&nth, answer) in places.iter().zip(answers) {
                seen[nth] = answer;
            }
            seen
        };
        let now = spread(&asked, permit.visible(who, table, &of(&asked)).await?);
        let before = if whole.is_empty() {
            vec![false; count]
        } else {
            spread(&whole, permit.was_visible(who, table, &of(&whole)).await?)
        };
        Ok(Seen { now, before })
    }

    /// What the channel is told of a change: one payload for each group of columns.
    fn told(&self, nth: usize, seen: &Seen) -> Vec<Payload> {
        let (delivery, table) = (&self.changes[nth], &*self.place.table);
        let op = delivery.change.op;
        let mut groups: Vec<(&Watch, Telling, Vec<u64>)> = Vec::new();
        for (mth, watch) in self.place.watches.iter().enumerate() {
            let Some(left) = self.verdict(nth, mth, watch, seen) else { continue };
            let shown = if op == Op::Delete { table.shows_deleted() } else { seen.before[nth] };
            let hidden = table.row_security && !shown;
            let telling = Telling { old_key_only: hidden, left };
            let group = groups
                .iter_mut()
                .find(|(one, told, _)| *told == telling && one.shape.is_like(&watch.shape));
            let id = watch.wish.id;
            match group {
                Some((.., ids)) if ids.contains(&id) => {}
                Some((.., ids)) => ids.push(id),
                None => groups.push((watch, telling, vec![id])),
            }
        }
        let groups = groups.into_iter();
        groups.map(|(watch, how, ids)| payload(delivery, table, &watch.shape, how, &ids)).collect()
    }

    /// Whether a watch is told of a change, and whether as of a row that has left.
    fn verdict(&self, nth: usize, mth: usize, watch: &Watch, seen: &Seen) -> Option<bool> {
        let op = self.changes[nth].change.op;
        if !watch.wish.asks_for(op) {
            return None;
        }
        if watch.shape.is_error() {
            // Of a row that is gone nobody is told who may not read its key.
            return (op != Op::Delete || !watch.shape.is_unauthorized()).then_some(false);
        }
        let side = if op == Op::Delete { Side::Old } else { Side::New };
        if seen.now[nth] && self.matches(nth, mth, side) {
            return Some(false);
        }
        let left = self.left
            && op == Op::Update
            && self.place.table.full_identity
            && seen.before[nth]
            && self.matches(nth, mth, Side::Old);
        left.then_some(true)
    }
}
