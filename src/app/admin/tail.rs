//! The tail: changes as they are pushed to clients. What comes faster than a person can read is counted, not kept.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};
use warp::reply::Response;

use super::{
    Console,
    lists::search,
    shown,
    stream::{Source, event},
};
use crate::{config::Rate, dialects::door::Ask, error::Result, hub::Delivery, session::Bucket};

/// Changes shown per second.
const SHOWN: Rate = Rate { per_second: 50, burst: 100 };
/// How soon those that passed unseen are told of when nothing else comes.
const SOON: Duration = Duration::from_millis(500);

struct Tail {
    changes: Receiver<Arc<Delivery>>,
    search: String,
    bucket: Bucket,
    missed: u64,
    /// What is to be said first.
    first: Option<(&'static str, String)>,
}

impl Console {
    /// Changes from here on whose topic or table holds `?search=`.
    pub(super) fn tail(&self, ask: &Ask) -> Result<Response> {
        self.stream(Tail {
            search: search(ask)?.to_lowercase(),
            changes: self.services.hub.look_on(),
            bucket: Bucket::new(SHOWN),
            missed: 0,
            first: Some(event("open", &json!({}))),
        })
    }
}

impl Source for Tail {
    async fn next(&mut self) -> Option<(&'static str, String)> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let came = match self.missed {
                0 => Ok(self.changes.recv().await),
                _ => timeout(SOON, self.changes.recv()).await,
            };
            match came {
                Ok(Ok(delivery)) if !self.wants(&delivery) => {}
                Ok(Ok(delivery)) if self.bucket.take(SHOWN, 1.0) => {
                    if self.missed > 0 {
                        self.first = Some(("change", shown::whole(&delivery.change)));
                        return Some(self.missed());
                    }
                    return Some(("change", shown::whole(&delivery.change)));
                }
                Ok(Ok(_)) => self.missed += 1,
                Ok(Err(RecvError::Lagged(count))) => self.missed += count,
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => return Some(self.missed()),
            }
        }
    }
}

impl Tail {
    fn wants(&self, delivery: &Delivery) -> bool {
        let change = &delivery.change;
        let holds = |text: &str| text.to_lowercase().contains(&self.search);
        self.search.is_empty() || holds(change.topic.as_str()) || holds(&change.relation)
    }

    fn missed(&mut self) -> (&'static str, String) {
        event("missed", &json!({ "count": std::mem::take(&mut self.missed) }))
    }
}
