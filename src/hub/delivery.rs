//! A change on its way to many mailboxes: what is worked out for one client serves all.

use std::{
    any::Any,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::change::{Batch, Change, Json};

/// A change with the batch that it came in.
pub struct Delivery {
    /// The change.
    pub change: Change,
    /// Its batch.
    pub batch: Arc<Batch>,
    cursor: OnceLock<String>,
    row: OnceLock<Json>,
    frames: Mutex<Vec<(&'static str, Arc<dyn Any + Send + Sync>)>>,
}

impl Delivery {
    /// Wraps a change of a batch.
    pub fn new(change: Change, batch: Arc<Batch>) -> Self {
        Self {
            change,
            batch,
            cursor: OnceLock::new(),
            row: OnceLock::new(),
            frames: Mutex::default(),
        }
    }

    /// The cursor of a client that was live when the batch began and has had it up to this change.
    pub fn cursor(&self) -> &str {
        self.cursor
            .get_or_init(|| self.batch.position_after(self.change.id).encode(self.batch.history))
    }

    /// What the database is asked about the row by, made once: it is asked for every subscriber.
    pub fn row(&self, make: impl FnOnce(&Change) -> String) -> &Json {
        self.row.get_or_init(|| Json::of_text(make(&self.change)))
    }

    /// What a dialect made of this change, made once: `dialect` names the dialect and with it the type.
    pub fn memo<T: Send + Sync + 'static>(
        &self,
        dialect: &'static str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let known = frames
            .iter()
            .find(|(name, _)| *name == dialect)
            .and_then(|(_, made)| Arc::clone(made).downcast().ok());
        known.unwrap_or_else(|| {
            let made = Arc::new(make());
            frames.push((dialect, Arc::clone(&made) as _));
            made
        })
    }
}
