//! An answer that comes later: what the request went through on its way in is let go of while it waits.
//!
//! A route answers at once with a promise, which travels out through all the layers around the routes. Their headers are
//! kept; the request, the routes and the layers are not. Whoever serves the connection waits for what was promised.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use warp::reply::Response;

type Coming = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What was promised, in the extensions of the answer that promises it.
#[derive(Clone)]
pub struct Later(Arc<Mutex<Option<Coming>>>);

/// Promises an answer.
pub(super) fn later(coming: impl Future<Output = Response> + Send + 'static) -> Response {
    let mut promise = Response::default();
    promise.extensions_mut().insert(Later(Arc::new(Mutex::new(Some(Box::pin(coming))))));
    promise
}

impl Later {
    /// Waits for the answer, which gets the headers that layers gave the promise; its body is whole by then.
    pub async fn kept(
        self,
        headers: Box<[(HeaderName, HeaderValue)]>,
    ) -> http::Response<Full<Bytes>> {
        let coming = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self);
        let answer = match coming {
            Some(coming) => coming.await,
            None => Response::default(),
        };
        // In a box, because what waits must not have room for it.
        Box::pin(whole(answer, headers)).await
    }
}

/// An answer of a dialect that promises is made in memory.
async fn whole(
    answer: Response,
    headers: Box<[(HeaderName, HeaderValue)]>,
) -> http::Response<Full<Bytes>> {
    let (mut parts, body) = answer.into_parts();
    for (name, value) in headers {
        parts.headers.append(name, value);
    }
    let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    http::Response::from_parts(parts, Full::new(body))
}
