//! A watched table as a role may see it: its columns, their types, which of them the role may read.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use crate::{
    change::Json,
    db::Row,
    error::{Error, Result},
    topic::Topic,
};

/// A watched table as a role may see it now.
#[derive(Debug)]
pub struct Table {
    /// Its name in the log, quoted where needed.
    pub relation: Arc<str>,
    /// Where its changes go.
    pub topic: Topic,
    /// A word for what the columns of all tables of that topic are.
    pub shape: Arc<str>,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns as the log has them, in the table's order.
    pub columns: Vec<Column>,
    /// Whether changes carry the whole row as it was, not only its key.
    pub full_identity: bool,
    /// Whether row security applies to this role.
    pub row_security: bool,
    /// Names the functions that were written for it.
    pub(super) watch: i32,
    /// Whether the log has every column: only then policies can judge a row that is gone.
    pub(super) is_whole: bool,
}

/// A column.
#[derive(Debug, Deserialize)]
pub struct Column {
    /// Its name.
    #[serde(deserialize_with = "shared")]
    pub name: Arc<str>,
    /// Its type as `pg_type.typname` has it: `int4`, `_text`, the name of a domain.
    #[serde(deserialize_with = "shared")]
    pub type_name: Arc<str>,
    /// Its type without domains.
    pub base: Base,
    /// `atttypmod`: the length of `varchar(n)` and its like plus 4, -1 for none.
    pub modifier: i32,
    /// Whether equal means equal bytes under its collation.
    pub deterministic: bool,
    /// Whether it is part of the key.
    pub key: bool,
    /// Whether the role may read it.
    pub readable: bool,
}

/// A type that is no domain.
#[derive(Debug, Deserialize)]
pub struct Base {
    /// Its oid: below 16384 it is built in.
    pub oid: u32,
    /// `pg_type.typname`.
    #[serde(deserialize_with = "shared")]
    pub name: Arc<str>,
    /// `pg_type.typtype`: `b` base, `c` composite, `e` enum, `r` range, `m` multirange, `p` pseudo.
    pub kind: char,
    /// `pg_type.typcategory`: `N` numeric, `S` string, `A` array…
    pub category: char,
    /// Of an array, what it holds.
    pub element: Option<Box<Self>>,
}

impl Table {
    /// Reads a row of `rowcast.tables_of`.
    pub(super) fn read(row: &Row) -> Result<Self> {
        let columns: Option<Json> = row.try_get("columns")?;
        let columns = columns.map(|json| json.read()).transpose().map_err(Error::internal)?;
        Ok(Self {
            relation: row.try_get::<_, &str>("relation")?.into(),
            topic: Topic::parse(row.try_get("topic")?)?,
            shape: row.try_get::<_, &str>("shape")?.into(),
            schema: row.try_get("schema")?,
            name: row.try_get("name")?,
            columns: columns.unwrap_or_default(),
            full_identity: row.try_get("full_identity")?,
            row_security: row.try_get("row_security")?,
            watch: row.try_get("watch")?,
            is_whole: row.try_get("is_whole")?,
        })
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Whether a deleted row may be shown as it was: it is judged; else its key is all that may be told.
    pub fn shows_deleted(&self) -> bool {
        self.full_identity && (self.is_whole || !self.row_security)
    }

    /// Whether the role may know that a row is there: it reads the key, or some column where there is no key.
    pub fn is_readable(&self) -> bool {
        self.key_is_readable()
            || (self.columns.iter().all(|column| !column.key)
                && self.columns.iter().any(|column| column.readable))
    }

    /// Whether the role may read the whole key; a table without a key has none to read.
    pub fn key_is_readable(&self) -> bool {
        let mut key = self.columns.iter().filter(|column| column.key).peekable();
        key.peek().is_some() && key.all(|column| column.readable)
    }
}

fn shared<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(from).map(Into::into)
}
