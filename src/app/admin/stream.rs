//! Server-Sent Events for the console: bounded in number, ended when the server goes away.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use futures_util::stream;
use serde_json::Value;
use tokio::sync::mpsc;
use warp::{Reply, reply::Response, sse};

use super::Console;
use crate::error::{Error, Result};

/// Events on their way into a response; while it is full, the source waits.
const IN_FLIGHT: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where events come from; none is the end.
pub(super) trait Source: Send + 'static {
    /// The next event: its name and its JSON.
    fn next(&mut self) -> impl Future<Output = Option<(&'static str, String)>> + Send;
}

impl Console {
    /// Answers with a stream.
    pub(super) fn stream(&self, mut source: impl Source) -> Result<Response> {
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Error::too_many("Too many consoles follow already; close one of them", 5_000)
        })?;
        let lifecycle = self.services.lifecycle.clone();
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        self.services.lifecycle.connection(async move {
            let _place = place;
            let passing_on = async {
                while let Some(said) = source.next().await {
                    if sender.send(said).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = passing_on => {}
                () = sender.closed() => {}
                () = lifecycle.draining() => {}
            }
        });
        let events = stream::unfold(receiver, |mut receiver| async {
            let (name, data) = receiver.recv().await?;
            Some((Ok::<_, Infallible>(sse::Event::default().event(name).data(data)), receiver))
        });
        let mut response =
            sse::reply(sse::keep_alive().interval(KEEP_ALIVE).stream(events)).into_response();
        // nginx buffers responses unless it is told not to.
        response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// An event about something that went wrong or by.
pub(super) fn event(name: &'static str, data: &Value) -> (&'static str, String) {
    (name, data.to_string())
}
