//! Answers that are kept for a moment: who asks meanwhile waits for the same one instead of asking again.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::error::Result;

/// Answers kept at most; beyond that the oldest ones go.
const KEPT: usize = 4_096;

type Slot<V> = Arc<tokio::sync::Mutex<Option<(Instant, V)>>>;

/// Answers by question.
pub(super) struct Fresh<K, V>(Mutex<HashMap<K, Slot<V>>>);

impl<K, V> Default for Fresh<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Fresh<K, V> {
    /// The answer to a question, asked of the database no earlier than `since`.
    pub(super) async fn get<F>(&self, key: K, since: Instant, read: F) -> Result<V>
    where
        F: Future<Output = Result<V>>,
    {
        let slot = self.slot(key);
        let mut kept = slot.lock().await;
        if let Some((_, answer)) = kept.as_ref().filter(|(asked, _)| *asked >= since) {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = read.await?;
        *kept = Some((asked, answer.clone()));
        Ok(answer)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT && !slots.contains_key(&key) {
            // Those that somebody waits for stay; the others are only asked for once more.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}
