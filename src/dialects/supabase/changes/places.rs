//! The tables that a channel watches, each with the wishes that it is watched for.

use std::{collections::HashMap, sync::Arc};

use super::{
    watch::{Watch, not_there, refusal},
    wish::Wish,
};
use crate::{
    error::Result,
    hub::{Equals, Wanted},
    session::{
        Permit,
        permit::{Subject, Table},
    },
    topic::Topic,
};

/// A table with its watches.
pub(super) struct Place {
    pub(super) table: Arc<Table>,
    pub(super) watches: Vec<Watch>,
}

/// All of a channel's, by the table's name in the log.
pub(super) type Places = HashMap<Arc<str>, Place>;

/// Finds the tables of all wishes, and what is wrong with any of them.
pub(super) async fn resolve(
    permit: &Permit,
    who: &Subject,
    wishes: &[Arc<Wish>],
) -> Result<(Places, Option<String>)> {
    let mut places = Places::new();
    let mut wrong = None;
    for wish in wishes {
        let tables = match permit.tables(who, &wish.schema, &wish.table).await {
            Ok(tables) => tables,
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => {
                wrong.get_or_insert_with(|| refusal(wish, &error.message));
                continue;
            }
        };
        if tables.is_empty() && !wish.is_wild() {
            wrong.get_or_insert_with(|| not_there(wish));
        }
        for table in tables.iter() {
            match Watch::open(permit, who, table, wish).await? {
                Ok(watch) => {
                    let place = places
                        .entry(Arc::clone(&table.relation))
                        .or_insert_with(|| Place { table: Arc::clone(table), watches: Vec::new() });
                    place.watches.push(watch);
                }
                Err(refusal) => drop(wrong.get_or_insert(refusal)),
            }
        }
    }
    Ok((places, wrong))
}

/// What of each table's changes is wanted.
pub(super) fn wanted(places: &Places) -> Vec<(Topic, Wanted)> {
    let wanted = places.values().map(|place| {
        let (table, rows) = (&place.table, place.rows());
        let rows = rows.map(|rows| Wanted::Rows { rows, shape: Arc::clone(&table.shape) });
        (table.topic.clone(), rows.unwrap_or(Wanted::All))
    });
    wanted.collect()
}

impl Place {
    /// The rows that may matter to any of its watches; none: all of them.
    fn rows(&self) -> Option<Vec<Equals>> {
        let rows: Option<Vec<&[Equals]>> = self.watches.iter().map(Watch::rows).collect();
        Some(rows?.concat())
    }

    /// Takes over what the table has become; false when the wishes have to be looked at again.
    pub(super) fn refresh(&mut self, table: &Arc<Table>) -> bool {
        if Arc::ptr_eq(&self.table, table) {
            return true;
        }
        let was = std::mem::replace(&mut self.table, Arc::clone(table));
        let mut good = true;
        for watch in &mut self.watches {
            good &= watch.refresh(&was, table);
        }
        good
    }
}
