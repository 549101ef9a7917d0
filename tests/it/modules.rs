//! The browser client as the bridge serves it: types of content, tags, and nothing but its files.

use http::HeaderMap;
use reqwest::{Client, Response, redirect::Policy};

use crate::harness::app::App;

async fn get(app: &App, path: &str, headers: &[(&str, &str)]) -> Response {
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let mut request = client.get(format!("http://{}{path}", app.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn modules_are_served_with_their_types_and_maps_and_asked_about_by_their_tags() {
    let app = App::start().await;
    for (path, kind) in [
        ("/client/rowcast.js", "text/javascript; charset=utf-8"),
        ("/client/messaging.js", "text/javascript; charset=utf-8"),
        ("/client/socket.io.js", "text/javascript; charset=utf-8"),
        ("/client/rowcast.js.map", "application/json"),
        ("/client/messaging.js.map", "application/json"),
        ("/client/rowcast.d.ts", "application/typescript; charset=utf-8"),
        ("/client/rowcast/client.d.ts", "application/typescript; charset=utf-8"),
        ("/client/messaging.d.ts", "application/typescript; charset=utf-8"),
    ] {
        let first = get(&app, path, &[("origin", "https://app.example")]).await;
        assert_eq!(first.status(), 200, "{path}");
        let headers = first.headers().clone();
        assert_eq!(header(&headers, "content-type"), kind, "{path}");
        assert_eq!(header(&headers, "cache-control"), "public, no-cache", "{path}");
        assert_eq!(header(&headers, "access-control-allow-origin"), "*", "{path}");
        let tag = header(&headers, "etag").to_owned();
        assert!(!first.text().await.expect("text").is_empty(), "{path}");

        for tags in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get(&app, path, &[("if-none-match", &tags)]).await;
            assert_eq!(again.status(), 304, "{path} {tags}");
            assert_eq!(header(again.headers(), "etag"), tag, "{path}");
            assert!(again.text().await.expect("text").is_empty(), "{path}");
        }
        let other = get(&app, path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status(), 200, "{path}");
    }
    let module = get(&app, "/client/rowcast.js", &[]).await;
    assert_eq!(header(module.headers(), "x-typescript-types"), "/client/rowcast.d.ts");
}

#[tokio::test]
async fn the_module_of_guide_002_has_moved_and_there_is_nothing_else() {
    let app = App::start().await;
    let moved = get(&app, "/messaging.js", &[]).await;
    assert_eq!(moved.status(), 308);
    assert_eq!(header(moved.headers(), "location"), "/client/messaging.js");
    for path in
        ["/client", "/client/", "/client/nothing.js", "/client/../Cargo.toml", "/client/rowcast"]
    {
        assert_eq!(get(&app, path, &[]).await.status(), 404, "{path}");
    }
    let client = Client::new();
    let url = format!("http://{}/client/rowcast.js", app.address());
    let head = client.head(&url).send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(client.post(&url).send().await.expect("an answer").status(), 405);
}
