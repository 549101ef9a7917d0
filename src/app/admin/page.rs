//! The console's page, in the binary. It holds no data: those come with the token only.

use http::{HeaderValue, Method, StatusCode, header};
use rust_embed::RustEmbed;
use warp::reply::Response;

use crate::{
    dialects::door::Ask,
    error::{Error, Kind, Result},
};

#[derive(RustEmbed)]
#[folder = "src/app/web/admin"]
struct Page;

/// Everything from here, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page at a path that begins with `/admin`.
pub(super) fn file(path: &str, ask: &Ask) -> Result<Response> {
    let nothing = || Error::new(Kind::Missing, "There is nothing at this path");
    if ask.method != Method::GET && ask.method != Method::HEAD {
        return Err(nothing());
    }
    let mut response = Response::default();
    let name = match path.strip_prefix("/admin") {
        // Relative links in the page need the slash.
        Some("") => {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/admin/"));
            return Ok(response);
        }
        Some("/") => "index.html",
        Some(name) => name.trim_start_matches('/'),
        None => return Err(nothing()),
    };
    let file = Page::get(name).ok_or_else(nothing)?;
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    *response.body_mut() = file.data.into_owned().into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
