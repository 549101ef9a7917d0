//! CORS around everything that clients ask: who may read answers in a browser, by the origins of now.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use tower::{Layer, Service};
use tower_http::cors::{AllowHeaders, AllowOrigin, Cors as Around, CorsLayer};

use crate::{live::Live, session::Settings};

/// Browsers may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// A service with CORS around it.
#[derive(Clone)]
pub(super) struct Cors<S> {
    inner: S,
    settings: Live<Settings>,
}

impl<S> Cors<S> {
    pub(super) fn around(inner: S, settings: Live<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, A, B> Service<Request<A>> for Cors<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = <Around<S> as Service<Request<A>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        layer(&self.settings.now().allowed_origins).layer(inner).call(request)
    }
}

/// Credentials (cookies) only for origins that are listed by name.
fn layer(origins: &[String]) -> CorsLayer {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    // What clients of Supabase read of their project's answers.
    const EXPOSED: [HeaderName; 5] = [
        header::RETRY_AFTER,
        header::CONTENT_RANGE,
        header::LOCATION,
        HeaderName::from_static("x-relay-error"),
        HeaderName::from_static("upload-offset"),
    ];
    let layer = CorsLayer::new()
        .allow_methods(METHODS)
        // Each client library has headers of its own; who may ask at all goes by origin.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_AGE);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    let listed = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(listed)).allow_credentials(true)
}
