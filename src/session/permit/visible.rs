//! Which changes a subject may see, and which records a condition holds for.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Asked, Permit, Subject, Table,
    question::{Asker, Fate, Finding, Group, What},
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
    /// A row that is as its change left it is judged as it is, under the subject's role and claims. One that is another by
    /// now must be seen now, and the policies must hold for what the log has of it; one that is gone goes by the log
    /// alone, where that has all of it. Of other deletions whoever may read the key learns.
    /// An error is about this subject and this table only.
    pub async fn visible(
        &self,
        who: &Subject,
        table: &Table,
        changes: &[Arc<Delivery>],
    ) -> Result<Vec<bool>> {
        if !table.row_security {
            return Ok(vec![table.is_readable(); changes.len()]);
        }
        // Without a key nothing can be judged, and what is not judged is not told.
        if !table.key_is_readable() {
            return Ok(vec![false; changes.len()]);
        }
        let mut visible = vec![true; changes.len()];
        let (mut now, mut then) = (Vec::new(), Vec::new());
        for (place, delivery) in changes.iter().enumerate() {
            let change = &delivery.change;
            match (change.op, &change.key) {
                (Op::Truncate, _) => {}
                (Op::Delete, _) => then.extend(whole(table, change).map(|row| (place, row))),
                (_, Some(_)) => now.push((place, row(delivery))),
                (_, None) => visible[place] = false,
            }
        }
        let who = Asker::Subject(who.clone());
        let (places, rows): (Vec<usize>, Vec<Json>) = now.into_iter().unzip();
        for (place, found) in places.into_iter().zip(self.ask(What::Sees, &who, table, rows).await?)
        {
            let record = changes[place].change.record.as_ref().filter(|_| table.is_whole);
            visible[place] = match (found.row, record) {
                (Fate::Gone, record) => record.is_some(),
                (Fate::Same | Fate::Other, _) => found.is,
            };
            if found.row != Fate::Same && visible[place] {
                then.extend(record.map(|record| (place, record.clone())));
            }
        }
        let (places, rows): (Vec<usize>, Vec<Json>) = then.into_iter().unzip();
        for (place, found) in places.into_iter().zip(self.ask(What::Saw, &who, table, rows).await?)
        {
            visible[place] = found.is;
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
        if !table.row_security {
            return Ok(rows.iter().map(|row| row.is_some() && table.is_readable()).collect());
        }
        if !table.key_is_readable() {
            return Ok(vec![false; changes.len()]);
        }
        let asked = rows.iter().flatten().cloned().collect();
        let who = Asker::Subject(who.clone());
        let mut answers = self.ask(What::Saw, &who, table, asked).await?.into_iter();
        let mut is = || answers.next().is_some_and(|found| found.is);
        Ok(rows.iter().map(|row| row.is_some() && is()).collect())
    }

    /// For which of these records a condition holds, as the database has it; NULL does not match.
    pub async fn matching(
        &self,
        table: &Table,
        condition: &Asked,
        records: &[Json],
    ) -> Result<Vec<bool>> {
        let condition = Asker::Condition(Arc::new(condition.clone()));
        let found = self.ask(What::Matches, &condition, table, records.to_vec()).await?;
        Ok(found.into_iter().map(|found| found.is).collect())
    }

    async fn ask(
        &self,
        what: What,
        asker: &Asker,
        table: &Table,
        rows: Vec<Json>,
    ) -> Result<Vec<Finding>> {
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

/// A change's key and record, put together once for all who ask.
fn row(delivery: &Delivery) -> Json {
    let made = delivery.row(|change| {
        let text = |json: &Option<Json>| json.as_ref().map_or("null", Json::as_str).to_owned();
        format!(r#"{{"key":{},"record":{}}}"#, text(&change.key), text(&change.record))
    });
    made.clone()
}

/// The row as it was, where the log has more of it than its key.
fn whole(table: &Table, change: &Change) -> Option<Json> {
    let old = change.old_record.as_ref()?;
    (table.is_whole && Some(old) != change.key.as_ref()).then(|| old.clone())
}
