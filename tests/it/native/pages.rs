//! Browsers: which pages may connect, what a cookie is worth from another page, and the CORS headers.

use futures_util::SinkExt;
use http::HeaderMap;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::client::{DOORS, Door, Header, request, socket};
use crate::harness::app::{App, token};

const LISTED: &str = "https://app.example";
const OTHER: &str = "https://evil.example";

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

/// A write by the cookie, from a page.
async fn write(app: &App, cookie: &str, origin: Option<&str>) -> u16 {
    let mut headers: Vec<Header<'_>> = vec![("cookie", cookie)];
    headers.extend(origin.map(|origin| ("origin", origin)));
    let path = "/api/chat/threads/1/messages";
    request(app, "POST", path, &headers, r#"{"content":"Hi"}"#).await.status().as_u16()
}

#[tokio::test]
async fn a_cookie_from_another_origins_page_counts_for_nothing() {
    let app = App::start().await;
    app.sql("insert into chat.login_sessions (session_id, user_id) values ('opaque', 1)").await;
    let own = format!("http://{}", app.address());
    for cookie in [format!("session_id={}", token("ada")), "session_id=opaque".to_owned()] {
        for (origin, allowed) in [
            (None, true),
            (Some(&*own), true),
            (Some(OTHER), false),
            (Some("null"), false),
            (Some(""), false),
            (Some("http://127.0.0.1"), false),
            (Some(&*format!("{own}.evil.example")), false),
            (Some(&*format!("http://evil.example/?{own}")), false),
            (Some(&*format!("http://evil@{}", app.address())), false),
        ] {
            let status = write(&app, &cookie, origin).await;
            assert_eq!(status, if allowed { 201 } else { 403 }, "a write from {origin:?}");
            let mut headers: Vec<Header<'_>> = vec![("cookie", &cookie)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            let (status, body) = Door::Socket.knock(&app, "", &headers).await;
            assert_eq!(status, if allowed { 101 } else { 403 }, "a socket from {origin:?}: {body}");
            if !allowed {
                assert_eq!(body["code"], "forbidden");
            }
        }
        // It may ask, but no browser lets it read: the answer names no origin with credentials.
        let headers = [("cookie", &*cookie), ("origin", OTHER)];
        let response = request(&app, "GET", "/api/chat/unread-count", &headers, "").await;
        assert_ne!(header(response.headers(), "access-control-allow-origin"), Some(OTHER));
        assert_eq!(header(response.headers(), "access-control-allow-credentials"), None);
    }
    let written: i64 = app.value("select count(*) from chat.messages").await;
    assert_eq!(written, 4);
    // What the page itself knows is another matter: a token in its hands is no cookie.
    let bearer = format!("Bearer {}", token("ada"));
    let cookie = format!("session_id={}", token("grace"));
    for door in DOORS {
        let headers = [("authorization", &*bearer), ("origin", OTHER), ("cookie", &*cookie)];
        assert!(door.opens(&app, "", &headers).await, "{door:?}");
        let query = format!("?token={}", token("ada"));
        assert!(door.opens(&app, &query, &[("origin", OTHER)]).await, "{door:?}");
    }
}

#[tokio::test]
async fn only_listed_origins_connect_where_there_is_a_list() {
    let app =
        App::start_with(&["--allowed-origins=https://app.example,http://localhost:5173"]).await;
    let bearer = format!("Bearer {}", token("ada"));
    for (origin, allowed) in [
        (LISTED, true),
        ("HTTPS://APP.EXAMPLE", true),
        ("http://localhost:5173", true),
        (OTHER, false),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://app.example.evil.example", false),
        ("https://sub.app.example", false),
        ("http://localhost:5174", false),
        ("null", false),
        ("*", false),
    ] {
        for door in DOORS {
            let (status, body) =
                door.knock(&app, "", &[("authorization", &bearer), ("origin", origin)]).await;
            assert_eq!(matches!(status, 101 | 200), allowed, "{door:?} from {origin}: {status}");
            if !allowed {
                assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{door:?}");
            }
        }
    }
    // A program that is no browser has no origin.
    for door in DOORS {
        assert!(door.opens(&app, "", &[("authorization", &bearer)]).await, "{door:?}");
    }
    // A listed page may use its cookie.
    let cookie = format!("session_id={}", token("ada"));
    assert_eq!(write(&app, &cookie, Some(LISTED)).await, 201);
    assert_eq!(write(&app, &cookie, Some(OTHER)).await, 403);
    let mut ada =
        socket(&app, "", &[("cookie", &cookie), ("origin", LISTED)]).await.expect("a socket");
    ada.until("connection_established").await;
    ada.0.send(Message::text(r#"{"type":"ping"}"#)).await.expect("sent");
    ada.until("pong").await;
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_every_answer() {
    let app = App::start_with(&["--allowed-origins", LISTED]).await;
    let bearer = format!("Bearer {}", token("ada"));
    let signed = ("authorization", &*bearer);
    // Errors too: a page that cannot read a 401 cannot know that it has to sign in again.
    for (method, path, headers, status) in [
        ("GET", "/api/chat/unread-count", vec![signed], 200),
        ("GET", "/api/chat/events", vec![signed], 200),
        ("GET", "/api/chat/unread-count", vec![], 401),
        ("POST", "/api/chat/mark-read/4711", vec![signed], 403),
        ("POST", "/api/chat/threads/1/messages", vec![signed], 400),
        ("GET", "/nowhere", vec![], 404),
    ] {
        for (origin, named) in [(LISTED, Some(LISTED)), (OTHER, None)] {
            let mut headers = headers.clone();
            headers.push(("origin", origin));
            let response = request(&app, method, path, &headers, "").await;
            if origin == LISTED {
                assert_eq!(response.status(), status, "{method} {path}");
                assert_eq!(
                    header(response.headers(), "access-control-allow-credentials"),
                    Some("true")
                );
            }
            assert_eq!(header(response.headers(), "access-control-allow-origin"), named, "{path}");
            let vary = response.headers().get_all("vary").iter();
            assert!(
                vary.filter_map(|value| value.to_str().ok())
                    .any(|value| value.to_lowercase().contains("origin"))
            );
        }
    }
}

#[tokio::test]
async fn a_preflight_says_what_a_page_may_send() {
    let any = App::start().await;
    let listed = App::start_with(&["--allowed-origins", LISTED]).await;
    for (app, origin, named) in
        [(&any, OTHER, Some("*")), (&listed, LISTED, Some(LISTED)), (&listed, OTHER, None)]
    {
        for path in
            ["/api/chat/threads/1/messages", "/api/chat/offline-messages", "/api/chat/events"]
        {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,content-type,last-event-id,x-csrf-token",
                ),
            ];
            let response = request(app, "OPTIONS", path, &headers, "").await;
            assert_eq!(response.status(), 200, "{path}");
            let headers = response.headers();
            assert_eq!(
                header(headers, "access-control-allow-origin"),
                named,
                "{path} for {origin}"
            );
            let methods = header(headers, "access-control-allow-methods").expect("methods");
            assert!(methods.contains("POST") && methods.contains("DELETE"), "{methods}");
            let allowed =
                header(headers, "access-control-allow-headers").expect("headers").to_lowercase();
            for name in ["authorization", "content-type", "last-event-id", "x-csrf-token"] {
                assert!(allowed.contains(name), "{allowed}");
            }
            assert!(header(headers, "access-control-max-age").is_some());
        }
    }
    let response = request(&any, "GET", "/nowhere", &[("origin", OTHER)], "").await;
    assert_eq!(header(response.headers(), "access-control-allow-origin"), Some("*"));
    let exposed = header(response.headers(), "access-control-expose-headers").expect("a list");
    assert!(exposed.to_lowercase().contains("retry-after"));
}
