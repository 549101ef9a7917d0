//! One statement for many: which rows, who asks, who asks of which; and its answer.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use super::question::{Asker, Fate, Finding, Group};
use crate::{
    change::Json,
    db::{Pool, Row},
    error::{Error, Result},
};

/// Askers and rows, each once, and lists of rows, each once.
#[derive(Default)]
pub(super) struct Call {
    askers: Vec<Asker>,
    rows: Vec<Json>,
    /// Which list each asker asks about, from 1.
    lists: Vec<i32>,
    /// Where each list begins in `wanted`, from 1, and where the last one ends.
    firsts: Vec<i32>,
    /// Numbers of rows, from 1.
    wanted: Vec<i32>,
}

/// The answer to a call.
#[derive(Default)]
pub(super) struct Answer {
    /// For each asker; none for those that the budget did not reach.
    found: Vec<Option<Found>>,
    other: Vec<i32>,
    gone: Vec<i32>,
}

/// What was found for one asker.
pub(super) enum Found {
    /// The numbers of the rows that are so.
    Rows(Vec<i32>),
    /// Its part failed: SQLSTATE and message.
    Failed(String, String),
}

impl Call {
    /// Puts questions together; of each, the numbers of its rows.
    pub(super) fn of<'a>(
        questions: impl Iterator<Item = (&'a Asker, &'a [Json])>,
    ) -> (Self, Vec<(usize, Vec<i32>)>) {
        let mut call = Self::default();
        let mut rows: HashMap<(*const u8, usize), i32> = HashMap::new();
        let mut askers: HashMap<&Asker, usize> = HashMap::new();
        let mut asks: Vec<Vec<i32>> = Vec::new();
        let mut places: Vec<(usize, Vec<i32>)> = Vec::new();
        let mut before: &[Json] = &[];
        for (asker, of) in questions {
            let place = *askers.entry(asker).or_insert_with(|| {
                call.askers.push(asker.clone());
                asks.push(Vec::new());
                asks.len() - 1
            });
            // Changes are shared, not copied: the same row is at the same place in memory.
            let numbers = of.iter().map(|row| {
                *rows.entry(row.place()).or_insert_with(|| {
                    call.rows.push(row.clone());
                    number(call.rows.len())
                })
            });
            // Who follows a table side by side asks about the same rows.
            let again = places
                .last()
                .filter(|_| of.iter().map(Json::place).eq(before.iter().map(Json::place)));
            let numbers: Vec<i32> =
                again.map_or_else(|| numbers.collect(), |(_, same)| same.clone());
            before = of;
            if let Some(asks) = asks.get_mut(place) {
                asks.extend(&numbers);
            }
            places.push((place, numbers));
        }
        let mut known: HashMap<Vec<i32>, i32> = HashMap::new();
        for mut list in asks {
            list.sort_unstable();
            list.dedup();
            let next = number(known.len() + 1);
            let nth = *known.entry(list).or_insert_with_key(|list| {
                call.firsts.push(number(call.wanted.len() + 1));
                call.wanted.extend(list);
                next
            });
            call.lists.push(nth);
        }
        call.firsts.push(number(call.wanted.len() + 1));
        (call, places)
    }

    /// Asks the database.
    pub(super) async fn run(
        &self,
        pool: &Pool,
        group: &Group,
        budget: i32,
    ) -> Result<Answer, Trouble> {
        let lease = pool.raw().await.map_err(Trouble::Away)?;
        let [one, two, three] = [0, 1, 2].map(|nth| {
            let texts = self.askers.iter().filter_map(|asker| asker.texts().get(nth).copied());
            texts.collect::<Vec<&str>>()
        });
        let rows = array(&self.rows)?;
        let statement = lease.prepare(group.what.sql()).await.map_err(Trouble::Away)?;
        let role = &*group.role;
        let parameters: [&(dyn postgres_types::ToSql + Sync); 10] = [
            &group.watch,
            &role,
            &rows,
            &one,
            &two,
            &three,
            &self.lists,
            &self.firsts,
            &self.wanted,
            &budget,
        ];
        let answered = lease.query(&statement, &parameters).await.map_err(Trouble::from)?;
        // After an error the lease is dropped and with it the connection, whatever it was left in.
        lease.done();
        let mut answer = Answer::default();
        answer.found.resize_with(self.askers.len(), || None);
        for row in &answered {
            answer.take(row).map_err(Trouble::Away)?;
        }
        Ok(answer)
    }
}

impl Answer {
    /// What was found for an asker.
    pub(super) fn of(&self, place: usize) -> Option<&Found> {
        self.found.get(place).and_then(Option::as_ref)
    }

    /// What was found of rows by their numbers, where `seen` are those that are so.
    pub(super) fn findings(&self, numbers: &[i32], seen: &[i32]) -> Vec<Finding> {
        let has = |list: &[i32], number: &i32| list.binary_search(number).is_ok();
        let of = |number| Finding {
            is: has(seen, number),
            row: if has(&self.gone, number) {
                Fate::Gone
            } else if has(&self.other, number) {
                Fate::Other
            } else {
                Fate::Same
            },
        };
        numbers.iter().map(of).collect()
    }

    /// Takes a row: 0 and -1 are about rows that are not as they were, the others about askers.
    fn take(&mut self, row: &Row) -> Result<()> {
        let nth: i32 = row.try_get(0)?;
        let mut seen = row.try_get::<_, Option<Vec<i32>>>(1)?.unwrap_or_default();
        seen.sort_unstable();
        match usize::try_from(nth).ok().map(|nth| nth.checked_sub(1)) {
            None => self.gone = seen,
            Some(None) => self.other = seen,
            Some(Some(place)) => {
                let found = match row.try_get::<_, Option<String>>(2)? {
                    Some(state) => {
                        let message: Option<String> = row.try_get(3)?;
                        Found::Failed(state, message.unwrap_or_default())
                    }
                    None => Found::Rows(seen),
                };
                if let Some(of) = self.found.get_mut(place) {
                    *of = Some(found);
                }
            }
        }
        Ok(())
    }
}

/// Why a statement gave no answer at all.
pub(super) enum Trouble {
    /// The database is away; nobody is to blame.
    Away(Error),
    /// The table is not watched any more.
    Gone,
    /// It is refused for all who ask.
    Refused(Error),
    /// Somebody's part broke it: SQLSTATE and message.
    Broken(String, String),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(raised) = error.as_db_error() else { return Self::Away(error.into()) };
        match raised.code().code() {
            "RC404" => Self::Gone,
            code if code.starts_with("RC4") => Self::Refused(error.into()),
            // connections, shutting down and starting up
            code if ["08", "57P0", "53"].iter().any(|class| code.starts_with(class)) => {
                Self::Away(error.into())
            }
            code => Self::Broken(code.to_owned(), raised.message().to_owned()),
        }
    }
}

/// Splices rows into one JSON array.
fn array(rows: &[Json]) -> Result<Json, Trouble> {
    let size = rows.iter().map(|row| row.as_str().len() + 1).sum::<usize>() + 2;
    let mut text = BytesMut::with_capacity(size);
    text.put_u8(b'[');
    for (nth, row) in rows.iter().enumerate() {
        if nth > 0 {
            text.put_u8(b',');
        }
        text.put_slice(row.as_str().as_bytes());
    }
    text.put_u8(b']');
    let json = Json::from_database(text.freeze());
    json.ok_or_else(|| Trouble::Away(Error::internal("rows that are not UTF-8")))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
