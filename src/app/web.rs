//! The pages in the binary: the demo chat at `/demo`.

use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, path::Tail, reply::Response};

use crate::dialects::door;

#[derive(RustEmbed)]
#[folder = "src/app/web/demo"]
struct DemoPage;

/// Scripts and styles from here only, connections to here only.
const POLICY: &str =
    "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'self'; base-uri 'none'";

/// What the demo page needs: ready-made people. Only `rowcast dev` has any.
#[derive(Debug, Clone, Default)]
pub struct Demo {
    /// Whom a visitor can be.
    pub users: Vec<DemoUser>,
}

/// A demo user with a token.
#[derive(Debug, Clone, Serialize)]
pub struct DemoUser {
    /// For people.
    pub name: String,
    /// Public id.
    pub user_id: String,
    /// Theirs.
    pub token: String,
}

/// The routes, and the pages where they are wanted.
pub(super) fn with_pages(
    routes: BoxedFilter<(Response,)>,
    wanted: bool,
    demo: Option<Demo>,
) -> BoxedFilter<(Response,)> {
    if !wanted && demo.is_none() {
        return routes;
    }
    let users = serde_json::to_string(&demo.unwrap_or_default().users).unwrap_or_default();
    let users =
        warp::path!("demo" / "users").map(move || door::json(StatusCode::OK, users.clone()));
    // Relative links in the page need the slash.
    let slash = warp::path!("demo").and(warp::path::full()).and_then(
        |path: warp::path::FullPath| async move {
            if path.as_str().ends_with('/') {
                return Err(warp::reject::not_found());
            }
            let mut response = Response::default();
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/demo/"));
            Ok(response)
        },
    );
    let page = warp::path("demo").and(warp::path::tail()).and_then(|tail: Tail| async move {
        let name = if tail.as_str().is_empty() { "index.html" } else { tail.as_str() };
        file(name).ok_or_else(warp::reject::not_found)
    });
    let pages = warp::get().and(users.or(slash).unify().or(page).unify());
    routes.or(pages).unify().boxed()
}

fn file(name: &str) -> Option<Response> {
    let file = DemoPage::get(name)?;
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = Response::new(file.data.into_owned().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}
