//! A read of the log put together: rows go in as they come, changes come out by the batch that they belong to.
//!
//! No I/O, no clock: what the database said is handed in, so that a simulated database can drive it as well.

use std::sync::Arc;

use super::Page;
use crate::{
    change::{Batch, Change},
    cursor::{HistoryId, Mark, Position},
    error::{Error, Result},
    hub::Delivery,
};

/// Changes of one batch, in order.
pub(crate) struct Chunk {
    pub(crate) batch: Arc<Batch>,
    pub(crate) deliveries: Vec<Arc<Delivery>>,
}

/// One read of what a position lacks.
pub(crate) struct Batches {
    position: Position,
    history: HistoryId,
    /// Changes that go out in one chunk at most.
    most: usize,
    upto: Option<Mark>,
    batch: Option<Arc<Batch>>,
    waiting: Option<Chunk>,
    /// Rows that went in, and where somebody stands who has had them all.
    rows: usize,
    last: Option<Position>,
}

impl Batches {
    pub(crate) fn new(position: Position, history: HistoryId, most: usize) -> Self {
        let (upto, batch, waiting, last) = (None, None, None, None);
        Self { position, history, most, upto, batch, waiting, rows: 0, last }
    }

    /// Says how far the read goes; what is said after the first time is ignored.
    ///
    /// A position's time never goes back, should the clock be set back: what is in its snapshot was captured before it.
    pub(crate) fn begin(&mut self, upto: Mark) {
        let at = upto.at.max(self.position.furthest().at);
        self.upto.get_or_insert(Mark { at, ..upto });
    }

    /// Whether it is known how far the read goes.
    pub(crate) fn has_begun(&self) -> bool {
        self.upto.is_some()
    }

    /// Takes the row `id`, which belongs to the batch that the position is in or, `late`, to the next; `change` is none
    /// when it holds nothing legal. Returns what is full.
    pub(crate) fn push(&mut self, late: bool, id: i64, change: Option<Change>) -> Option<Chunk> {
        let upto = self.upto.clone()?;
        let (from, upto) = match &self.position.partial {
            None => (&self.position.base, upto),
            Some((begun, _)) if !late => (&self.position.base, begun.clone()),
            Some((begun, _)) => (begun, upto),
        };
        let batch = match &self.batch {
            Some(batch) if batch.upto == upto => Arc::clone(batch),
            _ => Arc::new(Batch { from: from.clone(), upto, history: self.history }),
        };
        self.batch = Some(Arc::clone(&batch));
        self.rows += 1;
        self.last = Some(batch.position_after(id));
        let delivery = Arc::new(Delivery::new(change?, Arc::clone(&batch)));
        match &mut self.waiting {
            Some(chunk)
                if chunk.deliveries.len() < self.most && Arc::ptr_eq(&chunk.batch, &batch) =>
            {
                chunk.deliveries.push(delivery);
                None
            }
            waiting => waiting.replace(Chunk { batch, deliveries: vec![delivery] }),
        }
    }

    /// What waits when there are no more rows.
    pub(crate) fn rest(&mut self) -> Option<Chunk> {
        self.waiting.take()
    }

    /// The batch that the read ends with, whether or not it brought a change.
    pub(crate) fn finish(self) -> Result<Arc<Batch>> {
        let upto = self.upto.ok_or_else(|| Error::internal("the log's read gave no snapshot"))?;
        let from = self.position.partial.map_or(self.position.base, |(upto, _)| upto);
        let last = self.batch.filter(|batch| batch.upto == upto);
        Ok(last.unwrap_or_else(|| Arc::new(Batch { from, upto, history: self.history })))
    }

    /// The page of a read of at most `limit` rows that was read to its end, or `cut` short.
    pub(crate) fn page(
        self,
        deliveries: Vec<Arc<Delivery>>,
        limit: usize,
        cut: bool,
    ) -> Result<Page> {
        // Rows that hold nothing legal count: they took their place in the page.
        let more = cut || self.rows >= limit;
        let position = match &self.last {
            Some(last) if more => last.clone(),
            _ if cut => self.position,
            _ => Position::at(self.finish()?.upto.clone()),
        };
        Ok(Page { deliveries, position, more })
    }
}
