//! Statements sent whole: parsed, bound and executed in one go, and nothing of them left on the connection.
//!
//! Behind a pooler the next message may go to another connection of the server's, where what was prepared is not, or is
//! somebody else's under the same name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::TryStreamExt;
use tokio_postgres::{
    Client, Error, Row, RowStream, SimpleQueryMessage, Statement,
    types::{ToSql, Type},
};
use uuid::Uuid;

/// Ours are some two hundred; beyond this all are forgotten and learnt anew.
const MOST: usize = 1_000;

/// A statement, ready to be run on the connection that it was made ready on.
pub enum Prepared<'a> {
    /// Its name is known there.
    Named(Statement),
    /// It goes there whole, with its parameters' types.
    Whole(&'a str, Arc<[Type]>),
}

impl Prepared<'_> {
    /// Runs it and returns its rows as they come in.
    pub async fn rows(
        &self,
        client: &Client,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<RowStream, Error> {
        match self {
            Self::Named(statement) => client.query_raw(statement, params.iter().copied()).await,
            Self::Whole(sql, types) => {
                let typed = params.iter().copied().zip(types.iter().cloned());
                client.query_typed_raw(sql, typed).await
            }
        }
    }

    /// Runs it and returns its rows.
    pub async fn query(
        &self,
        client: &Client,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Named(statement) => client.query(statement, params).await,
            Self::Whole(..) => self.rows(client, params).await?.try_collect().await,
        }
    }
}

/// What types the parameters of statements have, as the database says, asked once for each text.
#[derive(Default)]
pub struct Types(Mutex<HashMap<String, Arc<[Type]>>>);

impl Types {
    /// Those of a statement.
    pub async fn of(&self, client: &Client, sql: &str) -> Result<Arc<[Type]>, Error> {
        if let Some(known) = self.known().get(sql) {
            return Ok(Arc::clone(known));
        }
        let types = learn(client, sql).await?;
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(sql.to_owned(), Arc::clone(&types));
        Ok(types)
    }

    /// Forgets a statement that failed for what it refers to: a migration may have made that anew with other types.
    pub fn forget(&self, sql: &str, error: &Error) {
        if error.code().is_some_and(|code| code.code().starts_with("42")) {
            self.known().remove(sql);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<[Type]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks in one message, which a pooler gives to one connection; its name is nobody else's, should it be cut short there.
async fn learn(client: &Client, sql: &str) -> Result<Arc<[Type]>, Error> {
    let name = format!("rowcast_{}", Uuid::new_v4().simple());
    let asking = format!(
        "prepare {name} as {sql};\n\
         select pg_catalog.array_to_string(parameter_types::pg_catalog.oid[], ' ') \
         from pg_catalog.pg_prepared_statements where name = '{name}'; deallocate {name}"
    );
    let messages = client.simple_query(&asking).await?;
    let listed = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    // One that is not built in is left to the database, which takes text for it.
    let of = |oid: &str| oid.parse().ok().and_then(Type::from_oid).unwrap_or(Type::UNKNOWN);
    Ok(listed.unwrap_or_default().split_whitespace().map(of).collect())
}
