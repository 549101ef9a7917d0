//! What a mailbox wants of a topic: all of it, or the changes of rows in which a column has a value.
//!
//! Such wishes are indexed by column and value, so that a change costs what its own values match and not what all
//! mailboxes wish for. Values are compared as JSON text: only types that have one canonical text are to be indexed. When
//! the columns are others than those that the wishes were made for, each mailbox gets every change until it wishes anew.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::mailbox::Shared;
use crate::change::Change;

/// What of a topic's changes a mailbox gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every one.
    All,
    /// Those whose row, as it is now or as it was, meets one of `rows`; `shape` is the word for the topic's columns that
    /// they were made for.
    Rows {
        /// What is looked for.
        rows: Vec<Equals>,
        /// As `rowcast.shapes()` has it.
        shape: Arc<str>,
    },
}

/// A column and the JSON text of its value as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Equals {
    /// The column.
    pub column: Arc<str>,
    /// The value.
    pub value: Arc<str>,
}

type Mailboxes = HashMap<u64, Arc<Shared>>;

/// Who wants which rows of one topic.
#[derive(Default)]
pub(super) struct Index {
    columns: HashMap<Arc<str>, HashMap<Arc<str>, Mailboxes>>,
    wishes: HashMap<u64, Vec<Equals>>,
    /// Those whose wishes are of other columns.
    outdated: Mailboxes,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// The columns are others than those of all wishes.
    pub(super) fn outdate(&mut self) {
        let wishing = self.columns.values().flat_map(HashMap::values).flatten();
        let wishing: Mailboxes = wishing.map(|(id, of)| (*id, Arc::clone(of))).collect();
        self.outdated.extend(wishing);
    }

    /// Sets what a mailbox wants, instead of what it wanted before; it may be outdated already.
    pub(super) fn set(&mut self, mailbox: &Arc<Shared>, rows: &[Equals], outdated: bool) {
        self.remove(mailbox.id);
        if outdated {
            self.outdated.insert(mailbox.id, Arc::clone(mailbox));
        }
        for one in rows {
            let values = self.columns.entry(Arc::clone(&one.column)).or_default();
            let mailboxes = values.entry(Arc::clone(&one.value)).or_default();
            mailboxes.insert(mailbox.id, Arc::clone(mailbox));
        }
        self.wishes.insert(mailbox.id, rows.to_vec());
    }

    pub(super) fn remove(&mut self, mailbox: u64) {
        self.outdated.remove(&mailbox);
        for one in self.wishes.remove(&mailbox).unwrap_or_default() {
            let Some(values) = self.columns.get_mut(&one.column) else { continue };
            if let Some(mailboxes) = values.get_mut(&one.value) {
                mailboxes.remove(&mailbox);
                if mailboxes.is_empty() {
                    values.remove(&one.value);
                }
            }
            if values.is_empty() {
                self.columns.remove(&one.column);
            }
        }
    }

    /// Calls for each mailbox that wants a change, once.
    pub(super) fn each(&self, change: &Change, mut tell: impl FnMut(&Arc<Shared>)) {
        let mut found: Vec<&Mailboxes> = Vec::new();
        if !self.outdated.is_empty() {
            found.push(&self.outdated);
        }
        for row in [&change.record, &change.old_record].into_iter().flatten() {
            let looked = serde_json::Deserializer::from_str(row.as_str())
                .deserialize_map(Lookup { index: self, found: &mut found });
            if let Err(error) = looked {
                tracing::debug!(%error, id = change.id, "a record of the log is no object");
            }
        }
        match found[..] {
            [] => {}
            [only] => only.values().for_each(tell),
            _ => {
                let mut told = HashSet::new();
                for (id, mailbox) in found.into_iter().flatten() {
                    if told.insert(*id) {
                        tell(mailbox);
                    }
                }
            }
        }
    }

    pub(super) fn mailboxes(&self) -> impl Iterator<Item = (&u64, &Arc<Shared>)> {
        self.columns.values().flat_map(HashMap::values).flatten()
    }
}

/// Looks at the fields of a row that somebody asks for and passes over the rest.
struct Lookup<'a, 'f> {
    index: &'a Index,
    found: &'f mut Vec<&'a Mailboxes>,
}

impl<'de> Visitor<'de> for Lookup<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            let Some(values) = self.index.columns.get(name.as_ref()) else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = fields.next_value::<&RawValue>()?;
            if let Some(mailboxes) = values.get(value.get())
                && !self.found.iter().any(|one| std::ptr::eq(*one, mailboxes))
            {
                self.found.push(mailboxes);
            }
        }
        Ok(())
    }
}
