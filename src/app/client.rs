//! The browser client in the binary: `/client/rowcast.js` and `/client/messaging.js`, with their types and maps beside.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

/// What `client/` builds to; a test there compares.
#[derive(RustEmbed)]
#[folder = "src/app/web/client"]
struct Modules;

/// Where guide 002 imports its module from.
const OLD_HOME: &str = "messaging.js";
const NEW_HOME: &str = "/client/messaging.js";
/// Tells tools that read types where those of a module are.
const TYPES: &str = "x-typescript-types";

/// The routes, and the client's modules.
pub(super) fn with_modules(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    let moved = warp::path(OLD_HOME).and(warp::path::end()).map(|| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(NEW_HOME));
        response
    });
    let module = warp::path("client")
        .and(warp::path::tail())
        .and(warp::header::headers_cloned())
        .and_then(|tail: Tail, headers: HeaderMap| async move {
            module(tail.as_str(), &headers).ok_or_else(warp::reject::not_found)
        });
    let modules = warp::get().or(warp::head()).unify().and(moved.or(module).unify());
    routes.or(modules).unify().boxed()
}

/// A file, or that the browser has it already.
fn module(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Modules::get(name)?;
    let hash: String =
        file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|tags| tags.split(',').any(|one| is_tag(one, &tag)));
    let mut response = if known {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(file.data.into_owned().into())
    };
    let headers = response.headers_mut();
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("ts") => "application/typescript; charset=utf-8",
        _ => "application/json",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    // Always asked about, so that a page and its bridge are of one version.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(base) = name.strip_suffix(".js")
        && let types = format!("{base}.d.ts")
        && Modules::get(&types).is_some()
    {
        headers.insert(TYPES, HeaderValue::from_str(&format!("/client/{types}")).ok()?);
    }
    Some(response)
}

/// Whether one entry of `If-None-Match` is a tag, compared weakly as RFC 9110 wants it.
fn is_tag(entry: &str, tag: &str) -> bool {
    let entry = entry.trim();
    entry == "*" || entry.strip_prefix("W/").unwrap_or(entry) == tag
}
