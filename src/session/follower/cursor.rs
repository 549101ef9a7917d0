//! The cursor that a client is told after a change.

use std::sync::Arc;

use crate::hub::Delivery;

/// A cursor; most clients share the change's own.
#[derive(Clone)]
pub enum Cursor {
    /// That of a client which is live.
    Shared(Arc<Delivery>),
    /// That of a client which is catching up.
    Own(String),
}

impl Cursor {
    /// The word to send.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Shared(delivery) => delivery.cursor(),
            Self::Own(text) => text,
        }
    }

    /// Whether a frame made for the change serves this client too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}
