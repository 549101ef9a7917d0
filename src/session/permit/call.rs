//! One statement for many: which rows, who asks, who asks of which; and its answer.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use super::question::{Asker, Group};
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
        let mut places = Vec::new();
        for (asker, of) in questions {
            let place = *askers.entry(asker).or_insert_with(|| {
                call.askers.push(asker.clone());
                asks.push(Vec::new());
                asks.len() - 1
            });
            // Changes are shared, not copied: the same row is at the same place in memory.
            let numbers = of.iter().map(|row| {
                *rows.entry((row.as_str().as_ptr(), row.as_str().len())).or_insert_with(|| {
                    call.rows.push(row.clone());
                    number(call.rows.len())
                })
            });
            let numbers: Vec<i32> = numbers.collect();
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

    /// Asks the database; an answer for each asker, none for those that the budget did not reach.
    pub(super) async fn run(
        &self,
        pool: &Pool,
        group: &Group,
        budget: i32,
    ) -> Result<Vec<Option<Found>>, Trouble> {
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
        let mut found: Vec<Option<Found>> = self.askers.iter().map(|_| None).collect();
        for row in &answered {
            let (nth, one) = read(row).map_err(Trouble::Away)?;
            if let Some(place) = found.get_mut(nth) {
                *place = Some(one);
            }
        }
        Ok(found)
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

fn read(row: &Row) -> Result<(usize, Found)> {
    let nth: i32 = row.try_get(0)?;
    let place = usize::try_from(nth).ok().and_then(|nth| nth.checked_sub(1));
    let place = place.ok_or_else(|| Error::internal("an answer to nobody"))?;
    let state: Option<String> = row.try_get(2)?;
    Ok((
        place,
        match state {
            Some(state) => {
                Found::Failed(state, row.try_get::<_, Option<String>>(3)?.unwrap_or_default())
            }
            None => {
                let mut seen = row.try_get::<_, Option<Vec<i32>>>(1)?.unwrap_or_default();
                seen.sort_unstable();
                Found::Rows(seen)
            }
        },
    ))
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
