//! What comes to a client next, and the cursor that it has then.

use std::sync::Arc;

use crate::{hub::Delivery, signal::Signal};

/// What comes to a client next.
pub enum Next {
    /// A change that it lacks, with the cursor it has after it.
    Change(Arc<Delivery>, Cursor),
    /// A change that it need not be told of, but that may mean something for its being here.
    Heed(Arc<Delivery>),
    /// Something said.
    Signal(Arc<Signal>),
    /// More came than the mailbox holds. Changes are read from the log; what was said meanwhile is lost.
    Lagged,
    /// It cannot be continued from where it stood: it must fetch afresh. The position is where it goes on from.
    Resync,
}

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
}
