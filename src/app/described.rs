//! The descriptions of all routes and messages in the binary: `/openapi.json` and `/asyncapi.json`.

use http::{HeaderValue, StatusCode, header};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::dialects::door;

/// REST, as OpenAPI 3.1 has it.
const OPENAPI: &str = include_str!("../../docs/api/openapi.json");
/// Sockets and event streams, as AsyncAPI 3.0 has it.
const ASYNCAPI: &str = include_str!("../../docs/api/asyncapi.json");

/// The routes, and their descriptions.
pub(super) fn with_descriptions(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    let openapi = warp::path!("openapi.json").map(|| description(OPENAPI));
    let asyncapi = warp::path!("asyncapi.json").map(|| description(ASYNCAPI));
    let descriptions = warp::get().or(warp::head()).unify().and(openapi.or(asyncapi).unify());
    routes.or(descriptions).unify().boxed()
}

fn description(text: &'static str) -> Response {
    let mut response = door::json(StatusCode::OK, text);
    let asked_about = HeaderValue::from_static("public, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, asked_about);
    response
}
