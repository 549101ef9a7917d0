//! A service that keeps what its answers promise: the layers that a request came through are gone while it waits.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::Service};
use tokio::time::timeout;

use super::{connection::Answers, http::count};
use crate::dialects::{door, later::Later};

/// Where Engine.IO's clients post packets: it waits for a body as long as it takes, and answers at once when it is there.
const PACKETS: &str = "/socket.io/";

/// Around the outermost layer.
pub(super) struct Patient<S>(pub(super) S);

type Answer<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<Either<B, Full<Bytes>>>, E>> + Send>>;

impl<S: Answers> Service<Request<Incoming>> for Patient<S> {
    type Response = Response<Either<S::Content, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Answer<S::Content, S::Error>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let is_packets =
            request.method() == Method::POST && request.uri().path().starts_with(PACKETS);
        // In a box of its own, which is given up as soon as there is an answer or the promise of one.
        let answering = Box::pin(self.0.call(request));
        Box::pin(async move {
            let mut answer = match is_packets {
                false => answering.await?,
                true => match timeout(door::BODY_DEADLINE, answering).await {
                    Ok(answer) => answer?,
                    Err(_) => {
                        count(StatusCode::REQUEST_TIMEOUT);
                        return Ok(too_slow());
                    }
                },
            };
            let Some(later) = answer.extensions_mut().remove::<Later>() else {
                return Ok(answer.map(Either::Left));
            };
            // A map of three headers has room for many more.
            let headers = answer.headers().iter();
            let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
            drop(answer);
            let kept = later.kept(headers).await;
            count(kept.status());
            Ok(kept.map(Either::Right))
        })
    }
}

/// The answer to a body that does not come; what is left of it is not waited for.
fn too_slow<B>() -> Response<Either<B, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
