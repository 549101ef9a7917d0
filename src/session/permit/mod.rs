//! Who may see and say what: asked of the database under the subject's own role and claims, for many at a time.

mod call;
mod channels;
mod filters;
mod fresh;
mod judge;
mod question;
mod queue;
mod subject;
mod table;
mod visible;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};

pub use channels::{Kept, Rights};
pub use filters::{Asked, Canonical, Operator};
pub use subject::Subject;
pub use table::{Base, Column, Table};

use fresh::Fresh;
use judge::{JUDGES, Judge, LeftOut};
use queue::Queue;

use crate::{
    db::Pool,
    error::{Error, Result},
    lifecycle::Lifecycle,
};

/// How long what a role may see of a table is held to be true.
const TABLE_IS_FRESH: Duration = Duration::from_secs(1);

/// Role, schema, table, relation; empty for any.
type Question = (String, String, String, String);

/// A cheap handle to the one who asks.
#[derive(Clone)]
pub struct Permit(Arc<Inner>);

struct Inner {
    pool: Pool,
    tables: Fresh<Question, Arc<[Arc<Table>]>>,
    queue: Arc<Queue>,
    /// Subject, channel, extension.
    speakers: Fresh<(Subject, String, String), bool>,
    turns: Semaphore,
}

impl Permit {
    /// Starts those who answer, on a few of the pool's connections.
    pub fn start(pool: Pool, lifecycle: &Lifecycle) -> Self {
        let queue = Arc::new(Queue::new(JUDGES - 1));
        let left_out = Arc::new(LeftOut::default());
        for _ in 0..JUDGES {
            let judge = Judge {
                pool: pool.clone(),
                queue: Arc::clone(&queue),
                left_out: Arc::clone(&left_out),
            };
            lifecycle.service("permits", judge.run());
        }
        Self(Arc::new(Inner {
            pool,
            tables: Fresh::default(),
            queue,
            speakers: Fresh::default(),
            turns: Semaphore::new(channels::AT_ONCE),
        }))
    }

    /// Tables on the feed that match a schema and a table name, as they are now; `*` for any.
    pub async fn tables(
        &self,
        who: &Subject,
        schema: &str,
        table: &str,
    ) -> Result<Arc<[Arc<Table>]>> {
        let named = |name: &str| if name == "*" { String::new() } else { name.to_owned() };
        let question = (who.role().to_owned(), named(schema), named(table), String::new());
        self.read(question, Instant::now()).await
    }

    /// The table of a change; none when it is not watched any more.
    pub async fn table(&self, who: &Subject, relation: &str) -> Result<Option<Arc<Table>>> {
        let since = Instant::now().checked_sub(TABLE_IS_FRESH).unwrap_or_else(Instant::now);
        self.table_since(who, relation, since).await
    }

    /// The same, asked of the database no earlier than at a time.
    pub async fn table_since(
        &self,
        who: &Subject,
        relation: &str,
        since: Instant,
    ) -> Result<Option<Arc<Table>>> {
        let question = (who.role().to_owned(), String::new(), String::new(), relation.to_owned());
        Ok(self.read(question, since).await?.first().cloned())
    }

    /// Casts the values of conditions as the database does; the error's text is what the client is told.
    pub async fn check(
        &self,
        who: &Subject,
        table: &Table,
        conditions: &[Asked],
    ) -> Result<Vec<Canonical>> {
        let mut canonical = Vec::with_capacity(conditions.len());
        for Asked { column, operator, value } in conditions {
            writable(&[column, value])?;
            let (sql, operator) =
                ("select rowcast.check_filter($1, $2, $3, $4, $5)", operator.as_str());
            let parameters: [&(dyn postgres_types::ToSql + Sync); 5] =
                [&table.watch, &who.role(), &&**column, &operator, value];
            canonical.push(self.0.pool.value(sql, &parameters).await?);
        }
        Ok(canonical)
    }

    fn queue(&self) -> &Queue {
        &self.0.queue
    }

    async fn read(&self, question: Question, since: Instant) -> Result<Arc<[Arc<Table>]>> {
        let (role, schema, table, relation) = question.clone();
        writable(&[&role, &schema, &table, &relation])?;
        self.0
            .tables
            .get(question, since, async {
                let any = |name: String| (!name.is_empty()).then_some(name);
                let rows = self
                    .0
                    .pool
                    .query(
                        "select * from rowcast.tables_of($1, $2, $3, $4)",
                        &[&role, &any(schema), &any(table), &any(relation)],
                    )
                    .await?;
                rows.iter().map(|row| Table::read(row).map(Arc::new)).collect()
            })
            .await
    }
}

/// Refuses text that the database cannot take: it has no character 0.
fn writable(texts: &[&str]) -> Result<()> {
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Error::malformed("A null character cannot be stored or compared"));
    }
    Ok(())
}
