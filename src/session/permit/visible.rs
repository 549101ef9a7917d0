//! Which changes a subject may see, and which records a condition holds for.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Asked, Permit, Subject, Table,
    question::{Asker, Group, What},
    writable,
};
use crate::{
    change::{Change, Json, Op},
    error::{Error, Kind, Result},
    hub::Delivery,
};

/// How long an answer is waited for, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(15);

impl Permit {
    /// Which of these changes the subject may see, in order.
    ///
    /// Rows that are there are judged as they are now, under the subject's role and claims. A deleted row is judged by
    /// the policies on what it was, where the log has all of it; else whoever may read the key learns that it went.
    /// An error is about this subject and this table only.
    pub async fn visible(
        &self,
        who: &Subject,
        table: &Table,
        changes: &[Arc<Delivery>],
    ) -> Result<Vec<bool>> {
        if !table.row_security || !table.key_is_readable() {
            return Ok(vec![table.is_readable(); changes.len()]);
        }
        let mut visible = vec![true; changes.len()];
        let (mut now, mut before) = (Vec::new(), Vec::new());
        for (place, delivery) in changes.iter().enumerate() {
            let change = &delivery.change;
            match (change.op, &change.key) {
                (Op::Truncate, _) => {}
                (Op::Delete, _) => before.extend(whole(table, change).map(|row| (place, row))),
                (_, Some(key)) => now.push((place, key.clone())),
                (_, None) => visible[place] = false,
            }
        }
        let who = Asker::Subject(who.clone());
        for (what, asked) in [(What::Sees, now), (What::Saw, before)] {
            let (places, rows): (Vec<usize>, Vec<Json>) = asked.into_iter().unzip();
            let answers = self.ask(what, &who, table, rows).await?;
            for (place, is) in places.into_iter().zip(answers) {
                visible[place] = is;
            }
        }
        Ok(visible)
    }

    /// Which of these changes' rows the subject could see as they were before; false where the log does not have them whole.
    pub async fn was_visible(
        &self,
        who: &Subject,
        table: &Table,
        changes: &[Arc<Delivery>],
    ) -> Result<Vec<bool>> {
        let rows = changes.iter().map(|delivery| whole(table, &delivery.change));
        let rows: Vec<Option<Json>> = rows.collect();
        if !table.row_security || !table.key_is_readable() {
            return Ok(rows.iter().map(|row| row.is_some() && table.is_readable()).collect());
        }
        let asked = rows.iter().flatten().cloned().collect();
        let who = Asker::Subject(who.clone());
        let mut answers = self.ask(What::Saw, &who, table, asked).await?.into_iter();
        Ok(rows.iter().map(|row| row.is_some() && answers.next().unwrap_or(false)).collect())
    }

    /// For which of these records a condition holds, as the database has it; NULL does not match.
    pub async fn matching(
        &self,
        table: &Table,
        condition: &Asked,
        records: &[Json],
    ) -> Result<Vec<bool>> {
        let condition = Asker::Condition(Arc::new(condition.clone()));
        self.ask(What::Matches, &condition, table, records.to_vec()).await
    }

    async fn ask(
        &self,
        what: What,
        asker: &Asker,
        table: &Table,
        rows: Vec<Json>,
    ) -> Result<Vec<bool>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        writable(&asker.texts())?;
        let role = match asker {
            Asker::Subject(subject) => subject.role(),
            Asker::Condition(_) => "",
        };
        writable(&[role])?;
        let group = Group {
            what,
            watch: table.watch,
            role: role.into(),
            relation: Arc::clone(&table.relation),
        };
        let asking = async {
            let answer = self.queue().put(group, asker.clone(), rows).await?;
            answer.await.unwrap_or_else(|closed| Err(Error::internal(closed)))
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| {
            let message = format!("No answer in time on who may see changes of {}", table.relation);
            Err(Error::new(Kind::Timeout, message))
        })
    }
}

/// The row as it was, where the log has more of it than its key.
fn whole(table: &Table, change: &Change) -> Option<Json> {
    let old = change.old_record.as_ref()?;
    (table.is_whole && Some(old) != change.key.as_ref()).then(|| old.clone())
}
