//! A value that is replaced while it is in use: whoever asks gets one whole version of it.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

/// A cheap handle; clones share the value.
pub struct Live<T>(Arc<watch::Sender<Arc<T>>>);

impl<T> Live<T> {
    /// Holds a first version.
    pub fn new(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(value))))
    }

    /// The version of now. Who needs two of its parts to fit asks once.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts another version in its place.
    pub fn replace(&self, value: T) {
        self.0.send_replace(Arc::new(value));
    }

    /// Puts what another one holds in its place.
    pub fn share(&self, other: &Self) {
        self.0.send_replace(other.now());
    }

    /// Waits until this version is no longer that of now.
    pub async fn outdated(&self, version: &Arc<T>) {
        let mut seen = self.0.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = seen.wait_for(|now| !Arc::ptr_eq(now, version)).await;
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_version_stays_whole_for_whoever_has_it() {
        let live = Live::new((1, 1));
        let before = live.now();
        live.clone().replace((2, 2));
        live.outdated(&before).await;
        assert_eq!((*before, *live.now()), ((1, 1), (2, 2)));
    }
}
