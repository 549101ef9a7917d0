//! A subscriber of a watched table: permits decide of each row, as in the `supabase` dialect.

use std::{collections::VecDeque, sync::Arc};

use serde_json::{Value, json};

use super::{LAGGED, MAILBOX, RESYNC, Said, gap, hidden};
use crate::{
    app::admin::shown,
    claims::Claims,
    error::{Error, Kind, Result},
    hub::Delivery,
    session::{Follower, Next, Permit, Services, permit::Subject, starting},
    topic::Topic,
};

/// Changes judged together.
const AT_ONCE: usize = 64;

pub(super) struct Table {
    permit: Permit,
    who: Subject,
    follower: Follower,
    pending: VecDeque<Next>,
}

impl Table {
    pub(super) async fn join(
        services: &Services,
        topic: Topic,
        claims: &Claims,
    ) -> Result<(Self, Value)> {
        let (permit, who) = (services.permit.clone(), Subject::new(claims));
        let (hub, pool) = (&services.hub, services.pool.clone());
        let follower = Follower::open(hub, pool, MAILBOX, std::slice::from_ref(&topic))
            .ok_or_else(starting)?;
        let tables = permit.tables(&who, "*", "*").await?;
        let Some(table) = tables.iter().find(|table| table.topic == topic) else {
            let message =
                format!("No watched table's changes go to {topic}; watch the table first");
            return Err(Error::new(Kind::Missing, message));
        };
        let names = |readable: bool| -> Vec<&str> {
            let columns = table.columns.iter().filter(|column| column.readable == readable);
            columns.map(|column| &*column.name).collect()
        };
        let words = json!({
            "topic": topic.as_str(),
            "role": who.role(),
            "hears": table.is_readable(),
            "table": table.relation.as_ref(),
            "row_security": table.row_security,
            "readable": names(true),
            "unreadable": names(false),
        });
        Ok((Self { permit, who, follower, pending: VecDeque::new() }, words))
    }

    /// Waits for changes and says of each whether the subscriber gets it.
    pub(super) async fn next(&mut self, out: &mut Vec<Said>) -> Result<()> {
        if self.pending.is_empty() {
            let mut came = Vec::new();
            self.follower.next(&mut came).await?;
            self.pending.extend(came);
        }
        match self.pending.front() {
            None => return Ok(()),
            Some(Next::Change(..)) => {}
            Some(Next::Lagged) => out.push(gap(LAGGED)),
            Some(Next::Resync) => out.push(gap(RESYNC)),
            Some(Next::Heed(_) | Next::Signal(_)) => {}
        }
        let changes = self.first_of_one_table();
        let Some(first) = changes.first() else {
            self.pending.pop_front();
            return Ok(());
        };
        let relation = Arc::clone(&first.change.relation);
        match self.permit.table(&self.who, &relation).await {
            Ok(Some(table)) => match self.permit.visible(&self.who, &table, &changes).await {
                Ok(seen) => out.extend(changes.iter().zip(seen).map(|(delivery, seen)| {
                    let change = &delivery.change;
                    match seen {
                        true => ("shown", shown::readable(change, &table)),
                        false if table.is_readable() => {
                            hidden(change, "row security hides it from this role with these claims")
                        }
                        false => hidden(change, "the role may not SELECT the columns of the key"),
                    }
                })),
                Err(error) if error.is_ours() => return Err(error),
                Err(error) => all_hidden(&changes, &error.message, out),
            },
            Ok(None) => all_hidden(&changes, "the table is not watched any more", out),
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => all_hidden(&changes, &error.message, out),
        }
        self.pending.drain(..changes.len());
        Ok(())
    }

    fn first_of_one_table(&self) -> Vec<Arc<Delivery>> {
        let mut relation = None;
        let of = |next: &Next| match next {
            Next::Change(delivery, _)
                if *relation.get_or_insert(Arc::clone(&delivery.change.relation))
                    == delivery.change.relation =>
            {
                Some(Arc::clone(delivery))
            }
            _ => None,
        };
        self.pending.iter().map_while(of).take(AT_ONCE).collect()
    }
}

fn all_hidden(changes: &[Arc<Delivery>], why: &str, out: &mut Vec<Said>) {
    out.extend(changes.iter().map(|delivery| hidden(&delivery.change, why)));
}
