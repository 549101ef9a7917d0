//! Who gets in: a token in a header, from the console's own page; wrong ones are limited, other pages and names refused.

use std::net::IpAddr;

use super::{FLAG, TOKEN, answer, get, post, request};
use crate::harness::{Database, app::App};
use serde_json::json;

#[tokio::test]
async fn without_a_token_there_is_no_console_and_the_probes_are_open() {
    let app = App::start().await;
    for path in ["/admin", "/admin/", "/admin/console.js", "/admin/api/overview"] {
        let (status, body) = answer(request(&app, "GET", path)).await;
        assert_eq!(status, 404, "{path}");
        let message = body["message"].as_str().expect("a message");
        assert!(message.contains("--admin-token"), "{message}");
    }
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(answer(request(&app, "GET", path)).await.0, 200, "{path}");
    }
    let short = App::try_start_on(Database::new().await, &["--admin-token=fifteen letters"])
        .await
        .err()
        .expect("refused");
    assert!(short.to_string().contains("16 characters"), "{short}");
}

#[tokio::test]
async fn the_token_counts_in_a_header_only() {
    let app = App::start_with(&[FLAG]).await;
    let overview = || request(&app, "GET", "/admin/api/overview");
    let bare = overview().send().await.expect("an answer");
    assert_eq!(
        (bare.status().as_u16(), &bare.headers()["www-authenticate"]),
        (401, &"Bearer".parse().expect("a header"))
    );
    let by_query =
        request(&app, "GET", "/admin/api/overview?token=an%20operator%27s%20token%20of%20tests");
    assert_eq!(answer(by_query).await.0, 401);
    assert_eq!(answer(overview().header("cookie", format!("token={TOKEN}"))).await.0, 401);
    assert_eq!(answer(overview().basic_auth("admin", Some(TOKEN))).await.0, 401);
    let overview = get(&app, "overview").await;
    assert_eq!((&overview["ready"], &overview["writes"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn wrong_tokens_are_limited_and_a_right_one_is_not_told_apart_meanwhile() {
    let app = App::start_with(&[FLAG]).await;
    let ask = async |token: &str| {
        let request = request(&app, "GET", "/admin/api/overview").bearer_auth(token);
        request.send().await.expect("an answer")
    };
    let mut wrong = 0;
    loop {
        let answer = ask("a wrong token of the right length").await;
        if answer.status() == 429 {
            assert_eq!(&answer.headers()["retry-after"], "1");
            break;
        }
        assert_eq!(answer.status(), 401);
        wrong += 1;
        assert!(wrong < 100, "nobody is stopped");
    }
    assert!(wrong >= 10, "stopped after {wrong}");
    let mut right = ask(TOKEN).await;
    assert!([200, 429].contains(&right.status().as_u16()));
    while right.status() == 429 {
        right = ask(TOKEN).await;
    }
    assert_eq!(right.status(), 200);
}

/// Asks with a token from an address of this machine, through a proxy that says whom it asks for, or none.
async fn knock(app: &App, from: &str, forwarded: Option<&str>, token: &str) -> u16 {
    let client = reqwest::Client::builder().local_address(from.parse::<IpAddr>().ok());
    let url = format!("http://{}/admin/api/overview", app.addresses.admin);
    let mut request = client.build().expect("a client").get(url).bearer_auth(token);
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    request.send().await.expect("an answer").status().as_u16()
}

const WRONG: &str = "a wrong token of the right length";

async fn until_limited(app: &App, from: &str, forwarded: Option<&str>) {
    for _ in 0..100 {
        match knock(app, from, forwarded, WRONG).await {
            401 => {}
            status => return assert_eq!(status, 429),
        }
    }
    panic!("nobody is stopped");
}

#[tokio::test]
async fn who_guesses_at_one_address_locks_out_nobody_at_another() {
    let app = App::start_with(&[FLAG]).await;
    until_limited(&app, "127.0.0.2", None).await;
    for _ in 0..20 {
        assert_eq!(knock(&app, "127.0.0.1", None, TOKEN).await, 200);
        knock(&app, "127.0.0.2", None, WRONG).await;
    }
    // What a client says of itself counts for nothing: it is held by the address that it has.
    until_limited(&app, "127.0.0.3", Some("198.51.100.1")).await;
    assert_eq!(knock(&app, "127.0.0.3", Some("198.51.100.2"), WRONG).await, 429);
    assert_eq!(knock(&app, "127.0.0.1", Some("198.51.100.1"), TOKEN).await, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_patience() {
    let app = App::start_with(&[FLAG, "--trusted-proxies=127.0.0.9"]).await;
    until_limited(&app, "127.0.0.9", Some("198.51.100.1")).await;
    for _ in 0..20 {
        assert_eq!(knock(&app, "127.0.0.9", Some("198.51.100.2"), TOKEN).await, 200);
        knock(&app, "127.0.0.9", Some("198.51.100.1"), WRONG).await;
    }
    // An address that a client wrote before the proxy's is nobody's; a site of IPv6 has one patience.
    until_limited(&app, "127.0.0.9", Some("198.51.100.2, 198.51.100.3")).await;
    assert_eq!(knock(&app, "127.0.0.9", Some("198.51.100.2"), TOKEN).await, 200);
    until_limited(&app, "127.0.0.9", Some("2001:db8::1")).await;
    assert_eq!(knock(&app, "127.0.0.9", Some("2001:db8::2"), WRONG).await, 429);
    assert_eq!(knock(&app, "127.0.0.9", Some("2001:db8:0:1::1"), TOKEN).await, 200);
}

#[tokio::test]
async fn other_pages_and_other_names_are_refused() {
    let app = App::start_with(&[FLAG, "--admin-hosts=console.example"]).await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = request(&app, "GET", "/admin/api/overview").bearer_auth(TOKEN);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await.0
    };
    let host = app.addresses.admin.to_string();
    let own = format!("http://{host}");
    for good in [
        &[("host", "localhost:4001")][..],
        &[("host", "[::1]:4001")],
        &[("host", "Console.example")],
        &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
    ] {
        assert_eq!(ask(good).await, 200, "{good:?}");
    }
    for bad in [
        &[("host", "evil.example:4001")][..],
        &[("host", "127.0.0.1.evil.example")],
        &[("host", "console.example.evil.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(ask(bad).await, 403, "{bad:?}");
    }
    // The page itself, too: a name that leads here by a trick gets nothing.
    let page = request(&app, "GET", "/admin/").header("host", "evil.example");
    assert_eq!(answer(page).await.0, 403);
}

#[tokio::test]
async fn the_page_is_served_without_data_and_under_a_strict_policy() {
    let app = App::start_with(&[FLAG]).await;
    let moved = request(&app, "GET", "/admin").send().await.expect("an answer");
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (308, &"/admin/".parse().expect("a header"))
    );
    for (path, kind) in [
        ("/admin/", "text/html; charset=utf-8"),
        ("/admin/console.js", "text/javascript; charset=utf-8"),
        ("/admin/console.css", "text/css; charset=utf-8"),
        ("/admin/uplot/uplot.js", "text/javascript; charset=utf-8"),
        ("/admin/uplot/LICENSE", "text/plain; charset=utf-8"),
    ] {
        let answer = request(&app, "GET", path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers();
        assert_eq!(headers["content-type"], kind, "{path}");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    for path in
        ["/admin/nothing.js", "/admin/../Cargo.toml", "/admin/%2e%2e/Cargo.toml", "/administrator"]
    {
        assert_eq!(answer(request(&app, "GET", path)).await.0, 404, "{path}");
    }
    assert_eq!(answer(request(&app, "POST", "/admin/")).await.0, 404);
}

#[tokio::test]
async fn a_read_only_console_refuses_to_act() {
    let app = App::start_with(&[FLAG]).await;
    app.sql("create table public.todos (id int primary key)").await;
    for (call, body) in [
        ("tables/watch", json!({ "table": "public.todos" })),
        ("tables/unwatch", json!({ "table": "chat.messages" })),
        ("sessions/end", json!({ "id": 1 })),
    ] {
        let (status, body) = post(&app, call, body).await;
        assert_eq!(status, 403, "{call}");
        assert!(body["message"].as_str().expect("a message").contains("--admin-write"));
    }
    assert_eq!(app.value::<i64>("select count(*) from rowcast.watched").await, 0);
}
