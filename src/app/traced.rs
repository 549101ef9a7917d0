//! The span of a request, as OpenTelemetry's conventions name it; a caller's `traceparent` (W3C) is taken over.

use std::net::IpAddr;

use http::{Request, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::trace::TRACE;

/// Begins one; it costs nothing where there are no traces. What a query holds is nobody's business: tokens may be in it.
pub(super) fn request<B>(request: &Request<B>, address: IpAddr) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::info_span!(
        target: TRACE,
        parent: None,
        "request",
        otel.name = format_args!("{method} {path}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.response.status_code = Empty,
        url.path = path,
        client.address = %address,
    );
    if !span.is_disabled() && request.headers().contains_key("traceparent") {
        let theirs = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
        // A span that has not been entered can always be given a parent.
        let _ = span.set_parent(theirs);
    }
    span
}

/// Notes how it was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
